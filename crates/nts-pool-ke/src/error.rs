//! Why an exchange failed. Two exhaustive matches, and no third one anywhere: one to what the user
//! is told, one to what is counted.

use nts_proto::code_points::ErrorCode;
use nts_proto::error::RequestError;
use nts_proto::ke::response::Refusal;
use nts_service::tls::HandshakeError;

use crate::upstream::UpstreamError;

const TLS: &str = "tls";
const TIMEOUT: &str = "timeout";
const BAD_REQUEST: &str = "bad_request";
const NOTHING_IN_COMMON: &str = "nothing_in_common";
const NO_SOURCE: &str = "no_source";
const UPSTREAM_PRE_KEY: &str = "upstream_pre_key";
const UPSTREAM_POST_KEY: &str = "upstream_post_key";
const STOPPING: &str = "stopping";

/// Why a user did not get cookies.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// The TLS handshake failed; there is no way to say anything in NTS-KE.
    #[error("TLS handshake with the user failed: {0}")]
    Handshake(HandshakeError),
    /// The TLS handshake was not over in time.
    #[error("TLS handshake with the user was not over in time")]
    HandshakeTimeout,
    /// The user left.
    #[error("the user closed the connection")]
    UserLeft,
    /// The user's request was not complete in time.
    #[error("the user's request was not complete in time")]
    RequestTimeout,
    /// The user's request is not acceptable.
    #[error("bad request: {0}")]
    BadRequest(#[from] RequestError),
    /// No source supports what the user offers.
    #[error("no time source supports what the user offers")]
    NothingInCommon(Refusal),
    /// There is no source left to try, and none was found wanting.
    #[error("there is no time source to try")]
    NoSource,
    /// The last source tried failed before it was given any key.
    #[error("time source failed before keys were sent: {0}")]
    BeforeKeys(UpstreamError),
    /// No source was ready in time.
    #[error("no time source was ready in time")]
    BeforeKeysTimeout,
    /// The user's keys could not be taken from the TLS connection.
    #[error("keys could not be exported")]
    Export,
    /// The source failed after it was given the keys, so no other may be tried.
    #[error("time source failed after keys were sent: {0}")]
    AfterKeys(UpstreamError),
    /// The pool ends before the exchange has.
    #[error("the pool is stopping")]
    Stopping,
}

impl ExchangeError {
    /// Every value of [`ExchangeError::label`].
    pub(crate) const LABELS: [&'static str; 8] = [
        TLS,
        TIMEOUT,
        BAD_REQUEST,
        NOTHING_IN_COMMON,
        NO_SOURCE,
        UPSTREAM_PRE_KEY,
        UPSTREAM_POST_KEY,
        STOPPING,
    ];

    /// What the user is told; `None` where nobody is left to be told.
    pub(crate) fn answer(&self) -> Option<Refusal> {
        match self {
            Self::Handshake(_) | Self::HandshakeTimeout | Self::UserLeft => None,
            Self::RequestTimeout => Some(Refusal::Error(ErrorCode::BadRequest)),
            Self::BadRequest(error) => Some(Refusal::Error(error.error_code())),
            Self::NothingInCommon(refusal) => Some(*refusal),
            Self::NoSource
            | Self::BeforeKeys(_)
            | Self::BeforeKeysTimeout
            | Self::Export
            | Self::AfterKeys(_)
            | Self::Stopping => Some(Refusal::Error(ErrorCode::InternalServerError)),
        }
    }

    /// The outcome label of the exchange in metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Handshake(_) | Self::Export => TLS,
            Self::HandshakeTimeout | Self::RequestTimeout => TIMEOUT,
            Self::UserLeft | Self::BadRequest(_) => BAD_REQUEST,
            Self::NothingInCommon(_) => NOTHING_IN_COMMON,
            Self::NoSource => NO_SOURCE,
            Self::BeforeKeys(_) | Self::BeforeKeysTimeout => UPSTREAM_PRE_KEY,
            Self::AfterKeys(_) => UPSTREAM_POST_KEY,
            Self::Stopping => STOPPING,
        }
    }
}
