//! Who gets how many users, and how many he should get by effective weight.

use std::collections::HashMap;

use nts_pool_ke::selection::{Denial, Family, Location, Snapshot, SourceIndex, User};

/// Users who are alike to selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    pub(super) family: Family,
    pub(super) country: Option<usize>,
}

/// First picks of ordinary users, and the sum of the chances that each source had.
pub(super) struct Shares {
    expected: Vec<f64>,
    picked: Vec<u64>,
    /// Since anything changed.
    users: HashMap<Kind, u64>,
}

impl Shares {
    pub(super) fn new(sources: usize) -> Self {
        Self {
            expected: vec![0.0; sources],
            picked: vec![0; sources],
            users: HashMap::new(),
        }
    }

    pub(super) fn note(&mut self, kind: Kind, picked: SourceIndex) {
        *self.users.entry(kind).or_default() += 1;
        self.picked[picked.get()] += 1;
    }

    /// Enters the chances of all users who came since anything changed.
    pub(super) fn settle(
        &mut self,
        snapshot: &Snapshot,
        locations: &[Location],
        serves: impl Fn(SourceIndex, Family) -> bool,
    ) {
        for (kind, users) in self.users.drain() {
            let user = User {
                family: kind.family,
                location: kind.country.map_or(Location::default(), |at| locations[at]),
                label: None,
                denial: Denial::default(),
            };
            let (_, weights) = snapshot.first_table(&user);
            let weights: Vec<_> = weights.filter(|(it, _)| serves(*it, kind.family)).collect();
            let total: u64 = weights.iter().map(|(_, weight)| weight).sum();
            for (source, weight) in weights {
                self.expected[source.get()] += users as f64 * weight as f64 / total as f64;
            }
        }
    }

    /// Half the sum of all deviations, as a part of all picks.
    pub(super) fn distance(&self) -> f64 {
        let deviations = self.deviations().map(|(deviation, _)| deviation.abs());
        let all: f64 = self.expected.iter().sum();
        deviations.sum::<f64>() / 2.0 / all.max(1.0)
    }

    /// The largest relative deviation, beyond what `sigmas` standard deviations of chance explain.
    pub(super) fn worst_beyond_chance(&self, sigmas: f64) -> f64 {
        let beyond = self.deviations().map(|(deviation, expected)| {
            (deviation.abs() - sigmas * expected.sqrt()).max(0.0) / expected
        });
        beyond.fold(0.0, f64::max)
    }

    /// Deviation and expectation of each source that had any chance.
    fn deviations(&self) -> impl Iterator<Item = (f64, f64)> {
        let both = self.expected.iter().zip(&self.picked);
        both.filter(|(expected, _)| **expected > 0.0)
            .map(|(expected, picked)| (*picked as f64 - expected, *expected))
    }
}
