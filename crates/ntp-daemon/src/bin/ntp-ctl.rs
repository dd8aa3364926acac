//! Looks at ntp-daemon: checks its configuration, shows its state.

use std::process::ExitCode;

fn main() -> ExitCode {
    ntp_daemon::ctl::run(std::env::args_os()).into()
}
