//! What can go wrong between the pool and a time source, and who is to blame.

use std::io;

use nts_proto::code_points::ErrorCode;
use nts_proto::error::{ParseError, ResponseError};
use nts_proto::ke::name::NtpServerName;
use nts_proto::ke::negotiation::ConflictingKeyLengths;
use nts_service::ke_stream::ReadError;
use nts_service::tls::HandshakeError;

pub(crate) use crate::fleet::Class;
use crate::selection::Family;

/// Why a time source did not do what the pool asked of it.
///
/// The text may name what the source did; it goes to the log, never to a user.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// This machine could not even try.
    #[error("this machine could not connect: {0}")]
    Local(io::Error),
    /// The domain has no address, or the resolver did not say.
    #[error("its name could not be resolved: {0}")]
    Resolve(io::Error),
    /// The domain has none but private addresses, and those are not connected to.
    #[error(
        "its name leads to private addresses only, which are denied; `allow-private = true` permits \
         them for this source, `deny-private-addresses = false` in `[upstream]` for all"
    )]
    PrivateAddress,
    /// It has to be asked over the family of the user's address, and has no address of that.
    #[error("it has no {} address", .0.label())]
    NoAddressOf(Family),
    /// No address of the domain accepted a TCP connection.
    #[error("no TCP connection: {0}")]
    Connect(io::Error),
    /// The TLS handshake failed, or the source is not who it should be.
    #[error("{0}")]
    Handshake(HandshakeError),
    /// It did not answer within the time it had.
    #[error("no answer in time")]
    TimedOut,
    /// It did not answer, but the user had left it too little time.
    #[error("no answer in the little time that was left")]
    NoTime,
    /// The connection ended before a single octet of an answer.
    #[error("it closed the connection without an answer")]
    ClosedUnanswered,
    /// The connection ended within an answer.
    #[error("it closed the connection within its answer")]
    Truncated,
    /// The connection failed within TLS after the handshake.
    #[error("the connection failed: {0}")]
    Connection(io::Error),
    /// As many exchanges with it are under way as there may be, and none ended in time.
    #[error("it has as many exchanges at the same time as it may have")]
    Full,
    /// The answer is no NTS-KE message.
    #[error("its answer is malformed: {0}")]
    Malformed(#[from] ParseError),
    /// The answer is a message, but not a good one for the request.
    #[error("its answer is of no use: {0}")]
    Answer(#[from] ResponseError),
    /// What the source says about its algorithms contradicts itself.
    #[error("{0}")]
    Contradiction(#[from] ConflictingKeyLengths),
    /// The answer would send users to a UDP port where no time server should be.
    #[error("its answer names the forbidden port {0}")]
    ForbiddenPort(u16),
    /// The answer would send users to a name that is none of the source's.
    #[error("its answer names `{0}`, which is none of its names")]
    UnverifiedName(NtpServerName),
    /// The answer would send users to something that is no host.
    #[error("its answer names `{0}`, which is neither a DNS name nor an IP address")]
    ForbiddenName(NtpServerName),
    /// The answer names yet another server, so that users could not deny this source.
    #[error("its answers name too many servers; it should list them (List Server Names)")]
    TooManyNames,
    /// A check of this source ended badly a moment ago and is not repeated at once.
    #[error("its last check failed a moment ago ({})", .0.label())]
    CheckFailed(Class),
}

/// How far it came with a source before keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It has as many exchanges at the same time as it may have.
    Slot,
    /// No connection: no address, no route, nobody there.
    Connect,
    /// No TLS session with who it should be.
    Tls,
    /// It did not properly say what it supports.
    Capabilities,
    /// It was not ready in time, wherever it was then.
    Time,
}

impl Stage {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [
        Self::Slot,
        Self::Connect,
        Self::Tls,
        Self::Capabilities,
        Self::Time,
    ];

    /// The name in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Slot => "slot",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Capabilities => "capabilities",
            Self::Time => "time",
        }
    }
}

impl UpstreamError {
    /// How far it came, if that was before keys.
    pub(crate) fn stage(&self) -> Stage {
        match self {
            Self::Full => Stage::Slot,
            Self::Local(_)
            | Self::Resolve(_)
            | Self::PrivateAddress
            | Self::NoAddressOf(_)
            | Self::Connect(_) => Stage::Connect,
            Self::Handshake(_) => Stage::Tls,
            Self::TimedOut | Self::NoTime => Stage::Time,
            Self::ClosedUnanswered
            | Self::Truncated
            | Self::Connection(_)
            | Self::Malformed(_)
            | Self::Answer(_)
            | Self::Contradiction(_)
            | Self::ForbiddenPort(_)
            | Self::UnverifiedName(_)
            | Self::ForbiddenName(_)
            | Self::TooManyNames => Stage::Capabilities,
            Self::CheckFailed(class) => stage_of_check(*class),
        }
    }

    /// Whose fault it is.
    pub(crate) fn class(&self) -> Class {
        match self {
            Self::Local(_) | Self::NoTime | Self::Full | Self::NoAddressOf(_) => Class::Local,
            Self::Resolve(_)
            | Self::Connect(_)
            | Self::TimedOut
            | Self::ClosedUnanswered
            | Self::Truncated
            | Self::Connection(_) => Class::Reach,
            Self::PrivateAddress => Class::Identity,
            Self::Handshake(error) => class_of_handshake(error),
            Self::Malformed(_)
            | Self::Contradiction(_)
            | Self::ForbiddenPort(_)
            | Self::ForbiddenName(_)
            | Self::UnverifiedName(_)
            | Self::TooManyNames => Class::Protocol,
            Self::Answer(error) => class_of_answer(error),
            Self::CheckFailed(class) => *class,
        }
    }

    /// The failure of a source that has not answered, and whether the time it had was fair.
    pub(crate) fn silence(fair: bool) -> Self {
        match fair {
            true => Self::TimedOut,
            false => Self::NoTime,
        }
    }

    /// The failure of a connect call.
    pub(crate) fn connect(error: io::Error) -> Self {
        if is_local(&error) {
            Self::Local(error)
        } else {
            Self::Connect(error)
        }
    }

    /// The failure of writing a request.
    pub(crate) fn write(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::BrokenPipe
            | Kind::NotConnected
            | Kind::UnexpectedEof
            | Kind::WriteZero => Self::ClosedUnanswered,
            _ => Self::Connection(error),
        }
    }

    /// The failure of reading an answer.
    pub(crate) fn read(error: ReadError) -> Self {
        match error {
            ReadError::Closed { received: 0, .. } => Self::ClosedUnanswered,
            ReadError::Closed { said_so: false, .. } => Self::Truncated,
            ReadError::Closed { said_so: true, .. } => Self::Malformed(ParseError::Incomplete),
            ReadError::Malformed(error) => Self::Malformed(error),
            ReadError::Io(error) => Self::Connection(error),
        }
    }

    /// Whether nothing is known but that the source was not ready in its time.
    pub(crate) fn is_slowness(&self) -> bool {
        matches!(self, Self::TimedOut | Self::NoTime | Self::Full)
    }

    /// Whether the source would have sent a user to where it must not.
    pub(crate) fn is_misdirection(&self) -> bool {
        matches!(
            self,
            Self::ForbiddenPort(_) | Self::ForbiddenName(_) | Self::UnverifiedName(_)
        )
    }

    /// Whether the source refused the request as if it did not know its records, or did not know
    /// this pool: the cue for an automatic dialect to try other record numbers.
    pub(crate) fn is_refusal_of_records(&self) -> bool {
        matches!(
            self,
            Self::ClosedUnanswered
                | Self::Answer(ResponseError::Error(
                    ErrorCode::UnrecognizedCriticalRecord | ErrorCode::BadRequest
                ))
        )
    }
}

/// Of a check only the class is remembered.
fn stage_of_check(class: Class) -> Stage {
    match class {
        Class::Local | Class::Reach => Stage::Connect,
        Class::Identity => Stage::Tls,
        Class::Auth | Class::Protocol | Class::Busy => Stage::Capabilities,
    }
}

fn class_of_handshake(error: &HandshakeError) -> Class {
    match error {
        HandshakeError::Certificate(_) | HandshakeError::Alpn => Class::Identity,
        HandshakeError::Alert(_) | HandshakeError::Protocol(_) => Class::Protocol,
        HandshakeError::Closed | HandshakeError::Io(_) => Class::Reach,
    }
}

fn class_of_answer(error: &ResponseError) -> Class {
    match error {
        ResponseError::Error(ErrorCode::UnrecognizedCriticalRecord | ErrorCode::BadRequest) => {
            Class::Auth
        }
        ResponseError::Error(ErrorCode::InternalServerError) => Class::Busy,
        _ => Class::Protocol,
    }
}

/// Errors that say something about this machine, not about the other end.
fn is_local(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::OutOfMemory | Kind::PermissionDenied)
        || error
            .raw_os_error()
            .is_some_and(|code| [EMFILE, ENFILE].contains(&code))
}

const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_check_only_the_class_tells_the_stage() {
        let refused = UpstreamError::Connect(io::ErrorKind::ConnectionRefused.into());
        let late = UpstreamError::silence(true);
        for (error, now, later) in [
            (refused, Stage::Connect, Stage::Connect),
            (UpstreamError::PrivateAddress, Stage::Connect, Stage::Tls),
            (
                UpstreamError::Truncated,
                Stage::Capabilities,
                Stage::Connect,
            ),
            (
                UpstreamError::TooManyNames,
                Stage::Capabilities,
                Stage::Capabilities,
            ),
            // Nobody knows any more that it was too late.
            (late, Stage::Time, Stage::Connect),
            (UpstreamError::Full, Stage::Slot, Stage::Connect),
        ] {
            let remembered = UpstreamError::CheckFailed(error.class());
            assert_eq!((error.stage(), remembered.stage()), (now, later), "{error}");
        }
    }
}
