//! What an association tells its caller.

use std::fmt;

use super::Measurement;
use crate::ntp::header::KissCode;

/// A request to be sent to the source, in one datagram. `Debug` shows its length only: it holds
/// a cookie.
#[derive(Clone, PartialEq, Eq)]
pub struct OutgoingDatagram(pub(super) Vec<u8>);

impl AsRef<[u8]> for OutgoingDatagram {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for OutgoingDatagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutgoingDatagram(<{} octets>)", self.0.len())
    }
}

/// What is to be done when a timer has run out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum TimerAction {
    /// Send this from a fresh random port, then call
    /// [`handle_sent`](super::Association::handle_sent).
    Send(OutgoingDatagram),
    /// Run a key exchange, under its back-off, and call
    /// [`handle_keys`](super::Association::handle_keys) when it succeeded. Said once per need.
    NeedKeys(KeyReason),
    /// The source does not answer; the association has ended. Resolve the name again, or take
    /// another source.
    Unreachable,
    /// The source does not want us; the association has ended.
    Demobilize(DemobilizeReason),
    /// Nothing until [`next_timer`](super::Association::next_timer).
    Wait,
}

/// Why new keys are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyReason {
    /// A poll is due and no cookie is left.
    OutOfCookies,
    /// The source said that it cannot verify our requests, and no valid answer came until the
    /// next poll.
    NtsNak,
    /// The keys have been in use for four weeks.
    KeyAge,
}

/// Why a source is given up for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DemobilizeReason {
    /// An authenticated DENY or RSTR.
    Denied,
    /// An unauthenticated DENY or RSTR, and then no valid answer over several polls.
    DeniedAndSilent,
}

/// A kiss code that answers our request (RFC 5905 §7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kiss {
    /// The code.
    pub code: KissCode,
    /// Whether it is protected by NTS.
    pub authenticated: bool,
}

/// What became of a datagram.
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use]
pub enum DatagramOutcome {
    /// A measurement.
    Measurement(Measurement),
    /// A genuine answer that shows the source to be alive, but gives no time to use.
    Unusable(UnusableReason),
    /// A kiss code; the association has drawn its conclusions.
    Kiss(Kiss),
    /// The source does not want us; the association has ended.
    Demobilize(DemobilizeReason),
    /// Nothing changed.
    Ignored(IgnoreReason),
}

/// Why a genuine answer gives no time to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnusableReason {
    /// Leap indicator 3, stratum above 15, or a code such as `INIT` at stratum 0 (test 6).
    Unsynchronized,
    /// The source is synchronised to this machine (test 12).
    Loop,
    /// The time of sending is not known, or the local clock was stepped meanwhile.
    NoSendTime,
}

/// Why a datagram is not looked at any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IgnoreReason {
    /// Not an NTP packet.
    Malformed,
    /// Not an answer of a server, or of another version.
    NotAnAnswer,
    /// No request is waiting for an answer, or only one that is too old.
    NotExpected,
    /// The origin timestamp is not that of the request (tests 1 and 2).
    WrongOrigin,
    /// The unique identifier is missing or is not that of the request.
    WrongUniqueIdentifier,
    /// Not protected by NTS though the request was.
    NotAuthenticated,
    /// The authenticator does not match (test 5).
    BadAuthenticator,
    /// Receive or transmit timestamp is zero, they are out of order, or the delay is negative
    /// (test 3).
    BadTimestamps,
    /// The root distance is absurd (test 7).
    RootDistance,
    /// The association has ended.
    Finished,
}
