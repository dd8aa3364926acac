//! The NTS key exchange server: ordinary users and pools on one port.
//!
//! What never happens here: parsing or building records (`nts_proto::ke`), and the export of keys
//! from a connection that carried Keep Alive.

mod stats;

pub use stats::{KeStats, KeStatsSnapshot};
