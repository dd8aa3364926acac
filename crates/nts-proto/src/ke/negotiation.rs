//! Choosing protocol and AEAD algorithm: what a user offers against what a server supports.

use super::encode::MAX_LISTED;
use super::keys::MAX_KEY_LENGTH;
use super::request::KeyExchangeRequest;
use super::response::{InfoResponse, Refusal};
use crate::code_points::{AeadAlgorithm, ProtocolId};

/// The shortest key, in octets, of an algorithm that we know only from a time source's word.
const MIN_KEY_LENGTH: usize = 16;

/// What one key exchange agreed on. There is an exporter context rule for its protocol, and its
/// key length is right for its algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiated {
    protocol: ProtocolId,
    algorithm: AeadAlgorithm,
    key_length: usize,
}

impl Negotiated {
    /// NTPv4 with an AEAD algorithm whose key length is known.
    pub fn ntpv4(algorithm: AeadAlgorithm) -> Option<Self> {
        let key_length = algorithm.key_length()?;
        Some(Self {
            protocol: ProtocolId::Ntpv4,
            algorithm,
            key_length,
        })
    }

    /// The protocol chosen.
    pub fn protocol(&self) -> ProtocolId {
        self.protocol
    }

    /// The AEAD algorithm chosen.
    pub fn algorithm(&self) -> AeadAlgorithm {
        self.algorithm
    }

    /// Length of each key in octets, never more than [`MAX_KEY_LENGTH`].
    pub fn key_length(&self) -> usize {
        self.key_length
    }

    /// Whether the response has to confirm the exporter context with record 1024: AEAD 30 is
    /// only ever chosen for users who have sent it.
    pub fn compliant_exporter(&self) -> bool {
        self.algorithm == AeadAlgorithm::Aes128GcmSiv
    }
}

/// Whether a pool uses AEAD algorithms that it does not know, with the key length that the time
/// source announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownAlgorithms {
    /// Use them if the key length is in 16..=64.
    Allow,
    /// Leave them out.
    Forbid,
}

/// A time source announces one AEAD algorithm with two key lengths; it must not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("AEAD algorithm {0} is announced with two different key lengths")]
pub struct ConflictingKeyLengths(pub AeadAlgorithm);

/// What a server supports, as far as it can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    protocols: Vec<ProtocolId>,
    algorithms: Vec<(AeadAlgorithm, usize)>,
    unusable: Vec<(AeadAlgorithm, u16)>,
}

impl Capabilities {
    /// What our own servers support by default: NTPv4 with AEAD 15 and 17.
    pub fn ours() -> Self {
        Self::ntpv4(&[AeadAlgorithm::AesSivCmac256, AeadAlgorithm::AesSivCmac512])
    }

    /// NTPv4 with those of these algorithms whose key length is known.
    pub fn ntpv4(algorithms: &[AeadAlgorithm]) -> Self {
        let with_length = |algorithm: &AeadAlgorithm| Some((*algorithm, algorithm.key_length()?));
        Self {
            protocols: vec![ProtocolId::Ntpv4],
            algorithms: algorithms.iter().filter_map(with_length).collect(),
            unusable: Vec::new(),
        }
    }

    /// What can be used of a time source's answer.
    ///
    /// Of the protocols this is NTPv4 alone, the only one with a rule for the exporter context; a
    /// source that was not asked for protocols is taken to support it. An algorithm that is known
    /// must have its proper key length.
    ///
    /// # Errors
    /// [`ConflictingKeyLengths`]: such a source must be ignored.
    pub fn from_info(
        info: &InfoResponse,
        unknown: UnknownAlgorithms,
    ) -> Result<Self, ConflictingKeyLengths> {
        let ntpv4 = info
            .protocols
            .as_ref()
            .is_none_or(|list| list.contains(&ProtocolId::Ntpv4));
        let mut capabilities = Self {
            protocols: ntpv4.then_some(ProtocolId::Ntpv4).into_iter().collect(),
            algorithms: Vec::new(),
            unusable: Vec::new(),
        };
        let mut seen: Vec<(AeadAlgorithm, u16)> = Vec::new();
        for &(algorithm, length) in info.algorithms.iter().flatten() {
            match seen.iter().find(|(known, _)| *known == algorithm) {
                Some((_, other)) if *other != length => {
                    return Err(ConflictingKeyLengths(algorithm));
                }
                Some(_) => continue,
                None if seen.len() == MAX_LISTED => break,
                None => seen.push((algorithm, length)),
            }
            if usable(algorithm, length, unknown) {
                capabilities
                    .algorithms
                    .push((algorithm, usize::from(length)));
            } else {
                capabilities.unusable.push((algorithm, length));
            }
        }
        Ok(capabilities)
    }

    /// The protocols supported.
    pub fn protocols(&self) -> &[ProtocolId] {
        &self.protocols
    }

    /// The AEAD algorithms supported with their key lengths in octets.
    pub fn algorithms(&self) -> &[(AeadAlgorithm, usize)] {
        &self.algorithms
    }

    /// What the time source announced but cannot be used, with the key lengths announced: worth
    /// a line in the log.
    pub fn unusable(&self) -> &[(AeadAlgorithm, u16)] {
        &self.unusable
    }

    /// Whether the protocol is supported.
    pub fn has_protocol(&self, protocol: ProtocolId) -> bool {
        self.protocols.contains(&protocol)
    }

    /// Key length in octets of an AEAD algorithm, if it is supported.
    pub fn key_length(&self, algorithm: AeadAlgorithm) -> Option<usize> {
        self.algorithms
            .iter()
            .find(|(known, _)| *known == algorithm)
            .map(|(_, length)| *length)
    }
}

fn usable(algorithm: AeadAlgorithm, length: u16, unknown: UnknownAlgorithms) -> bool {
    let length = usize::from(length);
    match algorithm.key_length() {
        Some(proper) => length == proper,
        None => {
            unknown == UnknownAlgorithms::Allow
                && (MIN_KEY_LENGTH..=MAX_KEY_LENGTH).contains(&length)
        }
    }
}

/// Chooses the first of the user's protocols that the server supports, then the first of the
/// user's AEAD algorithms that it supports.
///
/// AEAD 30 is chosen only for users who have the right exporter context (record 1024).
///
/// # Errors
/// The [`Refusal`] to answer with, if there is nothing in common.
pub fn negotiate(
    request: &KeyExchangeRequest,
    supported: &Capabilities,
) -> Result<Negotiated, Refusal> {
    let protocol = *request
        .protocols
        .iter()
        .find(|protocol| supported.has_protocol(**protocol))
        .ok_or(Refusal::NoCommonProtocol)?;
    request
        .algorithms
        .iter()
        .filter(|algorithm| {
            request.compliant_exporter || **algorithm != AeadAlgorithm::Aes128GcmSiv
        })
        .find_map(|algorithm| {
            let key_length = supported.key_length(*algorithm)?;
            Some(Negotiated {
                protocol,
                algorithm: *algorithm,
                key_length,
            })
        })
        .ok_or(Refusal::NoCommonAlgorithm(protocol))
}

#[cfg(test)]
mod tests;
