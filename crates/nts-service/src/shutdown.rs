//! The word that it is time to stop, from one [`Trigger`] to any number of tasks.

use tokio::sync::watch;

/// Makes a trigger and the first of its listeners.
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Shutdown(receiver))
}

/// Tells all tasks to stop. Dropping it does the same, so that no task outlives its owner.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

impl Trigger {
    /// Tells all tasks to stop; a second time changes nothing.
    pub fn fire(&self) {
        self.0.send_replace(true);
    }

    /// Another listener.
    pub fn subscribe(&self) -> Shutdown {
        Shutdown(self.0.subscribe())
    }
}

/// A task's ear for the [`Trigger`].
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// Waits until it is time to stop; at once if that was said before. Cancel safe.
    pub async fn requested(&self) {
        // An error means that the trigger is gone: the same as fired.
        let _ = self.0.clone().wait_for(|stop| *stop).await;
    }

    /// Whether it is time to stop.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::channel;

    #[tokio::test]
    async fn firing_reaches_early_and_late_listeners() {
        let (trigger, early) = channel();
        assert!(!early.is_requested());
        trigger.fire();
        trigger.fire();
        let late = trigger.subscribe();
        early.requested().await;
        late.requested().await;
        assert!(early.is_requested() && late.is_requested());
    }

    #[tokio::test]
    async fn a_dropped_trigger_counts_as_fired() {
        let (trigger, shutdown) = channel();
        drop(trigger);
        shutdown.requested().await;
        assert!(shutdown.is_requested());
    }
}
