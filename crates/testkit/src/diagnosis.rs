//! The diagnostic commands, run as an operator would, and what they said.

use std::ffi::OsString;

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
