//! The octets in which a key set is kept between two runs of a time source.
//!
//! Writing them to a file (with mode 0600, a temporary file and a rename) is the caller's
//! business. The octets are as secret as the keys themselves.

use zeroize::Zeroizing;

use super::KeySet;

/// Why stored octets are not a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// They do not begin as a key set does, or with the number of another version.
    #[error("not a key set of this version")]
    NotAKeySet,
    /// They do not have the length that the number of keys asks for.
    #[error("wrong length for its number of keys")]
    WrongLength,
    /// The checksum does not match.
    #[error("checksum does not match")]
    Corrupt,
}

/// Gives the octets for `keys`, whose newest key was made at `created` (Unix seconds).
pub fn encode(keys: &KeySet, created: u64) -> Zeroizing<Vec<u8>> {
    let _ = (keys, created);
    todo!()
}

/// Reads what [`encode`] gave: the key set, which from now on keeps `stale_keys` old keys (older
/// ones beyond that are left out), and when its newest key was made (Unix seconds).
///
/// # Errors
/// [`StorageError`] if the octets are not what [`encode`] gives.
pub fn decode(octets: &[u8], stale_keys: usize) -> Result<(KeySet, u64), StorageError> {
    let _ = (octets, stale_keys);
    todo!()
}
