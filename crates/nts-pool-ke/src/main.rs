//! `nts-pool-ke`: the arguments; the rest is the library.

use std::io;
use std::path::PathBuf;
use std::process;

use clap::Parser;
use nts_pool_ke::commands::Command;
use nts_pool_ke::program;
use nts_service::exit::ExitCode;

/// An exchange allocates some hundred times, with connections to a thousand sources in between: the
/// system's allocator makes it a twentieth dearer (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The key exchange server of an NTS pool
#[derive(Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Arguments {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    /// Check the configuration, print it with defaults filled in, and exit
    #[arg(long)]
    check: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

fn main() -> process::ExitCode {
    let arguments = Arguments::parse();
    let code = match (arguments.command, arguments.config) {
        (Some(command), _) => command.run(&mut io::stdout(), &mut io::stderr()),
        (None, Some(config)) if arguments.check => program::check(&config),
        (None, Some(config)) => program::run(&config),
        // Not without the file, says the parser.
        (None, None) => ExitCode::Usage,
    };
    code.into()
}
