//! The field "NTS Authenticator and Encrypted Extension Fields" (RFC 8915 §5.6).
//!
//! ```text
//! type (2) ‖ length (2) ‖ nonce length (2) ‖ ciphertext length (2)
//!     ‖ nonce ‖ padding to 4 ‖ ciphertext with tag ‖ padding to 4 ‖ additional padding
//! ```
//!
//! Its associated data is every octet of the packet before it, so the header must be final before
//! the field is sealed.

use rand_core::CryptoRng;

use super::extension::FIELD_HEADER_LENGTH;
use super::writer::{NoRoom, PacketWriter};
use crate::aead::{AeadError, AeadKey, MAX_NONCE_LENGTH, TAG_LENGTH};
use crate::code_points::ExtensionFieldType;

/// The two lengths at the start of the value.
const LENGTHS: usize = 4;

/// An authenticator as it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authenticator<'a> {
    /// All octets of the packet before the field.
    pub associated_data: &'a [u8],
    /// The nonce, at least one octet.
    pub nonce: &'a [u8],
    /// Ciphertext with tag, at least as long as a tag.
    pub ciphertext: &'a [u8],
    /// Length of the value, from the two lengths up to and including all padding.
    value_length: usize,
}

impl<'a> Authenticator<'a> {
    /// Takes the value of the field apart; `None` if the lengths do not add up.
    pub(super) fn parse(associated_data: &'a [u8], value: &'a [u8]) -> Option<Self> {
        let ([n0, n1, c0, c1], rest) = value.split_first_chunk()?;
        let nonce_length = usize::from(u16::from_be_bytes([*n0, *n1]));
        let ciphertext_length = usize::from(u16::from_be_bytes([*c0, *c1]));
        let (nonce, rest) = rest.split_at_checked(nonce_length.next_multiple_of(4))?;
        let (ciphertext, _) = rest.split_at_checked(ciphertext_length.next_multiple_of(4))?;
        if nonce_length == 0 || ciphertext_length < TAG_LENGTH {
            return None;
        }
        Some(Self {
            associated_data,
            nonce: nonce.get(..nonce_length)?,
            ciphertext: ciphertext.get(..ciphertext_length)?,
            value_length: value.len(),
        })
    }

    /// Length of what is encrypted.
    pub fn plaintext_length(&self) -> usize {
        self.ciphertext.len().saturating_sub(TAG_LENGTH)
    }

    /// Whether the field leaves room for a nonce of the length that a server's answer needs. A
    /// request that does not must be discarded (RFC 8915 §5.6).
    pub fn has_room_for_nonce(&self, key: &AeadKey) -> bool {
        let ciphertext = self.ciphertext.len().next_multiple_of(4);
        LENGTHS + key.nonce_length().next_multiple_of(4) + ciphertext <= self.value_length
    }

    /// Verifies the packet up to here and decrypts into `plaintext`, which must have
    /// [`Authenticator::plaintext_length`] octets.
    ///
    /// # Errors
    /// [`AeadError`] if the packet was not sealed with this key as it stands.
    pub fn open(&self, key: &AeadKey, plaintext: &mut [u8]) -> Result<(), AeadError> {
        key.open(self.nonce, self.associated_data, self.ciphertext, plaintext)
    }
}

/// Length of the whole field with our nonce and `plaintext` octets (a multiple of 4) encrypted.
pub(crate) fn field_length(key: &AeadKey, plaintext: usize) -> usize {
    FIELD_HEADER_LENGTH + LENGTHS + key.nonce_length() + TAG_LENGTH + plaintext
}

/// An authenticator in the making: fields that are put into the packet now will be encrypted.
///
/// Nonces (12 or 16 octets) and plaintexts (whole fields) are multiples of 4, so no padding is
/// ever needed, and none is made: NTPsec refuses requests with any.
#[must_use]
pub(crate) struct Sealing {
    /// Where the field begins.
    start: usize,
    nonce: [u8; MAX_NONCE_LENGTH],
}

impl Sealing {
    /// Starts the field with a fresh nonce.
    pub(crate) fn begin(
        writer: &mut PacketWriter<'_>,
        key: &AeadKey,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, NoRoom> {
        let mut sealing = Self {
            start: writer.len(),
            nonce: [0; MAX_NONCE_LENGTH],
        };
        writer.put_field_header(ExtensionFieldType::NtsAuthenticator, 0)?;
        writer.claim(LENGTHS)?;
        let nonce = sealing.nonce.get_mut(..key.nonce_length()).ok_or(NoRoom)?;
        rng.fill_bytes(nonce);
        writer.put(nonce)?;
        writer.claim(key.plaintext_offset())?;
        Ok(sealing)
    }

    /// Ends the field: everything before it is authenticated, everything put since
    /// [`Sealing::begin`] is encrypted. The header must have been set.
    pub(crate) fn finish(self, writer: &mut PacketWriter<'_>, key: &AeadKey) -> Result<(), NoRoom> {
        writer.claim(TAG_LENGTH - key.plaintext_offset())?;
        let (before, field) = writer.split_written(self.start).ok_or(NoRoom)?;
        let field_length = u16::try_from(field.len()).map_err(|_| NoRoom)?;
        let nonce = self.nonce.get(..key.nonce_length()).ok_or(NoRoom)?;

        let (head, rest) = field
            .split_first_chunk_mut::<{ FIELD_HEADER_LENGTH + LENGTHS }>()
            .ok_or(NoRoom)?;
        let sealed = rest.get_mut(nonce.len()..).ok_or(NoRoom)?;
        let nonce_length = u16::try_from(nonce.len()).map_err(|_| NoRoom)?;
        let sealed_length = u16::try_from(sealed.len()).map_err(|_| NoRoom)?;

        let [t0, t1] = ExtensionFieldType::NtsAuthenticator.code().to_be_bytes();
        let [l0, l1] = field_length.to_be_bytes();
        let [n0, n1] = nonce_length.to_be_bytes();
        let [c0, c1] = sealed_length.to_be_bytes();
        *head = [t0, t1, l0, l1, n0, n1, c0, c1];
        key.seal_in_place(nonce, before, sealed)
            .map_err(|AeadError| NoRoom)
    }
}

#[cfg(test)]
mod tests;
