//! The monotonic time of the daemon: what the pure parts take as `now`, for timers of the runtime.

use nts_proto::time::MonotonicTime;
use tokio::time::Instant;

/// Translates between the runtime's instants and times since the daemon's start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timebase(Instant);

impl Timebase {
    /// Counts from now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// The time now.
    pub(crate) fn now(self) -> MonotonicTime {
        MonotonicTime::from_duration(self.0.elapsed())
    }

    /// The runtime's instant for `time`; `None` beyond what it can count.
    pub(crate) fn instant(self, time: MonotonicTime) -> Option<Instant> {
        self.0.checked_add(time.as_duration())
    }
}

/// Waits until `instant`; for ever without one.
pub(crate) async fn wait_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
