//! The key exchange server of an NTS pool (draft-ietf-ntp-nts-keyexchange-pool).
//!
//! A user comes with an ordinary NTS key exchange; the pool chooses a time source, has that source
//! make cookies for the user's keys, and answers. Users' keys go to at most one source, users'
//! messages and sources' answers are never forwarded, and no key or cookie is kept.
//!
//! | module | job |
//! | --- | --- |
//! | `config` | the TOML file, checked |
//! | `commands` | what the program does besides being a pool |
//! | `program` | configuration, log, signals |
//! | `probe` | looking at one time source from outside |
//! | `pool` | what runs, from start to shutdown |
//! | `reload` | taking in what operators change |
//! | `setup` | what a running pool goes by, replaced as a whole |
//! | `door` | how many users, from where, for how long |
//! | `server` | one user's connection |
//! | `key_rule` | who may be tried before keys have left the pool, and who afterwards; pure |
//! | `effort` | how much more than one connection for each user there may be; pure |
//! | `exchange` | the way from a request to an answer |
//! | `selection` | choosing a source by weight, place, family, name and operator; pure |
//! | `fleet` | the health of all sources: who may be sent users; pure |
//! | `directory`, `roll`, `sources`, `keepers` | where those rules meet the running pool |
//! | `source`, `names`, `track`, `upstream` | a source's state, connections, capabilities |
//! | `snapshot` | signed lists of sources, and the registry that publishes them |
//! | `status` | all sources in a table, for people |
//! | `token` | the token of a source, for its operator |
//! | `error`, `outcome`, `metrics` | what went wrong, and who is told |
//! | `age` | ages for people |
//! | `certificates` | how long they are still good |
//! | `defect` | what a panic must not end |
//! | `wall_clock` | what certificates are checked by, and an alarm when it jumps |
//!
//! What never happens here: NTP, record parsing, a look into a cookie.

pub mod commands;
pub mod config;
pub mod effort;
pub mod fleet;
pub mod key_rule;
pub mod pool;
pub mod probe;
pub mod program;
pub mod reload;
pub mod selection;
pub mod snapshot;
pub mod status;
pub mod token;
pub mod wall_clock;

mod age;
mod budget;
mod certificates;
mod defect;
mod directory;
mod door;
mod error;
mod exchange;
mod keepers;
mod metrics;
mod names;
mod outcome;
mod roll;
mod round_trip;
mod server;
mod setup;
mod source;
mod sources;
#[cfg(test)]
mod testing;
mod track;
mod upstream;

pub use config::{Config, SourceConfig};
pub use pool::Pool;
pub use upstream::Dialect;
