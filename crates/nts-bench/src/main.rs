//! Load on time servers over real sockets, with answers verified, and what it costs the servers.
//!
//! One subcommand per protocol. What it prints is one JSON object on a line; `interop/bench-ntp`
//! runs it against several servers and makes tables. Only for addresses of one's own.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

mod cpu;
mod key_exchange;
mod ntp;

use std::process::ExitCode;

use clap::Parser;

/// Load on time servers, with answers verified.
#[derive(Debug, Parser)]
enum Command {
    /// NTP or, with `--ke`, NTS requests over UDP.
    Ntp(ntp::Options),
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Ntp(options) => ntp::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
