//! The daemon from its start to its end: configuration, log, servers, sources, signals.
//!
//! What never happens here: deciding what a key of the configuration means, or serving anybody.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nts_service::config::Problems;
use nts_service::exit::ExitCode;
use nts_service::notify;
use nts_service::runtime;
use nts_service::signals::{Signal, Signals};
use nts_service::telemetry::logging::{self, Level, Log};
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::clock::{ClockError, HeldClock, Keeper, KeeperError, KernelClock, SteerableClock};
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
    let clock = Clock::choose(options, config);
    runtime::run(Daemon::run(path, config, clock, log)).map_err(RunError::Runtime)?
}

fn log_options(options: &Options, config: &Config) -> logging::Options {
    logging::Options {
        level: options.log_level.unwrap_or(config.observability.log_level),
        level_is_fixed: options.log_level.is_some(),
        ansi: config.observability.ansi_colors,
        path: config.observability.log_path.clone(),
        ..logging::Options::default()
    }
}

/// Which clock is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    /// The system's, by this daemon.
    System,
    /// One beside the system's, which is left alone.
    Held,
    /// None: there are no sources.
    None,
}

impl Clock {
    fn choose(options: &Options, config: &Config) -> Self {
        if config.sources.is_empty() {
            tracing::info!(
                "no sources are configured: the daemon will not change the system's clock"
            );
            Self::None
        } else if options.no_clock_control || !config.synchronization.control_clock {
            tracing::info!(
                "clock control is off: the daemon keeps a clock of its own and will not change \
                 the system's"
            );
            Self::Held
        } else {
            Self::System
        }
    }

    /// Takes the clock over, before anything else is started.
    fn open(self) -> Result<Box<dyn SteerableClock>, ClockError> {
        Ok(match self {
            Self::System => {
                let clock = KernelClock::take_over()?;
                let ppm = clock.frequency() * 1e6;
                tracing::info!("the daemon steers the system's clock, which runs at {ppm:+.3} ppm");
                Box::new(clock)
            }
            Self::Held | Self::None => Box::<HeldClock>::default(),
        })
    }
}

/// Why the daemon cannot go on.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Clock(#[from] KeeperError),
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
            Self::Clock(_)
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
    keeper: Arc<Keeper>,
    keeping: Option<JoinHandle<()>>,
    client: Client,
    observation: Option<ObservationSocket>,
}

impl Daemon {
    async fn run(
        path: Option<&Path>,
        config: &Config,
        clock: Clock,
        log: &Log,
    ) -> Result<(), RunError> {
        let mut signals = Signals::listen().map_err(RunError::Signals)?;
        let daemon = Self::start(config, clock)?;
        notify::ready();
        let outcome = daemon.serve(&mut signals, path, log).await;
        notify::stopping();
        if outcome.is_ok() {
            tracing::info!("stopping");
        }
        tokio::select! {
            () = daemon.stop() => {}
            _ = signals.next() => {}
        }
        outcome
    }

    fn start(config: &Config, clock: Clock) -> Result<Self, RunError> {
        let opened = clock.open().map_err(KeeperError::from)?;
        let time_source = TimeSource::start(config)?;
        let keeper = Keeper::new(
            &config.synchronization,
            opened,
            clock == Clock::System,
            Arc::clone(time_source.system()),
        )?;
        let keeping = (clock != Clock::None).then(|| tokio::spawn(Arc::clone(&keeper).run()));
        let cookies = config.synchronization.cookie_storage_path.as_deref();
        let client = Client::spawn_with(&config.sources, &keeper, cookies);
        let kept = keeping.as_ref().map(|_| &keeper);
        let observation = Self::observe(config, &time_source, kept, &client)?;
        Ok(Self {
            time_source,
            keeper,
            keeping,
            client,
            observation,
        })
    }

    /// Until it is told to stop, or the clock cannot be kept any more.
    async fn serve(
        &self,
        signals: &mut Signals,
        path: Option<&Path>,
        log: &Log,
    ) -> Result<(), RunError> {
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Stop => return Ok(()),
                    Signal::Reload => {
                        notify::reloading();
                        self.reload(path, log).await;
                        notify::ready();
                    }
                },
                error = self.keeper.ended() => return Err(error.into()),
            }
        }
    }

    fn observe(
        config: &Config,
        time_source: &TimeSource,
        keeper: Option<&Arc<Keeper>>,
        client: &Client,
    ) -> Result<Option<ObservationSocket>, RunError> {
        let Some(path) = &config.observability.observation_path else {
            return Ok(None);
        };
        let snapshot = observe::snapshot(&config.synchronization, time_source, keeper, client);
        let permissions = config.observability.observation_permissions;
        ObservationSocket::bind(path, permissions, snapshot)
            .map(Some)
            .map_err(RunError::Observation)
    }

    /// SIGHUP: log file and level anew, certificates, tokens and balancers anew. What is wrong is said, and the
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
                log.set_level(config.observability.log_level);
                for address in self.time_source.reload(&config) {
                    tracing::warn!(%address, "a listener was added or taken out; restart for that");
                }
                tracing::info!(
                    "certificates, pool tokens, balancers and log level are reloaded; other keys \
                     need a restart"
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

    /// Stops accepting, lets exchanges finish, leaves the clock to itself, saves the keys, removes the
    /// socket.
    async fn stop(self) {
        drop(self.observation);
        self.client.stop().await;
        if let Some(keeping) = self.keeping {
            keeping.abort();
            self.keeper.stop();
        }
        self.time_source.shutdown().await;
    }
}
