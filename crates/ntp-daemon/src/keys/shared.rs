//! Keys that are derived from a secret and the time, the same on every node that knows it.

use std::num::NonZeroU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nts_proto::keyset::KeySet;

use super::secret::SharedSecrets;
use crate::config::KeysetConfig;

/// What the keys are derived from.
#[derive(Debug)]
pub(super) struct SharedKeys {
    interval: NonZeroU64,
    stale_keys: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    secrets: SharedSecrets,
    /// The epoch of the keys that were derived last.
    epoch: u64,
}

impl SharedKeys {
    /// The keys at the Unix time `wall`.
    pub(super) fn new(config: &KeysetConfig, secrets: SharedSecrets, wall: u64) -> (Self, KeySet) {
        let interval = NonZeroU64::new(config.key_rotation_interval.as_secs());
        let mut state = State { secrets, epoch: 0 };
        let (interval, stale_keys) = (interval.unwrap_or(NonZeroU64::MIN), config.stale_key_count);
        let keys = state.derive(interval, stale_keys, wall);
        let shared = Self {
            interval,
            stale_keys,
            state: Mutex::new(state),
        };
        (shared, keys)
    }

    /// Publishes the keys of now.
    pub(super) fn derive(&self, wall: u64, publish: impl FnOnce(KeySet)) {
        self.publish(&mut self.state(), wall, publish);
    }

    /// Publishes the keys of now, of other secrets.
    pub(super) fn replace(&self, secrets: SharedSecrets, wall: u64, publish: impl FnOnce(KeySet)) {
        let mut state = self.state();
        state.secrets = secrets;
        self.publish(&mut state, wall, publish);
    }

    /// Under the lock, so that keys of secrets that were given up are not published last.
    fn publish(&self, state: &mut State, wall: u64, publish: impl FnOnce(KeySet)) {
        publish(state.derive(self.interval, self.stale_keys, wall));
    }

    /// Time until the next epoch; zero if the wall clock is in another one already, an earlier or
    /// a later one.
    pub(super) fn until_due(&self, wall: u64) -> Duration {
        if wall / self.interval == self.state().epoch {
            Duration::from_secs(self.interval.get() - wall % self.interval)
        } else {
            Duration::ZERO
        }
    }

    /// How long the key of this epoch has been sealing.
    pub(super) fn age(&self, wall: u64) -> Duration {
        Duration::from_secs(wall % self.interval)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn derive(&mut self, interval: NonZeroU64, stale_keys: usize, wall: u64) -> KeySet {
        self.epoch = wall / interval;
        KeySet::derived(self.secrets.as_slice(), interval, stale_keys, wall)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::secrets;
    use super::*;

    const DAY: u64 = 86_400;

    #[test]
    fn another_epoch_is_due_whichever_way_the_clock_goes() {
        let start = 20_000 * DAY;
        let (shared, _) = SharedKeys::new(&KeysetConfig::default(), secrets("a"), start + 10);
        let until_due = |wall| shared.until_due(wall).as_secs();
        assert_eq!(until_due(start), DAY);
        assert_eq!(until_due(start + DAY - 1), 1);
        assert_eq!((until_due(start + DAY), until_due(start - 1)), (0, 0));
        shared.derive(start + DAY, drop);
        assert_eq!((until_due(start + DAY), until_due(start)), (DAY, 0));
        assert_eq!(shared.age(start + 100).as_secs(), 100);
    }

    /// Else a change of epochs could undo a change of secrets that came at the same moment, and
    /// cookies would be sealed under a secret that was given up until the next epoch.
    #[test]
    fn nobody_publishes_while_another_does() {
        let (shared, _) = SharedKeys::new(&KeysetConfig::default(), secrets("a"), 0);
        let alone = || assert!(shared.state.try_lock().is_err());
        let mut published = Vec::new();
        shared.derive(0, |keys| {
            alone();
            published.push(keys.sealing_id());
        });
        shared.replace(secrets("b"), 0, |keys| {
            alone();
            published.push(keys.sealing_id());
        });
        assert_ne!(published[0], published[1]);
    }
}
