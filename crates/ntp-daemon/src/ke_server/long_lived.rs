//! Connections that pools keep alive: counted apart from ordinary ones, and limited in age.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How long a connection may wait for the next request.
pub(super) const IDLE_LIMIT: Duration = Duration::from_secs(300);

/// How old a connection may get, so that a pool looks at our certificate now and then.
pub(super) const AGE_LIMIT: Duration = Duration::from_secs(3600);

/// The slots of one server.
#[derive(Debug)]
pub(super) struct LongLived {
    slots: Arc<Semaphore>,
}

/// One slot, given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
}

impl LongLived {
    /// Slots for `connections`.
    pub(super) fn new(connections: usize) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(connections)),
        }
    }

    /// A slot, if one is free.
    pub(super) fn take(&self) -> Option<Slot> {
        Arc::clone(&self.slots)
            .try_acquire_owned()
            .ok()
            .map(|permit| Slot { _permit: permit })
    }
}

/// When a connection that was opened at `opened` must end, if it waits from `now` on.
pub(super) fn idle_until(opened: Instant, now: Instant) -> Instant {
    (now + IDLE_LIMIT).min(opened + AGE_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_come_back() {
        let long_lived = LongLived::new(1);
        let slot = long_lived.take().unwrap();
        assert!(long_lived.take().is_none());
        drop(slot);
        assert!(long_lived.take().is_some());
        assert!(LongLived::new(0).take().is_none());
    }

    #[test]
    fn waiting_is_limited_by_idleness_and_age() {
        let opened = Instant::now();
        let later = |seconds| opened + Duration::from_secs(seconds);
        assert_eq!(idle_until(opened, later(10)), later(310));
        assert_eq!(idle_until(opened, later(3500)), later(3600));
    }
}
