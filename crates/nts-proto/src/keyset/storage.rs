//! The octets in which a key set is kept between two runs of a time source.
//!
//! ```text
//! "NTSK" ‖ version (4) ‖ created (8) ‖ id of the sealing key (4) ‖ number of keys (4)
//!     ‖ keys, oldest first, up to the sealing and the next one (32 each) ‖ checksum (16)
//! ```
//!
//! The checksum finds damage, not malice: it is the tag of AEAD_AES_SIV_CMAC_256 over everything
//! before it, under the last key itself. Writing the octets to a file (mode 0600, a temporary
//! file, a rename) is the caller's business. They are as secret as the keys.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{Entry, KeySet, MASTER_KEY_LENGTH, MasterKey};
use crate::aead::{AeadError, TAG_LENGTH};

const MAGIC: [u8; 4] = *b"NTSK";
const VERSION: u32 = 2;
/// Everything before the keys.
const HEADER_LENGTH: usize = 24;
const NONCE: [u8; 16] = [0; 16];

/// Why stored octets are not a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// They do not begin as a key set of this version does.
    #[error("not a key set of this version")]
    NotAKeySet,
    /// They do not have the length that the number of keys asks for, or there are not at least two.
    #[error("wrong length for its number of keys")]
    WrongLength,
    /// The checksum does not match.
    #[error("checksum does not match")]
    Corrupt,
}

/// Gives the octets for `keys`, random ones, whose sealing key began to seal at `created` (Unix
/// seconds).
pub fn encode(keys: &KeySet, created: u64) -> Zeroizing<Vec<u8>> {
    let length = HEADER_LENGTH + keys.keys.len() * MASTER_KEY_LENGTH + TAG_LENGTH;
    let mut octets = Zeroizing::new(Vec::with_capacity(length));
    octets.extend_from_slice(&MAGIC);
    octets.extend_from_slice(&VERSION.to_be_bytes());
    octets.extend_from_slice(&created.to_be_bytes());
    octets.extend_from_slice(&keys.sealing_id().to_be_bytes());
    let count = u32::try_from(keys.keys.len()).unwrap_or(u32::MAX);
    octets.extend_from_slice(&count.to_be_bytes());
    for entry in &keys.keys {
        octets.extend_from_slice(entry.key.octets());
    }
    // Sealing can fail only for lengths that do not occur here.
    let sum = keys
        .keys
        .last()
        .and_then(|last| checksum(&last.key, &octets).ok());
    octets.extend_from_slice(&sum.unwrap_or_default());
    octets
}

/// Reads what [`encode`] gave: the key set, which from now on keeps `stale_keys` old keys (older
/// ones beyond that are left out), and when its key began to seal (Unix seconds).
///
/// # Errors
/// [`StorageError`] if the octets are not what [`encode`] gives.
pub fn decode(octets: &[u8], stale_keys: usize) -> Result<(KeySet, u64), StorageError> {
    let (magic, rest) = take(octets, StorageError::NotAKeySet)?;
    let (version, rest) = take(rest, StorageError::NotAKeySet)?;
    if magic != MAGIC || u32::from_be_bytes(version) != VERSION {
        return Err(StorageError::NotAKeySet);
    }
    let (created, rest) = take(rest, StorageError::WrongLength)?;
    let (sealing, rest) = take(rest, StorageError::WrongLength)?;
    let (count, rest) = take(rest, StorageError::WrongLength)?;
    let (stored, sum) = rest
        .split_last_chunk::<TAG_LENGTH>()
        .ok_or(StorageError::WrongLength)?;
    let (stored, remainder) = stored.as_chunks::<MASTER_KEY_LENGTH>();
    let count_matches = u32::try_from(stored.len()) == Ok(u32::from_be_bytes(count));
    if !remainder.is_empty() || !count_matches {
        return Err(StorageError::WrongLength);
    }

    let ids_end = u32::from_be_bytes(sealing).wrapping_add(2);
    let first_id = ids_end.wrapping_sub(u32::from_be_bytes(count));
    let ids = std::iter::successors(Some(first_id), |id| Some(id.wrapping_add(1)));
    let entry = |(id, key): (u32, &[u8; MASTER_KEY_LENGTH])| Entry {
        id,
        key: MasterKey::new(Zeroizing::new(*key)),
    };
    let keys: Vec<_> = ids.zip(stored).map(entry).collect();
    let [.., _, last] = keys.as_slice() else {
        return Err(StorageError::WrongLength);
    };
    let summed = octets
        .get(..octets.len() - TAG_LENGTH)
        .ok_or(StorageError::WrongLength)?;
    let expected = checksum(&last.key, summed).map_err(|AeadError| StorageError::Corrupt)?;
    if !bool::from(expected.ct_eq(sum)) {
        return Err(StorageError::Corrupt);
    }
    let keys = KeySet::of_own(keys, stale_keys);
    Ok((keys, u64::from_be_bytes(created)))
}

fn take<const N: usize>(
    octets: &[u8],
    error: StorageError,
) -> Result<([u8; N], &[u8]), StorageError> {
    let (piece, rest) = octets.split_first_chunk().ok_or(error)?;
    Ok((*piece, rest))
}

fn checksum(key: &MasterKey, octets: &[u8]) -> Result<[u8; TAG_LENGTH], AeadError> {
    let mut tag = [0; TAG_LENGTH];
    key.aead().seal_in_place(&NONCE, octets, &mut tag)?;
    Ok(tag)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::code_points::AeadAlgorithm;
    use crate::ke::keys::SessionKeys;

    fn rotated_twice() -> (KeySet, Vec<u8>) {
        let mut rng = StdRng::seed_from_u64(7);
        let first = KeySet::new(&mut rng, 3);
        let session = SessionKeys::new(&[1; 32], &[2; 32]).unwrap();
        let cookie = first
            .seal(AeadAlgorithm::AesSivCmac256, &session, &mut rng)
            .unwrap();
        let keys = first.rotated(&mut rng).rotated(&mut rng);
        (keys, cookie.as_bytes().to_vec())
    }

    #[test]
    fn what_was_kept_comes_back() {
        let (keys, cookie) = rotated_twice();
        let octets = encode(&keys, 1_780_000_000);
        assert_eq!(octets.len(), 24 + 4 * 32 + 16);
        let (restored, created) = decode(&octets, 3).unwrap();
        assert_eq!(created, 1_780_000_000);
        assert_eq!(restored.sealing_id(), keys.sealing_id());
        assert_eq!(restored.key_count(), 4);
        assert!(restored.open(&cookie).is_ok());
        assert_eq!(*encode(&restored, created), *octets);
    }

    #[test]
    fn fewer_stale_keys_leave_the_oldest_out() {
        let (keys, cookie) = rotated_twice();
        let octets = encode(&keys, 0);
        let (restored, _) = decode(&octets, 1).unwrap();
        assert_eq!(restored.key_count(), 3);
        assert!(restored.open(&cookie).is_err());
        assert_eq!(restored.sealing_id(), keys.sealing_id());
    }

    #[test]
    fn damage_anywhere_is_found() {
        let (keys, _) = rotated_twice();
        let octets = encode(&keys, 5);
        for position in 0..octets.len() {
            let mut damaged = octets.to_vec();
            damaged[position] ^= 1;
            let expected = match position {
                0..8 => StorageError::NotAKeySet,
                20..24 => StorageError::WrongLength,
                _ => StorageError::Corrupt,
            };
            assert_eq!(decode(&damaged, 3).unwrap_err(), expected, "at {position}");
        }
        for length in 0..octets.len() {
            assert!(decode(&octets[..length], 3).is_err(), "length {length}");
        }
    }

    #[test]
    fn a_key_set_without_a_next_key_is_refused() {
        for keys in [0, 1] {
            let mut octets = encode(&rotated_twice().0, 5).to_vec();
            octets.truncate(24 + keys * 32);
            octets[20..24].copy_from_slice(&u32::try_from(keys).unwrap().to_be_bytes());
            octets.extend([0; 16]);
            assert_eq!(decode(&octets, 3).unwrap_err(), StorageError::WrongLength);
        }
    }
}
