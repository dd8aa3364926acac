//! Shows the state of ntp-daemon to Prometheus: the command line, and nothing else.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Parser};
use ntp_daemon::config::DEFAULT_PATH;

/// Shows the state of ntp-daemon to Prometheus
#[derive(Parser)]
#[command(name = "ntp-metrics-exporter", version, disable_version_flag = true)]
struct Arguments {
    /// Configuration file of the daemon
    #[arg(short, long, value_name = "PATH", default_value = DEFAULT_PATH)]
    config: PathBuf,

    /// Print version
    #[arg(short = 'V', short_alias = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // What cannot be printed cannot be reported either.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    ntp_daemon::exporter::run(&arguments.config).into()
}
