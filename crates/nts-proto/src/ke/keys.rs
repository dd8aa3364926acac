//! The two keys of an NTS session and how they are taken from a TLS connection
//! (RFC 8915 §4.3, §5.1; RFC 8446 §7.5).
//!
//! This module names the label and the contexts; the TLS library that runs the exporter is the
//! caller's. Keys are never shown, and are wiped when dropped.

use std::fmt;

use zeroize::Zeroizing;

use super::negotiation::Negotiated;
use crate::code_points::{AeadAlgorithm, ProtocolId};

/// The label for the TLS exporter (RFC 8915 §4.3).
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-network-time-security";

/// The longest key, in octets, that [`SessionKeys`] takes.
pub const MAX_KEY_LENGTH: usize = 64;

/// Which way the packets go that a key protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the NTP client to the NTP server.
    ClientToServer,
    /// From the NTP server to the NTP client.
    ServerToClient,
}

/// The context for the TLS exporter (RFC 8915 §5.1): the *chosen* protocol, the *chosen*
/// algorithm, and the direction.
pub const fn exporter_context(
    protocol: ProtocolId,
    algorithm: AeadAlgorithm,
    direction: Direction,
) -> [u8; 5] {
    let [p0, p1] = protocol.code().to_be_bytes();
    let [a0, a1] = algorithm.code().to_be_bytes();
    let direction = match direction {
        Direction::ClientToServer => 0,
        Direction::ServerToClient => 1,
    };
    [p0, p1, a0, a1, direction]
}

/// Keys whose lengths differ, or are not in 1..=[`MAX_KEY_LENGTH`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("session keys must both have the same length, from 1 to {MAX_KEY_LENGTH} octets")]
pub struct InvalidKeyLength;

/// The key of each direction, both of the same length.
pub struct SessionKeys {
    /// C2S, then S2C: the order of the Fixed Key Request.
    octets: Zeroizing<Vec<u8>>,
}

impl SessionKeys {
    /// Takes copies of both keys.
    ///
    /// # Errors
    /// [`InvalidKeyLength`] if the lengths differ or are out of bounds.
    pub fn new(c2s: &[u8], s2c: &[u8]) -> Result<Self, InvalidKeyLength> {
        if c2s.len() != s2c.len() || c2s.is_empty() || c2s.len() > MAX_KEY_LENGTH {
            return Err(InvalidKeyLength);
        }
        let mut octets = Zeroizing::new(Vec::with_capacity(2 * c2s.len()));
        octets.extend_from_slice(c2s);
        octets.extend_from_slice(s2c);
        Ok(Self { octets })
    }

    /// Takes the keys from a TLS connection, for what was negotiated on it (RFC 8915 §4.3, §5.1).
    ///
    /// `exporter` is called once for each direction with the context and the place for the key;
    /// it runs the connection's exporter with [`EXPORTER_LABEL`]. A connection that has carried
    /// Keep Alive must not be used for this: its exporter would give the same keys again.
    ///
    /// # Errors
    /// Whatever `exporter` returns.
    pub fn export<E>(
        negotiated: &Negotiated,
        mut exporter: impl FnMut(&[u8; 5], &mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let length = negotiated.key_length();
        let mut octets = Zeroizing::new(vec![0; 2 * length]);
        let (c2s, s2c) = octets.split_at_mut(length);
        for (direction, key) in [
            (Direction::ClientToServer, c2s),
            (Direction::ServerToClient, s2c),
        ] {
            let context =
                exporter_context(negotiated.protocol(), negotiated.algorithm(), direction);
            exporter(&context, key)?;
        }
        Ok(Self { octets })
    }

    /// The key that protects what the client sends.
    pub fn c2s(&self) -> &[u8] {
        self.halves().0
    }

    /// The key that protects what the server sends.
    pub fn s2c(&self) -> &[u8] {
        self.halves().1
    }

    /// Length of each key in octets.
    pub fn key_length(&self) -> usize {
        self.octets.len() / 2
    }

    /// A second set, for what has to keep the keys beside their user.
    pub(crate) fn second_set(&self) -> Self {
        Self {
            octets: self.octets.clone(),
        }
    }

    /// Both keys in the order of the Fixed Key Request.
    pub(crate) fn concatenated(&self) -> &[u8] {
        &self.octets
    }

    fn halves(&self) -> (&[u8], &[u8]) {
        self.octets.split_at(self.key_length())
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SessionKeys(<2 keys of {} octets redacted>)",
            self.key_length()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::octets;
    use super::*;

    /// The exporter outputs of the protocol notes, by context.
    const VECTORS: [(&str, &str); 4] = [
        (
            "0000000f00",
            "7ace59b64c903eae1cfc53ba4c438af62e5857ce9443b8c5a4f2bedec4be8c7d",
        ),
        (
            "0000000f01",
            "e887fc4be1493ac9c7b64771d260007b2fd53b5b47eda991cf4073f9fa363ca5",
        ),
        ("0000001e00", "3081916323676ebf2f7d0f1dd7c4dd11"),
        ("0000001e01", "50fafa49ad2f35af1b51785f9b183001"),
    ];

    /// Stands for a TLS connection's exporter: knows the vectors and nothing else.
    fn exporter(context: &[u8; 5], key: &mut [u8]) -> Result<(), String> {
        let context = hex::encode(context);
        let (_, output) = VECTORS
            .iter()
            .find(|(known, _)| *known == context)
            .ok_or(context)?;
        key.copy_from_slice(&octets(output));
        Ok(())
    }

    fn check(algorithm: u16, c2s: &str, s2c: &str) {
        let negotiated = Negotiated::ntpv4(AeadAlgorithm::from(algorithm)).unwrap();
        let keys = SessionKeys::export(&negotiated, exporter).unwrap();
        assert_eq!(hex::encode(keys.c2s()), c2s);
        assert_eq!(hex::encode(keys.s2c()), s2c);
    }

    #[test]
    fn keys_are_exported_under_their_contexts() {
        assert_eq!(EXPORTER_LABEL.len(), 30);
        check(15, VECTORS[0].1, VECTORS[1].1);
        check(30, VECTORS[2].1, VECTORS[3].1);
    }

    #[test]
    fn contexts_name_what_was_chosen() {
        let context = |algorithm, direction| {
            exporter_context(ProtocolId::Ntpv4, AeadAlgorithm::from(algorithm), direction)
        };
        assert_eq!(context(17, Direction::ClientToServer), [0, 0, 0, 0x11, 0]);
        assert_eq!(context(17, Direction::ServerToClient), [0, 0, 0, 0x11, 1]);
        assert_eq!(
            exporter_context(
                ProtocolId::from(0x8001),
                0x1234.into(),
                Direction::ServerToClient
            ),
            [0x80, 0x01, 0x12, 0x34, 1]
        );
    }

    #[test]
    fn an_exporter_that_fails_gives_no_keys() {
        let negotiated = Negotiated::ntpv4(AeadAlgorithm::AesSivCmac512).unwrap();
        let error = SessionKeys::export(&negotiated, exporter).unwrap_err();
        assert_eq!(error, "0000001100");
    }

    #[test]
    fn keys_have_one_length_within_bounds() {
        let keys = SessionKeys::new(&[1; 32], &[2; 32]).unwrap();
        assert_eq!(
            (keys.c2s(), keys.s2c(), keys.key_length()),
            (&[1; 32][..], &[2; 32][..], 32)
        );
        for (c2s, s2c) in [(32, 31), (0, 0), (65, 65)] {
            let keys = SessionKeys::new(&vec![0; c2s], &vec![0; s2c]);
            assert_eq!(keys.err(), Some(InvalidKeyLength));
        }
    }

    #[test]
    fn debug_shows_nothing_of_them() {
        let keys = SessionKeys::new(&[1; 32], &[2; 32]).unwrap();
        assert_eq!(
            format!("{keys:?}"),
            "SessionKeys(<2 keys of 32 octets redacted>)"
        );
    }
}
