//! How many exchanges one source has at the same time.
//!
//! Sources take a few dozen connections, for all their pools and users together. A source whose
//! slots are all taken is not picked; only a user for whom there is no other waits.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The slots of one source. Clones are the same slots.
#[derive(Clone, Debug)]
pub(crate) struct Slots(Arc<Semaphore>);

/// The right to one exchange with the source, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot(
    #[expect(dead_code, reason = "dropping it is its use")] OwnedSemaphorePermit,
);

impl Slots {
    /// So many, all free.
    pub(crate) fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// Whether nobody would have to wait.
    pub(crate) fn is_free(&self) -> bool {
        self.free() > 0
    }

    /// How many are free.
    pub(crate) fn free(&self) -> usize {
        self.0.available_permits()
    }

    /// Takes a slot, as soon as there is one. The caller limits the time; who came first is first.
    pub(crate) async fn take(&self) -> Option<Slot> {
        // An error would mean that the slots were closed, which nobody does.
        let permit = Arc::clone(&self.0).acquire_owned().await;
        permit.ok().map(Slot)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_slot_is_free_again_when_it_is_dropped() {
        let slots = Slots::new(2);
        let (first, _second) = (slots.take().await, slots.take().await);
        assert!(!slots.is_free());
        let waiting = timeout(Duration::from_millis(10), slots.take());
        assert!(waiting.await.is_err());
        drop(first);
        assert!(slots.is_free());
        assert!(slots.take().await.is_some());
    }
}
