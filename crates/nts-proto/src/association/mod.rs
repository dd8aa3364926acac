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
mod receive;
mod request;
mod session;

use std::time::Duration;

use rand_core::CryptoRng;

use self::poll::Poller;
use self::request::Outstanding;
use crate::time::{MonotonicTime, NtpTimestamp};

pub use measurement::Measurement;
pub use outcome::{
    DatagramOutcome, DemobilizeReason, IgnoreReason, KeyReason, Kiss, OutgoingDatagram,
    TimerAction, UnusableReason,
};
pub use poll::{InvalidPollLimits, PollLimits};
pub use reach::ReachRegister;
pub use session::{InvalidSession, NtsSession, SessionParts};

/// Cookies that a client holds and asks for (RFC 8915 §5.7).
pub const MAX_COOKIES: usize = 8;

/// Polls before a source can be found unreachable.
const LEAST_POLLS: u32 = 3;

/// Keys are renewed after this time even without trouble: four weeks.
const KEY_LIFETIME: Duration = Duration::from_secs(28 * 86_400);

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
    precision: i8,
    poller: Poller,
    next_poll: MonotonicTime,
    last_poll: Option<MonotonicTime>,
    reach: ReachRegister,
    /// Polls since the start or since new keys.
    polls: u32,
    /// An unauthenticated DENY or RSTR came, and no good answer since.
    refused: bool,
    outstanding: Option<Outstanding>,
    nts: Option<Nts>,
    finished: bool,
}

/// What an association with NTS has besides.
#[derive(Debug)]
struct Nts {
    session: NtsSession,
    established: MonotonicTime,
    wish: Option<KeyWish>,
}

/// New keys are wanted.
#[derive(Debug)]
struct KeyWish {
    reason: KeyReason,
    /// The caller knows.
    announced: bool,
}

impl Nts {
    /// Wants new keys. A wish that the caller knows of already is not announced again.
    fn want(&mut self, reason: KeyReason) {
        let announced = self.wish.as_ref().is_some_and(|wish| wish.announced);
        self.wish = Some(KeyWish { reason, announced });
    }

    /// Gives the reason of a wish that the caller does not know of yet.
    fn announce(&mut self) -> Option<KeyReason> {
        let wish = self.wish.as_mut().filter(|wish| !wish.announced)?;
        wish.announced = true;
        Some(wish.reason)
    }
}

impl Association {
    /// An association without authentication, whose first poll is due at `start`.
    pub fn plain(config: AssociationConfig, start: MonotonicTime) -> Self {
        Self {
            precision: config.precision,
            poller: Poller::new(config.poll_limits, config.initial_poll, config.burst),
            next_poll: start,
            last_poll: None,
            reach: ReachRegister::default(),
            polls: 0,
            refused: false,
            outstanding: None,
            nts: None,
            finished: false,
        }
    }

    /// An association protected by NTS, whose first poll is due at `start`. `now` is when the key
    /// exchange ended. Poll intervals are at most 2^14 s, so that cookies do not go stale.
    pub fn nts(
        config: AssociationConfig,
        session: NtsSession,
        now: MonotonicTime,
        start: MonotonicTime,
    ) -> Self {
        let config = AssociationConfig {
            poll_limits: config.poll_limits.for_nts(),
            ..config
        };
        Self {
            nts: Some(Nts {
                session,
                established: now,
                wish: None,
            }),
            ..Self::plain(config, start)
        }
    }

    /// When [`Association::handle_timer`] wants to be called next; `None` once finished.
    pub fn next_timer(&self) -> Option<MonotonicTime> {
        (!self.finished).then_some(self.next_poll)
    }

    /// Does what is due at `now`. Call it again until it says [`TimerAction::Wait`].
    pub fn handle_timer(&mut self, now: MonotonicTime, rng: &mut impl CryptoRng) -> TimerAction {
        if self.finished || now < self.next_poll {
            return TimerAction::Wait;
        }
        self.give_up_waiting();
        if let Some(end) = self.end_if_unreachable() {
            return end;
        }
        if let Some(reason) = self.keys_to_ask_for(now) {
            return TimerAction::NeedKeys(reason);
        }
        self.poll(now, rng)
    }

    /// The next poll is due: what has not been answered by now never will be. If all that came
    /// was a NAK, it is believed (RFC 8915 §5.7).
    fn give_up_waiting(&mut self) {
        let unanswered = self.outstanding.take();
        if unanswered.is_some_and(|request| request.nak)
            && let Some(nts) = &mut self.nts
        {
            nts.want(KeyReason::NtsNak);
        }
    }

    fn end_if_unreachable(&mut self) -> Option<TimerAction> {
        if self.reach.is_reachable() || self.polls < LEAST_POLLS {
            return None;
        }
        self.finished = true;
        Some(if self.refused {
            TimerAction::Demobilize(DemobilizeReason::DeniedAndSilent)
        } else {
            TimerAction::Unreachable
        })
    }

    fn keys_to_ask_for(&mut self, now: MonotonicTime) -> Option<KeyReason> {
        let nts = self.nts.as_mut()?;
        if nts.session.cookies.len() == 0 {
            nts.want(KeyReason::OutOfCookies);
        } else if nts.wish.is_none() && now.saturating_since(nts.established) >= KEY_LIFETIME {
            nts.want(KeyReason::KeyAge);
        }
        nts.announce()
    }

    /// A poll counts also if there is no cookie to send it with: the source is as unreachable
    /// then as if it did not answer.
    fn poll(&mut self, now: MonotonicTime, rng: &mut impl CryptoRng) -> TimerAction {
        self.reach.shift();
        self.polls = self.polls.saturating_add(1);
        self.last_poll = Some(now);
        self.next_poll = now + self.poller.interval(rng);
        let request = Outstanding::new(now, rng);
        let datagram = match &mut self.nts {
            None => Some(request.plain_datagram()),
            Some(nts) => request.nts_datagram(&mut nts.session, rng),
        };
        match datagram {
            Some(datagram) => {
                self.outstanding = Some(request);
                TimerAction::Send(datagram)
            }
            None => TimerAction::Wait,
        }
    }

    /// Tells when the datagram that was given last left (T1). May be called again with a better
    /// reading as long as no answer was handed in.
    pub fn handle_sent(&mut self, transmitted: NtpTimestamp) {
        if let Some(request) = &mut self.outstanding {
            request.transmitted = Some(transmitted);
        }
    }

    /// Takes the result of a key exchange for the same time source. Old keys and cookies are
    /// dropped now, not earlier; the next poll is due at once, or 2 s after the last one, unless
    /// the source has asked for fewer requests. Does nothing to an association without NTS.
    pub fn handle_keys(&mut self, now: MonotonicTime, session: NtsSession) {
        let Some(nts) = &mut self.nts else { return };
        *nts = Nts {
            session,
            established: now,
            wish: None,
        };
        // An answer to the last request would come under the old keys.
        self.outstanding = None;
        self.polls = 0;
        if !self.poller.is_slowed() {
            let earliest = self
                .last_poll
                .map_or(now, |last| last + poll::BURST_SPACING);
            self.next_poll = self.next_poll.min(earliest.max(now));
        }
    }

    /// The local clock was stepped: the exchange in flight gives no measurement.
    pub fn handle_clock_step(&mut self) {
        if let Some(request) = &mut self.outstanding {
            request.stepped = true;
        }
    }

    /// Ends the association and gives what is left of its session: `None` without NTS, without an
    /// unused cookie, or if the last polls do not show that the source still knows the keys.
    pub fn take_session(&mut self) -> Option<NtsSession> {
        let ended = std::mem::replace(&mut self.finished, true);
        let nts = self.nts.take()?;
        let good = !ended && nts.wish.is_none() && self.reach.is_reachable();
        (good && nts.session.cookies.len() > 0).then_some(nts.session)
    }

    /// The poll interval that the clock discipline wishes, log2 of seconds; taken into the limits
    /// and never below what the source demands. If it is shorter than before, the next poll comes
    /// sooner too (RFC 5905 §13).
    pub fn set_desired_poll(&mut self, poll: i8) {
        self.poller.set_desired(poll);
        if let Some(last) = self.last_poll {
            self.next_poll = self.next_poll.min(last + self.poller.longest_interval());
        }
    }

    /// How the association stands.
    pub fn status(&self) -> Status {
        let nts = self.nts.as_ref();
        Status {
            reach: self.reach,
            poll: self.poller.exponent(),
            nts: nts.is_some(),
            cookies: nts.map(|nts| nts.session.cookies.len()),
            keys_wanted: nts.and_then(|nts| Some(nts.wish.as_ref()?.reason)),
            finished: self.finished,
        }
    }
}

#[cfg(test)]
mod tests;
