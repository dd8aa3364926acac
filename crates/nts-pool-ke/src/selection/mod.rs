//! The choice of a time source for one user: pure, so that its laws can be tested.
//!
//! [`Roster`] is what the configuration says of all sources, [`NameIndex`] under which names users
//! know them, [`Snapshot`] is both with everybody's present weight folded into tables. A snapshot
//! never changes; whatever changes faster is asked of a [`Live`]. A [`Choice`] hands out one
//! exchange's candidates, each once, in exact proportion to effective weight.
//!
//! Nothing here connects, waits, locks, logs or knows a clock. Randomness is an argument; callers
//! hand in a cryptographic source, because predictable picks help targeted attacks.

mod bins;
mod capability;
mod choice;
mod family;
mod geo;
mod ladder;
mod level;
mod names;
mod operators;
mod region;
mod roster;
mod snapshot;
mod table;
#[cfg(test)]
mod tests;

pub use bins::{BINS, HostLabel};
pub use capability::{NothingInCommon, Offer, Supported, nothing_in_common};
pub use choice::{Choice, Live, Pick, Tier, User};
pub use family::{Families, Family};
pub use geo::{Geo, GeoError};
pub use level::LevelKind;
pub use names::{Denial, MAX_DENIED, NameIndex, canonical_name};
pub use operators::OperatorShare;
pub use region::{
    Continent, Country, Group, GroupError, GroupId, Groups, Location, Region, RegionError,
};
pub use roster::{Entry, MAX_SOURCES, MAX_WEIGHT, Roster, RosterError, SourceIndex};
pub use snapshot::{AllDenied, SelectionPolicy, Snapshot, Standing};
