//! Authenticated encryption for NTS: AEAD_AES_SIV_CMAC_256 and _512 (RFC 5297) and
//! AEAD_AES_128_GCM_SIV (RFC 8452), behind one type.
//!
//! The algorithms differ in key length, in the nonces they take and in where the tag stands (SIV
//! puts it first, GCM-SIV last); [`AeadKey`] knows these facts, so that nobody else has to.
//! Nothing here allocates, and no nonce is chosen here.

mod siv;

use std::fmt;

use aes::cipher::array::Array;
use aes::cipher::consts::{U16, U32};
use aes::{Aes128Enc, Aes256Enc};
use aes_gcm_siv::Aes128GcmSiv;
use aes_gcm_siv::aead::inout::InOutBuf;
use aes_gcm_siv::aead::{AeadInOut, KeyInit};
use zeroize::{Zeroize, Zeroizing};

use crate::code_points::AeadAlgorithm;
use siv::Siv;

/// Length in octets of the tag, the same for every algorithm here.
pub const TAG_LENGTH: usize = 16;

/// The longest nonce, in octets, that [`AeadKey::nonce_length`] ever asks for.
pub const MAX_NONCE_LENGTH: usize = 16;

/// Why there is no [`AeadKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAeadKey {
    /// The algorithm is not one of 15, 17 and 30.
    #[error("AEAD algorithm {0} is not supported")]
    UnsupportedAlgorithm(AeadAlgorithm),
    /// The key does not have the length that the algorithm asks for.
    #[error("key length does not fit the AEAD algorithm")]
    WrongLength,
}

/// Sealing or opening failed: the tag does not match, or the nonce or a buffer does not have a
/// length that the algorithm takes. Which of these, nobody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("authenticated encryption failed")]
pub struct AeadError;

/// A key with its algorithm, prepared for use. Wiped when dropped; `Debug` shows the algorithm only.
pub struct AeadKey(Inner);

#[allow(
    clippy::large_enum_variant,
    reason = "nothing is allocated to answer a packet, and such keys are few"
)]
enum Inner {
    SivCmac256(Siv<Aes128Enc>),
    SivCmac512(Siv<Aes256Enc>),
    GcmSiv128(Zeroizing<[u8; 16]>),
}

impl From<AeadError> for InvalidAeadKey {
    fn from(AeadError: AeadError) -> Self {
        Self::WrongLength
    }
}

impl AeadKey {
    /// Prepares `key` for use with `algorithm`.
    ///
    /// # Errors
    /// [`InvalidAeadKey`] if the algorithm is not supported or the length is not its own.
    #[inline]
    pub fn new(algorithm: AeadAlgorithm, key: &[u8]) -> Result<Self, InvalidAeadKey> {
        Ok(Self(match algorithm {
            AeadAlgorithm::AesSivCmac256 => Inner::SivCmac256(Siv::new(key)?),
            AeadAlgorithm::AesSivCmac512 => Inner::SivCmac512(Siv::new(key)?),
            AeadAlgorithm::Aes128GcmSiv => Inner::GcmSiv128(copy_of(key)?),
            other => return Err(InvalidAeadKey::UnsupportedAlgorithm(other)),
        }))
    }

    /// A key of AEAD_AES_SIV_CMAC_256, whose length is right by its type.
    pub(crate) fn siv_cmac_256(key: &[u8; 32]) -> Self {
        let (mac, stream) = Array::<u8, U32>::cast_from_core(key).split_ref::<U16>();
        Self(Inner::SivCmac256(Siv::of(
            Aes128Enc::new(mac),
            Aes128Enc::new(stream),
        )))
    }

    /// Whether [`AeadKey::new`] takes keys of `length` octets, without making one.
    ///
    /// # Errors
    /// As those of [`AeadKey::new`].
    pub(crate) fn check(algorithm: AeadAlgorithm, length: usize) -> Result<(), InvalidAeadKey> {
        if !Self::supports(algorithm) {
            return Err(InvalidAeadKey::UnsupportedAlgorithm(algorithm));
        }
        match algorithm.key_length() == Some(length) {
            true => Ok(()),
            false => Err(InvalidAeadKey::WrongLength),
        }
    }

    /// Whether there can be a key for `algorithm`.
    pub const fn supports(algorithm: AeadAlgorithm) -> bool {
        matches!(
            algorithm,
            AeadAlgorithm::AesSivCmac256
                | AeadAlgorithm::AesSivCmac512
                | AeadAlgorithm::Aes128GcmSiv
        )
    }

    /// The algorithm.
    pub fn algorithm(&self) -> AeadAlgorithm {
        match self.0 {
            Inner::SivCmac256(_) => AeadAlgorithm::AesSivCmac256,
            Inner::SivCmac512(_) => AeadAlgorithm::AesSivCmac512,
            Inner::GcmSiv128(_) => AeadAlgorithm::Aes128GcmSiv,
        }
    }

    /// Length in octets of the nonces that we send: 16, or the only one there is for GCM-SIV, 12.
    ///
    /// It is also `N_REQ` of RFC 8915 §5.6, the room for a nonce that a request must have.
    pub fn nonce_length(&self) -> usize {
        match self.0 {
            Inner::SivCmac256(_) | Inner::SivCmac512(_) => 16,
            Inner::GcmSiv128(_) => 12,
        }
    }

    /// How many octets of the sealed text stand before the encrypted octets.
    pub fn plaintext_offset(&self) -> usize {
        match self.0 {
            Inner::SivCmac256(_) | Inner::SivCmac512(_) => TAG_LENGTH,
            Inner::GcmSiv128(_) => 0,
        }
    }

    /// Seals in place. `sealed` is [`TAG_LENGTH`] octets longer than the plaintext, which stands in
    /// it from [`AeadKey::plaintext_offset`] on; afterwards it holds tag and ciphertext in the
    /// algorithm's order.
    ///
    /// # Errors
    /// [`AeadError`] if `sealed` is shorter than a tag or the nonce's length is not taken.
    pub fn seal_in_place(
        &self,
        nonce: &[u8],
        associated_data: &[u8],
        sealed: &mut [u8],
    ) -> Result<(), AeadError> {
        self.check_nonce(nonce)?;
        let (tag_place, text) = self.split_mut(sealed)?;
        let tag = match &self.0 {
            Inner::SivCmac256(key) => key.seal(&[associated_data, nonce], text),
            Inner::SivCmac512(key) => key.seal(&[associated_data, nonce], text),
            Inner::GcmSiv128(key) => {
                Aes128GcmSiv::new((&**key).into())
                    .encrypt_inout_detached(
                        nonce.try_into().map_err(|_| AeadError)?,
                        associated_data,
                        InOutBuf::from(text),
                    )
                    .map_err(|_| AeadError)?
                    .0
            }
        };
        tag_place.copy_from_slice(&tag);
        Ok(())
    }

    /// Opens `sealed` into `plaintext`, which must be exactly [`TAG_LENGTH`] octets shorter.
    ///
    /// # Errors
    /// [`AeadError`] if the tag does not match or a length does not fit; `plaintext` is then all
    /// zero.
    pub fn open(
        &self,
        nonce: &[u8],
        associated_data: &[u8],
        sealed: &[u8],
        plaintext: &mut [u8],
    ) -> Result<(), AeadError> {
        let result = self.open_unwiped(nonce, associated_data, sealed, plaintext);
        if result.is_err() {
            plaintext.zeroize();
        }
        result
    }

    fn open_unwiped(
        &self,
        nonce: &[u8],
        associated_data: &[u8],
        sealed: &[u8],
        plaintext: &mut [u8],
    ) -> Result<(), AeadError> {
        self.check_nonce(nonce)?;
        let (tag, ciphertext) = self.split(sealed)?;
        let tag: &[u8; TAG_LENGTH] = tag.try_into().map_err(|_| AeadError)?;
        if ciphertext.len() != plaintext.len() {
            return Err(AeadError);
        }
        plaintext.copy_from_slice(ciphertext);
        match &self.0 {
            Inner::SivCmac256(key) => key.open(&[associated_data, nonce], plaintext, tag),
            Inner::SivCmac512(key) => key.open(&[associated_data, nonce], plaintext, tag),
            Inner::GcmSiv128(key) => Aes128GcmSiv::new((&**key).into())
                .decrypt_inout_detached(
                    nonce.try_into().map_err(|_| AeadError)?,
                    associated_data,
                    InOutBuf::from(plaintext),
                    tag.into(),
                )
                .map_err(|_| AeadError),
        }
    }

    /// SIV takes a nonce of any length but none (RFC 5297 §6); GCM-SIV takes 12 octets.
    fn check_nonce(&self, nonce: &[u8]) -> Result<(), AeadError> {
        let fits = match self.0 {
            Inner::SivCmac256(_) | Inner::SivCmac512(_) => !nonce.is_empty(),
            Inner::GcmSiv128(_) => nonce.len() == 12,
        };
        fits.then_some(()).ok_or(AeadError)
    }

    /// Splits a sealed text into (tag, ciphertext).
    fn split<'a>(&self, sealed: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), AeadError> {
        let text_length = sealed.len().checked_sub(TAG_LENGTH).ok_or(AeadError)?;
        if self.plaintext_offset() == 0 {
            let (text, tag) = sealed.split_at_checked(text_length).ok_or(AeadError)?;
            Ok((tag, text))
        } else {
            sealed.split_at_checked(TAG_LENGTH).ok_or(AeadError)
        }
    }

    /// As [`AeadKey::split`].
    fn split_mut<'a>(
        &self,
        sealed: &'a mut [u8],
    ) -> Result<(&'a mut [u8], &'a mut [u8]), AeadError> {
        let text_length = sealed.len().checked_sub(TAG_LENGTH).ok_or(AeadError)?;
        if self.plaintext_offset() == 0 {
            let (text, tag) = sealed.split_at_mut_checked(text_length).ok_or(AeadError)?;
            Ok((tag, text))
        } else {
            sealed.split_at_mut_checked(TAG_LENGTH).ok_or(AeadError)
        }
    }
}

impl fmt::Debug for AeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AeadKey({}, <redacted>)", self.algorithm())
    }
}

fn copy_of<const N: usize>(key: &[u8]) -> Result<Zeroizing<[u8; N]>, InvalidAeadKey> {
    let mut copy = Zeroizing::new([0; N]);
    if key.len() != N {
        return Err(InvalidAeadKey::WrongLength);
    }
    copy.copy_from_slice(key);
    Ok(copy)
}

#[cfg(test)]
mod tests;
