//! From near to far: the levels that serve one user, and the one to begin with.

use super::bins::HostLabel;
use super::choice::User;
use super::level::Population;
use super::roster::LevelId;
use super::snapshot::SelectionPolicy;

/// The levels of one user, from his country to everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ladder {
    levels: [Option<LevelId>; 4],
    start: usize,
}

impl Ladder {
    /// Orders the levels, of which the last is the global one, and finds where to begin.
    ///
    /// A first pick begins near; the further ones of a user, which deny what he has or go by a
    /// numbered name, begin where there is enough to choose from, so that a country with one
    /// source does not get it four times. If no level has enough, all begin with everything.
    pub(super) fn new(
        levels: [Option<LevelId>; 4],
        user: &User,
        policy: &SelectionPolicy,
        population: impl Fn(LevelId) -> Population,
    ) -> Self {
        let first = user.denial.is_empty() && user.label.is_none_or(HostLabel::is_first);
        let enough = |level: LevelId| {
            let population = population(level);
            if first {
                population.sources >= policy.local_min_sources
                    && population.operators >= policy.local_min_operators
            } else {
                population.sources >= policy.wide_min_sources
            }
        };
        let start = levels.iter().position(|level| level.is_some_and(enough));
        Self {
            levels,
            start: start.unwrap_or(levels.len() - 1),
        }
    }

    /// The levels in the order in which they are to be tried.
    pub(super) fn levels(self) -> impl Iterator<Item = LevelId> {
        self.levels.into_iter().skip(self.start).flatten()
    }
}
