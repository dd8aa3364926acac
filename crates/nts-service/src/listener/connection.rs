//! One accepted connection and what it may use.

use std::net::SocketAddr;

use tokio::sync::watch;
use tokio::time::Instant;

use super::farewell::Farewell;
use super::gate::Slot;
use crate::proxy_protocol::Forwarded;
use crate::quick_ack::QuickAckStream;
use crate::shutdown::Shutdown;

/// A connection as the handler gets it.
#[derive(Debug)]
pub struct Connection {
    /// The stream, with TCP_NODELAY set, acknowledging what was read before it waits for more.
    pub stream: QuickAckStream,
    /// Who connected; behind a balancer the user whom it forwards, if it tells.
    pub peer: SocketAddr,
    /// What the balancer in front says; `None` if there is none.
    pub forwarded: Option<Forwarded>,
    /// What the connection may use.
    pub lease: Lease,
}

impl Connection {
    /// Whether `peer` is a user's address, not that of a balancer which tells none.
    pub fn is_from_user(&self) -> bool {
        self.forwarded.as_ref().is_none_or(|it| it.user.is_some())
    }
}

/// Time and slot of a connection. The slot is free again when the lease is dropped.
#[derive(Debug)]
pub struct Lease {
    pub(super) deadline: watch::Sender<Instant>,
    pub(super) slot: Option<Slot>,
    pub(super) shutdown: Shutdown,
    pub(super) cut: Shutdown,
    pub(super) farewell: Farewell,
}

impl Lease {
    /// When the exchange must be over, counted from the moment of accepting. A handler that wants
    /// to say something at the deadline keeps it itself: the listener ends the handler
    /// [`Limits::grace`](super::Limits::grace) later without a word.
    pub fn deadline(&self) -> Instant {
        *self.deadline.borrow()
    }

    /// Moves the deadline, for connections that carry several exchanges.
    pub fn set_deadline(&self, deadline: Instant) {
        self.deadline.send_replace(deadline);
    }

    /// The peer has sent something, but not yet what makes a user of him: until [`Lease::greeted`]
    /// is called the connection, and its handler, may end to make room for another.
    pub fn await_greeting(&mut self) {
        if let Some(slot) = &mut self.slot {
            slot.hesitate();
        }
    }

    /// The peer has said what he wants, so he keeps his slot. False if it is gone already.
    pub fn greeted(&mut self) -> bool {
        self.slot.as_mut().is_none_or(Slot::heard)
    }

    /// Gives the slot, and the place in its network's count, back early: for connections that are
    /// counted elsewhere from here on.
    pub fn release_slot(&mut self) {
        self.slot = None;
    }

    /// Tells when the listener stops: an idle connection should then close at once.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Tells when the time to finish is over: the peer should be told that nothing will come. The
    /// handler is ended [`Limits::grace`](super::Limits::grace) later.
    pub fn cut_short(&self) -> &Shutdown {
        &self.cut
    }

    /// Gives everything back, and leaves it to the peer to close the connection: he has got
    /// [the last message](crate::ke_stream::write_last_message), with the word that nothing more
    /// comes, and mostly closes at once. If he does not within
    /// [`CLOSE_WAIT`](crate::ke_stream::CLOSE_WAIT), or sooner if too many others leave too, it is
    /// closed from this side. What he has not taken by then, if the last message could not be
    /// written, he does not get.
    pub fn see_off(self, stream: QuickAckStream) {
        let Self { slot, farewell, .. } = self;
        drop(slot);
        // A socket that the runtime does not give back is closed by it.
        if let Ok(stream) = stream.into_tcp().into_std() {
            farewell.keep(stream);
        }
    }
}
