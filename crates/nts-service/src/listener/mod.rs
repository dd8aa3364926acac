//! A bounded TCP listener: permits, deadlines, and an end that leaves nothing behind.
//!
//! The listener knows nothing about what is spoken: it accepts, limits, runs one handler per
//! connection and waits for them at the end. It never ends because of a connection, and no
//! connection outlives it.

mod accept;
mod bind;
mod connection;
mod serve;
mod stats;
#[cfg(test)]
mod tests;

pub use accept::{AcceptErrorClass, Incoming};
pub use bind::{BindError, bind, bind_all};
pub use connection::{Connection, Lease};
pub use serve::{Limits, serve};
pub use stats::Stats;
