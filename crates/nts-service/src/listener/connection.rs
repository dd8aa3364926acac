//! One accepted connection and what it may use.

use std::net::SocketAddr;

use tokio::sync::watch;
use tokio::time::Instant;

use super::gate::Slot;
use crate::quick_ack::QuickAckStream;
use crate::shutdown::Shutdown;

/// A connection as the handler gets it.
#[derive(Debug)]
pub struct Connection {
    /// The stream, with TCP_NODELAY set, acknowledging at once.
    pub stream: QuickAckStream,
    /// Who connected.
    pub peer: SocketAddr,
    /// What the connection may use.
    pub lease: Lease,
}

/// Time and slot of a connection. The slot is free again when the lease is dropped.
#[derive(Debug)]
pub struct Lease {
    pub(super) deadline: watch::Sender<Instant>,
    pub(super) slot: Option<Slot>,
    pub(super) shutdown: Shutdown,
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

    /// Gives the slot, and the place in its network's count, back early: for connections that are counted elsewhere from here on.
    pub fn release_slot(&mut self) {
        self.slot = None;
    }

    /// Tells when the listener stops: an idle connection should then close at once.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }
}
