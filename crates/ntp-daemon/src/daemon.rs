//! The daemon from its start to its end: configuration, log, servers, sources, signals.
//!
//! What never happens here: deciding what a key of the configuration means, or serving anybody.

use std::path::{Path, PathBuf};
use std::time::Instant;

use nts_service::config::Problems;
use nts_service::exit::ExitCode;
use nts_service::notify;
use nts_service::runtime;
use nts_service::signals::{Signal, Signals};
use nts_service::telemetry::logging::{self, Level, Log};

use crate::client::Client;
use crate::config::{self, Config, Loaded};
use crate::observe::{self, ObservationSocket};
use crate::time_source::{StartError, TimeSource};

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The configuration file; by default [`config::DEFAULT_PATH`], if there is one.
    pub config: Option<PathBuf>,
    /// Wins over the configuration.
    pub log_level: Option<Level>,
    /// Never touch the clock, whatever the configuration says.
    pub no_clock_control: bool,
}

/// Runs the daemon until it is told to stop or cannot go on.
///
/// Until there is a log, everything is said on standard error.
#[must_use]
pub fn run(options: &Options) -> ExitCode {
    let path = config_path(options);
    let loaded = match load(path.as_deref()) {
        Ok(loaded) => loaded,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::Config;
        }
    };
    let log = match logging::init(&log_options(options, &loaded.config)) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::Config;
        }
    };
    if path.is_none() {
        let default = config::DEFAULT_PATH;
        tracing::info!("there is no file {default}: using the built-in configuration");
    }
    tell(loaded.warnings);
    for notice in &loaded.notices {
        tracing::warn!("{notice}");
    }
    match run_with(options, path.as_deref(), &loaded.config, &log) {
        Ok(()) => ExitCode::Success,
        Err(error) => {
            tracing::error!("{error}");
            if loaded.config.observability.log_path.is_some() {
                eprintln!("error: {error}");
            }
            error.exit_code()
        }
    }
}

/// The configuration file that the options name, else the one at the default path if there is
/// any. Where it cannot be told whether there is one, reading it will say why.
fn config_path(options: &Options) -> Option<PathBuf> {
    let default = PathBuf::from(config::DEFAULT_PATH);
    let missing = matches!(default.try_exists(), Ok(false));
    options.config.clone().or((!missing).then_some(default))
}

/// The configuration of a file, or the built-in one.
fn load(path: Option<&Path>) -> Result<Loaded, Problems> {
    match path {
        Some(path) => config::load(path),
        None => Ok(Loaded {
            config: Config::default(),
            warnings: Problems::new(),
            notices: Vec::new(),
        }),
    }
}

fn tell(warnings: Problems) {
    for warning in warnings.into_vec() {
        tracing::warn!("{}: {}", warning.place(), warning.message());
    }
}

fn run_with(
    options: &Options,
    path: Option<&Path>,
    config: &Config,
    log: &Log,
) -> Result<(), RunError> {
    check_clock_control(options, config)?;
    runtime::run(Daemon::run(path, config, log)).map_err(RunError::Runtime)?
}

fn log_options(options: &Options, config: &Config) -> logging::Options {
    logging::Options {
        level: options.log_level.unwrap_or(config.observability.log_level),
        ansi: config.observability.ansi_colors,
        path: config.observability.log_path.clone(),
        ..logging::Options::default()
    }
}

/// Sources would have the clock steered, which this version cannot do.
fn check_clock_control(options: &Options, config: &Config) -> Result<(), RunError> {
    if config.sources.is_empty() {
        tracing::info!("no sources are configured: the daemon will not change the system time");
        return Ok(());
    }
    if !options.no_clock_control && config.synchronization.control_clock {
        return Err(RunError::ClockControl);
    }
    tracing::info!("clock control is off: the daemon measures and will not change the system time");
    Ok(())
}

/// Why the daemon cannot go on.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(
        "clock control is not there yet: this version measures and does not steer the clock; run \
         it with -x (--no-clock-control), or set control-clock = false in [synchronization]"
    )]
    ClockControl,
    #[error("cannot start the runtime: {0}")]
    Runtime(#[source] std::io::Error),
    #[error("cannot handle signals: {0}")]
    Signals(#[source] std::io::Error),
    #[error(transparent)]
    Servers(#[from] StartError),
    #[error("{0}")]
    Observation(#[source] std::io::Error),
}

impl RunError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Servers(StartError::Keys(_)) => ExitCode::Config,
            Self::ClockControl
            | Self::Runtime(_)
            | Self::Signals(_)
            | Self::Servers(_)
            | Self::Observation(_) => ExitCode::Software,
        }
    }
}

/// All that runs.
struct Daemon {
    time_source: TimeSource,
    client: Client,
    observation: Option<ObservationSocket>,
}

impl Daemon {
    async fn run(path: Option<&Path>, config: &Config, log: &Log) -> Result<(), RunError> {
        let mut signals = Signals::listen().map_err(RunError::Signals)?;
        let daemon = Self::start(config)?;
        notify::ready();
        while signals.next().await == Signal::Reload {
            notify::reloading();
            daemon.reload(path, log).await;
            notify::ready();
        }
        notify::stopping();
        tracing::info!("stopping");
        tokio::select! {
            () = daemon.stop() => {}
            _ = signals.next() => {}
        }
        Ok(())
    }

    fn start(config: &Config) -> Result<Self, RunError> {
        let time_source = TimeSource::start(config)?;
        let client = Client::spawn(&config.sources);
        let observation = Self::observe(config, &time_source, &client)?;
        Ok(Self {
            time_source,
            client,
            observation,
        })
    }

    fn observe(
        config: &Config,
        time_source: &TimeSource,
        client: &Client,
    ) -> Result<Option<ObservationSocket>, RunError> {
        let Some(path) = &config.observability.observation_path else {
            return Ok(None);
        };
        let snapshot =
            observe::snapshot(Instant::now(), &config.synchronization, time_source, client);
        let permissions = config.observability.observation_permissions;
        ObservationSocket::bind(path, permissions, snapshot)
            .map(Some)
            .map_err(RunError::Observation)
    }

    /// SIGHUP: the log file anew, certificates and tokens anew. What is wrong is said, and the
    /// last good state stays.
    async fn reload(&self, path: Option<&Path>, log: &Log) {
        if let Err(error) = log.reopen() {
            tracing::error!(%error, "cannot reopen the log; going on with the old file");
        }
        let path = path.map(Path::to_owned);
        let loaded =
            tokio::task::spawn_blocking(move || load(path.as_deref()).map_err(Problems::into_vec));
        match loaded.await {
            Ok(Ok(Loaded {
                config, warnings, ..
            })) => {
                tell(warnings);
                for address in self.time_source.reload(&config) {
                    tracing::warn!(%address, "a listener was added or taken out; restart for that");
                }
                tracing::info!(
                    "certificates and pool tokens are reloaded; other keys need a restart"
                );
            }
            Ok(Err(problems)) => {
                for problem in problems {
                    tracing::error!("{}: {}", problem.place(), problem.message());
                }
                tracing::error!("not reloaded: going on with the last good configuration");
            }
            Err(error) => tracing::error!(%error, "not reloaded because of a defect"),
        }
    }

    /// Stops accepting, lets exchanges finish, saves the keys, removes the socket.
    async fn stop(self) {
        drop(self.observation);
        drop(self.client);
        self.time_source.shutdown().await;
    }
}
