//! Responses: what pools and time sources answer.
//!
//! [`KeyExchangeResponse`] is the answer to users: it cannot hold anything that an RFC 8915 user
//! would not know. Whatever a time source answers is read into these types and encoded afresh,
//! never copied.

mod parse;
#[cfg(test)]
mod tests;

use super::encode::{EncodedMessage, Encoder, HEADER_LENGTH, MAX_LISTED, list_body};
use super::message::Message;
use super::name::NtpServerName;
use super::negotiation::{Capabilities, Negotiated};
use super::number_set::{NumberSet, PoolRecord};
use super::request::{FixedKeyRequest, InfoRequest, KeyExchangeRequest};
use crate::code_points::{AeadAlgorithm, ErrorCode, ProtocolId};
use crate::cookie::Cookie;
use crate::error::{RequestError, ResponseError};

/// The cookies of one response that are kept, and the number that a server should send.
pub const MAX_COOKIES: usize = 8;

/// The longest cookie in octets. A longer one does not fit into an NTP packet that the
/// Internet carries unfragmented.
pub const MAX_COOKIE_LENGTH: usize = 1024;

/// The names in the answer to List Server Names that are kept.
pub const MAX_SERVER_NAMES: usize = 64;

/// Responses stay below this length in octets where they can: some users read no more.
const RESPONSE_LENGTH: usize = 2048;

/// Enough for what a response has besides the cookies and the server's name, in octets.
const ROOM_FOR_REST: usize = 64;

/// The answer to an ordinary key exchange, if it succeeded (RFC 8915 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyExchangeResponse {
    /// The protocol chosen.
    pub protocol: ProtocolId,
    /// The AEAD algorithm chosen.
    pub algorithm: AeadAlgorithm,
    /// The server uses the right exporter context for AEAD 30 (record 1024).
    pub compliant_exporter: bool,
    /// The NTP server; where there is none, it is at the address of the NTS-KE server.
    pub server: Option<NtpServerName>,
    /// The NTP server's UDP port; where there is none, it is 123.
    pub port: Option<u16>,
    /// At least 1 and at most [`MAX_COOKIES`], none empty or longer than [`MAX_COOKIE_LENGTH`].
    pub cookies: Vec<Cookie>,
}

impl KeyExchangeResponse {
    /// Encodes the response in less than 2048 octets, unless a single cookie is too long for
    /// that; cookies that do not fit are left out, all but the first.
    pub fn encode(&self) -> EncodedMessage {
        self.encode_records(0).finish()
    }

    /// Reads the answer to `request`.
    ///
    /// # Errors
    /// [`ResponseError`] for everything but a success that lets the client go on. The protocol
    /// and the algorithm are among those offered.
    pub fn parse(message: &Message, request: &KeyExchangeRequest) -> Result<Self, ResponseError> {
        parse::key_exchange(message, request)
    }

    /// What to export keys for; `None` if the key length of the algorithm is not known.
    pub fn negotiated(&self) -> Option<Negotiated> {
        match self.protocol {
            ProtocolId::Ntpv4 => Negotiated::ntpv4(self.algorithm),
            ProtocolId::Unknown(_) => None,
        }
    }

    /// Everything but End of Message, leaving `reserved` octets of the length for what follows.
    fn encode_records(&self, reserved: usize) -> Encoder {
        let cookies = self.cookies.iter().take(MAX_COOKIES);
        let cookies: usize = cookies.map(|cookie| HEADER_LENGTH + cookie.len()).sum();
        let rest = self.server.as_ref().map_or(0, |name| name.as_str().len()) + ROOM_FOR_REST;
        let mut encoder = Encoder::with_capacity(RESPONSE_LENGTH.min(cookies + rest));
        encoder.protocols(&[self.protocol]);
        encoder.algorithms(&[self.algorithm]);
        if self.compliant_exporter {
            encoder.compliant_exporter_context();
        }
        if let Some(server) = &self.server {
            encoder.server(server);
        }
        if let Some(port) = self.port {
            encoder.port(port);
        }
        for (index, cookie) in self.cookies.iter().take(MAX_COOKIES).enumerate() {
            let length = encoder.len() + HEADER_LENGTH + cookie.len() + reserved + HEADER_LENGTH;
            if index == 0 || length < RESPONSE_LENGTH {
                encoder.cookie(cookie.as_bytes());
            }
        }
        encoder
    }
}

/// A time source's answer to a Fixed Key Request (pool-01 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedKeyResponse {
    /// What an ordinary exchange would be answered with.
    pub exchange: KeyExchangeResponse,
    /// Another exchange may follow on this connection.
    pub keep_alive: bool,
}

impl FixedKeyResponse {
    /// Encodes the response, under the same bounds as [`KeyExchangeResponse::encode`].
    pub fn encode(&self, number_set: NumberSet) -> EncodedMessage {
        let mut encoder = self.exchange.encode_records(HEADER_LENGTH);
        encode_keep_alive(&mut encoder, number_set, self.keep_alive);
        encoder.finish()
    }

    /// Reads the answer to `request`.
    ///
    /// # Errors
    /// [`ResponseError`] for everything but a success with exactly the protocol and the algorithm
    /// of the request and at least one usable cookie.
    pub fn parse(message: &Message, request: &FixedKeyRequest) -> Result<Self, ResponseError> {
        parse::fixed_key(message, request)
    }
}

/// A time source's answer to an info request (pool-01 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InfoResponse {
    /// The protocols supported; there if and only if they were asked for.
    pub protocols: Option<Vec<ProtocolId>>,
    /// The AEAD algorithms supported with their key lengths in octets; there if and only if they
    /// were asked for.
    pub algorithms: Option<Vec<(AeadAlgorithm, u16)>>,
    /// The names that the source gives to users, at most [`MAX_SERVER_NAMES`].
    pub server_names: Vec<NtpServerName>,
    /// Another exchange may follow on this connection.
    pub keep_alive: bool,
}

impl InfoResponse {
    /// Answers what `request` asks for, and nothing else.
    ///
    /// `grant_keep_alive` says whether another exchange may follow, if it was asked for.
    pub fn answer(
        request: &InfoRequest,
        supported: &Capabilities,
        server_names: &[NtpServerName],
        grant_keep_alive: bool,
    ) -> Self {
        let with_length = |(algorithm, length): &(AeadAlgorithm, usize)| {
            Some((*algorithm, u16::try_from(*length).ok()?))
        };
        let algorithms = || {
            supported
                .algorithms()
                .iter()
                .filter_map(with_length)
                .collect()
        };
        Self {
            protocols: request.protocols.then(|| supported.protocols().to_vec()),
            algorithms: request.algorithms.then(algorithms),
            server_names: if request.server_names {
                server_names.to_vec()
            } else {
                Vec::new()
            },
            keep_alive: request.keep_alive && grant_keep_alive,
        }
    }

    /// Encodes the response in less than 2048 octets; names that do not fit are left out.
    pub fn encode(&self, number_set: NumberSet) -> EncodedMessage {
        let mut encoder = Encoder::default();
        if let Some(protocols) = &self.protocols {
            let record = PoolRecord::SupportedNextProtocolList;
            encoder.pool_record(number_set, record, &list_body(protocols));
        }
        if let Some(algorithms) = &self.algorithms {
            let pairs = algorithms.iter().take(MAX_LISTED).flat_map(|(id, length)| {
                [id.code(), *length].into_iter().flat_map(u16::to_be_bytes)
            });
            let body: Vec<u8> = pairs.collect();
            encoder.pool_record(number_set, PoolRecord::SupportedAlgorithmList, &body);
        }
        for name in self.server_names.iter().take(MAX_SERVER_NAMES) {
            // This record, Keep Alive and End of Message.
            let rest = 3 * HEADER_LENGTH + name.as_str().len();
            if encoder.len() + rest < RESPONSE_LENGTH {
                encoder.server(name);
            }
        }
        encode_keep_alive(&mut encoder, number_set, self.keep_alive);
        encoder.finish()
    }

    /// Reads the answer to `request`.
    ///
    /// The first implementation of the pool's drafts answers as if to an ordinary key exchange as
    /// well, with cookies; under the old numbers such records are passed over.
    ///
    /// # Errors
    /// [`ResponseError`] for everything but an answer to exactly what was asked.
    pub fn parse(message: &Message, request: &InfoRequest) -> Result<Self, ResponseError> {
        parse::info(message, request)
    }
}

/// The answer to a request that cannot be served; the connection is closed after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Something is wrong: one Error record.
    Error(ErrorCode),
    /// None of the protocols offered is supported.
    NoCommonProtocol,
    /// The protocol is supported, but none of the AEAD algorithms offered.
    NoCommonAlgorithm(ProtocolId),
}

impl Refusal {
    /// Encodes the answer.
    pub fn encode(&self) -> EncodedMessage {
        let mut encoder = Encoder::default();
        match self {
            Self::Error(code) => encoder.error(code.code()),
            Self::NoCommonProtocol => encoder.protocols(&[]),
            Self::NoCommonAlgorithm(protocol) => {
                encoder.protocols(&[*protocol]);
                encoder.algorithms(&[]);
            }
        }
        encoder.finish()
    }
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        Self::Error(error.error_code())
    }
}

fn encode_keep_alive(encoder: &mut Encoder, number_set: NumberSet, granted: bool) {
    if granted {
        encoder.pool_record(number_set, PoolRecord::KeepAlive, &[]);
    }
}
