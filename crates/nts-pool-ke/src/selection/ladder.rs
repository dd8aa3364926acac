//! From near to far: the levels that serve one user, and the one to begin with.

use super::bins::HostLabel;
use super::choice::User;
use super::level::{Level, Population};
use super::snapshot::SelectionPolicy;

/// The levels of one user, from his country to everything.
#[derive(Debug)]
pub(super) struct Ladder<'a> {
    levels: [Option<&'a Level>; 4],
    start: usize,
}

impl<'a> Ladder<'a> {
    /// Orders the levels, of which the last is the global one, and finds where to begin.
    ///
    /// A first pick begins near; the further ones of a user, which deny what he has or go by a
    /// numbered name, begin where there is enough to choose from, so that a country with one
    /// source does not get it four times. If no level has enough, all begin with everything.
    pub(super) fn new(
        levels: [Option<&'a Level>; 4],
        user: User<'_>,
        policy: &SelectionPolicy,
    ) -> Self {
        let first = user.denial.is_empty() && user.label.is_none_or(HostLabel::is_first);
        let enough = |population: Population| {
            if first {
                population.sources >= policy.local_min_sources
                    && population.operators >= policy.local_min_operators
            } else {
                population.sources >= policy.wide_min_sources
            }
        };
        let start = levels
            .iter()
            .position(|level| level.is_some_and(|level| enough(level.population(user.family))));
        Self {
            levels,
            start: start.unwrap_or(levels.len() - 1),
        }
    }

    /// The levels in the order in which they are to be tried.
    pub(super) fn levels(&self) -> impl Iterator<Item = &'a Level> + use<'a> {
        let levels = self.levels;
        levels.into_iter().skip(self.start).flatten()
    }
}
