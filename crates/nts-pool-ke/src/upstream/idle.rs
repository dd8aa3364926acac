//! The connections to one source that wait for their next request.
//!
//! The last one parked is the first one taken, so that surplus ones age and go: a busy source keeps
//! as many as it has exchanges at a time, and soon after only those that are always kept. The lock
//! is held for moments only, never while anything waits.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::connection::Connection;
use crate::selection::Family;

/// How long a surplus connection waits for its next exchange.
const SURPLUS_LIMIT: Duration = Duration::from_secs(10);

/// How many connections to one source wait, and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// So many wait in any case; if none, there are no surplus ones either.
    pub(crate) kept: usize,
    /// So many wait while they are needed again within moments.
    pub(crate) busy: usize,
    /// A connection that has waited longer is not used any more.
    pub(crate) limit: Duration,
}

/// What the idle connections to all sources may have together.
#[derive(Clone, Debug)]
pub(crate) struct IdleShare(Arc<Semaphore>);

impl IdleShare {
    /// So many connections in all.
    pub(crate) fn new(connections: usize) -> Self {
        Self(Arc::new(Semaphore::new(
            connections.min(Semaphore::MAX_PERMITS),
        )))
    }
}

/// A stack of idle connections, oldest first.
#[derive(Debug)]
pub(crate) struct IdlePool {
    allowance: Allowance,
    share: IdleShare,
    connections: Mutex<Vec<Parked>>,
}

/// A connection that waits, and its part of the share.
#[derive(Debug)]
struct Parked {
    connection: Connection,
    _part: OwnedSemaphorePermit,
}

impl IdlePool {
    /// An empty one for at most so many connections, which together with those to other sources
    /// are within the share.
    pub(crate) fn new(allowance: Allowance, share: IdleShare) -> Self {
        Self {
            allowance,
            share,
            connections: Mutex::default(),
        }
    }

    /// Takes the connection that was parked last, over that family if there is one given, if it is
    /// still good.
    ///
    /// Good means: young enough, and nothing readable on it. Others are dropped on the way; those
    /// that the source has closed are counted in `closed`.
    pub(crate) fn take(
        &self,
        family: Option<Family>,
        now: Instant,
        closed: &mut usize,
    ) -> Option<Connection> {
        loop {
            let mut connection = self.pop(family)?;
            if self.is_over(&connection, now) {
                continue;
            }
            if connection.is_quiet() {
                return Some(connection);
            }
            *closed += 1;
        }
    }

    fn pop(&self, family: Option<Family>) -> Option<Connection> {
        let mut connections = self.lock();
        let fits = |parked: &Parked| {
            let peer = || parked.connection.peer().map(|peer| Family::of(peer.ip()));
            family.is_none() || peer() == family
        };
        let last = connections.iter().rposition(fits)?;
        Some(connections.remove(last).connection)
    }

    /// Parks a connection whose source has promised to keep it open.
    ///
    /// Gives back one that has to go, if there are too many: the oldest to this source, or the one
    /// that came if the share of all is used up.
    pub(crate) fn park(&self, connection: Connection) -> Option<Connection> {
        let Ok(part) = Arc::clone(&self.share.0).try_acquire_owned() else {
            return Some(connection);
        };
        let now = Instant::now();
        let mut connections = self.lock();
        connections.push(Parked {
            connection,
            _part: part,
        });
        let oldest = &connections.first()?.connection;
        let goes = self.is_too_many(connections.len(), oldest, now);
        goes.then(|| connections.remove(0).connection)
    }

    /// Parks a fresh connection in place of the oldest one, which is given back together with all
    /// that are over and with surplus ones.
    pub(crate) fn renew(&self, fresh: Option<Connection>, now: Instant) -> Vec<Connection> {
        let mut gone = self.remove(|connection| self.is_over(connection, now));
        let mut count = self.len();
        gone.extend(self.remove(|connection| {
            let goes = self.is_too_many(count, connection, now);
            count -= usize::from(goes);
            goes
        }));
        if let Some(fresh) = fresh {
            let mut oldest = true;
            gone.extend(self.remove(|_| std::mem::take(&mut oldest)));
            gone.extend(self.park(fresh));
        }
        gone
    }

    /// Takes out the connections to other addresses than these: the source has moved.
    pub(crate) fn leave_all_but(&self, addresses: &[SocketAddr]) -> Vec<Connection> {
        self.remove(|connection| {
            let peer = connection.peer();
            !peer.is_some_and(|peer| addresses.contains(&peer))
        })
    }

    /// Takes all connections out, because the source changed its mind about us.
    pub(crate) fn clear(&self) -> Vec<Connection> {
        self.remove(|_| true)
    }

    /// Takes out those of which `goes` is true, asked from the oldest on.
    fn remove(&self, mut goes: impl FnMut(&Connection) -> bool) -> Vec<Connection> {
        let mut connections = self.lock();
        let gone = connections.extract_if(.., |parked| goes(&parked.connection));
        gone.map(|parked| parked.connection).collect()
    }

    /// How many connections wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn is_over(&self, connection: &Connection, now: Instant) -> bool {
        now >= connection.retire_at() || now >= connection.idle_since() + self.allowance.limit
    }

    /// Whether the oldest of so many connections has to go.
    fn is_too_many(&self, count: usize, oldest: &Connection, now: Instant) -> bool {
        let Allowance { kept, busy, .. } = self.allowance;
        let surplus = count > kept;
        let most = if kept == 0 { 0 } else { busy.max(kept) };
        count > most || (surplus && now >= oldest.idle_since() + SURPLUS_LIMIT)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Parked>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
