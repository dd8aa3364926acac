//! What an `nts` or `nts-pool` source owes, holds and tries next. Pure: time and randomness are
//! arguments; the shell in `mod.rs` carries out what [`KeyedPlan::next`] says.
//!
//! Rules: draft-ietf-ntp-nts-keyexchange-pool (deny records), RFC 8915 §4.2 (waits between key
//! exchanges) and §5.7 (a NAK leads to a new key exchange, while the old keys stay in use).

use std::net::SocketAddr;
use std::time::Duration;

use nts_proto::association::KeyReason;
use nts_proto::association::backoff::KeyExchangeBackoff;
use nts_proto::ke::name::NtpServerName;
use nts_proto::time::MonotonicTime;
use rand::Rng;

use super::memory::{Fault, Memory};
use super::{LossReason, Step};
use crate::client::SourceId;

/// Greatest number of names in one request.
const MAX_DENIED: usize = 32;

/// Greatest size of all deny records of one request in octets, so that the request stays below
/// the 1024 that every server takes (RFC 8915 §4).
const MAX_DENIED_OCTETS: usize = 960;

/// Keys that were good for so long have proved themselves: if they fail later, that says nothing
/// about the next ones. Of a server that forgets its keys again and again it says a lot.
const SETTLED: Duration = Duration::from_secs(600);

/// What becomes of a completed key exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Start a source with the number that was passed, after stopping `replaces`.
    Start {
        /// Sources that needed new keys and got a successor.
        replaces: Vec<SourceId>,
    },
    /// Give the new keys to this source.
    Renew(SourceId),
    /// Throw the keys away: this counts as a failed try.
    Discard {
        /// What is wrong with the server that was named.
        why: Unwanted,
        /// Time until the next try.
        wait: Duration,
        /// Whether this was not known yet: since the last source was started, nothing was
        /// discarded.
        news: bool,
    },
}

/// Why a server is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unwanted {
    /// A source with that name is held.
    SameName,
    /// A source at that address and port is held, under another name.
    SameAddress,
    /// It denied service less than a day ago.
    Refused,
}

#[derive(Debug)]
struct Held {
    id: SourceId,
    name: NtpServerName,
    address: SocketAddr,
    /// An authenticated answer came since the last key exchange.
    proved: bool,
    /// When its keys were made; `None` in an earlier run.
    keyed: Option<MonotonicTime>,
    needs_keys: bool,
}

impl Held {
    /// Whether its keys were good for long.
    fn is_settled(&self, now: MonotonicTime) -> bool {
        let long = |keyed| now.saturating_since(keyed) >= SETTLED;
        self.proved && self.keyed.is_none_or(long)
    }
}

/// The state of one `nts` or `nts-pool` source.
#[derive(Debug)]
pub(super) struct KeyedPlan {
    wanted: usize,
    pool: bool,
    held: Vec<Held>,
    memory: Memory,
    backoff: KeyExchangeBackoff,
    /// The server has named one that is not taken, and none that is since.
    exhausted: bool,
    /// Key exchanges have failed since the last one that was good.
    failing: bool,
    /// When the first authenticated answer came since the last failure.
    good_since: Option<MonotonicTime>,
    /// When keys last failed that were good for a moment only, without being counted.
    excused: Option<MonotonicTime>,
    not_before: MonotonicTime,
}

impl KeyedPlan {
    /// One source from one server.
    pub(super) fn single() -> Self {
        Self::new(1, false)
    }

    /// Up to `count` different sources from a pool.
    pub(super) fn pool(count: usize) -> Self {
        Self::new(count, true)
    }

    fn new(wanted: usize, pool: bool) -> Self {
        Self {
            wanted,
            pool,
            held: Vec::new(),
            memory: Memory::default(),
            backoff: KeyExchangeBackoff::new(),
            exhausted: false,
            failing: false,
            good_since: None,
            excused: None,
            not_before: MonotonicTime::default(),
        }
    }

    /// What to do at `now`.
    pub(super) fn next(&self, now: MonotonicTime) -> Step {
        let something_to_do =
            self.held.len() < self.wanted || self.held.iter().any(|held| held.needs_keys);
        // After a failure one thing is tried at a time: the outcome of the last try comes first.
        let on_trial = self
            .held
            .iter()
            .any(|held| !held.proved && !held.needs_keys);
        if !something_to_do || (self.failing && on_trial) {
            Step::Rest
        } else if now >= self.not_before {
            Step::Try
        } else {
            Step::Wait(self.not_before)
        }
    }

    /// How many sources are held.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// The names that the pool should not give: those held, then those remembered, newest first.
    /// A held source that wants new keys for no fault of its server may be given again.
    pub(super) fn denied(&self, now: MonotonicTime) -> Vec<NtpServerName> {
        if !self.pool {
            return Vec::new();
        }
        let held = self.held.iter();
        let live = held.filter(|held| !held.needs_keys).map(|held| &held.name);
        let mut octets = 0;
        let mut denied: Vec<NtpServerName> = Vec::new();
        for name in live.chain(self.memory.names(now)) {
            octets += 4 + name.as_str().len();
            if denied.len() == MAX_DENIED || octets > MAX_DENIED_OCTETS {
                break;
            }
            if !denied.iter().any(|denied| denied.same_host(name)) {
                denied.push(name.clone());
            }
        }
        denied
    }

    /// Takes the result of a key exchange: the server it named and the number `id` that a new
    /// source would get.
    pub(super) fn handle_keys(
        &mut self,
        id: SourceId,
        name: &NtpServerName,
        address: SocketAddr,
        now: MonotonicTime,
        rng: &mut impl Rng,
    ) -> Verdict {
        if let Some(why) = self.unwanted(name, address, now) {
            let wait = self.handle_failure(true, now, rng);
            let news = !std::mem::replace(&mut self.exhausted, true);
            return Verdict::Discard { why, wait, news };
        }
        self.memory.forget(name);
        let same = |held: &&mut Held| held.name.same_host(name) && held.address == address;
        if let Some(held) = self.held.iter_mut().find(same) {
            held.needs_keys = false;
            held.proved = false;
            held.keyed = Some(now);
            return Verdict::Renew(held.id);
        }
        let replaces = self.replaceable(name, address);
        self.held.retain(|held| !replaces.contains(&held.id));
        self.held.push(Held {
            id,
            name: name.clone(),
            address,
            proved: false,
            keyed: Some(now),
            needs_keys: false,
        });
        self.exhausted = false;
        Verdict::Start { replaces }
    }

    /// Takes a source with the session of the last run, if a place is free and it is a different
    /// one. If its keys turn out to be void that is nobody's fault, so it counts as proved.
    pub(super) fn resume(
        &mut self,
        id: SourceId,
        name: &NtpServerName,
        address: SocketAddr,
    ) -> bool {
        let known = |held: &Held| held.name.same_host(name) || held.address == address;
        if self.held.len() >= self.wanted || self.held.iter().any(known) {
            return false;
        }
        self.held.push(Held {
            id,
            name: name.clone(),
            address,
            proved: true,
            keyed: None,
            needs_keys: false,
        });
        true
    }

    fn unwanted(
        &self,
        name: &NtpServerName,
        address: SocketAddr,
        now: MonotonicTime,
    ) -> Option<Unwanted> {
        let mut satisfied = self.held.iter().filter(|held| !held.needs_keys);
        if satisfied.clone().any(|held| held.name.same_host(name)) {
            Some(Unwanted::SameName)
        } else if satisfied.any(|held| held.address == address) {
            Some(Unwanted::SameAddress)
        } else if self.memory.fault(name, now) == Some(Fault::Refused) {
            Some(Unwanted::Refused)
        } else {
            None
        }
    }

    /// The sources whose place a new one takes: the same host under another address or name, else,
    /// when all places are taken, the first that needs keys.
    fn replaceable(&self, name: &NtpServerName, address: SocketAddr) -> Vec<SourceId> {
        let waiting = || self.held.iter().filter(|held| held.needs_keys);
        let same: Vec<SourceId> = waiting()
            .filter(|held| held.name.same_host(name) || held.address == address)
            .map(|held| held.id)
            .collect();
        if !same.is_empty() || self.held.len() < self.wanted {
            return same;
        }
        waiting().next().map(|held| held.id).into_iter().collect()
    }

    /// Notes a failed try. `nothing_left` says that the pool seems to have no server that we do
    /// not deny: then the name remembered longest is forgotten. Gives the time until the next try.
    pub(super) fn handle_failure(
        &mut self,
        nothing_left: bool,
        now: MonotonicTime,
        rng: &mut impl Rng,
    ) -> Duration {
        if nothing_left {
            self.memory.forget_oldest();
        }
        let good = self.good_since.take();
        if good.is_some_and(|good| now.saturating_since(good) >= SETTLED) {
            self.backoff.reset();
        }
        self.failing = true;
        let wait = self.backoff.fail(rng);
        self.not_before = self.not_before.max(now + wait);
        wait
    }

    /// Notes that a source got an authenticated answer. The first one after a key exchange is
    /// what resets the waits (RFC 8915 §4.2), unless something fails within ten minutes.
    pub(super) fn handle_authenticated(&mut self, id: SourceId, now: MonotonicTime) {
        if let Some(held) = self
            .held
            .iter_mut()
            .find(|held| held.id == id && !held.proved)
        {
            held.proved = true;
            self.failing = false;
            self.good_since.get_or_insert(now);
        }
    }

    /// Notes that a source wants new keys; it goes on meanwhile.
    ///
    /// A source of a pool that cannot read its cookies any more may be given again, as new keys
    /// are all it needs. One that never could read those of its last key exchange has failed: it
    /// is denied for a while.
    pub(super) fn handle_keys_wanted(
        &mut self,
        id: SourceId,
        reason: KeyReason,
        now: MonotonicTime,
        rng: &mut impl Rng,
    ) {
        let Some(held) = self.held.iter_mut().find(|held| held.id == id) else {
            return;
        };
        if held.needs_keys {
            return;
        }
        held.needs_keys = true;
        if self.pool && reason == KeyReason::NtsNak && !held.proved {
            self.memory.remember(&held.name, Fault::Failed, now);
        }
        let (proved, settled) = (held.proved, held.is_settled(now));
        if !settled && !self.excuses(proved, now) {
            self.handle_failure(false, now, rng);
        }
    }

    /// Whether the failure of keys that were good for a moment only is let pass: once in a while a
    /// server is just started again.
    fn excuses(&mut self, proved: bool, now: MonotonicTime) -> bool {
        let long_ago = |excused| now.saturating_since(excused) >= SETTLED;
        let excuse = proved && self.excused.is_none_or(long_ago);
        if excuse {
            self.excused = Some(now);
        }
        excuse
    }

    /// Notes that the keys of a source are good after all: what said otherwise was forged.
    pub(super) fn handle_keys_unwanted(&mut self, id: SourceId) {
        if let Some(held) = self.held.iter_mut().find(|held| held.id == id) {
            held.needs_keys = false;
            self.memory.forget(&held.name);
        }
    }

    /// Notes that a source is gone. Of a pool, its name is denied for a while if it was its fault.
    pub(super) fn handle_lost(
        &mut self,
        id: SourceId,
        reason: LossReason,
        now: MonotonicTime,
        rng: &mut impl Rng,
    ) {
        let Some(index) = self.held.iter().position(|held| held.id == id) else {
            return;
        };
        let held = self.held.swap_remove(index);
        let fault = match reason {
            LossReason::Refused | LossReason::Falseticker => Some(Fault::Refused),
            LossReason::Unreachable => Some(Fault::Failed),
            LossReason::Offline => None,
        };
        if let Some(fault) = fault.filter(|_| self.pool) {
            self.memory.remember(&held.name, fault, now);
        }
        let refused_by_the_only_one = !self.pool && reason == LossReason::Refused;
        let settled = held.is_settled(now);
        if refused_by_the_only_one || (!settled && !self.excuses(held.proved, now)) {
            self.handle_failure(false, now, rng);
        }
    }
}

#[cfg(test)]
#[path = "keyed_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "life_tests.rs"]
mod life_tests;
