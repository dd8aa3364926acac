//! The cookie keys in use: one key set that all servers share, its rotation and its file.
//!
//! Every request loads the present set, so a rotation takes effect everywhere at once. What never
//! happens here: sealing or opening cookies (`nts_proto::keyset`), or a key in a log line.

mod file;
mod schedule;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use nts_proto::keyset::KeySet;
use nts_service::shutdown::Shutdown;
use tokio::time::Instant;

use crate::config::KeysetConfig;

pub use file::KeyFileError;
use schedule::Schedule;

/// How often the wall clock is looked at, so that a step of it does not put a rotation off.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// The key set of the daemon.
#[derive(Debug)]
pub struct KeyStore {
    current: ArcSwap<KeySet>,
    schedule: Mutex<Schedule>,
    path: Option<PathBuf>,
}

impl KeyStore {
    /// Takes the keys from the file, or makes new ones and writes the file.
    ///
    /// A file that cannot be read or written is a warning: cookies of the last run or of this one
    /// will be refused after a restart, which clients recover from.
    ///
    /// # Errors
    /// [`KeyFileError::Permissions`] if others can read or write the file.
    pub fn open(config: &KeysetConfig) -> Result<Self, KeyFileError> {
        let stored = match &config.key_storage_path {
            Some(path) => file::load(path, config.stale_key_count)?,
            None => None,
        };
        let (now, wall) = (Instant::now(), unix_time());
        let interval = config.key_rotation_interval;
        let (keys, schedule, new) = match stored {
            Some((keys, created)) => (keys, Schedule::resume(interval, created, wall, now), false),
            None => {
                let keys = KeySet::new(&mut rand::rng(), config.stale_key_count);
                (keys, Schedule::resume(interval, wall, wall, now), true)
            }
        };
        let store = Self {
            current: ArcSwap::from_pointee(keys),
            schedule: Mutex::new(schedule),
            path: config.key_storage_path.clone(),
        };
        if new {
            store.save();
        }
        Ok(store)
    }

    /// The keys at this moment. Not to be kept for longer than one request.
    pub fn current(&self) -> arc_swap::Guard<Arc<KeySet>> {
        self.current.load()
    }

    /// Makes a new key primary, drops the oldest beyond those to keep, and writes the file.
    pub fn rotate(&self) {
        self.current
            .store(Arc::new(self.current.load().rotated(&mut rand::rng())));
        self.schedule().rotated(unix_time(), Instant::now());
        self.save();
    }

    /// Writes the file, if there is one. Blocks on the disk.
    pub fn save(&self) {
        let Some(path) = &self.path else { return };
        let created = self.schedule().created();
        if let Err(error) = file::save(path, &self.current.load(), created) {
            tracing::warn!(
                path = %path.display(),
                %error,
                "cannot keep the cookie keys; after a restart clients need a new key exchange"
            );
        }
    }

    /// Rotates the keys whenever it is time, until `shutdown`.
    pub async fn rotate_on_schedule(self: Arc<Self>, shutdown: Shutdown) {
        loop {
            let pause = self.schedule().until_due(unix_time(), Instant::now());
            tokio::select! {
                () = tokio::time::sleep(pause.min(CHECK_INTERVAL)) => {}
                () = shutdown.requested() => return,
            }
            if self
                .schedule()
                .until_due(unix_time(), Instant::now())
                .is_zero()
            {
                let store = Arc::clone(&self);
                if tokio::task::spawn_blocking(move || store.rotate())
                    .await
                    .is_ok()
                {
                    tracing::debug!(keys = ?**self.current(), "new cookie key");
                }
            }
        }
    }

    fn schedule(&self) -> std::sync::MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wall clock in Unix seconds.
fn unix_time() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
