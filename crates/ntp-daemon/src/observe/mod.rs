//! What an operator sees of the daemon: the state document and the socket that hands it out.
//!
//! The observer looks, it never takes part: nothing in the daemon waits for it, and no byte that
//! it is sent changes anything.

mod collect;
pub mod prometheus;
mod socket;
pub mod state;

pub use collect::snapshot;
pub(crate) use collect::timestamp;
pub use socket::{MAX_DOCUMENT, ObservationSocket, READ_LIMIT, Snapshot, fetch, read_state};
