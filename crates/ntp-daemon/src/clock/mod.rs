//! The clock that the daemon keeps: how it is read.
//!
//! Stamps, of the kernel too, are always of the system's real-time clock. A [`ClockMap`] says what
//! the daemon's clock shows at such a moment: the same, or, where the daemon must leave the
//! system's clock alone, that clock put right by an offset and a frequency.
//!
//! What never happens here: a decision when or how far the clock is moved (`ntp-sync`).

mod map;
pub(crate) mod reading;

pub use map::ClockMap;
