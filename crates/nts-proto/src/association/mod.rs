//! The client's side of one time source: what to send, when, and what to believe
//! (RFC 5905 §10–13, RFC 8915 §5.7).
//!
//! An [`Association`] is a state machine that the caller drives: it says when it wants to be
//! called ([`Association::next_timer`]), gives datagrams to send, takes those that arrived, asks
//! for new keys and says when the source is to be given up. It owns no socket, no clock and no
//! key exchange, and it never uses a cookie twice, never falls back from NTS to plain NTP, and
//! never throws keys away because somebody unauthenticated says so.
//!
//! ```text
//!              handle_timer ──► Send ──► handle_sent
//!                   │  ▲
//!   NeedKeys ◄──────┤  └── handle_datagram ──► Measurement, Unusable, Kiss, Ignored, Demobilize
//!       │           └─────► Unreachable, Demobilize
//!       └─► key exchange (behind KeyExchangeBackoff) ──► handle_keys
//! ```

pub mod backoff;
mod measurement;
mod outcome;
mod poll;
mod reach;
mod session;

use rand_core::CryptoRng;

use crate::ntp::header::ReferenceId;
use crate::time::{MonotonicTime, NtpTimestamp};

pub use measurement::Measurement;
pub use outcome::{
    DatagramOutcome, DemobilizeReason, IgnoreReason, KeyReason, Kiss, OutgoingDatagram,
    TimerAction, UnusableReason,
};
pub use poll::{InvalidPollLimits, PollLimits};
pub use reach::ReachRegister;
pub use session::{InvalidSession, NtsSession};

/// Cookies that a client holds and asks for (RFC 8915 §5.7).
pub const MAX_COOKIES: usize = 8;

/// How one association behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssociationConfig {
    /// Least and greatest poll interval.
    pub poll_limits: PollLimits,
    /// Poll interval after the burst, log2 of seconds; taken into the limits.
    pub initial_poll: i8,
    /// Whether the first four requests go out two seconds apart.
    pub burst: bool,
    /// Precision of the local clock, log2 of seconds.
    pub precision: i8,
}

impl Default for AssociationConfig {
    /// 16 s to 1024 s, starting at 16 s with a burst; a clock that reads to a microsecond.
    fn default() -> Self {
        Self {
            poll_limits: PollLimits::default(),
            initial_poll: 4,
            burst: true,
            precision: -20,
        }
    }
}

/// What people may want to know about an association.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Which of the last eight polls were answered.
    pub reach: ReachRegister,
    /// Present poll interval, log2 of seconds.
    pub poll: i8,
    /// Whether the source is protected by NTS.
    pub nts: bool,
    /// Cookies held; `None` without NTS.
    pub cookies: Option<usize>,
    /// Why new keys are wanted, if they are. A caller that waits before a key exchange asks again
    /// here whether it is still needed.
    pub keys_wanted: Option<KeyReason>,
    /// Whether the association has ended (unreachable or demobilised).
    pub finished: bool,
}

/// The client's state for one time source.
#[derive(Debug)]
pub struct Association {
    config: AssociationConfig,
}

impl Association {
    /// An association without authentication, whose first poll is due at `start`.
    pub fn plain(config: AssociationConfig, start: MonotonicTime) -> Self {
        let _ = start;
        Self { config }
    }

    /// An association protected by NTS, whose first poll is due at `start`. `now` is when the key
    /// exchange ended.
    pub fn nts(
        config: AssociationConfig,
        session: NtsSession,
        now: MonotonicTime,
        start: MonotonicTime,
    ) -> Self {
        let _ = (session, now, start);
        Self { config }
    }

    /// When [`Association::handle_timer`] wants to be called next; `None` once finished.
    pub fn next_timer(&self) -> Option<MonotonicTime> {
        todo!()
    }

    /// Does what is due at `now`. Call it again until it says [`TimerAction::Wait`].
    pub fn handle_timer(&mut self, now: MonotonicTime, rng: &mut impl CryptoRng) -> TimerAction {
        let _ = (now, rng);
        todo!()
    }

    /// Tells when the datagram that was given last left (T1). May be called again with a better
    /// reading as long as no answer was handed in.
    pub fn handle_sent(&mut self, transmitted: NtpTimestamp) {
        let _ = transmitted;
        todo!()
    }

    /// Takes a datagram that came from the source's address and port.
    ///
    /// `received` is when it arrived (T4); `own_ids` are the reference IDs of this machine's own
    /// addresses, by which a source that is synchronised to us is found out.
    pub fn handle_datagram(
        &mut self,
        now: MonotonicTime,
        received: NtpTimestamp,
        datagram: &[u8],
        own_ids: &[ReferenceId],
    ) -> DatagramOutcome {
        let _ = (now, received, datagram, own_ids);
        todo!()
    }

    /// Takes the result of a key exchange for the same time source. Old keys and cookies are
    /// dropped now, not earlier; the next poll is due at once.
    pub fn handle_keys(&mut self, now: MonotonicTime, session: NtsSession) {
        let _ = (now, session);
        todo!()
    }

    /// The local clock was stepped: the exchange in flight gives no measurement.
    pub fn handle_clock_step(&mut self) {
        todo!()
    }

    /// The poll interval that the clock discipline wishes, log2 of seconds; taken into the limits
    /// and never below what the source demands.
    pub fn set_desired_poll(&mut self, poll: i8) {
        let _ = poll;
        todo!()
    }

    /// How the association stands.
    pub fn status(&self) -> Status {
        let _ = self.config;
        todo!()
    }
}
