//! Where an address is, by a geo database in the MaxMind format.
//!
//! The whole file is in memory, never mapped: a mapped file that is truncated ends the process.
//! Nothing here reads files; the caller hands in the octets.

use std::net::IpAddr;

use maxminddb::{LookupResult, MaxMindDbError, PathElement, Reader};

use super::region::{Continent, Country, Location};

const COUNTRY: [PathElement<'static>; 2] =
    [PathElement::Key("country"), PathElement::Key("iso_code")];
const CONTINENT: [PathElement<'static>; 2] =
    [PathElement::Key("continent"), PathElement::Key("code")];
/// So many networks with data are looked up before a database is used.
const CANARIES: usize = 256;

/// Why a geo database is not used.
#[derive(Debug, thiserror::Error)]
pub enum GeoError {
    /// It is no database in this format, or damaged.
    #[error("not a sound database in the MaxMind format: {0}")]
    Unsound(#[from] MaxMindDbError),
    /// It is sound, but its answers are not what selection needs.
    #[error(
        "none of its first {0} networks has a `country/iso_code` or `continent/code` that is known"
    )]
    NoCountries(usize),
}

/// A verified geo database.
#[derive(Debug)]
pub struct Geo {
    reader: Reader<Vec<u8>>,
}

impl Geo {
    /// Takes over the content of a database file.
    ///
    /// The whole of it is verified, since a damaged database still answers most questions, if
    /// wrongly; then some of its own networks are looked up, as users will be.
    ///
    /// # Errors
    /// [`GeoError`]; the caller keeps what it has.
    pub fn new(content: Vec<u8>) -> Result<Self, GeoError> {
        let reader = Reader::from_source(content)?;
        reader.verify()?;
        let geo = Self { reader };
        geo.look_up_canaries()?;
        Ok(geo)
    }

    fn look_up_canaries(&self) -> Result<(), GeoError> {
        let mut asked = 0;
        let mut known = false;
        for network in self.reader.networks(Default::default())?.take(CANARIES) {
            let address = network?.network()?.ip();
            let location = location(&self.reader.lookup(address)?)?;
            known |= location != Location::default();
            asked += 1;
        }
        known.then_some(()).ok_or(GeoError::NoCountries(asked))
    }

    /// Where this address is; nothing is known of what the database does not have.
    pub fn locate(&self, address: IpAddr) -> Location {
        self.reader
            .lookup(address.to_canonical())
            .and_then(|result| location(&result))
            .unwrap_or_default()
    }
}

/// Decodes only the two values that matter.
fn location(result: &LookupResult<'_, Vec<u8>>) -> Result<Location, MaxMindDbError> {
    let country: Option<&str> = result.decode_path(&COUNTRY)?;
    let continent: Option<&str> = result.decode_path(&CONTINENT)?;
    Ok(Location {
        country: country.and_then(Country::from_code),
        continent: continent.and_then(Continent::from_code),
    })
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    const DATABASE: &[u8] = include_bytes!("../../testdata/geo.mmdb");

    fn place(address: &str) -> (Option<String>, Option<&'static str>) {
        let geo = Geo::new(DATABASE.to_vec()).unwrap();
        let location = geo.locate(address.parse().unwrap());
        (
            location.country.map(|country| country.code().to_owned()),
            location.continent.map(Continent::name),
        )
    }

    #[test]
    fn addresses_have_their_country_and_continent() {
        for (address, country, continent) in [
            ("192.0.2.1", "DE", "europe"),
            ("::ffff:192.0.2.1", "DE", "europe"),
            ("192.0.2.64", "NL", "europe"),
            ("198.51.100.127", "US", "north-america"),
            ("198.51.100.128", "NA", "africa"),
            ("2001:db8::1", "DE", "europe"),
            ("127.3.255.1", "US", "north-america"),
            ("2001:db8:2:ffff::", "BR", "south-america"),
        ] {
            assert_eq!(
                place(address),
                (Some(country.to_owned()), Some(continent)),
                "{address}"
            );
        }
    }

    #[test]
    fn what_the_database_does_not_know_is_nowhere() {
        assert_eq!(place("192.0.2.255"), (None, Some("europe")));
        // It has an entry, but with a registered country alone.
        assert_eq!(place("203.0.113.255"), (None, None));
        for address in ["127.0.0.1", "::1", "10.0.0.1", "2001:db8:3::1", "ff02::1"] {
            assert_eq!(place(address), (None, None), "{address}");
        }
    }

    #[test]
    fn what_is_no_database_is_refused() {
        for content in [
            b"".as_slice(),
            b"\0",
            b"[nts-pool-ke-server]",
            &DATABASE[..900],
        ] {
            assert!(matches!(
                Geo::new(content.to_vec()),
                Err(GeoError::Unsound(_))
            ));
        }
    }

    #[test]
    fn a_database_without_countries_is_refused() {
        // Of the same length, so still sound.
        let mut content = DATABASE.to_vec();
        for key in ["\x49continent", "\x47country"] {
            let mut keys = content.windows(key.len());
            let at = keys.position(|window| window == key.as_bytes()).unwrap();
            content[at..at + key.len()].make_ascii_uppercase();
        }
        assert!(matches!(Geo::new(content), Err(GeoError::NoCountries(15))));
    }

    #[test]
    fn p14_damaged_databases_never_panic() {
        let mut rng = StdRng::seed_from_u64(14);
        for _ in 0..3000 {
            let mut content = DATABASE.to_vec();
            for _ in 0..rng.random_range(1..4) {
                let at = rng.random_range(0..content.len());
                content[at] = rng.random();
            }
            if rng.random_range(0..4) == 0 {
                content.truncate(rng.random_range(0..DATABASE.len()));
            }
            if let Ok(geo) = Geo::new(content) {
                for octet in 0..=255 {
                    geo.locate([192, 0, 2, octet].into());
                    geo.locate([0x2001, 0xdb8, octet.into(), 0, 0, 0, 0, 1].into());
                }
            }
        }
    }
}
