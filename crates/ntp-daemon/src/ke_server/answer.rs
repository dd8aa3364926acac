//! From one request to its answer: no waiting, no connection, nothing kept.

use nts_proto::code_points::{AeadAlgorithm, ErrorCode, ProtocolId};
use nts_proto::cookie::Cookie;
use nts_proto::ke::EncodedMessage;
use nts_proto::ke::keys::SessionKeys;
use nts_proto::ke::negotiation::{Negotiated, negotiate};
use nts_proto::ke::request::{FixedKeyRequest, InfoRequest, KeyExchangeRequest, Request};
use nts_proto::ke::response::{
    FixedKeyResponse, InfoResponse, KeyExchangeResponse, MAX_COOKIES, Refusal,
};
use nts_proto::keyset::KeySet;

use super::Shared;

/// What is said, and whether the connection goes on.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) message: EncodedMessage,
    pub(super) kind: Kind,
    /// Keep Alive was asked for and granted.
    pub(super) keep_alive: bool,
}

/// What an answer is, for the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    KeyExchange,
    FixedKey,
    Info,
    Refusal,
}

impl Answer {
    /// The answer to what cannot be served.
    pub(super) fn refuse(refusal: Refusal) -> Self {
        Self {
            message: refusal.encode(),
            kind: Kind::Refusal,
            keep_alive: false,
        }
    }

    /// The answer to a request that is malformed, incomplete, or not complete in time.
    pub(super) fn bad_request() -> Self {
        Self::refuse(Refusal::Error(ErrorCode::BadRequest))
    }

    /// The answer to a request that the end of the daemon leaves no time for.
    pub(super) fn stopping() -> Self {
        Self::refuse(INTERNAL_ERROR)
    }
}

/// What an answer needs from the connection that the request came on.
pub(super) trait Session {
    /// Whether the connection has carried Keep Alive.
    fn is_kept_alive(&self) -> bool;

    /// Whether the connection may stay open after this answer; asked only for requests of
    /// authorised pools that want that.
    fn grant_keep_alive(&mut self) -> bool;

    /// Takes the keys from the TLS session; `None` if it cannot give them.
    fn export(&self, negotiated: &Negotiated) -> Option<SessionKeys>;
}

/// Answers a request. The keys that seal cookies are those of this moment.
pub(super) fn answer(shared: &Shared, request: Request, session: &mut impl Session) -> Answer {
    let outcome = match request {
        Request::KeyExchange(request) => shared.key_exchange(&request, session),
        Request::FixedKey(request) => shared.fixed_key(&request, session),
        Request::Info(request) => Ok(shared.info(&request, session)),
    };
    outcome.unwrap_or_else(Answer::refuse)
}

impl Shared {
    fn key_exchange(
        &self,
        request: &KeyExchangeRequest,
        session: &impl Session,
    ) -> Result<Answer, Refusal> {
        // Such a connection must not be used for key export: it would give the same keys again.
        if session.is_kept_alive() {
            return Err(Refusal::Error(ErrorCode::BadRequest));
        }
        let negotiated = negotiate(request, &self.capabilities)?;
        let keys = session.export(&negotiated).ok_or(INTERNAL_ERROR)?;
        let (protocol, algorithm) = (negotiated.protocol(), negotiated.algorithm());
        let compliant = negotiated.compliant_exporter();
        let response = self.with_cookies(protocol, algorithm, compliant, &keys)?;
        Ok(Answer {
            message: response.encode(),
            kind: Kind::KeyExchange,
            keep_alive: false,
        })
    }

    fn fixed_key(
        &self,
        request: &FixedKeyRequest,
        session: &mut impl Session,
    ) -> Result<Answer, Refusal> {
        let keys = request.accept(&self.capabilities)?;
        // The pool exported the keys, so the exporter context is no matter of ours.
        let exchange = self.with_cookies(request.protocol(), request.algorithm(), false, &keys)?;
        let keep_alive = request.keep_alive() && session.grant_keep_alive();
        let response = FixedKeyResponse {
            exchange,
            keep_alive,
        };
        let message = response.encode(request.number_set());
        Ok(Answer {
            message,
            kind: Kind::FixedKey,
            keep_alive,
        })
    }

    fn info(&self, request: &InfoRequest, session: &mut impl Session) -> Answer {
        let keep_alive = request.keep_alive && session.grant_keep_alive();
        let names = self.ntp_server.as_slice();
        let response = InfoResponse::answer(request, &self.capabilities, names, keep_alive);
        Answer {
            message: response.encode(request.number_set),
            kind: Kind::Info,
            keep_alive,
        }
    }

    fn with_cookies(
        &self,
        protocol: ProtocolId,
        algorithm: AeadAlgorithm,
        compliant_exporter: bool,
        keys: &SessionKeys,
    ) -> Result<KeyExchangeResponse, Refusal> {
        Ok(KeyExchangeResponse {
            protocol,
            algorithm,
            compliant_exporter,
            server: self.ntp_server.clone(),
            port: self.ntp_port,
            cookies: cookies(&self.keys.current(), algorithm, keys)?,
        })
    }
}

const INTERNAL_ERROR: Refusal = Refusal::Error(ErrorCode::InternalServerError);

fn cookies(
    key_set: &KeySet,
    algorithm: AeadAlgorithm,
    keys: &SessionKeys,
) -> Result<Vec<Cookie>, Refusal> {
    key_set
        .seal_several(MAX_COOKIES, algorithm, keys, &mut rand::rng())
        .map_err(|_| INTERNAL_ERROR)
}
