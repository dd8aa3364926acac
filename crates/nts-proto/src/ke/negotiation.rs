//! Choosing protocol and AEAD algorithm.

use crate::code_points::{AeadAlgorithm, ProtocolId};

/// What one key exchange agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiated {
    protocol: ProtocolId,
    algorithm: AeadAlgorithm,
    key_length: usize,
}

impl Negotiated {
    /// The protocol chosen.
    pub fn protocol(&self) -> ProtocolId {
        self.protocol
    }

    /// The AEAD algorithm chosen.
    pub fn algorithm(&self) -> AeadAlgorithm {
        self.algorithm
    }

    /// Length of each key in octets, never more than [`MAX_KEY_LENGTH`](super::keys::MAX_KEY_LENGTH).
    pub fn key_length(&self) -> usize {
        self.key_length
    }
}
