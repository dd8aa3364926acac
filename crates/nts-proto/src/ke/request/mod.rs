//! Requests: what users ask of pools and time sources, and pools of time sources.
//!
//! [`Request::parse`] is the only way in: what it returns has passed every check of RFC 8915 §4
//! and of the pool extension that needs no knowledge of what the server supports.

mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

use zeroize::Zeroizing;

use super::encode::{EncodedMessage, Encoder, HEADER_LENGTH};
use super::keys::SessionKeys;
use super::message::Message;
use super::name::NtpServerName;
use super::negotiation::Capabilities;
use super::number_set::{NumberSet, PoolRecord};
use super::response::Refusal;
use super::token::AuthenticationToken;
use crate::code_points::{AeadAlgorithm, ErrorCode, ProtocolId};
use crate::error::RequestError;

/// The deny records of one request that are heeded; further ones are ignored.
pub const MAX_DENIED: usize = 32;

/// Requests stay below this length in octets, which every server must accept (RFC 8915 §4).
const REQUEST_LENGTH: usize = 1024;

/// A request, by its kind.
#[derive(Debug)]
pub enum Request {
    /// An ordinary key exchange.
    KeyExchange(KeyExchangeRequest),
    /// A pool asks what a time source supports.
    Info(InfoRequest),
    /// A pool asks a time source for cookies for a user's keys.
    FixedKey(FixedKeyRequest),
}

impl Request {
    /// Reads a request.
    ///
    /// `authorize` decides, once, whether this client may use the records that are meant for
    /// authorised pools; it is given the token of this very request, if a valid one precedes
    /// those records. It is not called for requests without such records. A server to which no
    /// pool is authorised passes `|_| false`.
    ///
    /// The order of the checks: unknown critical records, then authorisation (both error 0), then
    /// form (error 1). What the server supports comes after all of these:
    /// [`negotiate`](super::negotiation::negotiate) and [`FixedKeyRequest::accept`].
    ///
    /// # Errors
    /// [`RequestError`]; its [`error_code`](RequestError::error_code) is the answer.
    pub fn parse(
        message: &Message,
        authorize: impl FnOnce(Option<&AuthenticationToken>) -> bool,
    ) -> Result<Self, RequestError> {
        parse::parse(message, authorize)
    }
}

/// An ordinary key exchange (RFC 8915 §4), with the deny records that pool-aware users add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyExchangeRequest {
    /// Protocols in order of preference; not empty.
    pub protocols: Vec<ProtocolId>,
    /// AEAD algorithms in order of preference; empty only if NTPv4 is not offered.
    pub algorithms: Vec<AeadAlgorithm>,
    /// Time sources that the user does not want, each once, at most [`MAX_DENIED`].
    pub denied: Vec<NtpServerName>,
    /// The user has the right exporter context for AEAD 30 (record 1024).
    pub compliant_exporter: bool,
}

impl KeyExchangeRequest {
    /// Encodes the request in less than 1024 octets; deny records that do not fit are left out.
    pub fn encode(&self) -> EncodedMessage {
        self.encode_with_denials(&[NumberSet::Ietf])
    }

    /// Like [`encode`](Self::encode), but repeats the deny records under their old number after
    /// the others, as far as they fit: a user cannot know which numbers a pool goes by.
    pub fn encode_for_any_pool(&self) -> EncodedMessage {
        self.encode_with_denials(&[NumberSet::Ietf, NumberSet::Draft])
    }

    fn encode_with_denials(&self, sets: &[NumberSet]) -> EncodedMessage {
        let mut encoder = Encoder::default();
        encoder.protocols(&self.protocols);
        if !self.algorithms.is_empty() {
            encoder.algorithms(&self.algorithms);
        }
        if self.compliant_exporter {
            encoder.compliant_exporter_context();
        }
        for set in sets {
            for name in self.denied.iter().take(MAX_DENIED) {
                let name = name.as_str().as_bytes();
                if encoder.len() + HEADER_LENGTH + name.len() + HEADER_LENGTH < REQUEST_LENGTH {
                    encoder.pool_record(*set, PoolRecord::NtpServerDeny, name);
                }
            }
        }
        encoder.finish()
    }
}

/// A pool asks what a time source supports (pool-01 §4; types 9, 10, 11).
#[derive(Debug, Clone)]
pub struct InfoRequest {
    /// The numbers that the request uses, and the answer has to use.
    pub number_set: NumberSet,
    /// Proves who the pool is.
    pub token: Option<AuthenticationToken>,
    /// Asks for the protocols.
    pub protocols: bool,
    /// Asks for the AEAD algorithms and their key lengths.
    pub algorithms: bool,
    /// Asks for the names that the source gives to users.
    pub server_names: bool,
    /// Asks for another exchange on this connection.
    pub keep_alive: bool,
}

impl InfoRequest {
    /// Encodes the request in less than 1024 octets. One that asks for nothing would be refused.
    pub fn encode(&self) -> EncodedMessage {
        let mut encoder = Encoder::default();
        let set = self.number_set;
        if let Some(token) = &self.token {
            encoder.token(set, token);
        }
        for (asked, record) in [
            (self.protocols, PoolRecord::SupportedNextProtocolList),
            (self.algorithms, PoolRecord::SupportedAlgorithmList),
            (self.server_names, PoolRecord::ListServerNames),
            (self.keep_alive, PoolRecord::KeepAlive),
        ] {
            if asked {
                encoder.pool_record(set, record, &[]);
            }
        }
        encoder.finish()
    }
}

/// A pool asks a time source for cookies that hold the given keys (pool-01 §4; type 12).
pub struct FixedKeyRequest {
    number_set: NumberSet,
    token: Option<AuthenticationToken>,
    protocol: ProtocolId,
    algorithm: AeadAlgorithm,
    keep_alive: bool,
    /// C2S and S2C keys as they came; their length is checked after the algorithm.
    key_octets: Zeroizing<Vec<u8>>,
}

impl FixedKeyRequest {
    /// A request for cookies with these keys.
    pub fn new(
        number_set: NumberSet,
        token: Option<AuthenticationToken>,
        protocol: ProtocolId,
        algorithm: AeadAlgorithm,
        keys: &SessionKeys,
        keep_alive: bool,
    ) -> Self {
        let key_octets = Zeroizing::new(keys.concatenated().to_vec());
        Self {
            number_set,
            token,
            protocol,
            algorithm,
            keep_alive,
            key_octets,
        }
    }

    /// The numbers that the request uses, and the answer has to use.
    pub fn number_set(&self) -> NumberSet {
        self.number_set
    }

    /// The one protocol of the request.
    pub fn protocol(&self) -> ProtocolId {
        self.protocol
    }

    /// The one AEAD algorithm of the request.
    pub fn algorithm(&self) -> AeadAlgorithm {
        self.algorithm
    }

    /// Whether another exchange on this connection is asked for.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Time source: the keys, if the source can make cookies for them.
    ///
    /// # Errors
    /// In this order: an unsupported protocol or algorithm is answered as in an ordinary
    /// exchange; keys of a wrong length are a bad request.
    pub fn accept(&self, supported: &Capabilities) -> Result<SessionKeys, Refusal> {
        if !supported.has_protocol(self.protocol) {
            return Err(Refusal::NoCommonProtocol);
        }
        let length = supported
            .key_length(self.algorithm)
            .ok_or(Refusal::NoCommonAlgorithm(self.protocol))?;
        // Both keys must have exactly this length.
        let halves = self.key_octets.split_at_checked(length);
        halves
            .and_then(|(c2s, s2c)| SessionKeys::new(c2s, s2c).ok())
            .ok_or(Refusal::Error(ErrorCode::BadRequest))
    }

    /// Encodes the request in less than 1024 octets.
    pub fn encode(&self) -> EncodedMessage {
        let mut encoder = Encoder::default();
        let set = self.number_set;
        if let Some(token) = &self.token {
            encoder.token(set, token);
        }
        encoder.pool_record(set, PoolRecord::FixedKeyRequest, &self.key_octets);
        encoder.protocols(&[self.protocol]);
        encoder.algorithms(&[self.algorithm]);
        if self.keep_alive {
            encoder.pool_record(set, PoolRecord::KeepAlive, &[]);
        }
        encoder.finish()
    }
}

impl fmt::Debug for FixedKeyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedKeyRequest")
            .field("number_set", &self.number_set)
            .field("token", &self.token)
            .field("protocol", &self.protocol)
            .field("algorithm", &self.algorithm)
            .field("keep_alive", &self.keep_alive)
            .finish_non_exhaustive()
    }
}
