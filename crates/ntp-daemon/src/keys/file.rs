//! The file of the cookie keys.

use std::io;
use std::path::Path;

use nts_proto::keyset::{KeySet, storage};

use crate::private_file::{self, ReadError};

/// A key file that must not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Its keys may be known to others.
    #[error("{0}")]
    Permissions(String),
}

/// Reads the keys and the time when the newest was made. `None`, after a warning unless there is
/// no file, if there are no keys to be had from it.
pub(super) fn load(path: &Path, stale_keys: usize) -> Result<Option<(KeySet, u64)>, KeyFileError> {
    let octets = match private_file::read(path) {
        Ok(octets) => octets,
        Err(ReadError::Mode(message)) => return Err(KeyFileError::Permissions(message)),
        Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(ReadError::Io(error)) => {
            warn_of_new_keys(path, &error);
            return Ok(None);
        }
    };
    match storage::decode(&octets, stale_keys) {
        Ok(stored) => Ok(Some(stored)),
        Err(error) => {
            warn_of_new_keys(path, &error);
            Ok(None)
        }
    }
}

fn warn_of_new_keys(path: &Path, error: &dyn std::fmt::Display) {
    tracing::warn!(
        path = %path.display(),
        %error,
        "cannot use the stored cookie keys; new ones are made, and clients need a new key exchange"
    );
}

/// Replaces the file as a whole.
pub(super) fn save(path: &Path, keys: &KeySet, created: u64) -> io::Result<()> {
    private_file::replace(path, &storage::encode(keys, created))
}
