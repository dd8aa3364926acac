//! `[keyset]`: the keys that seal cookies.

use std::path::PathBuf;
use std::time::Duration;

use nts_service::config::Section;

use super::storage;
use crate::keys::SharedSecrets;

/// Ten years in seconds: keys that rotate more seldom are a mistake.
const MAX_INTERVAL: u64 = 315_360_000;

/// `[keyset]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysetConfig {
    /// How many keys before the present one still open cookies.
    pub stale_key_count: usize,
    /// Time between two new keys.
    pub key_rotation_interval: Duration,
    /// File that keeps the keys over a restart.
    pub key_storage_path: Option<PathBuf>,
    /// `shared-secret-path`, read and checked: keys are derived from it, and not stored.
    pub shared_secrets: Option<SharedSecrets>,
}

impl Default for KeysetConfig {
    fn default() -> Self {
        Self {
            stale_key_count: 7,
            key_rotation_interval: Duration::from_secs(86_400),
            key_storage_path: None,
            shared_secrets: None,
        }
    }
}

impl KeysetConfig {
    /// Reads the section; what is missing or wrong is as in the default.
    pub(super) fn read(root: &Section<'_>) -> Self {
        let default = Self::default();
        let Some(section) = root.section("keyset") else {
            return default;
        };
        let interval = default.key_rotation_interval.as_secs();
        Self {
            stale_key_count: section.number(
                "stale-key-count",
                default.stale_key_count,
                0..=1000,
                "",
            ),
            key_rotation_interval: Duration::from_secs(section.number(
                "key-rotation-interval",
                interval,
                1..=MAX_INTERVAL,
                "seconds",
            )),
            key_storage_path: storage::secret_file(&section, "key-storage-path"),
            shared_secrets: read_secrets(&section),
        }
    }
}

fn read_secrets(section: &Section<'_>) -> Option<SharedSecrets> {
    let (key, other) = ("shared-secret-path", "key-storage-path");
    let path = section.path(key)?.into_inner();
    if section.has(other) {
        let message = "keys are derived from the shared secret, so there is nothing to store; \
                       take one of the two out";
        section.error(other, message);
    }
    SharedSecrets::load(&path)
        .map_err(|message| section.error(key, message))
        .ok()
}
