//! One level of one snapshot: the tables that users of a region are served from.

use super::bins::{BINS, HostLabel};
use super::family::Family;
use super::operators::{self, OperatorShare};
use super::region::Region;
use super::roster::{OperatorId, Place, Roster, SourceIndex};
use super::snapshot::SelectionPolicy;
use super::table::Table;

/// What kind of region a level covers; a metrics label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LevelKind {
    /// A country.
    Country,
    /// A named group of countries.
    Group,
    /// A continent.
    Continent,
    /// Everything.
    Global,
}

impl LevelKind {
    /// All of them, the narrowest first.
    pub const ALL: [Self; 4] = [Self::Country, Self::Group, Self::Continent, Self::Global];

    /// The name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Country => "country",
            Self::Group => "group",
            Self::Continent => "continent",
            Self::Global => "global",
        }
    }
}

impl From<Region> for LevelKind {
    fn from(region: Region) -> Self {
        match region {
            Region::Country(_) => Self::Country,
            Region::Group(_) => Self::Group,
            Region::Continent(_) => Self::Continent,
            Region::Global => Self::Global,
        }
    }
}

/// How many admitted sources a level has for users of one family, and of how many operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Population {
    pub(super) sources: usize,
    pub(super) operators: usize,
}

/// The admitted sources that serve one region, with their effective weights there.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) kind: LevelKind,
    pub(super) whole: Table,
    bins: [Table; BINS],
    populations: [Population; Family::ALL.len()],
}

/// A source of a level while the level is made.
struct Admitted<'a> {
    place: &'a Place,
    operator: OperatorId,
    weight: u64,
}

impl Level {
    /// Makes a level of those `places` whose `weights` entry is not 0.
    pub(super) fn new(
        region: Region,
        places: &[Place],
        weights: &[u64],
        roster: &Roster,
        policy: &SelectionPolicy,
    ) -> Self {
        let mut admitted: Vec<_> = places
            .iter()
            .filter_map(|place| {
                let weight = *weights.get(place.source.get())?;
                let operator = roster.operator(place.source)?;
                (weight > 0).then_some(Admitted {
                    place,
                    operator,
                    weight,
                })
            })
            .collect();
        admitted.sort_by_key(|it| it.operator);
        cap_operators(&mut admitted, policy.operator_share_max);
        let bin = |bin| {
            let here = admitted.iter().filter(move |it| it.place.bin == Some(bin));
            Table::new(here.map(|it| (it.place.source, it.weight)))
        };
        Self {
            kind: region.into(),
            whole: Table::new(admitted.iter().map(|it| (it.place.source, it.weight))),
            bins: std::array::from_fn(bin),
            populations: Family::ALL.map(|family| population(&admitted, family, roster)),
        }
    }

    /// The tables to draw from, one after the other: the user's bin, then everybody.
    pub(super) fn tables(&self, label: Option<HostLabel>) -> impl Iterator<Item = &Table> {
        let bin = label.and_then(|label| self.bins.get(label.bin()));
        bin.into_iter().chain(std::iter::once(&self.whole))
    }

    /// How many sources there are for users of the family.
    pub(super) fn population(&self, family: Family) -> Population {
        match family {
            Family::V4 => self.populations[0],
            Family::V6 => self.populations[1],
        }
    }
}

/// Reduces the weights of operators who have too much; sources must be in the order of their
/// operators.
fn cap_operators(admitted: &mut [Admitted<'_>], share: OperatorShare) {
    if share == OperatorShare::UNLIMITED {
        return;
    }
    let by_operator = |one: &Admitted<'_>, other: &Admitted<'_>| one.operator == other.operator;
    let total = |sources: &[Admitted<'_>]| sources.iter().map(|it| it.weight).sum::<u64>();
    let totals = admitted.chunk_by(by_operator).map(total);
    let Some(ceiling) = operators::ceiling(totals, share) else {
        return;
    };
    for sources in admitted.chunk_by_mut(by_operator) {
        let total = total(sources);
        for it in sources.iter_mut().filter(|_| total > ceiling) {
            let reduced = u128::from(it.weight) * u128::from(ceiling) / u128::from(total);
            it.weight = u64::try_from(reduced).unwrap_or(it.weight).max(1);
        }
    }
}

/// Counts sources, which must be in the order of their operators.
fn population(admitted: &[Admitted<'_>], family: Family, roster: &Roster) -> Population {
    let serves = |source: SourceIndex| {
        roster
            .member(source)
            .is_some_and(|member| member.families.includes(family))
    };
    let mut population = Population::default();
    let mut last = None;
    for it in admitted.iter().filter(|it| serves(it.place.source)) {
        population.sources += 1;
        population.operators += usize::from(last != Some(it.operator));
        last = Some(it.operator);
    }
    population
}
