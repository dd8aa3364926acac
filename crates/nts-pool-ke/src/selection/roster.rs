//! What the configuration says of all sources, checked and numbered; it never changes.

use std::collections::HashMap;

use super::bins;
use super::family::Families;
use super::region::{Groups, Region};

/// The most sources of one pool.
pub const MAX_SOURCES: usize = 100_000;
/// The largest configured weight.
pub const MAX_WEIGHT: u32 = 1_000;

/// A source, by its position in the [`Roster`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceIndex(u32);

impl SourceIndex {
    /// The source at this position.
    pub fn new(position: u32) -> Self {
        Self(position)
    }

    /// The position.
    pub fn get(self) -> usize {
        self.0 as usize
    }
}

/// A level, that is, all sources which serve one region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LevelId(usize);

impl LevelId {
    /// The level that everybody belongs to.
    pub(super) const GLOBAL: Self = Self(0);

    /// Its position: the levels of a roster are numbered from 0 without gaps.
    pub(super) fn get(self) -> usize {
        self.0
    }
}

/// An operator; sources of the same operator are not independent of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct OperatorId(u32);

/// One source as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is called in the configuration, unlike all others.
    pub id: String,
    /// Its share of users, at most [`MAX_WEIGHT`]; 0 means that no user is sent there.
    pub weight: u32,
    /// A newcomer, who gets a tenth of his weight.
    pub on_probation: bool,
    /// The families whose users it is given to.
    pub families: Families,
    /// Who runs it; `None` if nobody else's source is run by the same.
    pub operator: Option<String>,
    /// Where it serves in particular. Everywhere else it serves when nobody else does so.
    pub regions: Vec<Region>,
}

/// Why entries make no roster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// More than [`MAX_SOURCES`].
    #[error("a pool has at most {MAX_SOURCES} sources, not {0}")]
    TooMany(usize),
    /// More than [`MAX_WEIGHT`].
    #[error("the weight of `{id}` is {weight}: it can be 0 to {MAX_WEIGHT}")]
    TooHeavy {
        /// The source.
        id: String,
        /// Its weight.
        weight: u32,
    },
    /// Two sources cannot be told apart.
    #[error("there are two sources `{0}`")]
    Twice(String),
}

/// A source in the roster.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) weight: u32,
    pub(super) on_probation: bool,
    pub(super) families: Families,
    pub(super) operator: OperatorId,
}

/// A member of a level, and its bin there; drained sources have none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) source: SourceIndex,
    pub(super) bin: Option<usize>,
}

/// All sources of a pool, where they serve, and who runs them.
#[derive(Debug)]
pub struct Roster {
    members: Vec<Member>,
    groups: Groups,
    level_of: HashMap<Region, LevelId>,
    /// Per level its region and members.
    levels: Vec<(Region, Vec<Place>)>,
}

impl Roster {
    /// Checks and numbers the sources.
    ///
    /// A source that is listed for a country also serves that country's group and continent; one
    /// that is listed for a group also serves the continent, if the whole group is there.
    ///
    /// # Errors
    /// [`RosterError`], naming the entry.
    pub fn new(entries: Vec<Entry>, groups: Groups) -> Result<Self, RosterError> {
        if entries.len() > MAX_SOURCES {
            return Err(RosterError::TooMany(entries.len()));
        }
        let mut roster = Self {
            members: Vec::with_capacity(entries.len()),
            groups,
            level_of: HashMap::from([(Region::Global, LevelId::GLOBAL)]),
            levels: vec![(Region::Global, Vec::new())],
        };
        let mut numbering = Numbering::default();
        for (position, entry) in (0..).zip(entries) {
            roster.add(SourceIndex(position), entry, &mut numbering)?;
        }
        roster.fill_bins();
        Ok(roster)
    }

    fn add(
        &mut self,
        source: SourceIndex,
        entry: Entry,
        numbering: &mut Numbering,
    ) -> Result<(), RosterError> {
        let Entry { id, weight, .. } = entry;
        if weight > MAX_WEIGHT {
            return Err(RosterError::TooHeavy { id, weight });
        }
        if numbering.ids.insert(id.clone(), source).is_some() {
            return Err(RosterError::Twice(id));
        }
        for region in self.with_implied(&entry.regions) {
            let level = self.level(region);
            let (_, places) = &mut self.levels[level.get()];
            places.push(Place { source, bin: None });
        }
        self.members.push(Member {
            id,
            weight,
            on_probation: entry.on_probation,
            families: entry.families,
            operator: numbering.operator(entry.operator),
        });
        Ok(())
    }

    /// These regions and those that they are part of, each once.
    fn with_implied(&self, listed: &[Region]) -> Vec<Region> {
        let mut regions = vec![Region::Global];
        for &region in listed {
            regions.push(region);
            match region {
                Region::Country(country) => {
                    regions.extend(self.groups.of(country).map(Region::Group));
                    regions.push(Region::Continent(country.continent()));
                }
                Region::Group(group) => {
                    regions.extend(self.groups.continent(group).map(Region::Continent));
                }
                Region::Continent(_) | Region::Global => {}
            }
        }
        regions.sort_unstable();
        regions.dedup();
        regions
    }

    fn level(&mut self, region: Region) -> LevelId {
        let next = LevelId(self.levels.len());
        let id = *self.level_of.entry(region).or_insert(next);
        if id == next {
            self.levels.push((region, Vec::new()));
        }
        id
    }

    fn fill_bins(&mut self) {
        for (_, places) in &mut self.levels {
            let in_service: Vec<_> = places
                .iter_mut()
                .filter(|place| self.members[place.source.get()].weight > 0)
                .collect();
            let weights: Vec<_> = in_service
                .iter()
                .map(|place| &self.members[place.source.get()])
                .map(|member| (member.weight, member.id.as_str()))
                .collect();
            let bins = bins::assign(&weights);
            for (place, bin) in in_service.into_iter().zip(bins) {
                place.bin = Some(bin);
            }
        }
    }

    /// How many sources there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no source at all.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// All sources.
    pub fn sources(&self) -> impl Iterator<Item = SourceIndex> + use<> {
        (0..).map(SourceIndex).take(self.members.len())
    }

    /// The configured weight of a source; 0 for one of another roster.
    pub fn weight(&self, source: SourceIndex) -> u32 {
        self.member(source).map_or(0, |member| member.weight)
    }

    /// The level of a region, if any source is listed for it.
    pub(super) fn level_of(&self, region: Region) -> Option<LevelId> {
        self.level_of.get(&region).copied()
    }

    /// The groups that regions were named by.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Each region that any source serves, and who serves it.
    pub fn regions(&self) -> impl Iterator<Item = (Region, Vec<SourceIndex>)> {
        let sources = |places: &[Place]| places.iter().map(|place| place.source).collect();
        self.levels()
            .map(move |(region, places)| (region, sources(places)))
    }

    pub(super) fn member(&self, source: SourceIndex) -> Option<&Member> {
        self.members.get(source.get())
    }

    pub(super) fn operator(&self, source: SourceIndex) -> Option<OperatorId> {
        self.member(source).map(|member| member.operator)
    }

    pub(super) fn levels(&self) -> impl Iterator<Item = (Region, &[Place])> {
        self.levels
            .iter()
            .map(|(region, places)| (*region, places.as_slice()))
    }
}

/// Numbers that are given out while a roster is made.
#[derive(Default)]
struct Numbering {
    ids: HashMap<String, SourceIndex>,
    operators: HashMap<String, OperatorId>,
    next_operator: u32,
}

impl Numbering {
    fn operator(&mut self, name: Option<String>) -> OperatorId {
        let next = OperatorId(self.next_operator);
        let operator = name.map_or(next, |name| *self.operators.entry(name).or_insert(next));
        if operator == next {
            self.next_operator += 1;
        }
        operator
    }
}
