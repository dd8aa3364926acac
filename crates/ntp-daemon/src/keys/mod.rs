//! The cookie keys in use: one key set that all servers share, its rotation and its file.
//!
//! Keys are this daemon's own, random and perhaps kept in a file, or derived from a secret that
//! several nodes have in common (`docs/shared-keys.md`). Every request loads the present set, so a
//! rotation takes effect everywhere at once. What never happens here: sealing or opening cookies
//! (`nts_proto::keyset`), or a key in a log line.

mod file;
mod own;
mod schedule;
mod secret;
mod shared;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use nts_proto::keyset::KeySet;
use nts_service::shutdown::Shutdown;

use crate::config::KeysetConfig;
use crate::unix_time;

pub use file::KeyFileError;
use own::OwnKeys;
pub use secret::SharedSecrets;
use shared::SharedKeys;

/// How often the wall clock is looked at, so that a step of it does not put a rotation off.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// The key set of the daemon.
#[derive(Debug)]
pub struct KeyStore {
    current: ArcSwap<KeySet>,
    origin: Origin,
}

/// Where keys come from.
#[derive(Debug)]
enum Origin {
    Own(OwnKeys),
    Shared(SharedKeys),
}

/// What an operator may know about the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyStatus {
    /// Whether they are derived from a secret that other nodes have too.
    pub shared: bool,
    /// How many open cookies.
    pub count: usize,
    /// The id of the one that seals.
    pub sealing_id: u32,
    /// How long it has been sealing, by the wall clock.
    pub age: Duration,
    /// Time until another one seals.
    pub next_rotation: Duration,
}

impl KeyStore {
    /// Derives the keys from the shared secret, takes them from the file, or makes new ones and
    /// writes the file.
    ///
    /// A file that cannot be read or written is a warning: cookies of the last run or of this one
    /// will be refused after a restart, which clients recover from.
    ///
    /// # Errors
    /// [`KeyFileError::Permissions`] if others can read or write the file.
    pub fn open(config: &KeysetConfig) -> Result<Self, KeyFileError> {
        let (origin, keys) = match &config.shared_secrets {
            Some(secrets) => {
                let (shared, keys) = SharedKeys::new(config, secrets.clone(), unix_time::now());
                (Origin::Shared(shared), keys)
            }
            None => {
                let (own, keys) = OwnKeys::open(config, unix_time::now())?;
                (Origin::Own(own), keys)
            }
        };
        Ok(Self {
            current: ArcSwap::from_pointee(keys),
            origin,
        })
    }

    /// The keys at this moment. Not to be kept for longer than one request.
    pub fn current(&self) -> arc_swap::Guard<Arc<KeySet>> {
        self.current.load()
    }

    /// Lets the next key seal, drops the oldest beyond those to keep, and writes the file. Keys
    /// that are derived become those of the present time.
    pub fn rotate(&self) {
        let wall = unix_time::now();
        match &self.origin {
            Origin::Own(own) => own.rotate(&self.current, wall),
            Origin::Shared(shared) => shared.derive(wall, |keys| self.publish(keys)),
        }
    }

    fn publish(&self, keys: KeySet) {
        self.current.store(Arc::new(keys));
    }

    /// Takes over the secrets of `config`. False if keys of one's own would have to become shared
    /// ones or the other way round, which only a restart can do.
    #[must_use]
    pub fn reload(&self, config: &KeysetConfig) -> bool {
        match (&self.origin, &config.shared_secrets) {
            (Origin::Own(_), None) => true,
            (Origin::Shared(shared), Some(secrets)) => {
                shared.replace(secrets.clone(), unix_time::now(), |keys| self.publish(keys));
                true
            }
            _ => false,
        }
    }

    /// Writes the file, if there is one. Blocks on the disk.
    pub fn save(&self) {
        if let Origin::Own(own) = &self.origin {
            own.save(&self.current);
        }
    }

    /// What an operator may know.
    #[must_use]
    pub fn status(&self) -> KeyStatus {
        let wall = unix_time::now();
        let (age, next_rotation) = match &self.origin {
            Origin::Own(own) => (own.age(wall), own.until_due(wall)),
            Origin::Shared(shared) => (shared.age(wall), shared.until_due(wall)),
        };
        let keys = self.current();
        KeyStatus {
            shared: matches!(self.origin, Origin::Shared(_)),
            count: keys.key_count(),
            sealing_id: keys.sealing_id(),
            age,
            next_rotation,
        }
    }

    /// Rotates the keys whenever it is time, until `shutdown`.
    pub async fn rotate_on_schedule(self: Arc<Self>, shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.until_due().min(CHECK_INTERVAL)) => {}
                () = shutdown.requested() => return,
            }
            if self.until_due().is_zero() {
                let store = Arc::clone(&self);
                if tokio::task::spawn_blocking(move || store.rotate())
                    .await
                    .is_ok()
                {
                    tracing::debug!(keys = ?**self.current(), "another cookie key seals");
                }
            }
        }
    }

    fn until_due(&self) -> Duration {
        match &self.origin {
            Origin::Own(own) => own.until_due(unix_time::now()),
            Origin::Shared(shared) => shared.until_due(unix_time::now()),
        }
    }
}
