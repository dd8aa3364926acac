//! Loopback as a world: its networks are in countries, by a geo database of our own making.

use std::net::IpAddr;
use std::path::Path;

use nts_pool_ke::config::GeoDatabase;
use nts_pool_ke::selection::{Groups, Region};
use nts_service::config::{Located, Place, Problems};

/// A user in Germany, in Europe.
pub const GERMANY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 1, 0, 1));
/// A user in the Netherlands, in Europe.
pub const NETHERLANDS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 2, 0, 1));
/// A user in the United States.
pub const UNITED_STATES: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 3, 0, 1));
/// A user in Japan.
pub const JAPAN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 4, 0, 1));
/// A user of whom nobody knows where he is.
pub const NOWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Where those users are.
///
/// # Panics
/// If the database is not good.
pub fn database() -> GeoDatabase {
    let path = "../nts-pool-ke/testdata/geo.mmdb";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let problems = Problems::new();
    let file = Located::new(path.clone(), Place::file(path));
    let database = GeoDatabase::load(file, &problems);
    assert!(database.geo.is_some(), "{problems}");
    database
}

/// A region as a configuration names it.
///
/// # Panics
/// If there is none of this name.
pub fn region(name: &str) -> Region {
    Region::parse(name, &Groups::default()).expect("a region")
}
