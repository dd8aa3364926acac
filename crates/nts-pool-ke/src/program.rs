//! The program as a whole: configuration, log, signals, and the pool between them.

use std::io::{self, Write as _};
use std::path::Path;

use nts_service::config::Loaded;
use nts_service::exit::ExitCode;
use nts_service::files;
use nts_service::listener::Inherited;
use nts_service::notify;
use nts_service::runtime;
use nts_service::signals::{Signal, Signals};
use nts_service::telemetry::logging::{self, Log};

use crate::config::Config;
use crate::pool::Pool;
use crate::reload::Reloader;
use crate::snapshot::DiskCopy;

/// Checks the configuration in the file and all that it names, prints all problems, and the
/// effective configuration if it is good.
pub fn check(path: &Path) -> ExitCode {
    try_check(path).unwrap_or_else(|code| code)
}

fn try_check(path: &Path) -> Result<ExitCode, ExitCode> {
    let loaded = load(path)?;
    if !loaded.warnings.is_empty() {
        eprintln!("{}", loaded.warnings);
    }
    write!(io::stdout(), "{}", loaded.value).map_err(|_| ExitCode::Failure)?;
    // The pool would run without these, but whoever asks wants to know.
    let geo = loaded.value.geo.as_ref();
    let snapshot = loaded.value.snapshot.as_ref();
    let has_geo = geo.is_none_or(|database| database.geo.is_some());
    let has_copy = snapshot.is_none_or(|it| it.disk_copy != DiskCopy::Refused);
    match has_geo && has_copy {
        true => Ok(ExitCode::Success),
        false => Err(ExitCode::Config),
    }
}

/// Runs a pool with the configuration in the file until a signal ends it.
pub fn run(path: &Path) -> ExitCode {
    try_run(path).unwrap_or_else(|code| code)
}

fn try_run(path: &Path) -> Result<ExitCode, ExitCode> {
    // First of all, as long as there is one thread.
    let inherited = Inherited::take();
    let loaded = load(path)?;
    let observability = &loaded.value.observability;
    let options = logging::Options {
        level: observability.log_level,
        format: observability.log_format,
        ..logging::Options::default()
    };
    let log = logging::init(&options).map_err(|error| {
        eprintln!("error: {error}");
        ExitCode::Software
    })?;
    for warning in loaded.warnings.into_vec() {
        tracing::warn!("{}: {}", warning.place(), warning.message());
    }
    let inherited = inherited.map_err(fatal)?;
    runtime::run(serve(path, loaded.value, inherited, &log)).map_err(fatal)?
}

fn load(path: &Path) -> Result<Loaded<Config>, ExitCode> {
    Config::load(path).map_err(|problems| {
        eprintln!("{problems}");
        ExitCode::Config
    })
}

async fn serve(
    path: &Path,
    config: Config,
    inherited: Inherited,
    log: &Log,
) -> Result<ExitCode, ExitCode> {
    let mut signals = Signals::listen().map_err(fatal)?;
    let open_files = files::limit();
    files::check(open_files).map_err(fatal)?;
    let connections = config.limits.connections(open_files);
    if connections > files::share_of_users(open_files) {
        tracing::warn!(
            connections,
            open_files,
            "max-connections is more than 60 % of the files that may be open; sources need some too"
        );
    }
    let mut pool = Pool::start_on(config, inherited).map_err(fatal)?;
    for address in pool.local_addresses() {
        tracing::info!(%address, "listening for users");
    }
    if let Some(address) = pool.metrics_address() {
        tracing::info!(%address, "serving metrics");
    }
    let mut reloader = Reloader::new(path, &pool).await;
    notify::ready();
    until_stop(&mut signals, &mut reloader, &mut pool, log).await;
    notify::stopping();
    tracing::info!("stopping: running exchanges may finish; another signal ends them");
    tokio::select! {
        () = pool.shutdown() => tracing::info!("stopped"),
        () = next_stop(&mut signals) => tracing::warn!("stopped at once"),
    }
    Ok(ExitCode::Success)
}

/// Takes in what changes, until it is time to stop.
async fn until_stop(signals: &mut Signals, reloader: &mut Reloader, pool: &mut Pool, log: &Log) {
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Stop => return,
                Signal::Reload => {
                    notify::reloading();
                    if let Some(observability) = reloader.reload(pool).await {
                        log.set_level(observability.log_level);
                    }
                    notify::ready();
                }
            },
            due = reloader.due() => reloader.take_in(due, pool).await,
        }
    }
}

async fn next_stop(signals: &mut Signals) {
    while signals.next().await != Signal::Stop {}
}

/// Says why the program cannot go on.
fn fatal(error: impl std::error::Error) -> ExitCode {
    tracing::error!("{error}");
    ExitCode::Software
}
