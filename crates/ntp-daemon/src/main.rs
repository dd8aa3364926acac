//! `ntp-daemon`: the command line, and nothing else.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Parser};
use ntp_daemon::daemon::{self, Options};
use nts_service::telemetry::logging::Level;

/// NTP daemon with NTS: client, server, and time source for NTS pools
#[derive(Parser)]
#[command(version, disable_version_flag = true)]
struct Arguments {
    /// Configuration file [default: /etc/ntpd-rs/ntp.toml]
    #[arg(short, long, value_name = "PATH")]
    config: Option<PathBuf>,

    /// trace, debug, info, warn or error; wins over the configuration
    #[arg(short, long, value_name = "LEVEL")]
    log_level: Option<Level>,

    /// Measure, and never touch the clock
    #[arg(short = 'x', long)]
    no_clock_control: bool,

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
    let options = Options {
        config: arguments.config,
        log_level: arguments.log_level,
        no_clock_control: arguments.no_clock_control,
    };
    daemon::run(&options).into()
}
