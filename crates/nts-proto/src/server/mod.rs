//! The stateless NTP server: one request in, at most one reply out (RFC 5905 §9.2, RFC 8915 §5.7;
//! protocol rules in short: an answer is never longer than its request, nothing but mode 3 is
//! answered, and nothing is remembered about any client).
//!
//! There is no socket, no clock, no access list and no rate limit here. The caller decides how a
//! client is [treated](Treatment) and hands in the time; [`Responder::respond`] decides what is
//! said.

mod respond;
mod system;

use rand_core::CryptoRng;

use crate::keyset::KeySet;
use crate::time::NtpTimestamp;

pub use system::SystemState;

/// What a server does with requests that are not protected by NTS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlainRequests {
    /// Answer them.
    #[default]
    Answer,
    /// Drop them.
    Ignore,
    /// Answer them with the kiss code DENY.
    Deny,
}

/// The lasting rules of one listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Whether NTPv3 requests are answered (never with NTS).
    pub accept_v3: bool,
    /// Whether NTPv4 requests are answered.
    pub accept_v4: bool,
    /// What happens to requests without NTS.
    pub plain_requests: PlainRequests,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            accept_v3: true,
            accept_v4: true,
            plain_requests: PlainRequests::Answer,
        }
    }
}

/// What access lists and rate limit say about the sender of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Treatment {
    /// Give it the time.
    #[default]
    Serve,
    /// Refuse with the kiss code DENY.
    Deny,
    /// Ask it to poll less often, with the kiss code RATE.
    SlowDown,
}

/// One datagram as it arrived.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The payload.
    pub datagram: &'a [u8],
    /// When it arrived (T2).
    pub received: NtpTimestamp,
    /// How its sender is to be treated.
    pub treatment: Treatment,
}

/// What a reply says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplyKind {
    /// The time.
    Time,
    /// The kiss code DENY.
    Deny,
    /// The kiss code RATE.
    Rate,
    /// The kiss code NTSN: a cookie that cannot be opened, or an authenticator that does not
    /// match. Never authenticated.
    NtsNak,
}

/// Why a request gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// Shorter than a header, or with extension fields whose lengths do not add up.
    Malformed,
    /// Not mode 3.
    NotARequest,
    /// A version that is not accepted.
    Version,
    /// NTS fields that do not make a request: no or several unique identifiers or cookies, no
    /// room for a nonce, or unreadable encrypted fields.
    BadNts,
    /// Without NTS where NTS is required.
    PlainRequest,
    /// The reply would be longer than the request, or than the buffer for it.
    NoRoom,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// The first `length` octets of the buffer are the reply.
    Reply {
        /// Length of the reply in octets, never more than that of the request.
        length: usize,
        /// What it says.
        kind: ReplyKind,
        /// Whether the request was protected by NTS and verified; the reply is protected too.
        authenticated: bool,
    },
    /// Nothing is sent.
    Drop(DropReason),
}

/// Everything that answering needs and that outlives one request.
#[derive(Debug, Clone, Copy)]
pub struct Responder<'a> {
    /// What the server says about its own clock.
    pub system: &'a SystemState,
    /// The keys that open and seal cookies.
    pub keys: &'a KeySet,
    /// The rules of the listener.
    pub policy: &'a Policy,
}

impl Responder<'_> {
    /// Answers one request, or says why not.
    ///
    /// `transmit` gives T3; it is called at most once, as late as possible. `out` is where the
    /// reply goes and serves as working space too: it should be as long as the longest request
    /// (requests longer than `out` may be dropped). Nothing is allocated.
    pub fn respond(
        &self,
        request: &Request<'_>,
        transmit: impl FnOnce() -> NtpTimestamp,
        rng: &mut impl CryptoRng,
        out: &mut [u8],
    ) -> Outcome {
        respond::respond(self, request, transmit, rng, out)
    }
}

#[cfg(test)]
mod tests;
