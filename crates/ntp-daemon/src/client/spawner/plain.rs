//! What a `server` or `pool` source owes, holds and tries next. Pure: time is an argument;
//! the shell in `mod.rs` carries out what [`PlainPlan::next`] says.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nts_proto::time::MonotonicTime;

use super::backoff::LookUpBackoff;
use super::memory::{FAILED_FOR, REFUSED_FOR};
use super::{LossReason, Step};
use crate::client::SourceId;

/// A pool whose sources are all well is looked up anew after this time, so that nobody sticks to
/// one address for ever (RFC 8633).
const REFRESH: Duration = Duration::from_secs(14 * 24 * 3600);

/// Greatest number of addresses that are kept from one look-up, and that are shunned.
const MAX_ADDRESSES: usize = 256;

#[derive(Debug)]
struct Held {
    id: SourceId,
    address: SocketAddr,
    answered: bool,
}

/// An address that is not used, or only when there is no other.
#[derive(Debug)]
struct Shunned {
    address: IpAddr,
    refused: bool,
    until: MonotonicTime,
}

/// The state of one `server` or `pool` source.
#[derive(Debug)]
pub(super) struct PlainPlan {
    wanted: usize,
    pool: bool,
    ignore: Vec<IpAddr>,
    held: Vec<Held>,
    candidates: VecDeque<SocketAddr>,
    shunned: Vec<Shunned>,
    backoff: LookUpBackoff,
    not_before: MonotonicTime,
    refresh_at: MonotonicTime,
    finished: bool,
}

impl PlainPlan {
    /// One source at the first usable address of a name.
    pub(super) fn single() -> Self {
        Self::new(1, false, Vec::new())
    }

    /// Up to `count` sources at different addresses of a name, none of them in `ignore`.
    pub(super) fn pool(count: usize, ignore: Vec<IpAddr>) -> Self {
        Self::new(count, true, ignore)
    }

    fn new(wanted: usize, pool: bool, ignore: Vec<IpAddr>) -> Self {
        Self {
            wanted,
            pool,
            ignore,
            held: Vec::new(),
            candidates: VecDeque::new(),
            shunned: Vec::new(),
            backoff: LookUpBackoff::default(),
            not_before: MonotonicTime::default(),
            refresh_at: MonotonicTime::default() + REFRESH,
            finished: false,
        }
    }

    /// What to do at `now`; `Try` is a look-up of the name.
    pub(super) fn next(&self, now: MonotonicTime) -> Step {
        let due = if self.finished {
            return Step::Rest;
        } else if self.held.len() < self.wanted {
            self.not_before
        } else if self.pool {
            self.refresh_at.max(self.not_before)
        } else {
            return Step::Rest;
        };
        if now >= due {
            Step::Try
        } else {
            Step::Wait(due)
        }
    }

    /// How many sources are held.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether the only server refused service: it is never asked again.
    pub(super) fn finished(&self) -> bool {
        self.finished
    }

    /// Takes the addresses that a look-up gave, best first. When all places are taken this was a
    /// refresh: then one source whose address is gone from the name makes room, and is given back
    /// to be stopped.
    pub(super) fn handle_addresses(
        &mut self,
        addresses: &[SocketAddr],
        now: MonotonicTime,
    ) -> Option<SourceId> {
        self.shunned.retain(|shunned| shunned.until > now);
        let (late, good): (Vec<_>, Vec<_>) = addresses
            .iter()
            .copied()
            .filter(|address| self.usable(address))
            .take(MAX_ADDRESSES)
            .partition(|address| self.shunned(address).is_some());
        self.candidates = good.into_iter().chain(late).collect();
        if now < self.refresh_at {
            return None;
        }
        self.refresh_at = now + REFRESH;
        let full = self.held.len() >= self.wanted && !self.candidates.is_empty();
        let gone = self
            .held
            .iter()
            .position(|held| full && !addresses.contains(&held.address))?;
        Some(self.held.remove(gone).id)
    }

    fn shunned(&self, address: &SocketAddr) -> Option<&Shunned> {
        self.shunned
            .iter()
            .find(|shunned| shunned.address == address.ip())
    }

    fn usable(&self, address: &SocketAddr) -> bool {
        !self.ignore.contains(&address.ip())
            && !self.held.iter().any(|held| held.address == *address)
            && !self.shunned(address).is_some_and(|shunned| shunned.refused)
    }

    /// Takes the next address for the source `id`, if one is owed and known.
    pub(super) fn start(&mut self, id: SourceId) -> Option<SocketAddr> {
        if self.held.len() >= self.wanted {
            return None;
        }
        let address = self.candidates.pop_front()?;
        self.held.push(Held {
            id,
            address,
            answered: false,
        });
        Some(address)
    }

    /// Notes a look-up that brought nothing new; gives the time until the next.
    pub(super) fn handle_failure(&mut self, now: MonotonicTime) -> Duration {
        let wait = self.backoff.fail();
        self.not_before = self.not_before.max(now + wait);
        wait
    }

    /// Notes that a source got an answer; its first one resets the waits.
    pub(super) fn handle_answered(&mut self, id: SourceId) {
        if let Some(held) = self
            .held
            .iter_mut()
            .find(|held| held.id == id && !held.answered)
        {
            held.answered = true;
            self.backoff.reset();
        }
    }

    /// Notes that a source is gone. An address that refused service is not used for a day (the
    /// only server: never again), one that did not answer only when there is no other for an hour.
    pub(super) fn handle_lost(&mut self, id: SourceId, reason: LossReason, now: MonotonicTime) {
        let Some(index) = self.held.iter().position(|held| held.id == id) else {
            return;
        };
        let held = self.held.swap_remove(index);
        let refused = matches!(reason, LossReason::Refused | LossReason::Falseticker);
        self.finished |= refused && !self.pool;
        if reason != LossReason::Offline {
            if self.shunned.len() == MAX_ADDRESSES {
                self.shunned.remove(0);
            }
            self.shunned.push(Shunned {
                address: held.address.ip(),
                refused,
                until: now + if refused { REFUSED_FOR } else { FAILED_FOR },
            });
        }
        if !held.answered {
            self.handle_failure(now);
        }
    }
}

#[cfg(test)]
#[path = "plain_tests.rs"]
mod tests;
