//! `ntp-ctl force-sync`: asks the sources of a configuration once and, when a person has seen both
//! times and agrees, sets the system's clock, however far it is off.
//!
//! It is the cure after the daemon ended because of a panic threshold. What never happens here:
//! setting the clock without a terminal with a person at it, or while a daemon steers the clock.

mod agree;
mod ask;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use nts_service::exit::ExitCode;
use nts_service::runtime;

use super::status;
use crate::client::Client;
use crate::clock::{Keeper, KernelClock};
use crate::config::{self, Config, SynchronizationConfig};
use crate::observe::state::SourceState;
use agree::Agreed;

/// Time that the sources get to answer, a key exchange included.
const MEASURE_LIMIT: Duration = Duration::from_secs(20);

/// How often it is looked whether all have answered.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Runs the command.
pub(super) fn force_sync(path: &Path, out: &mut impl Write, problems: &mut impl Write) -> ExitCode {
    match run(path, out) {
        Ok(code) => code,
        Err((code, message)) => {
            let _ = writeln!(problems, "error: {message}");
            code
        }
    }
}

type Outcome = Result<ExitCode, (ExitCode, String)>;

fn run(path: &Path, out: &mut impl Write) -> Outcome {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        let message = "force-sync needs a terminal, so that a person can look at the times first";
        return Err((ExitCode::Failure, message.to_owned()));
    }
    let config = match config::load(path) {
        Ok(loaded) => loaded.config,
        Err(errors) => return Err((ExitCode::Config, errors.to_string())),
    };
    refuse_beside_a_daemon(&config).map_err(|message| (ExitCode::Failure, message))?;
    let expected: usize = config.sources.iter().map(|it| it.mode.count()).sum();
    let _ = writeln!(out, "Asking {expected} source(s) ...");
    let measured = runtime::run(measure(&config, expected))
        .map_err(|error| (ExitCode::Software, error.to_string()))?;
    let offsets: Vec<f64> = measured.iter().filter_map(|source| source.offset).collect();
    for source in &measured {
        if let Some(offset) = source.offset {
            let _ = writeln!(
                out,
                "  {:+.3} s  {} ({})",
                offset, source.address, source.name
            );
        }
    }
    let minimum = config.synchronization.minimum_agreeing_sources;
    let agreed = Agreed::of(&offsets, expected, minimum)
        .map_err(|disagreement| (ExitCode::Failure, disagreement.to_string()))?;
    let stdin = io::stdin();
    ask::ask_and_set(agreed, &mut KernelClock::untouched, &mut stdin.lock(), out)
        .map_err(|error| (ExitCode::Software, error.to_string()))
}

/// A daemon that steers the clock would see it move, and two must not steer it.
fn refuse_beside_a_daemon(config: &Config) -> Result<(), String> {
    let Some(socket) = &config.observability.observation_path else {
        return Ok(());
    };
    match status::fetch(socket) {
        Ok(state) if state.system.clock_control => Err(format!(
            "ntp-daemon is running and steers the clock (it answers at {}); stop it first",
            socket.display()
        )),
        _ => Ok(()),
    }
}

/// One measurement of each source; fewer when some do not answer in time.
async fn measure(config: &Config, expected: usize) -> Vec<SourceState> {
    // So many never agree: the measurements are looked at here.
    let nobody = SynchronizationConfig {
        minimum_agreeing_sources: usize::MAX,
        ..SynchronizationConfig::default()
    };
    let Ok(keeper) = Keeper::of_own_clock(&nobody) else {
        return Vec::new();
    };
    let client = Client::spawn(&config.sources, &keeper);
    let board = client.board();
    let all = async {
        loop {
            let measured = board
                .sources()
                .iter()
                .filter(|it| it.offset.is_some())
                .count();
            if measured >= expected {
                return;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    let _ = tokio::time::timeout(MEASURE_LIMIT, all).await;
    board.sources()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests have no terminal, or must not use it.
    #[test]
    fn without_a_terminal_it_refuses() {
        if io::stdin().is_terminal() && io::stdout().is_terminal() {
            return;
        }
        let (mut out, mut problems) = (Vec::new(), Vec::new());
        let code = force_sync(Path::new("/nonexistent"), &mut out, &mut problems);
        assert_eq!((code, out), (ExitCode::Failure, Vec::new()));
        let text = String::from_utf8(problems).unwrap();
        assert!(text.contains("needs a terminal"), "{text}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_source_is_measured_once() {
        let text = "[[server]]\nlisten = '127.0.0.3:1'\n[synchronization]\nlocal-stratum = 1\n";
        let mut server = config::parse("test", text).unwrap().config;
        server.servers[0].listen.set_port(0);
        let server = crate::time_source::TimeSource::start(&server).unwrap();
        let address = server.ntp_addresses()[0];
        let text = format!("[[source]]\nmode = 'server'\naddress = '{address}'\n");
        let config = config::parse("test", &text).unwrap().config;
        let measured = measure(&config, 1).await;
        assert_eq!(measured.len(), 1);
        assert!(measured[0].offset.unwrap().abs() < 0.1, "{measured:?}");
    }
}
