//! The master keys of a time source: they seal session keys into cookies and open them again
//! (RFC 8915 §6).
//!
//! ```text
//! cookie = key id (4) ‖ nonce (16) ‖ AEAD_AES_SIV_CMAC_256(master key, nonce, "", contents)
//! contents = AEAD id (2) ‖ zero (2) ‖ S2C key ‖ C2S key
//! ```
//!
//! One key seals; any key that is not yet erased opens, and so does the next one, which is made one
//! rotation in advance: whoever copies a key set opens what is sealed after the next rotation too.
//! Keys of one's own are random, and their ids count up from a random start and do not repeat.
//! Keys that several nodes have in common are [derived](KeySet::derived) from a secret and the time.
//! When to rotate, and where the keys are kept between runs, is the caller's business; [`storage`]
//! gives the octets to keep.

use std::fmt;
use std::sync::Arc;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::aead::{AeadError, AeadKey, InvalidAeadKey, TAG_LENGTH};
use crate::code_points::AeadAlgorithm;
use crate::cookie::Cookie;
use crate::ke::keys::SessionKeys;

mod contents;
mod shared;
pub mod storage;

pub(crate) use contents::Contents;
use contents::MAX_CONTENTS_LENGTH;
pub use shared::{SharedSecret, WeakSecret};

/// Length in octets of a master key, one of AEAD_AES_SIV_CMAC_256.
const MASTER_KEY_LENGTH: usize = 32;
const ID_LENGTH: usize = 4;
const NONCE_LENGTH: usize = 16;
/// What a cookie has besides its contents.
const OVERHEAD: usize = ID_LENGTH + NONCE_LENGTH + TAG_LENGTH;

/// The longest cookie, in octets, that a [`KeySet`] makes.
pub const MAX_COOKIE_LENGTH: usize = OVERHEAD + MAX_CONTENTS_LENGTH;

/// Length in octets of the cookies for an algorithm; `None` if packets cannot be protected with
/// it.
pub fn cookie_length(algorithm: AeadAlgorithm) -> Option<usize> {
    AeadKey::supports(algorithm)
        .then(|| algorithm.key_length())
        .flatten()
        .map(|key_length| OVERHEAD + contents::length(key_length))
}

/// What a cookie holds.
#[derive(Debug)]
pub struct CookieContents {
    /// The algorithm that protects the packets.
    pub algorithm: AeadAlgorithm,
    /// The keys that protect them.
    pub keys: SessionKeys,
}

/// Why a cookie is not one of ours: too short, of an erased key, altered, or with contents that we
/// never make. The client is told the same in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cookie cannot be opened")]
pub struct OpenError;

/// The master key that seals, some older ones, and the next.
///
/// A key set does not change; [`KeySet::rotated`] gives the next one, so that servers can share
/// one behind an atomic pointer. Wiped when dropped; `Debug` shows key ids only.
#[derive(Clone)]
pub struct KeySet {
    /// Random keys stand oldest first, and end with the one that seals and the next.
    keys: Vec<Entry>,
    /// Which of them seals.
    sealing: usize,
    stale_keys: usize,
}

#[derive(Clone)]
struct Entry {
    id: u32,
    key: MasterKey,
}

/// One master key, prepared for use once; clones share it.
#[derive(Clone)]
struct MasterKey(Arc<Prepared>);

struct Prepared {
    octets: Zeroizing<[u8; MASTER_KEY_LENGTH]>,
    aead: AeadKey,
}

impl MasterKey {
    fn new(octets: Zeroizing<[u8; MASTER_KEY_LENGTH]>) -> Self {
        let aead = AeadKey::siv_cmac_256(&octets);
        Self(Arc::new(Prepared { octets, aead }))
    }

    fn random(rng: &mut impl CryptoRng) -> Self {
        let mut octets = Zeroizing::new([0; MASTER_KEY_LENGTH]);
        rng.fill_bytes(octets.as_mut_slice());
        Self::new(octets)
    }

    fn octets(&self) -> &[u8; MASTER_KEY_LENGTH] {
        &self.0.octets
    }

    fn aead(&self) -> &AeadKey {
        &self.0.aead
    }
}

impl KeySet {
    /// A key set with a fresh key under a random id and the next one, that will keep `stale_keys`
    /// older ones.
    pub fn new(rng: &mut impl CryptoRng, stale_keys: usize) -> Self {
        let id = rng.next_u32();
        let keys = [id, id.wrapping_add(1)].map(|id| Entry {
            id,
            key: MasterKey::random(rng),
        });
        Self {
            keys: keys.into(),
            sealing: 0,
            stale_keys,
        }
    }

    /// The key set after one rotation of random keys: what was the next key seals, there is a fresh
    /// next one, and the oldest one beyond those to keep is gone.
    #[must_use]
    pub fn rotated(&self, rng: &mut impl CryptoRng) -> Self {
        let mut keys = self.keys.clone();
        keys.push(Entry {
            id: keys.last().map_or(0, |last| last.id.wrapping_add(1)),
            key: MasterKey::random(rng),
        });
        Self::of_own(keys, self.stale_keys)
    }

    /// A key set of random keys, of which the last but one seals; those that are too old go.
    fn of_own(mut keys: Vec<Entry>, stale_keys: usize) -> Self {
        let excess = keys.len().saturating_sub(stale_keys.saturating_add(2));
        keys.drain(..excess);
        Self {
            sealing: keys.len().saturating_sub(2),
            keys,
            stale_keys,
        }
    }

    /// How many keys can open cookies at present, the next one included.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// The id of the key that seals.
    pub fn sealing_id(&self) -> u32 {
        self.keys.get(self.sealing).map_or(0, |entry| entry.id)
    }

    /// Makes a cookie that holds `keys`.
    ///
    /// # Errors
    /// [`InvalidAeadKey`] if packets cannot be protected with the algorithm, or not with these
    /// keys.
    pub fn seal(
        &self,
        algorithm: AeadAlgorithm,
        keys: &SessionKeys,
        rng: &mut impl CryptoRng,
    ) -> Result<Cookie, InvalidAeadKey> {
        self.seal_new(&Contents::new(algorithm, keys)?, rng)
    }

    /// Makes so many cookies that hold `keys`, each under a nonce of its own.
    ///
    /// # Errors
    /// As [`KeySet::seal`].
    pub fn seal_several(
        &self,
        count: usize,
        algorithm: AeadAlgorithm,
        keys: &SessionKeys,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<Cookie>, InvalidAeadKey> {
        let contents = Contents::new(algorithm, keys)?;
        let mut cookies = Vec::with_capacity(count);
        for _ in 0..count {
            cookies.push(self.seal_new(&contents, rng)?);
        }
        Ok(cookies)
    }

    fn seal_new(
        &self,
        contents: &Contents,
        rng: &mut impl CryptoRng,
    ) -> Result<Cookie, InvalidAeadKey> {
        let mut cookie = vec![0; contents.cookie_length()];
        self.seal_contents(contents, rng, &mut cookie)
            .map_err(|_| InvalidAeadKey::WrongLength)?;
        Ok(Cookie::new(cookie))
    }

    /// Opens a cookie.
    ///
    /// # Errors
    /// [`OpenError`] if it is not a cookie of this key set.
    pub fn open(&self, cookie: &[u8]) -> Result<CookieContents, OpenError> {
        let contents = self.open_contents(cookie)?;
        Ok(CookieContents {
            algorithm: contents.algorithm,
            keys: SessionKeys::new(contents.c2s(), contents.s2c()).map_err(|_| OpenError)?,
        })
    }

    /// Fills `cookie`, which has exactly [`Contents::cookie_length`] octets, without allocating.
    pub(crate) fn seal_contents(
        &self,
        contents: &Contents,
        rng: &mut impl CryptoRng,
        cookie: &mut [u8],
    ) -> Result<(), AeadError> {
        let sealing = self.keys.get(self.sealing).ok_or(AeadError)?;
        let (id, rest) = cookie.split_first_chunk_mut().ok_or(AeadError)?;
        *id = sealing.id.to_be_bytes();
        let (nonce, sealed) = rest
            .split_first_chunk_mut::<NONCE_LENGTH>()
            .ok_or(AeadError)?;
        rng.fill_bytes(nonce);
        let plaintext = sealed.get_mut(TAG_LENGTH..).ok_or(AeadError)?;
        if plaintext.len() != contents.octets().len() {
            return Err(AeadError);
        }
        plaintext.copy_from_slice(contents.octets());
        sealing.key.aead().seal_in_place(nonce, &[], sealed)
    }

    /// As [`KeySet::open`], without allocating.
    pub(crate) fn open_contents(&self, cookie: &[u8]) -> Result<Contents, OpenError> {
        let (id, rest) = cookie.split_first_chunk().ok_or(OpenError)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LENGTH>().ok_or(OpenError)?;
        let id = u32::from_be_bytes(*id);
        let length = sealed.len().checked_sub(TAG_LENGTH).ok_or(OpenError)?;
        let mut octets = Zeroizing::new([0; MAX_CONTENTS_LENGTH]);
        let plaintext = octets.get_mut(..length).ok_or(OpenError)?;
        // Ids of derived keys are random: two keys may share one.
        self.keys
            .iter()
            .rev()
            .filter(|entry| entry.id == id)
            .find_map(|entry| entry.key.aead().open(nonce, &[], sealed, plaintext).ok())
            .ok_or(OpenError)?;
        Contents::from_octets(octets, length).ok_or(OpenError)
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "KeySet({} keys, {} seals, <redacted>)",
            self.keys.len(),
            self.sealing_id()
        )
    }
}

#[cfg(test)]
mod tests;
