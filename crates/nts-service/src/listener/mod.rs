//! A bounded TCP listener: limits, deadlines, and an end that leaves nothing behind.
//!
//! The listener knows nothing about what is spoken: it accepts, limits, runs one handler per
//! connection and waits for them at the end. It never ends because of a connection, and no
//! connection outlives it.

mod accept;
mod bind;
mod connection;
mod farewell;
mod gate;
mod inherit;
mod life;
mod limit;
mod opening;
mod prefix;
mod queue;
mod serve;
mod stats;
#[cfg(test)]
mod tests;

pub use accept::{AcceptErrorClass, Incoming};
pub use bind::{BindError, Listen, ListenError, bind, bind_all};
pub use connection::{Connection, Lease};
pub use gate::Gate;
pub use inherit::{InheritError, Inherited};
pub use limit::{LimitReason, Limits, LiveLimits};
pub use opening::first_byte_limit;
pub use prefix::PrefixLimits;
pub use serve::serve;
pub use stats::Stats;
