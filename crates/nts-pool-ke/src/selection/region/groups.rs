//! Named groups of countries: the step between country and continent.

use std::collections::HashMap;

use super::{Continent, Country, Region, RegionError, normalized};

/// A group, by its position in [`Groups`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(usize);

/// A named group of countries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What regions lists call it.
    pub name: String,
    /// Its countries.
    pub countries: Vec<Country>,
}

/// Why groups cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The name means something else already.
    #[error("a group cannot be called `{0}`: that is a country, a continent or another group")]
    NameTaken(String),
    /// The group holds nothing.
    #[error("the group `{0}` has no country")]
    Empty(String),
    /// Users of a country would not know which group is theirs.
    #[error("{country:?} is in two groups, `{first}` and `{second}`: it can be in one")]
    CountryTwice {
        /// The country.
        country: Country,
        /// The group that has it first.
        first: String,
        /// The group that has it again.
        second: String,
    },
}

/// All groups of one pool; a country is in at most one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    groups: Vec<Group>,
    of_country: HashMap<Country, GroupId>,
}

impl Groups {
    /// Takes over groups that do not contradict each other.
    ///
    /// # Errors
    /// The first [`GroupError`].
    pub fn new(groups: Vec<Group>) -> Result<Self, GroupError> {
        let mut all = Self::default();
        for group in groups {
            all.add(group)?;
        }
        Ok(all)
    }

    /// Takes over one more group.
    ///
    /// # Errors
    /// If it contradicts those that are there, or itself; nothing has changed then.
    pub fn add(&mut self, group: Group) -> Result<(), GroupError> {
        let name = normalized(&group.name);
        let free = matches!(Region::parse(&name, self), Err(RegionError::Unknown(_)));
        if !free || name.is_empty() || name.starts_with("country:") {
            return Err(GroupError::NameTaken(group.name));
        }
        if group.countries.is_empty() {
            return Err(GroupError::Empty(group.name));
        }
        let countries = group.countries;
        let taken = |country: &Country| Some((*country, self.of(*country)?));
        if let Some((country, first)) = countries.iter().find_map(taken) {
            return Err(GroupError::CountryTwice {
                country,
                first: self.name(first).to_owned(),
                second: group.name,
            });
        }
        let id = GroupId(self.groups.len());
        self.of_country
            .extend(countries.iter().map(|country| (*country, id)));
        self.groups.push(Group { name, countries });
        Ok(())
    }

    /// The group with this normalised name.
    pub(super) fn find(&self, name: &str) -> Option<GroupId> {
        self.groups
            .iter()
            .position(|group| group.name == name)
            .map(GroupId)
    }

    /// All of them, in their order.
    pub fn all(&self) -> &[Group] {
        &self.groups
    }

    /// What the group is called; empty for a group of other [`Groups`].
    pub fn name(&self, group: GroupId) -> &str {
        self.groups
            .get(group.0)
            .map_or("", |group| group.name.as_str())
    }

    /// The group that the country is in.
    pub fn of(&self, country: Country) -> Option<GroupId> {
        self.of_country.get(&country).copied()
    }

    /// The continent of the group, if all its countries are on one.
    pub fn continent(&self, group: GroupId) -> Option<Continent> {
        let mut continents = self
            .groups
            .get(group.0)?
            .countries
            .iter()
            .map(|country| country.continent());
        let first = continents.next()?;
        continents.all(|other| other == first).then_some(first)
    }
}
