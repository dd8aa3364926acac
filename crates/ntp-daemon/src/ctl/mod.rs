//! What `ntp-ctl` does: `validate` checks a configuration file, `status` shows the state of a
//! running daemon, `nts` looks at an NTS server as its user, `force-sync` sets the clock if a person
//! agrees.
//!
//! What never happens here: changing anything in the daemon or on disk, or of the clock without a
//! person's word.

mod force_sync;
mod nts;
mod plain;
mod status;
mod units;
mod validate;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use nts_service::exit::ExitCode;

use crate::config::DEFAULT_PATH;

/// Checks the configuration of ntp-daemon, shows its state, looks at NTS servers, and sets the clock.
#[derive(Debug, Parser)]
#[command(name = "ntp-ctl", version, disable_version_flag = true)]
struct Arguments {
    /// Configuration file of the daemon
    #[arg(short, long, global = true, value_name = "PATH", default_value = DEFAULT_PATH)]
    config: PathBuf,

    /// Print the version
    #[arg(short, short_alias = 'V', long, action = ArgAction::Version)]
    version: Option<bool>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a configuration file and all files that it names
    Validate,
    /// Show what a running daemon measures and serves
    Status {
        /// How to print it
        #[arg(short, long, value_enum, default_value_t = Format::Plain)]
        format: Format,
        /// The same as `--format json`
        #[arg(long, conflicts_with = "format")]
        json: bool,
        /// Show it again every so many seconds
        #[arg(
            short,
            long,
            value_name = "SECONDS",
            num_args = 0..=1,
            default_missing_value = "2",
            value_parser = clap::value_parser!(u64).range(1..=86_400)
        )]
        watch: Option<u64>,
    },
    /// Ask the sources once and, if a person agrees, set the system's clock past all limits
    ForceSync,
    /// Look at an NTS server or pool as its user: what works, what does not, what to do
    Nts(nts::Arguments),
}

/// How `status` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table for people
    Plain,
    /// Metrics as Prometheus reads them
    Prometheus,
    /// The document of the observation socket
    Json,
    /// The same in one line
    #[value(skip)]
    JsonLine,
}

/// Runs `ntp-ctl` with the arguments of the process, its first being the program's name.
///
/// Gives 0 when all is well, 1 when a check found a problem or a server could not be reached,
/// 2 for arguments that make no sense.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    run_to(arguments, &mut io::stdout(), &mut io::stderr())
}

/// The same, with other places for what is printed: `out`, and `problems` for what standard error
/// gets.
pub fn run_to(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut impl Write,
    problems: &mut impl Write,
) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed output is no reason to fail differently.
            let _ = error.print();
            return exit_code(&error);
        }
    };
    match arguments.command {
        Command::Validate => validate::validate(&arguments.config, problems),
        Command::Status {
            format,
            json,
            watch,
        } => {
            let format = if json { Format::Json } else { format };
            let Some(seconds) = watch else {
                return status::status(&arguments.config, format, out, problems);
            };
            let clear = io::stdout().is_terminal();
            status::watch(&arguments.config, format, clear, out, problems, || {
                std::thread::sleep(Duration::from_secs(seconds));
                true
            })
        }
        Command::ForceSync => force_sync::force_sync(&arguments.config, out, problems),
        Command::Nts(arguments) => nts::nts(&arguments, out, problems),
    }
}

/// Help and the version come as errors too.
fn exit_code(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        ExitCode::Usage
    } else {
        ExitCode::Success
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split_whitespace())
    }

    fn code(line: &str) -> ExitCode {
        exit_code(&parse(line).unwrap_err())
    }

    #[test]
    fn all_spellings_of_the_configuration_file() {
        for line in [
            "ntp-ctl validate -c a.toml",
            "ntp-ctl validate -ca.toml",
            "ntp-ctl -c a.toml validate",
            "ntp-ctl validate --config a.toml",
            "ntp-ctl validate --config=a.toml",
        ] {
            assert_eq!(
                parse(line).unwrap().config,
                PathBuf::from("a.toml"),
                "{line}"
            );
        }
        let default = parse("ntp-ctl status").unwrap().config;
        assert_eq!(default, PathBuf::from("/etc/ntpd-rs/ntp.toml"));
    }

    #[test]
    fn watching_is_every_two_seconds_unless_told() {
        let seconds = |line: &str| match parse(line).unwrap().command {
            Command::Status { watch, .. } => watch,
            _ => None,
        };
        assert_eq!(seconds("ntp-ctl status"), None);
        assert_eq!(seconds("ntp-ctl status --watch"), Some(2));
        assert_eq!(seconds("ntp-ctl status -w --json"), Some(2));
        assert_eq!(seconds("ntp-ctl status --watch=5"), Some(5));
        assert_eq!(seconds("ntp-ctl status -w 5"), Some(5));
    }

    #[test]
    fn arguments_that_make_no_sense_are_2_and_help_is_0() {
        for line in [
            "ntp-ctl",
            "ntp-ctl launch",
            "ntp-ctl status -f xml",
            "ntp-ctl status --json -f plain",
            "ntp-ctl status --watch 0",
            "ntp-ctl status -f json-line",
            "ntp-ctl nts",
            "ntp-ctl nts https://a.test",
            "ntp-ctl nts a.test:0",
        ] {
            assert_eq!(code(line), ExitCode::Usage, "{line}");
        }
        for line in [
            "ntp-ctl --help",
            "ntp-ctl -v",
            "ntp-ctl -V",
            "ntp-ctl status -h",
        ] {
            assert_eq!(code(line), ExitCode::Success, "{line}");
        }
    }
}
