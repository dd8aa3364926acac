//! `nts-pool-ke`: the arguments; the rest is the library.

use std::path::PathBuf;
use std::process;

use clap::Parser;
use nts_pool_ke::program;

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
    let code = match arguments.check {
        true => program::check(&arguments.config),
        false => program::run(&arguments.config),
    };
    code.into()
}
