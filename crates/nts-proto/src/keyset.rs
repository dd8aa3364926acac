//! The master keys of a time source: they seal session keys into cookies and open them again
//! (RFC 8915 §6).
//!
//! ```text
//! cookie = key id (4) ‖ nonce (16) ‖ AEAD_AES_SIV_CMAC_256(master key, nonce, "", contents)
//! contents = AEAD id (2) ‖ zero (2) ‖ S2C key ‖ C2S key
//! ```
//!
//! Cookies are sealed with the newest key and opened with any key that is not yet erased. Key ids
//! count up from a random start and do not repeat. When to rotate, and where the keys are
//! kept between runs, is the caller's business; [`storage`] gives the octets to keep.

use std::fmt;

use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

use crate::aead::{AeadKey, TAG_LENGTH};
use crate::code_points::AeadAlgorithm;
use crate::cookie::Cookie;
use crate::ke::keys::SessionKeys;

pub mod storage;

/// Length in octets of a master key, one of AEAD_AES_SIV_CMAC_256.
const MASTER_KEY_LENGTH: usize = 32;
const ID_LENGTH: usize = 4;
const NONCE_LENGTH: usize = 16;
/// What precedes the sealed part of a cookie.
const PREFIX_LENGTH: usize = ID_LENGTH + NONCE_LENGTH;
/// AEAD id and the two octets that keep the keys aligned.
const CONTENTS_HEADER_LENGTH: usize = 4;
/// The contents with the longest keys that [`AeadKey`] takes.
const MAX_CONTENTS_LENGTH: usize = CONTENTS_HEADER_LENGTH + 2 * 64;

/// The longest cookie, in octets, that a [`KeySet`] makes.
pub const MAX_COOKIE_LENGTH: usize = PREFIX_LENGTH + TAG_LENGTH + MAX_CONTENTS_LENGTH;

/// Length in octets of the cookies for an algorithm; `None` if packets cannot be protected with
/// it.
pub const fn cookie_length(algorithm: AeadAlgorithm) -> Option<usize> {
    match algorithm {
        AeadAlgorithm::AesSivCmac256
        | AeadAlgorithm::AesSivCmac512
        | AeadAlgorithm::Aes128GcmSiv => match algorithm.key_length() {
            Some(key) => Some(PREFIX_LENGTH + TAG_LENGTH + CONTENTS_HEADER_LENGTH + 2 * key),
            None => None,
        },
        _ => None,
    }
}

/// What a cookie holds.
#[derive(Debug)]
pub struct CookieContents {
    /// The algorithm that protects the packets.
    pub algorithm: AeadAlgorithm,
    /// The keys that protect them.
    pub keys: SessionKeys,
}

/// Why no cookie can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Packets cannot be protected with this algorithm here.
    #[error("AEAD algorithm {0} is not supported")]
    UnsupportedAlgorithm(AeadAlgorithm),
    /// The keys do not have the length of the algorithm.
    #[error("key length does not fit the AEAD algorithm")]
    WrongKeyLength,
}

/// Why a cookie is not one of ours: too short, of an erased key, altered, or with contents that we
/// never make. The client is told the same in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cookie cannot be opened")]
pub struct OpenError;

/// The newest master key and some older ones.
///
/// A key set does not change; [`KeySet::rotated`] gives the next one, so that servers can share
/// one behind an atomic pointer. Wiped when dropped; `Debug` shows key ids only.
#[derive(Clone)]
pub struct KeySet {
    /// Oldest first; never empty. The newest has the id `newest`, each older one the id before.
    keys: Vec<MasterKey>,
    newest: u32,
    stale_keys: usize,
}

#[derive(Clone)]
struct MasterKey(Zeroizing<[u8; MASTER_KEY_LENGTH]>);

impl MasterKey {
    fn random(rng: &mut impl CryptoRng) -> Self {
        let mut key = Zeroizing::new([0; MASTER_KEY_LENGTH]);
        rng.fill_bytes(key.as_mut_slice());
        Self(key)
    }
}

impl KeySet {
    /// A key set with one fresh key under a random id, that will keep `stale_keys` older ones.
    pub fn new(rng: &mut impl CryptoRng, stale_keys: usize) -> Self {
        let newest = rng.next_u32();
        Self {
            keys: vec![MasterKey::random(rng)],
            newest,
            stale_keys,
        }
    }

    /// The key set after one rotation: a fresh key seals, and the oldest one beyond those to keep
    /// is gone.
    #[must_use]
    pub fn rotated(&self, rng: &mut impl CryptoRng) -> Self {
        let kept = self.keys.len().min(self.stale_keys);
        let mut keys: Vec<_> = self.keys.iter().rev().take(kept).rev().cloned().collect();
        keys.push(MasterKey::random(rng));
        Self {
            keys,
            newest: self.newest.wrapping_add(1),
            stale_keys: self.stale_keys,
        }
    }

    /// How many keys can open cookies at present.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// The id of the key that seals.
    pub fn newest_id(&self) -> u32 {
        self.newest
    }

    /// Makes a cookie.
    ///
    /// # Errors
    /// [`SealError`] if packets cannot be protected with the algorithm, or not with these keys.
    pub fn seal(
        &self,
        algorithm: AeadAlgorithm,
        keys: &SessionKeys,
        rng: &mut impl CryptoRng,
    ) -> Result<Cookie, SealError> {
        let _ = (algorithm, keys, rng, AeadKey::new);
        todo!()
    }

    /// Opens a cookie.
    ///
    /// # Errors
    /// [`OpenError`] if it is not a cookie of this key set.
    pub fn open(&self, cookie: &[u8]) -> Result<CookieContents, OpenError> {
        let _ = cookie;
        todo!()
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "KeySet({} keys, newest id {}, <redacted>)",
            self.keys.len(),
            self.newest
        )
    }
}
