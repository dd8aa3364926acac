//! Random keys of this daemon alone: when they rotate, and the file that keeps them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use nts_proto::keyset::KeySet;
use tokio::time::Instant;

use super::file::{self, KeyFileError};
use super::schedule::Schedule;
use crate::config::KeysetConfig;

/// What belongs to the keys besides themselves.
#[derive(Debug)]
pub(super) struct OwnKeys {
    schedule: Mutex<Schedule>,
    path: Option<PathBuf>,
    /// Held by whoever writes the file, so that it never holds other keys than those in use.
    writing: Mutex<()>,
}

impl OwnKeys {
    /// Takes the keys from the file, or makes new ones and writes the file.
    ///
    /// # Errors
    /// As [`file::load`].
    pub(super) fn open(config: &KeysetConfig, wall: u64) -> Result<(Self, KeySet), KeyFileError> {
        let stored = match &config.key_storage_path {
            Some(path) => file::load(path, config.stale_key_count)?,
            None => None,
        };
        let new = stored.is_none();
        let (keys, created) = stored.unwrap_or_else(|| {
            let keys = KeySet::new(&mut rand::rng(), config.stale_key_count);
            (keys, wall)
        });
        let interval = config.key_rotation_interval;
        let own = Self {
            schedule: Mutex::new(Schedule::resume(interval, created, wall, Instant::now())),
            path: config.key_storage_path.clone(),
            writing: Mutex::default(),
        };
        if new {
            own.write(&keys);
        }
        Ok((own, keys))
    }

    /// Lets the next key seal, which is in the file before it does.
    pub(super) fn rotate(&self, current: &ArcSwap<KeySet>, wall: u64) {
        let _alone = self.writing();
        let keys = current.load().rotated(&mut rand::rng());
        self.schedule().rotated(wall, Instant::now());
        self.write(&keys);
        current.store(Arc::new(keys));
    }

    /// Writes the file, if there is one. Blocks on the disk.
    pub(super) fn save(&self, current: &ArcSwap<KeySet>) {
        let _alone = self.writing();
        self.write(&current.load());
    }

    fn write(&self, keys: &KeySet) {
        let Some(path) = &self.path else { return };
        let created = self.schedule().created();
        if let Err(error) = file::save(path, keys, created) {
            tracing::warn!(
                path = %path.display(),
                %error,
                "cannot keep the cookie keys; after a restart clients need a new key exchange"
            );
        }
    }

    /// Time until the next rotation; zero if it is due.
    pub(super) fn until_due(&self, wall: u64) -> Duration {
        self.schedule().until_due(wall, Instant::now())
    }

    /// How long the key has been sealing.
    pub(super) fn age(&self, wall: u64) -> Duration {
        Duration::from_secs(wall.saturating_sub(self.schedule().created()))
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
