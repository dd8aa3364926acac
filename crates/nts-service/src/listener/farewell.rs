//! Connections that have got their last message, until their peers close them.
//!
//! The peer has to close first: a socket that is closed while the peer still sends resets the
//! connection, and the reset can overtake the last message. Nobody is woken for it, which would cost
//! every exchange as much as a step of its handshake: whoever comes here looks whether those before
//! him are gone, and a timer closes those who stay, one tick for all of them.

use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::ke_stream::{CLOSE_WAIT, MAX_DRAIN};

/// The most connections that wait here; for one more, the one that has waited longest is closed.
const MOST: usize = 1024;

/// Octets that are thrown away at a time: close_notify has 24.
const LOOK: usize = 256;

/// See the module. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Farewell(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: usize,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Who came first stands in front.
    leaving: VecDeque<Leaving>,
    /// Whether [`Farewell::attend`] has a time to look again.
    attended: bool,
}

impl Farewell {
    /// For a service with so many connections at the same time: what waits here takes open files
    /// beside them, so there are only a few.
    pub(super) fn beside(connections: usize) -> Self {
        Self(Arc::new(Inner {
            most: (connections / 16).clamp(1, MOST),
            state: Mutex::default(),
            wake: Notify::new(),
        }))
    }

    /// Keeps a connection until the peer closes it, but no longer than [`CLOSE_WAIT`].
    pub(super) fn keep(&self, stream: TcpStream) {
        self.part_from_those_gone();
        let mut state = self.lock();
        let longest = match state.leaving.len() < self.0.most {
            true => None,
            false => state.leaving.pop_front(),
        };
        state.leaving.push_back(Leaving {
            stream,
            until: Instant::now() + CLOSE_WAIT,
            drained: 0,
        });
        self.call_attendant(state);
        // Closed outside of the lock.
        drop(longest.and_then(Leaving::stays));
    }

    /// Closes those whose time is over. Never returns; cancel safe.
    pub(super) async fn attend(&self) {
        loop {
            match self.next() {
                Some(until) => {
                    sleep_until(until).await;
                    self.part_from_those_gone();
                }
                None => self.0.wake.notified().await,
            }
        }
    }

    /// Waits until nobody is left, when nobody comes any more.
    pub(super) async fn finish(&self) {
        let leaving = std::mem::take(&mut self.lock().leaving);
        let stay = leaving.into_iter().filter_map(Leaving::stays);
        for one in stay.collect::<Vec<_>>() {
            sleep_until(one.until).await;
            drop(one.stays());
        }
    }

    /// Closes from the front until there is one who still has time.
    fn part_from_those_gone(&self) {
        loop {
            // Not under the lock: looking and closing are calls to the system.
            let Some(first) = self.lock().leaving.pop_front() else {
                return;
            };
            if let Some(first) = first.stays() {
                let mut state = self.lock();
                state.leaving.push_front(first);
                return self.call_attendant(state);
            }
        }
    }

    /// When to look again; `None` if there is nobody, and somebody who comes will call.
    fn next(&self) -> Option<Instant> {
        let mut state = self.lock();
        let until = state.leaving.front().map(|it| it.until);
        state.attended = until.is_some();
        until
    }

    fn call_attendant(&self, mut state: MutexGuard<'_, State>) {
        if !std::mem::replace(&mut state.attended, true) {
            drop(state);
            self.0.wake.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics under the lock.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection; dropping it closes it.
#[derive(Debug)]
struct Leaving {
    stream: TcpStream,
    until: Instant,
    /// Octets that the peer has sent in vain.
    drained: usize,
}

impl Leaving {
    /// Itself, unless the peer has closed, has sent too much, or has had his time.
    fn stays(mut self) -> Option<Self> {
        (!self.is_gone() && Instant::now() < self.until).then_some(self)
    }

    /// What the peer still sends is thrown away: closing a socket that holds unread octets resets
    /// the connection too.
    fn is_gone(&mut self) -> bool {
        let mut octets = [0; LOOK];
        while self.drained < MAX_DRAIN {
            match self.stream.read(&mut octets) {
                Ok(0) => return true,
                Ok(count) => self.drained += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;
