//! What became of the requests to one source. Counted at the source itself, so that a source that is
//! gone takes its series along.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::fleet::Class;
use crate::outcome::Outcome;

/// Why a source was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// For a user.
    Exchange,
    /// To learn whether it works.
    Check,
}

impl RequestKind {
    const ALL: [Self; 2] = [Self::Exchange, Self::Check];

    fn label(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::Check => "check",
        }
    }
}

/// Successes, then failures by class.
const OUTCOMES: usize = 1 + Class::ALL.len();

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Requests([[AtomicU64; OUTCOMES]; RequestKind::ALL.len()]);

/// The counts of one source, or of many together, by kind and outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestCounts([[u64; OUTCOMES]; RequestKind::ALL.len()]);

impl Requests {
    /// Counts one more.
    pub(crate) fn count(&self, kind: RequestKind, result: Result<(), Class>) {
        let outcome = match result {
            Ok(()) => 0,
            Err(class) => Class::ALL
                .iter()
                .position(|it| *it == class)
                .map_or(0, |position| position + 1),
        };
        self.0[kind as usize][outcome].fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted.
    pub(crate) fn get(&self) -> RequestCounts {
        let counts = self.0.each_ref();
        RequestCounts(counts.map(|kind| kind.each_ref().map(|it| it.load(Ordering::Relaxed))))
    }
}

impl RequestCounts {
    /// Adds those of another source.
    pub(crate) fn add(&mut self, other: Self) {
        for (ours, theirs) in self.0.iter_mut().zip(other.0) {
            for (ours, theirs) in ours.iter_mut().zip(theirs) {
                *ours += theirs;
            }
        }
    }

    /// Those that are not zero, with the labels of kind and outcome.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let failures = Class::ALL.into_iter().map(Class::label);
        let outcomes = std::iter::once(Outcome::OK).chain(failures);
        let kinds = RequestKind::ALL.into_iter().zip(self.0);
        kinds
            .flat_map(move |(kind, counts)| {
                let counts = outcomes.clone().zip(counts);
                counts.map(move |(outcome, count)| (kind.label(), outcome, count))
            })
            .filter(|(_, _, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_kind_and_outcome() {
        let requests = Requests::default();
        for (kind, result) in [
            (RequestKind::Check, Ok(())),
            (RequestKind::Exchange, Err(Class::Local)),
            (RequestKind::Exchange, Err(Class::Busy)),
            (RequestKind::Exchange, Err(Class::Busy)),
        ] {
            requests.count(kind, result);
        }
        let mut counts = requests.get();
        counts.add(requests.get());
        assert_eq!(
            counts.all().collect::<Vec<_>>(),
            [
                ("exchange", "local", 2),
                ("exchange", "busy", 4),
                ("check", "ok", 2)
            ]
        );
    }
}
