//! Where users and sources are: countries, continents, named groups of countries, and the one
//! table of their spellings.
//!
//! Nothing here looks an address up; that is `geo`'s job.

mod groups;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;

pub use groups::{Group, GroupError, GroupId, Groups};

/// A country by its ISO 3166-1 alpha-2 code (or `XK`, which geo databases use for Kosovo).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country {
    code: [u8; 2],
    continent: Continent,
}

impl Country {
    /// The country with this code, in either case, if there is one.
    pub fn from_code(code: &str) -> Option<Self> {
        let code: [u8; 2] = code.as_bytes().try_into().ok()?;
        table::find(code.map(|octet| octet.to_ascii_uppercase()))
    }

    /// The code in upper case.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.code).unwrap_or_default()
    }

    /// The continent that it is counted with.
    pub fn continent(self) -> Continent {
        self.continent
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A continent, as geo databases divide the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Continent {
    /// `AF`
    Africa,
    /// `AN`
    Antarctica,
    /// `AS`
    Asia,
    /// `EU`
    Europe,
    /// `NA`
    NorthAmerica,
    /// `OC`
    Oceania,
    /// `SA`
    SouthAmerica,
}

impl Continent {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Africa,
        Self::Antarctica,
        Self::Asia,
        Self::Europe,
        Self::NorthAmerica,
        Self::Oceania,
        Self::SouthAmerica,
    ];

    /// The two letters by which geo databases call it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Africa => "AF",
            Self::Antarctica => "AN",
            Self::Asia => "AS",
            Self::Europe => "EU",
            Self::NorthAmerica => "NA",
            Self::Oceania => "OC",
            Self::SouthAmerica => "SA",
        }
    }

    /// The name by which this pool calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Africa => "africa",
            Self::Antarctica => "antarctica",
            Self::Asia => "asia",
            Self::Europe => "europe",
            Self::NorthAmerica => "north-america",
            Self::Oceania => "oceania",
            Self::SouthAmerica => "south-america",
        }
    }

    /// The continent with this code, in either case.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|continent| continent.code().eq_ignore_ascii_case(code))
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|continent| continent.name() == name)
    }
}

/// A part of the world for which a source may be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Region {
    /// One country.
    Country(Country),
    /// A named group of countries.
    Group(GroupId),
    /// One continent.
    Continent(Continent),
    /// Everywhere. Every source serves there, whether it is listed or not.
    Global,
}

/// Text that names no region.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegionError {
    /// Neither a country, a continent nor a group.
    #[error(
        "there is no region `{0}`: write an ISO 3166-1 country code such as `DE`, one of africa, \
         antarctica, asia, europe, north-america, oceania, south-america, or the name of a group"
    )]
    Unknown(String),
    /// Two letters that mean a country to ISO 3166-1 and a continent to geo databases.
    #[error(
        "`{}` is a country and a continent: write `country:{}` or `{}`",
        country.code(), country.code(), continent.name()
    )]
    Ambiguous {
        /// What ISO 3166-1 means by it.
        country: Country,
        /// What geo databases mean by it.
        continent: Continent,
    },
}

impl Region {
    /// Reads one spelling of a region.
    ///
    /// Upper and lower case are the same, and so are blank, `_` and `-`. A country may be written
    /// `country:NA`; this is needed only for the four codes that also are a continent's.
    ///
    /// # Errors
    /// [`RegionError`] if nothing, or more than one thing, is called so.
    pub fn parse(text: &str, groups: &Groups) -> Result<Self, RegionError> {
        let name = normalized(text);
        if let Some(code) = name.strip_prefix("country:") {
            return Country::from_code(code)
                .map(Self::Country)
                .ok_or_else(|| RegionError::Unknown(text.to_owned()));
        }
        if let Some(group) = groups.find(&name) {
            return Ok(Self::Group(group));
        }
        match (Country::from_code(&name), Continent::from_code(&name)) {
            (Some(country), Some(continent)) => {
                return Err(RegionError::Ambiguous { country, continent });
            }
            (Some(country), None) => return Ok(Self::Country(country)),
            (None, Some(continent)) => return Ok(Self::Continent(continent)),
            (None, None) => {}
        }
        if ["global", "world", "@"].contains(&name.as_str()) {
            return Ok(Self::Global);
        }
        Continent::from_name(&name)
            .map(Self::Continent)
            .ok_or_else(|| RegionError::Unknown(text.to_owned()))
    }

    /// The spelling that [`Region::parse`] reads back.
    pub fn spelling(self, groups: &Groups) -> String {
        match self {
            Self::Country(country) if Continent::from_code(country.code()).is_some() => {
                format!("country:{}", country.code())
            }
            Self::Country(country) => country.code().to_owned(),
            Self::Group(group) => groups.name(group).to_owned(),
            Self::Continent(continent) => continent.name().to_owned(),
            Self::Global => "global".to_owned(),
        }
    }
}

/// Where a user is, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// The user's country.
    pub country: Option<Country>,
    /// The user's continent; if unknown, the country's is taken.
    pub continent: Option<Continent>,
}

/// Lower case, with `-` for blanks and `_`.
fn normalized(text: &str) -> String {
    text.trim()
        .chars()
        .map(|letter| match letter {
            ' ' | '_' => '-',
            other => other.to_ascii_lowercase(),
        })
        .collect()
}
