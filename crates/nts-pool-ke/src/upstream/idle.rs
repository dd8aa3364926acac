//! The connections to one source that wait for their next request.
//!
//! The last one parked is the first one taken, so that surplus ones age and go. The lock is held
//! for moments only, never while anything waits.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;

/// A stack of idle connections, oldest first.
#[derive(Debug)]
pub(crate) struct IdlePool {
    /// So many connections wait at most.
    most: usize,
    /// A connection that has waited longer is not used any more.
    limit: Duration,
    connections: Mutex<Vec<Connection>>,
}

impl IdlePool {
    /// An empty one for at most so many connections that wait at most so long.
    pub(crate) fn new(most: usize, limit: Duration) -> Self {
        Self {
            most,
            limit,
            connections: Mutex::default(),
        }
    }

    /// Takes the connection that was parked last, if it is still good.
    ///
    /// Good means: young enough, and nothing readable on it. Others are dropped on the way.
    pub(crate) fn take(&self, now: Instant) -> Option<Connection> {
        loop {
            let mut connection = self.lock().pop()?;
            if !self.is_over(&connection, now) && connection.is_quiet() {
                return Some(connection);
            }
        }
    }

    /// Parks a connection whose source has promised to keep it open.
    ///
    /// Gives back one that has to go for it, if there are too many.
    pub(crate) fn park(&self, connection: Connection) -> Option<Connection> {
        let mut connections = self.lock();
        connections.push(connection);
        (connections.len() > self.most).then(|| connections.remove(0))
    }

    /// Parks a fresh connection in place of the oldest one, which is given back together with all
    /// that are over.
    pub(crate) fn renew(&self, fresh: Option<Connection>, now: Instant) -> Vec<Connection> {
        let mut connections = self.lock();
        let mut gone: Vec<_> = connections
            .extract_if(.., |connection| self.is_over(connection, now))
            .collect();
        if let Some(fresh) = fresh {
            if !connections.is_empty() {
                gone.push(connections.remove(0));
            }
            connections.push(fresh);
        }
        let surplus = connections.len().saturating_sub(self.most);
        gone.extend(connections.drain(..surplus));
        gone
    }

    /// Takes out the connections to other addresses than these: the source has moved.
    pub(crate) fn leave_all_but(&self, addresses: &[SocketAddr]) -> Vec<Connection> {
        let left = |connection: &mut Connection| {
            let peer = connection.peer();
            !peer.is_some_and(|peer| addresses.contains(&peer))
        };
        self.lock().extract_if(.., left).collect()
    }

    /// Takes all connections out, because the source changed its mind about us.
    pub(crate) fn clear(&self) -> Vec<Connection> {
        std::mem::take(&mut self.lock())
    }

    /// How many connections wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn is_over(&self, connection: &Connection, now: Instant) -> bool {
        now >= connection.retire_at() || now >= connection.idle_since() + self.limit
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
