//! What can be wrong with NTS-KE messages, and the one map from a bad request to its error code.

use crate::code_points::{AeadAlgorithm, ErrorCode, ProtocolId, RecordType};

/// What is wrong with the form of a message or of a record that this crate knows.
///
/// Records of the pool extension are named by their present number, whichever they came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The message is, or announces to be, longer than the limit.
    #[error("the message is longer than the limit")]
    TooLong,
    /// There are octets after End of Message.
    #[error("octets follow End of Message")]
    TrailingData,
    /// The message ended, or its time was over, before End of Message.
    #[error("the message is incomplete")]
    Incomplete,
    /// The body of this record does not have a length that its type allows.
    #[error("record {0} has a body of a wrong length")]
    BodyLength(RecordType),
    /// This record may stand in a message once, and stands there again.
    #[error("record {0} is there more than once")]
    Duplicate(RecordType),
    /// The message must have this record, and has not.
    #[error("record {0} is missing")]
    Missing(RecordType),
}

/// Why a request cannot be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A record has the critical bit and a type that we do not know.
    #[error("critical record of unknown type {0}")]
    UnrecognizedCriticalRecord(u16),
    /// A record of this type is for authorised pools only; to others we behave as if it were
    /// unknown.
    #[error("record type {0} needs an authorised pool")]
    NotAuthorized(u16),
    /// The form of the request is wrong.
    #[error(transparent)]
    Malformed(#[from] ParseError),
    /// The record must not stand in this kind of request.
    #[error("record {0} must not be in this kind of request")]
    Forbidden(RecordType),
    /// The request mixes the old and the new numbers of the pool's records.
    #[error("old and new record numbers are mixed")]
    MixedNumberSets,
}

impl RequestError {
    /// The code of the Error record that answers such a request (RFC 8915 §4.1.3).
    pub const fn error_code(&self) -> ErrorCode {
        match self {
            Self::UnrecognizedCriticalRecord(_) | Self::NotAuthorized(_) => {
                ErrorCode::UnrecognizedCriticalRecord
            }
            Self::Malformed(_) | Self::Forbidden(_) | Self::MixedNumberSets => {
                ErrorCode::BadRequest
            }
        }
    }
}

/// Why a response is of no use to the client that reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// The form of the response is wrong.
    #[error(transparent)]
    Malformed(#[from] ParseError),
    /// The server answered with an Error record.
    #[error("the server answered with error {0}")]
    Error(ErrorCode),
    /// The server answered with a Warning record; no code is defined, so each counts as an error.
    #[error("the server answered with warning {0}")]
    Warning(u16),
    /// A record has the critical bit and a type that we do not know.
    #[error("critical record of unknown type {0}")]
    UnrecognizedCriticalRecord(u16),
    /// The server supports none of the protocols offered.
    #[error("no common protocol")]
    NoCommonProtocol,
    /// The server supports none of the AEAD algorithms offered.
    #[error("no common AEAD algorithm")]
    NoCommonAlgorithm,
    /// The server chose a protocol that was not offered.
    #[error("protocol {0} was not offered")]
    ProtocolNotOffered(ProtocolId),
    /// The server chose an AEAD algorithm that was not offered.
    #[error("AEAD algorithm {0} was not offered")]
    AlgorithmNotOffered(AeadAlgorithm),
    /// The server chose AEAD 30 without saying which exporter context it uses.
    #[error("AEAD algorithm 30 without the record that settles its exporter context")]
    AmbiguousExporterContext,
    /// There is no cookie of a usable length.
    #[error("no usable cookie")]
    NoCookies,
    /// The name of the NTP server is no name.
    #[error("the name of the NTP server is invalid")]
    BadServerName,
    /// The port of the NTP server is 0 or no port at all.
    #[error("the port of the NTP server is invalid")]
    BadPort,
    /// The server answered what was not asked.
    #[error("record {0} was not asked for")]
    Unasked(RecordType),
}
