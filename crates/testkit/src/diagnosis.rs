//! The diagnostic commands, run as an operator would, and what they said.

use std::ffi::OsString;

use clap::Parser;
use nts_pool_ke::commands::Command;
use nts_service::exit::ExitCode;

use crate::deadline::within;

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Printed {
    /// The exit code.
    pub code: ExitCode,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub problems: String,
}

impl Printed {
    /// `VERDICT ID` of each step, in order.
    pub fn steps(&self) -> Vec<String> {
        let lines = self.out.lines().skip(2);
        lines
            .take_while(|line| !line.is_empty())
            .filter(|line| !line.starts_with(' '))
            .map(|line| {
                line.split_whitespace()
                    .take(2)
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect()
    }

    /// The text of a step and its advice, each on one line; empty if there is no such step.
    pub fn step(&self, id: &str) -> String {
        let mut lines = self.out.lines();
        let Some(first) = lines.find(|line| line.split_whitespace().nth(1) == Some(id)) else {
            return String::new();
        };
        let text = first.split_whitespace().skip(2);
        let more = lines.take_while(|line| line.starts_with("      "));
        let more = more.flat_map(str::split_whitespace);
        text.chain(more).collect::<Vec<_>>().join(" ")
    }

    /// Makes sure that a step failed, and so did the command, with these words in its text or its
    /// advice, of which there is some.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn assert_failed(&self, id: &str, words: &[&str]) {
        assert_eq!(self.code, ExitCode::Failure, "{}", self.out);
        self.assert_says("FAIL", id, words);
    }

    /// The same for a warning, which alone lets the command succeed.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn assert_warned(&self, id: &str, words: &[&str]) {
        self.assert_says("WARN", id, words);
    }

    #[track_caller]
    fn assert_says(&self, verdict: &str, id: &str, words: &[&str]) {
        let step = format!("{verdict} {id}");
        assert!(self.steps().contains(&step), "no {step}:\n{}", self.out);
        let said = self.step(id);
        for words in words {
            assert!(said.contains(words), "no {words:?} in {said:?}");
        }
        assert!(said.contains("→ "), "no advice: {said}");
    }

    /// The last line.
    pub fn end(&self) -> &str {
        self.out.lines().last().unwrap_or_default()
    }
}

/// Runs `ntp-ctl` with these arguments.
pub async fn ntp_ctl(arguments: &[&str]) -> Printed {
    run("ntp-ctl", arguments, |arguments, out, problems| {
        ntp_daemon::ctl::run_to(arguments, out, problems)
    })
    .await
}

/// What `nts-pool-ke` does besides being a pool.
#[derive(Parser)]
struct PoolTool {
    #[command(subcommand)]
    command: Command,
}

/// Runs a command of `nts-pool-ke` with these arguments.
pub async fn pool_tool(arguments: &[&str]) -> Printed {
    run("nts-pool-ke", arguments, |arguments, out, problems| {
        let tool = PoolTool::try_parse_from(arguments).expect("arguments that make sense");
        tool.command.run(out, problems)
    })
    .await
}

/// Runs a command on a thread of its own, as it has a runtime of its own.
async fn run(
    name: &str,
    arguments: &[&str],
    command: impl FnOnce(Vec<OsString>, &mut Vec<u8>, &mut Vec<u8>) -> ExitCode + Send + 'static,
) -> Printed {
    let arguments: Vec<OsString> = std::iter::once(name)
        .chain(arguments.iter().copied())
        .map(OsString::from)
        .collect();
    let running = tokio::task::spawn_blocking(move || {
        let (mut out, mut problems) = (Vec::new(), Vec::new());
        let code = command(arguments, &mut out, &mut problems);
        Printed {
            code,
            out: String::from_utf8(out).expect("text"),
            problems: String::from_utf8(problems).expect("text"),
        }
    });
    within("the command to end", running)
        .await
        .expect("nothing panics")
}
