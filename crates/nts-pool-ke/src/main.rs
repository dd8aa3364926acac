//! `nts-pool-ke`: arguments, configuration, log, signals; the rest is the library.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process;

use clap::Parser;
use nts_pool_ke::{Config, Pool};
use nts_service::exit::ExitCode;
use nts_service::files;
use nts_service::notify;
use nts_service::runtime;
use nts_service::signals::{Signal, Signals};
use nts_service::telemetry::logging;

/// The key exchange server of an NTS pool
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Check the configuration, print it with defaults filled in, and exit
    #[arg(long)]
    check: bool,
}

fn main() -> process::ExitCode {
    let arguments = Arguments::parse();
    let code = if arguments.check {
        check(&arguments.config)
    } else {
        run(&arguments.config)
    };
    code.unwrap_or_else(|code| code).into()
}

fn check(path: &Path) -> Result<ExitCode, ExitCode> {
    let loaded = load(path)?;
    if !loaded.warnings.is_empty() {
        eprintln!("{}", loaded.warnings);
    }
    write!(io::stdout(), "{}", loaded.value).map_err(|_| ExitCode::Failure)?;
    Ok(ExitCode::Success)
}

fn run(path: &Path) -> Result<ExitCode, ExitCode> {
    let loaded = load(path)?;
    let observability = &loaded.value.observability;
    let options = logging::Options {
        level: observability.log_level,
        format: observability.log_format,
        ..logging::Options::default()
    };
    let _log = logging::init(&options).map_err(|error| {
        eprintln!("error: {error}");
        ExitCode::Software
    })?;
    for warning in loaded.warnings.into_vec() {
        tracing::warn!("{}: {}", warning.place(), warning.message());
    }
    runtime::run(serve(loaded.value)).map_err(fatal)?
}

fn load(path: &Path) -> Result<nts_service::config::Loaded<Config>, ExitCode> {
    Config::load(path).map_err(|problems| {
        eprintln!("{problems}");
        ExitCode::Config
    })
}

async fn serve(config: Config) -> Result<ExitCode, ExitCode> {
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
    let pool = Pool::start(config).map_err(fatal)?;
    for address in pool.local_addresses() {
        tracing::info!(%address, "listening for users");
    }
    if let Some(address) = pool.metrics_address() {
        tracing::info!(%address, "serving metrics");
    }
    notify::ready();
    while signals.next().await == Signal::Reload {
        tracing::warn!("SIGHUP has no effect; restart to take in a changed configuration");
    }
    notify::stopping();
    tracing::info!("stopping: running exchanges may finish; another signal ends them");
    tokio::select! {
        () = pool.shutdown() => tracing::info!("stopped"),
        () = next_stop(&mut signals) => tracing::warn!("stopped at once"),
    }
    Ok(ExitCode::Success)
}

async fn next_stop(signals: &mut Signals) {
    while signals.next().await != Signal::Stop {}
}

/// Says why the program cannot go on.
fn fatal(error: impl std::error::Error) -> ExitCode {
    tracing::error!("{error}");
    ExitCode::Software
}
