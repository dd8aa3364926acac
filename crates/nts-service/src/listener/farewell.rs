//! Connections that have got their last message, until their peers close them.
//!
//! The peer has to close first: a socket that is closed while the peer still sends resets the
//! connection, and the reset can overtake the last message. Nobody is woken for it, which would cost
//! every exchange as much as a step of its handshake: whoever comes here looks whether those before
//! him are gone, and a timer closes those who stay.

use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until};

use super::gate::Gate;
use crate::ke_stream::{CLOSE_WAIT, MAX_DRAIN};

/// The most connections that wait here; for one more, the one that has waited longest is closed.
const MOST: usize = 1024;

/// Octets that are thrown away at a time: close_notify has 24.
const LOOK: usize = 1024;

/// So many are looked at before something else has its turn.
const BATCH: usize = 16;

/// From one look to the next at the end of all.
const LAST_LOOKS: Duration = Duration::from_millis(10);

/// See the module. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Farewell(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    gate: Gate,
    state: Mutex<State>,
    /// Held by whoever looks, so that the order stays.
    looking: Mutex<()>,
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
    /// For those whom `gate` has let in. What waits here takes open files beside its connections, so
    /// there is room for an eighth of them ([`files::share_of_users`](crate::files::share_of_users)).
    pub(super) fn behind(gate: Gate) -> Self {
        Self(Arc::new(Inner {
            gate,
            state: Mutex::default(),
            looking: Mutex::default(),
            wake: Notify::new(),
        }))
    }

    /// Keeps a connection until the peer closes it, but no longer than [`CLOSE_WAIT`]. It must not
    /// block.
    pub(super) fn keep(&self, stream: TcpStream) {
        if let Ok(looking) = self.0.looking.try_lock() {
            self.part_from_those_gone(&looking);
        }
        let most = (self.0.gate.max_connections() / 8).clamp(1, MOST);
        let mut state = self.lock();
        let too_many = (state.leaving.len() + 1).saturating_sub(most);
        let longest: Vec<_> = state.leaving.drain(..too_many).collect();
        state.leaving.push_back(Leaving {
            stream,
            until: Instant::now() + CLOSE_WAIT,
            drained: 0,
        });
        self.call_attendant(state);
        // Not under the lock: looking and closing are calls to the system.
        longest.into_iter().for_each(|one| drop(one.stays()));
    }

    /// Closes those whose time is over. Never returns; cancel safe.
    pub(super) async fn attend(&self) {
        loop {
            match self.next() {
                Some(until) => {
                    sleep_until(until).await;
                    while self.part_from_those_gone(&lock(&self.0.looking)) {
                        yield_now().await;
                    }
                }
                None => self.0.wake.notified().await,
            }
        }
    }

    /// Waits until nobody is left. Nobody comes any more, and nobody attends.
    pub(super) async fn finish(&self) {
        let mut leaving = std::mem::take(&mut self.lock().leaving);
        loop {
            leaving = leaving.into_iter().filter_map(Leaving::stays).collect();
            if leaving.is_empty() {
                return;
            }
            sleep(LAST_LOOKS).await;
        }
    }

    /// Closes from the front until there is one who still has time. True if it was enough for now.
    fn part_from_those_gone(&self, _looking: &MutexGuard<'_, ()>) -> bool {
        for _ in 0..BATCH {
            let Some(first) = self.lock().leaving.pop_front() else {
                return false;
            };
            if let Some(first) = first.stays() {
                let mut state = self.lock();
                state.leaving.push_front(first);
                self.call_attendant(state);
                return false;
            }
        }
        true
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
        lock(&self.0.state)
    }
}

/// Nothing panics under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
