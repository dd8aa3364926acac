//! What the program does besides being a pool.

use std::io::Write;

use clap::Subcommand;
use nts_service::exit::ExitCode;

use crate::snapshot::commands as snapshot;
use crate::{probe, status, token};

/// Something else than running a pool.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look at a time source as a pool would: can it serve, and if not, what to do
    Probe(probe::Arguments),
    /// Show how the sources of a running pool do
    Status(status::Arguments),
    /// Make a signed list of sources, or look at one
    #[command(subcommand)]
    Snapshot(snapshot::Action),
    /// Print the token that follows from the pool's secret, for the operator of a source
    Token(token::Arguments),
}

impl Command {
    /// Does it, prints to `out`, and to `problems` what is wrong with the arguments.
    pub fn run(&self, out: &mut dyn Write, problems: &mut dyn Write) -> ExitCode {
        match self {
            Self::Probe(arguments) => probe::probe(arguments, out, problems),
            Self::Status(arguments) => status::status(arguments, out, problems),
            Self::Snapshot(action) => snapshot::snapshot(action, out, problems),
            Self::Token(arguments) => token::token(arguments, out, problems),
        }
    }
}
