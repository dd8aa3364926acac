//! What one datagram gets: access lists, rate limit, then the rules of `nts_proto::server`.
//!
//! One handler serves all threads of a server: everything in it is read only or atomic. What never
//! happens here: a system call but reading the clock, an allocation, a lock.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use nts_proto::keyset::KeySet;
use nts_proto::ntp::packet::Packet;
use nts_proto::server::{
    DropReason, Outcome, PlainRequests, Policy, ReplyKind, Request, Responder, SystemState,
    Treatment,
};
use nts_proto::time::NtpTimestamp;
use rand::CryptoRng;

use super::access::AccessLists;
use super::limiter::{Allowance, RateLimiter};
use super::stats::StatsSnapshot;
use crate::config::{FilterAction, RateKiss, ServerConfig};

/// Of the requests of an address that has no tokens left one in this many is answered.
const LEAK: NonZeroU32 = NonZeroU32::new(4).expect("not zero");

/// Networks whose NTS NAKs are counted at the same time.
const NAK_NETWORKS: usize = 4096;

/// NTS NAKs are not authenticated and cheap to provoke, so they are limited also where requests are
/// not: a network gets 32 at once, then 8 per second. Who gets none finds out by the silence.
const NAK_ALLOWANCE: Allowance = Allowance {
    interval: Duration::from_millis(125),
    burst: 32,
    leak: None,
};

/// The rules of one server.
#[derive(Debug)]
pub(super) struct Handler {
    lists: AccessLists,
    limiter: Option<RateLimiter>,
    kiss: RateKiss,
    nak_limiter: Option<RateLimiter>,
    policy: Policy,
}

/// What holds for all datagrams of a batch.
pub(super) struct Moment<'a> {
    pub(super) system: &'a SystemState,
    pub(super) keys: &'a KeySet,
    pub(super) now: Instant,
}

/// A datagram as it arrived.
pub(super) struct Arrival<'a> {
    pub(super) from: IpAddr,
    pub(super) octets: &'a [u8],
    /// Whether it was longer than what is read of one.
    pub(super) truncated: bool,
    /// When, by the clock that is served.
    pub(super) received: NtpTimestamp,
}

impl Handler {
    pub(super) fn new(config: &ServerConfig) -> Self {
        let allowance = Allowance {
            interval: config.rate_limiting_cutoff,
            burst: config.rate_limiting_burst,
            leak: Some(LEAK),
        };
        Self {
            lists: AccessLists::new(config.denylist.as_ref(), config.allowlist.as_ref()),
            limiter: RateLimiter::new(config.rate_limiting_cache_size, allowance),
            kiss: config.rate_limiting_kiss,
            nak_limiter: RateLimiter::new(NAK_NETWORKS, NAK_ALLOWANCE),
            policy: policy(config),
        }
    }

    /// Puts the answer into `out` and gives its length, or `None` where there is none. Counts what
    /// became of the datagram.
    pub(super) fn answer(
        &self,
        moment: &Moment<'_>,
        arrival: &Arrival<'_>,
        transmit: impl FnOnce() -> NtpTimestamp,
        rng: &mut impl CryptoRng,
        out: &mut [u8],
        counted: &mut StatsSnapshot,
    ) -> Option<usize> {
        counted.received_packets += 1;
        let treatment = self.treatment(moment, arrival, rng, counted)?;
        if arrival.truncated {
            counted.ignored_packets += 1;
            counted.malformed_packets += 1;
            return None;
        }
        let request = Request {
            datagram: arrival.octets,
            received: arrival.received,
            treatment,
        };
        let responder = Responder {
            system: moment.system,
            keys: moment.keys,
            policy: &self.policy,
        };
        match responder.respond(&request, transmit, rng, out) {
            Outcome::Reply {
                length,
                kind,
                authenticated,
            } => {
                let said = self.may_say(kind, authenticated, treatment, moment, arrival);
                counted.count_reply(kind, authenticated, treatment, said, arrival.octets);
                said.then_some(length)
            }
            Outcome::Drop(reason) => {
                counted.count_drop(reason);
                None
            }
        }
    }

    /// What access lists and rate limit say; `None` if there is no answer.
    fn treatment(
        &self,
        moment: &Moment<'_>,
        arrival: &Arrival<'_>,
        rng: &mut impl CryptoRng,
        counted: &mut StatsSnapshot,
    ) -> Option<Treatment> {
        let treatment = match self.lists.refusal(arrival.from) {
            Some(FilterAction::Ignore) => {
                counted.ignored_packets += 1;
                return None;
            }
            Some(FilterAction::Deny) => Treatment::Deny,
            None => Treatment::Serve,
        };
        let within = self
            .limiter
            .as_ref()
            .is_none_or(|it| it.admit(arrival.from, moment.now, || rng.next_u32()));
        match (within, self.kiss) {
            (true, _) => Some(treatment),
            (false, RateKiss::Never) => {
                counted.count_silenced(arrival.octets);
                None
            }
            (false, RateKiss::Nts | RateKiss::Always) => Some(Treatment::SlowDown),
        }
    }

    /// Whether an answer that could be given is.
    fn may_say(
        &self,
        kind: ReplyKind,
        authenticated: bool,
        treatment: Treatment,
        moment: &Moment<'_>,
        arrival: &Arrival<'_>,
    ) -> bool {
        match kind {
            ReplyKind::Time | ReplyKind::Deny => true,
            ReplyKind::Rate => authenticated || self.kiss == RateKiss::Always,
            ReplyKind::NtsNak => {
                treatment != Treatment::SlowDown
                    && self
                        .nak_limiter
                        .as_ref()
                        .is_none_or(|it| it.admit(arrival.from, moment.now, || 1))
            }
        }
    }
}

fn policy(config: &ServerConfig) -> Policy {
    Policy {
        accept_v3: config.accept_ntp_versions.v3,
        accept_v4: config.accept_ntp_versions.v4,
        plain_requests: match config.require_nts {
            None => PlainRequests::Answer,
            Some(FilterAction::Ignore) => PlainRequests::Ignore,
            Some(FilterAction::Deny) => PlainRequests::Deny,
        },
    }
}

impl StatsSnapshot {
    /// A request that gets no answer because of the rate limit, and is not looked at further.
    fn count_silenced(&mut self, octets: &[u8]) {
        self.rate_limited_packets += 1;
        if Packet::parse(octets).is_ok_and(|packet| packet.authenticator.is_some()) {
            self.nts_received_packets += 1;
            self.nts_rate_limited_packets += 1;
        }
    }

    /// A request to which there is an answer of this kind; `said` if it is sent.
    fn count_reply(
        &mut self,
        kind: ReplyKind,
        authenticated: bool,
        treatment: Treatment,
        said: bool,
        octets: &[u8],
    ) {
        let nts = u64::from(authenticated);
        self.nts_received_packets += nts;
        match kind {
            ReplyKind::Time => {
                self.accepted_packets += 1;
                self.nts_accepted_packets += nts;
                self.accepted_v3_packets += u64::from(is_version_3(octets));
            }
            ReplyKind::Deny => {
                self.denied_packets += 1;
                self.nts_denied_packets += nts;
            }
            ReplyKind::Rate => {
                self.rate_limited_packets += 1;
                self.nts_rate_limited_packets += nts;
            }
            ReplyKind::NtsNak => {
                self.nts_received_packets += 1;
                if said {
                    self.nts_nak_packets += 1;
                } else if treatment == Treatment::SlowDown {
                    self.rate_limited_packets += 1;
                    self.nts_rate_limited_packets += 1;
                } else {
                    self.nts_nak_limited_packets += 1;
                }
            }
        }
    }

    fn count_drop(&mut self, reason: DropReason) {
        self.ignored_packets += 1;
        match reason {
            DropReason::Malformed => self.malformed_packets += 1,
            DropReason::NotARequest => self.wrong_mode_packets += 1,
            DropReason::Version => self.wrong_version_packets += 1,
            DropReason::BadNts => self.nts_received_packets += 1,
            DropReason::PlainRequest | DropReason::NoRoom => {}
        }
    }
}

fn is_version_3(octets: &[u8]) -> bool {
    octets.first().is_some_and(|flags| flags & 0x38 == 0x18)
}

#[cfg(test)]
mod tests;
