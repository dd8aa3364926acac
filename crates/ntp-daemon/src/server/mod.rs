//! The NTP server: UDP sockets, access lists, rate limits, counters.
//!
//! What never happens here: parsing or building packets (`nts_proto::server`), and waiting for
//! anything but a datagram.

mod access;
mod limiter;
mod socket;
mod stats;

pub(crate) use stats::counters;
pub use stats::{Counter, Stats, StatsSnapshot};
