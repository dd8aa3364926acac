//! What is counted and logged about reloads.

use std::collections::{BTreeMap, BTreeSet};

use nts_service::config::{Problem, Severity};
use nts_service::telemetry::metrics::{Counter, Registry};

use super::part::Part;

/// Warnings of one reload that are logged one by one.
const MOST_WARNINGS: usize = 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Tally {
    failures: BTreeMap<Part, Counter>,
    /// What was said last, so that it is not said again at each attempt.
    said: BTreeMap<Part, String>,
}

impl Tally {
    pub(super) fn new(registry: &Registry) -> Self {
        let counter = |part: Part| {
            let help = "Attempts to take in something changed that was no good, by what it was.";
            let labels = [("what", part.label())];
            let counter = registry.counter("nts_pool_ke_reload_failures_total", help, &labels);
            (part, counter)
        };
        Self {
            failures: Part::ALL.into_iter().map(counter).collect(),
            said: BTreeMap::new(),
        }
    }

    /// The attempt to take in a part again failed too. The same as before is neither counted nor
    /// said.
    pub(super) fn refused_again(&mut self, part: Part, problems: &[Problem]) {
        if self.said.get(&part) != Some(&cause(problems)) {
            self.refused(part, problems);
        }
    }

    /// A part was not taken in because of `problems`.
    pub(super) fn refused(&mut self, part: Part, problems: &[Problem]) {
        let cause = cause(problems);
        if let Some(failures) = self.failures.get(&part) {
            failures.increment();
        }
        let what = part.label();
        tracing::error!(what, "not taken in, what was loaded before stays: {cause}");
        self.said.insert(part, cause);
    }

    /// What was said of a part does not hold any more; whether anything was.
    pub(super) fn healed(&mut self, part: Part) -> bool {
        self.said.remove(&part).is_some()
    }

    /// These parts were taken in.
    pub(super) fn taken_in(&mut self, parts: &BTreeSet<Part>) {
        for part in parts {
            self.said.remove(part);
            tracing::info!(what = part.label(), "taken in");
        }
    }

    /// Everything was taken in.
    pub(super) fn forget(&mut self) {
        self.said.clear();
    }

    /// What was taken in should be looked at nevertheless.
    pub(super) fn warn(&self, warnings: Vec<Problem>) {
        let more = warnings.len().saturating_sub(MOST_WARNINGS);
        for warning in warnings.into_iter().take(MOST_WARNINGS) {
            tracing::warn!("{}: {}", warning.place(), warning.message());
        }
        if more > 0 {
            tracing::warn!("and {more} more warnings; `--check` shows all");
        }
    }
}

/// The first error, and how many there are.
fn cause(problems: &[Problem]) -> String {
    let errors = problems
        .iter()
        .filter(|it| it.severity() == Severity::Error);
    let worst = errors.clone().chain(problems).next();
    let first = worst.map_or_else(String::new, |problem| {
        format!("{}: {}", problem.place(), problem.message())
    });
    match errors.count().saturating_sub(1) {
        0 => first,
        more => format!("{first} (and {more} more; `--check` shows all)"),
    }
}
