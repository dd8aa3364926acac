//! Load on time servers over real sockets, with answers verified, and what it costs the servers.
//!
//! One subcommand per protocol. What it prints is one JSON object on a line; `interop/bench-ntp`
//! runs it against several servers and makes tables. Only for addresses of one's own.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

mod connections;
mod floor;
mod ke;
mod key_exchange;
mod ntp;
mod process;
mod stand_in;
mod verifier;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;

type BoxError = Box<dyn Error + Send + Sync>;

/// Load on time servers, with answers verified.
#[derive(Debug, Parser)]
enum Command {
    /// NTP or, with `--ke`, NTS requests over UDP.
    Ntp(ntp::Options),
    /// NTS key exchanges over TCP and TLS.
    Ke(ke::Options),
    /// The server's side of TLS in memory: what a key exchange costs at least.
    Floor(floor::Options),
    /// A time source for pools that costs as little as can be, and is of no use to users.
    StandIn(stand_in::Options),
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Ntp(options) => ntp::run(&options),
        Command::Ke(options) => ke::run(&options),
        Command::Floor(options) => floor::run(&options),
        Command::StandIn(options) => stand_in::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
