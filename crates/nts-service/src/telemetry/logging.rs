//! Setting up the log.
//!
//! Log lines go to standard output or to a file that is appended to and can be reopened.
//! `RUST_LOG` wins over what the configuration says.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Everything, for hunting defects.
    Trace,
    /// Each exchange.
    Debug,
    /// What an operator wants to read.
    #[default]
    Info,
    /// What he should look at.
    Warn,
    /// What does not work.
    Error,
}

impl Level {
    /// The name, as it stands in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl std::str::FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [
            Self::Trace,
            Self::Debug,
            Self::Info,
            Self::Warn,
            Self::Error,
        ]
        .into_iter()
        .find(|level| level.name() == text)
        .ok_or_else(|| "no log level; write trace, debug, info, warn or error".to_owned())
    }
}

/// What a log line looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line, for machines.
    Json,
}

/// What to log, and where to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How much; `RUST_LOG` wins over it.
    pub level: Level,
    /// Whether [`Log::set_level`] is of no effect, as whoever started the program wants this level.
    pub level_is_fixed: bool,
    /// Text or JSON.
    pub format: Format,
    /// Colours; by default if standard output is a terminal, never in a file.
    pub ansi: Option<bool>,
    /// A file to append to; by default standard output.
    pub path: Option<PathBuf>,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be opened.
    #[error("cannot write the log file `{}`: {source}; make its directory writable", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// `RUST_LOG` makes no sense.
    #[error("the environment variable RUST_LOG makes no sense: {0}; write a level like `debug`")]
    Filter(String),
    /// There is a log already.
    #[error("the log has been set up already")]
    Twice,
}

/// The running log.
pub struct Log {
    file: Option<(PathBuf, LogFile)>,
    /// `None` where whoever started the program said how much is logged.
    level: Option<SetFilter>,
}

/// Exchanges the filter of the running log.
type SetFilter = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

impl Log {
    /// Logs so much from now on; without effect where `RUST_LOG` or
    /// [`Options::level_is_fixed`] say how much.
    pub fn set_level(&self, level: Level) {
        let Some(set) = &self.level else {
            return;
        };
        let outcome = filter(None, level).map(set);
        if !matches!(outcome, Ok(Ok(()))) {
            tracing::error!("the log level cannot be changed because of a defect");
        }
    }

    /// Opens the log file again, after something has moved it away. On failure the old one stays.
    ///
    /// # Errors
    /// [`LogError::File`].
    pub fn reopen(&self) -> Result<(), LogError> {
        if let Some((path, file)) = &self.file {
            *file.lock() = append_to(path)?;
        }
        Ok(())
    }
}

/// Sets up the log of the whole program; once.
///
/// # Errors
/// [`LogError`]; the program then has no log and should say so on standard error.
pub fn init(options: &Options) -> Result<Log, LogError> {
    let environment = std::env::var("RUST_LOG").ok();
    let filter = filter(environment.as_deref(), options.level)?;
    let file = match &options.path {
        Some(path) => Some((path.clone(), LogFile::new(append_to(path)?))),
        None => None,
    };
    let ansi = options
        .ansi
        .unwrap_or_else(|| file.is_none() && io::stdout().is_terminal());
    let (subscriber, level) = match &file {
        Some((_, file)) => subscriber(filter, options.format, ansi, file.clone()),
        None => subscriber(filter, options.format, ansi, io::stdout),
    };
    subscriber.try_init().map_err(|_| LogError::Twice)?;
    let fixed = options.level_is_fixed || wanted(environment.as_deref()).is_some();
    let level = (!fixed).then_some(level);
    Ok(Log { file, level })
}

/// What `RUST_LOG` says, if anything.
fn wanted(environment: Option<&str>) -> Option<&str> {
    environment.filter(|text| !text.trim().is_empty())
}

/// What passes: `RUST_LOG` if it is set, else the level. Either way without the certificate
/// verifier's own lines, since every refused certificate is reported where it matters.
fn filter(environment: Option<&str>, level: Level) -> Result<EnvFilter, LogError> {
    let directives = wanted(environment).unwrap_or(level.name());
    EnvFilter::try_new(format!("rustls_platform_verifier=off,{directives}"))
        .map_err(|error| LogError::Filter(error.to_string()))
}

type Subscriber = Box<dyn tracing::Subscriber + Send + Sync>;

fn subscriber<W>(
    filter: EnvFilter,
    format: Format,
    ansi: bool,
    writer: W,
) -> (Subscriber, SetFilter)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(ansi)
        .with_writer(writer);
    match format {
        Format::Text => {
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            let set = Box::new(move |filter| handle.reload(filter));
            (Box::new(builder.finish()), set)
        }
        Format::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            let set = Box::new(move |filter| handle.reload(filter));
            (Box::new(builder.finish()), set)
        }
    }
}

fn append_to(path: &Path) -> Result<File, LogError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .map_err(|source| LogError::File {
            path: path.to_owned(),
            source,
        })
}

/// A file that is written by whole lines and can be exchanged.
#[derive(Clone, Debug)]
struct LogFile(Arc<Mutex<File>>);

impl LogFile {
    fn new(file: File) -> Self {
        Self(Arc::new(Mutex::new(file)))
    }

    fn lock(&self) -> MutexGuard<'_, File> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file, held for one line.
struct Held<'f>(MutexGuard<'f, File>);

impl Write for Held<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl<'f> MakeWriter<'f> for LogFile {
    type Writer = Held<'f>;

    fn make_writer(&'f self) -> Held<'f> {
        Held(self.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_log_wins_over_the_level() {
        let shown = |environment, level| filter(environment, level).map(|it| it.to_string());
        assert!(shown(None, Level::Warn).unwrap().contains("warn"));
        assert!(shown(Some(" "), Level::Warn).unwrap().contains("warn"));
        let debug = shown(Some("nts_pool_ke=debug"), Level::Warn).unwrap();
        assert!(debug.contains("nts_pool_ke=debug") && !debug.contains("warn"));
        assert!(matches!(
            shown(Some("a=b=c"), Level::Warn),
            Err(LogError::Filter(_))
        ));
    }

    #[test]
    fn a_file_is_appended_to_and_can_be_reopened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::write(&path, "old\n").unwrap();
        let file = LogFile::new(append_to(&path).unwrap());
        let filter = filter(None, Level::Info).unwrap();
        let (subscriber, level) = subscriber(filter, Format::Json, false, file.clone());
        let log = Log {
            file: Some((path.clone(), file)),
            level: Some(level),
        };
        let moved = directory.path().join("log.1");
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(source = "a", "one");
            std::fs::rename(&path, &moved).unwrap();
            log.reopen().unwrap();
            tracing::debug!("too much");
            tracing::info!("two");
        });
        let before = std::fs::read_to_string(moved).unwrap();
        assert!(before.starts_with("old\n{") && before.contains(r#""message":"one","source":"a""#));
        let after = std::fs::read_to_string(path).unwrap();
        assert_eq!(after.lines().count(), 1);
        assert!(after.contains("two"));
    }

    #[test]
    fn the_level_can_be_changed_unless_the_environment_says_it() {
        for (fixed, format, expected) in [
            (false, Format::Text, "two"),
            (false, Format::Json, "two"),
            (true, Format::Text, ""),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("log");
            let file = LogFile::new(append_to(&path).unwrap());
            let filter = filter(None, Level::Info).unwrap();
            let (subscriber, level) = subscriber(filter, format, false, file.clone());
            let log = Log {
                file: Some((path.clone(), file)),
                level: (!fixed).then_some(level),
            };
            tracing::subscriber::with_default(subscriber, || {
                tracing::debug!("one");
                log.set_level(Level::Debug);
                tracing::debug!("two");
                log.set_level(Level::Error);
                tracing::warn!("three");
            });
            let text = std::fs::read_to_string(path).unwrap();
            let lines: Vec<_> = text.lines().collect();
            match expected {
                // The first level was info, and nothing changed it.
                "" => assert!(lines.len() == 1 && lines[0].contains("three"), "{text}"),
                word => assert!(lines.len() == 1 && lines[0].contains(word), "{text}"),
            }
        }
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let options = Options {
            path: Some("/nowhere/at/all.log".into()),
            ..Options::default()
        };
        let error = init(&options).unwrap_err().to_string();
        assert!(
            error.contains("/nowhere/at/all.log") && error.contains("writable"),
            "{error}"
        );
    }

    #[test]
    fn levels_are_read_by_name() {
        assert_eq!("warn".parse(), Ok(Level::Warn));
        assert!(
            "loud"
                .parse::<Level>()
                .unwrap_err()
                .contains("trace, debug, info")
        );
    }
}
