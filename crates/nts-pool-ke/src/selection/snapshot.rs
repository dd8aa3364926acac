//! One immutable state of the pool, as selection sees it.

use std::sync::Arc;

use super::choice::{Choice, User};
use super::ladder::Ladder;
use super::level::{Level, LevelKind, Population};
use super::names::NameIndex;
use super::operators::OperatorShare;
use super::region::{Country, Region};
use super::roster::{LevelId, Roster, SourceIndex};
use super::table::Table;

/// Effective weight is counted in these parts of a configured weight of 1, so that ramps,
/// probation and the operator cap divide it finely enough. At the limits of a [`Roster`] the sum
/// over a level is 10¹⁴.
const UNITS_PER_WEIGHT: u64 = 1_000_000;
/// A source with all of its weight has so many tenths of it.
const FULL: u8 = 10;
/// What a newcomer on probation gets, in tenths.
const PROBATION: u64 = 1;

/// Rules of selection that a pool operator sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectionPolicy {
    /// A first pick stays in a level with so many sources for the user's family …
    pub local_min_sources: usize,
    /// … of so many operators.
    pub local_min_operators: usize,
    /// Every other pick is made from a level with at least so many sources.
    pub wide_min_sources: usize,
    /// No operator gets more of a level.
    pub operator_share_max: OperatorShare,
    /// Whether other operators than those of the denied sources are preferred.
    pub operator_diversity: bool,
    /// What a user gets who denies everything there is.
    pub all_denied: AllDenied,
}

impl Default for SelectionPolicy {
    /// The region lists of the configuration are obeyed as they stand, and nothing but weight
    /// decides.
    fn default() -> Self {
        Self {
            local_min_sources: 1,
            local_min_operators: 1,
            wide_min_sources: 16,
            operator_share_max: OperatorShare::UNLIMITED,
            operator_diversity: true,
            all_denied: AllDenied::Serve,
        }
    }
}

/// What a user gets who denies everything there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllDenied {
    /// A denied source: better than none.
    Serve,
    /// Nothing.
    Error,
}

/// What health says of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Users may be sent there.
    pub admitted: bool,
    /// How much of its weight it has, in tenths from 1 to 10.
    pub tenths: u8,
}

impl Standing {
    /// In full service.
    pub const HEALTHY: Self = Self {
        admitted: true,
        tenths: FULL,
    };
    /// Out of service.
    pub const OUT: Self = Self {
        admitted: false,
        tenths: 0,
    };
}

/// The roster with everybody's present weight folded into tables.
#[derive(Debug)]
pub struct Snapshot {
    roster: Arc<Roster>,
    names: Arc<NameIndex>,
    policy: SelectionPolicy,
    levels: Vec<Level>,
    /// All sources by configured weight, for when there is no better to choose from.
    everybody: Table,
}

impl Snapshot {
    /// Folds `standing` of every source into tables.
    pub fn new(
        roster: Arc<Roster>,
        names: Arc<NameIndex>,
        policy: SelectionPolicy,
        standing: impl Fn(SourceIndex) -> Standing,
    ) -> Self {
        let weights: Vec<_> = roster
            .sources()
            .map(|source| effective_weight(&roster, source, standing(source)))
            .collect();
        let levels = roster
            .levels()
            .map(|(region, places)| Level::new(region, places, &weights, &roster, &policy))
            .collect();
        let weight = |source| (source, u64::from(roster.weight(source)));
        Self {
            everybody: Table::new(roster.sources().map(weight)),
            roster,
            names,
            policy,
            levels,
        }
    }

    /// Begins the choice of one user's candidates.
    pub fn choose(self: &Arc<Self>, user: User) -> Choice {
        Choice::new(Arc::clone(self), user)
    }

    /// The level from which the user's first candidate is drawn if everybody can serve, and the
    /// effective weights there, in millionths of a configured weight of 1.
    pub fn first_table<'a>(
        &'a self,
        user: &User,
    ) -> (
        LevelKind,
        impl Iterator<Item = (SourceIndex, u64)> + use<'a>,
    ) {
        let label = user.label;
        let level = self.levels(self.ladder(user)).next();
        let kind = level.map_or(LevelKind::Global, |level| level.kind);
        let mut tables = level.into_iter().flat_map(|level| level.tables(label));
        let table = tables.find(|table| !table.is_empty());
        (kind, table.into_iter().flat_map(Table::weights))
    }

    /// What the tables were made of.
    pub fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// By which names users know the sources.
    pub fn names(&self) -> &Arc<NameIndex> {
        &self.names
    }

    pub(super) fn policy(&self) -> &SelectionPolicy {
        &self.policy
    }

    pub(super) fn everybody(&self) -> &Table {
        &self.everybody
    }

    /// The levels of a user of this snapshot.
    pub(super) fn levels(&self, ladder: Ladder) -> impl Iterator<Item = &Level> {
        ladder.levels().filter_map(|id| self.levels.get(id.get()))
    }

    pub(super) fn ladder(&self, user: &User) -> Ladder {
        let country = user.location.country;
        let group = country.and_then(|country| self.roster.groups().of(country));
        let continent = user.location.continent.or(country.map(Country::continent));
        let regions = [
            country.map(Region::Country),
            group.map(Region::Group),
            continent.map(Region::Continent),
        ];
        let [country, group, continent] = regions.map(|region| self.roster.level_of(region?));
        let levels = [country, group, continent, Some(LevelId::GLOBAL)];
        Ladder::new(levels, user, &self.policy, |id| {
            let level = self.levels.get(id.get());
            level.map_or_else(Population::default, |level| level.population(user.family))
        })
    }
}

/// The weight in [`UNITS_PER_WEIGHT`] before the operator cap; 0 if no user is to be sent there.
fn effective_weight(roster: &Roster, source: SourceIndex, standing: Standing) -> u64 {
    let Some(member) = roster.member(source).filter(|_| standing.admitted) else {
        return 0;
    };
    let probation = if member.on_probation {
        PROBATION
    } else {
        FULL.into()
    };
    let tenths = u64::from(standing.tenths.clamp(1, FULL));
    u64::from(member.weight) * tenths * probation * (UNITS_PER_WEIGHT / 100)
}
