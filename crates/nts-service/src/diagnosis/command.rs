//! A diagnosis as a command: text as it goes or JSON at the end, and an exit code.

use std::io::{self, Write};

use serde::Serialize;

use super::report::{Report, Step, Verdict};
use crate::exit::ExitCode;
use crate::runtime;

/// Lines are broken before they get longer than this, where there is a blank.
const WIDTH: usize = 100;

/// The columns before the text of a step.
const INDENT: usize = 24;

/// What a diagnosis is for, in the words of its first and last line.
pub struct Purpose {
    /// Whom it looks at: host and port.
    pub target: String,
    /// `Looking at TARGET` ends with this.
    pub role: &'static str,
    /// `TARGET` … when no step failed.
    pub good: &'static str,
    /// `TARGET` … when one did.
    pub bad: &'static str,
}

/// The whole report for programs.
#[derive(Serialize)]
struct Document<'r> {
    target: &'r str,
    ok: bool,
    steps: &'r [Step],
}

/// Runs `diagnose`, prints what it finds to `out`, and gives 0 if no step failed, else 1.
///
/// Text appears step by step, JSON as one document at the end.
pub fn run(
    purpose: &Purpose,
    json: bool,
    out: &mut dyn Write,
    problems: &mut dyn Write,
    diagnose: impl AsyncFnOnce(&mut Report<'_>),
) -> ExitCode {
    let mut printer = Printer {
        out,
        outcome: Ok(()),
    };
    if !json {
        let Purpose { target, role, .. } = purpose;
        printer.print(&format!("Looking at {target} {role}\n\n"));
    }
    let mut report = Report::new(|step| {
        if !json {
            printer.print(&lines(step));
        }
    });
    let ran = runtime::run(diagnose(&mut report));
    let steps = report.into_steps();
    if let Err(error) = ran {
        let _ = writeln!(problems, "error: cannot start: {error}");
        return ExitCode::Software;
    }
    printer.print(&match json {
        true => document(purpose, &steps),
        false => conclusion(purpose, &steps),
    });
    match printer.outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(problems, "error: cannot print the report: {error}");
            ExitCode::Failure
        }
        // The reader has seen enough, as `| head` does.
        _ if count(&steps, Verdict::Failed) == 0 => ExitCode::Success,
        _ => ExitCode::Failure,
    }
}

/// Prints until that fails.
struct Printer<'o> {
    out: &'o mut dyn Write,
    outcome: io::Result<()>,
}

impl Printer<'_> {
    /// Somebody waits for each line.
    fn print(&mut self, text: &str) {
        if self.outcome.is_ok() {
            let printed = self.out.write_all(text.as_bytes());
            self.outcome = printed.and_then(|()| self.out.flush());
        }
    }
}

/// How many steps ended like this.
fn count(steps: &[Step], verdict: Verdict) -> usize {
    steps.iter().filter(|it| it.verdict() == verdict).count()
}

fn document(purpose: &Purpose, steps: &[Step]) -> String {
    let document = Document {
        target: &purpose.target,
        ok: count(steps, Verdict::Failed) == 0,
        steps,
    };
    let text = serde_json::to_string_pretty(&document);
    text.map_or_else(|error| error.to_string(), |text| text + "\n")
}

/// The last line.
fn conclusion(purpose: &Purpose, steps: &[Step]) -> String {
    let Purpose {
        target, good, bad, ..
    } = purpose;
    let failed = count(steps, Verdict::Failed);
    let warnings = count(steps, Verdict::Warning);
    let verdict = if failed == 0 { good } else { bad };
    format!("\n{target} {verdict}{}.\n", tally(failed, warnings))
}

fn tally(failed: usize, warnings: usize) -> String {
    let plural = |count, one: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    };
    match (failed, warnings) {
        (0, 0) => String::new(),
        (0, warnings) => format!(" ({})", plural(warnings, "warning")),
        (failed, 0) => format!(" ({})", plural(failed, "failure")),
        (failed, warnings) => {
            let (failed, warnings) = (plural(failed, "failure"), plural(warnings, "warning"));
            format!(" ({failed}, {warnings})")
        }
    }
}

/// A step as text.
fn lines(step: &Step) -> String {
    let verdict = match step.verdict() {
        Verdict::Ok => "ok",
        Verdict::Warning => "WARN",
        Verdict::Failed => "FAIL",
        Verdict::Skipped => "skip",
    };
    let mut text = format!("{verdict:4}  {:16}  ", step.id());
    wrap(&mut text, step.text());
    if let Some(advice) = step.advice() {
        text.push_str(&" ".repeat(INDENT));
        wrap(&mut text, &format!("→ {advice}"));
    }
    text
}

/// Adds words to a text that stands at column [`INDENT`], line by line.
fn wrap(text: &mut String, words: &str) {
    let mut column = INDENT;
    for (index, word) in words.split(' ').enumerate() {
        let length = word.chars().count();
        if index > 0 && column + 1 + length > WIDTH {
            text.push('\n');
            text.push_str(&" ".repeat(INDENT));
            column = INDENT;
        } else if index > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const PURPOSE: Purpose = Purpose {
        target: String::new(),
        role: "as a test",
        good: "is good",
        bad: "is bad",
    };

    fn command(json: bool, steps: Vec<Step>) -> (ExitCode, String) {
        let purpose = Purpose {
            target: "a.test:4460".to_owned(),
            ..PURPOSE
        };
        let (mut out, mut problems) = (Vec::new(), Vec::new());
        let code = run(&purpose, json, &mut out, &mut problems, async |report| {
            for step in steps {
                report.add(step);
            }
        });
        assert_eq!(problems, b"");
        (code, String::from_utf8(out).unwrap())
    }

    #[test]
    fn text_for_people() {
        let long = "word ".repeat(18);
        let (code, text) = command(
            false,
            vec![
                Step::ok("name", "one address"),
                Step::warning("certificate", long.trim(), "renew it"),
                Step::skipped("ntp-refresh", "no cookies"),
            ],
        );
        assert_eq!(code, ExitCode::Success);
        assert_eq!(
            text,
            "Looking at a.test:4460 as a test\n\
             \n\
             ok    name              one address\n\
             WARN  certificate       word word word word word word word word word word word word \
             word word word\n                        word word word\n                        \
             → renew it\n\
             skip  ntp-refresh       no cookies\n\
             \n\
             a.test:4460 is good (1 warning).\n"
        );
    }

    #[test]
    fn one_failure_decides() {
        let steps = || {
            vec![
                Step::ok("name", "x"),
                Step::failed("tcp", "refused", "open it"),
            ]
        };
        let (code, text) = command(false, steps());
        assert_eq!(code, ExitCode::Failure);
        assert!(
            text.ends_with("\na.test:4460 is bad (1 failure).\n"),
            "{text}"
        );
        let (code, text) = command(true, steps());
        assert_eq!(code, ExitCode::Failure);
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["ok"], false);
        assert_eq!(document["target"], "a.test:4460");
        assert_eq!(document["steps"][1]["advice"], "open it");
    }
}
