//! The clock that the daemon keeps: how it is read, what can be done to it, and who does that.
//!
//! Stamps, of the kernel too, are always of the system's real-time clock. A [`ClockMap`] says what
//! the daemon's clock shows at such a moment: the same (`KernelClock`), or, where the daemon must
//! leave the system's clock alone, that clock put right by an offset and a frequency
//! (`HeldClock`). The [`Keeper`] is the only one who moves either.
//!
//! What never happens here: the mathematics of time (`ntp-sync`), or a packet.

mod control;
mod drift_file;
mod held;
mod keeper;
mod kernel;
mod last_time;
mod map;
pub(crate) mod reading;
pub(crate) mod timebase;

pub(crate) use control::{ClockError, Quality, SteerableClock};
pub(crate) use drift_file::DriftFile;
pub(crate) use held::HeldClock;
pub use keeper::{Keeper, KeeperError};
pub(crate) use keeper::{KeeperState, Measured, SourceSlot, explain_unsynchronized};
pub(crate) use kernel::KernelClock;
pub(crate) use last_time::LastTime;
pub use map::ClockMap;
