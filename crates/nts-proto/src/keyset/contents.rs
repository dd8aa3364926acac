//! The plaintext of a cookie: `AEAD id (2) ‖ zero (2) ‖ S2C key ‖ C2S key`.
//!
//! It is kept as the octets that were, or will be, sealed: a server that opens a cookie seals the
//! very same octets again.

use std::fmt;

use zeroize::Zeroizing;

use crate::aead::{AeadKey, InvalidAeadKey};
use crate::code_points::AeadAlgorithm;
use crate::ke::keys::SessionKeys;

/// AEAD id and the two octets that keep the keys aligned.
const HEADER_LENGTH: usize = 4;

/// The contents with the longest keys that [`AeadKey`] takes.
pub(super) const MAX_CONTENTS_LENGTH: usize = length(64);

/// Length of the contents with two keys of `key_length` octets.
pub(super) const fn length(key_length: usize) -> usize {
    HEADER_LENGTH + 2 * key_length
}

/// What a cookie of ours holds, checked: the algorithm is supported and the keys have its length.
pub(crate) struct Contents {
    pub(crate) algorithm: AeadAlgorithm,
    octets: Zeroizing<[u8; MAX_CONTENTS_LENGTH]>,
    key_length: usize,
}

impl Contents {
    pub(super) fn new(
        algorithm: AeadAlgorithm,
        keys: &SessionKeys,
    ) -> Result<Self, InvalidAeadKey> {
        // Both keys have the same length, so one check is enough.
        let key_length = keys.key_length();
        AeadKey::check(algorithm, key_length)?;
        let mut octets = Zeroizing::new([0; MAX_CONTENTS_LENGTH]);
        let [id0, id1] = algorithm.code().to_be_bytes();
        let mut rest = octets.as_mut_slice();
        for part in [&[id0, id1, 0, 0], keys.s2c(), keys.c2s()] {
            // There is room for the longest keys that are supported.
            let place = rest.split_off_mut(..part.len());
            place
                .ok_or(InvalidAeadKey::WrongLength)?
                .copy_from_slice(part);
        }
        Ok(Self {
            algorithm,
            octets,
            key_length,
        })
    }

    /// Takes the first `length` octets; `None` if we never make such contents.
    pub(super) fn from_octets(
        octets: Zeroizing<[u8; MAX_CONTENTS_LENGTH]>,
        length: usize,
    ) -> Option<Self> {
        let [id0, id1, 0, 0] = *octets.first_chunk()? else {
            return None;
        };
        let algorithm = AeadAlgorithm::from(u16::from_be_bytes([id0, id1]));
        let key_length = algorithm.key_length()?;
        (AeadKey::supports(algorithm) && length == self::length(key_length)).then_some(Self {
            algorithm,
            octets,
            key_length,
        })
    }

    pub(super) fn octets(&self) -> &[u8] {
        self.part(0, length(self.key_length))
    }

    /// The key that protects what the server sends.
    pub(crate) fn s2c(&self) -> &[u8] {
        self.part(HEADER_LENGTH, self.key_length)
    }

    /// The key that protects what the client sends.
    pub(crate) fn c2s(&self) -> &[u8] {
        self.part(HEADER_LENGTH + self.key_length, self.key_length)
    }

    /// Length of a cookie with these contents.
    pub(crate) fn cookie_length(&self) -> usize {
        super::OVERHEAD + length(self.key_length)
    }

    /// Always within the array: `key_length` is at most 64.
    fn part(&self, start: usize, length: usize) -> &[u8] {
        self.octets.get(start..start + length).unwrap_or_default()
    }
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Contents({}, <redacted>)", self.algorithm)
    }
}
