//! What the daemon can do to the clock it keeps, and what it tells about it.

use std::time::Duration;

use nts_proto::ntp::header::LeapIndicator;
use nts_proto::time::{NtpDuration, NtpTimestamp};

use super::{ClockMap, reading};

/// A clock that can be steered.
pub(crate) trait SteerableClock: Send {
    /// How much faster it runs than it would by itself, s/s.
    fn frequency(&self) -> f64;

    /// Makes it run faster by `frequency`, s/s. Gives what was really set.
    ///
    /// # Errors
    /// [`ClockError`]; the frequency is then as it was.
    fn set_frequency(&mut self, frequency: f64) -> Result<f64, ClockError>;

    /// Sets it ahead by `offset`; back, if that is negative.
    ///
    /// # Errors
    /// [`ClockError`]; the clock is then as it was.
    fn step(&mut self, offset: NtpDuration) -> Result<(), ClockError>;

    /// Tells other programs of this machine how good the clock is.
    ///
    /// # Errors
    /// [`ClockError`]
    fn announce(&mut self, quality: Quality) -> Result<(), ClockError>;

    /// What it shows for a stamp of the system's clock.
    fn map(&self) -> ClockMap;

    /// What it shows now.
    fn now(&self) -> NtpTimestamp {
        self.map().apply(reading::now())
    }
}

/// How good the clock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quality {
    /// Whether it is synchronised, and what is to happen at the end of the day (UTC).
    pub(crate) leap: LeapIndicator,
    /// Its probable error.
    pub(crate) estimated_error: Duration,
    /// Bound of its error.
    pub(crate) maximum_error: Duration,
}

/// Why the clock could not be read, set or steered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClockError {
    /// The system does not allow it to this process.
    #[error(
        "the system does not let this process control its clock: the capability CAP_SYS_TIME is \
         missing. Grant it (systemd: AmbientCapabilities=CAP_SYS_TIME and no ProtectClock=; a \
         container: --cap-add SYS_TIME), or run with -x (--no-clock-control) or control-clock = \
         false in [synchronization] to leave the clock alone"
    )]
    NotPermitted,
    /// Anything else.
    #[error("cannot {action} the system's clock: {why}")]
    Failed {
        /// What was to be done.
        action: &'static str,
        /// What the system says.
        why: String,
    },
}
