//! One thread of a server: a batch of datagrams in, their answers out.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{SockaddrIn, SockaddrIn6};
use nts_proto::time::{NtpDuration, NtpTimestamp};
use rand::rngs::ThreadRng;

use super::batch::{Address, Batch, Inbox, Outbox};
use super::handler::{Arrival, Handler, Moment};
use super::socket::ServerSocket;
use super::stats::{Shard, Stats, StatsSnapshot};
use super::system::SharedSystemState;
use crate::clock::reading;
use crate::keys::KeyStore;

/// Pause after the kernel reported an error, so that it cannot make us spin.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// An answer waits no longer than this for others to leave with it, since its time of departure is
/// written already: 50 µs.
const LONGEST_STAY: NtpDuration = NtpDuration::from_bits(50 * 4295);

/// What all threads of a server share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) handler: Handler,
    pub(super) system: SharedSystemState,
    pub(super) keys: Arc<KeyStore>,
    pub(super) stats: Arc<Stats>,
    /// Set before the sockets are [woken](ServerSocket::wake).
    pub(super) stop: AtomicBool,
}

impl Shared {
    /// Serves one socket until it is told to stop, as thread number `thread`.
    pub(super) fn serve(&self, socket: &ServerSocket, thread: usize) {
        if socket.address().is_ipv4() {
            Worker::<SockaddrIn>::new(self, socket).run(thread);
        } else {
            Worker::<SockaddrIn6>::new(self, socket).run(thread);
        }
    }
}

/// What one thread owns.
struct Worker<'s, A> {
    shared: &'s Shared,
    socket: &'s ServerSocket,
    inbox: Inbox<A>,
    replies: Replies<'s, A>,
}

impl<'s, A: Address> Worker<'s, A> {
    fn new(shared: &'s Shared, socket: &'s ServerSocket) -> Self {
        Self {
            shared,
            socket,
            inbox: Inbox::new(),
            replies: Replies {
                shared,
                socket,
                outbox: Outbox::new(),
                first: None,
                counted: StatsSnapshot::default(),
                rng: rand::rng(),
            },
        }
    }

    fn run(mut self, thread: usize) {
        let Some(shard) = self.shared.stats.shard(thread) else {
            return;
        };
        while !self.shared.stop.load(SeqCst) {
            let (shared, replies) = (self.shared, &mut self.replies);
            let served = self.inbox.receive(self.socket, |batch| {
                // Who was woken has nothing to read.
                if !shared.stop.load(SeqCst) {
                    replies.answer_all(batch, shard);
                }
            });
            match served {
                Ok(()) | Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(error) => {
                    let address = self.socket.address();
                    tracing::debug!(%address, %error, "cannot receive");
                    thread::sleep(ERROR_PAUSE);
                }
            }
        }
    }
}

/// The answering half of a thread.
struct Replies<'s, A> {
    shared: &'s Shared,
    socket: &'s ServerSocket,
    outbox: Outbox<A>,
    /// Time of departure in the first answer that waits.
    first: Option<NtpTimestamp>,
    counted: StatsSnapshot,
    rng: ThreadRng,
}

impl<A: Address> Replies<'_, A> {
    /// Answers a batch. Clock state and keys are those of the moment when it was received.
    fn answer_all(&mut self, batch: Batch<'_, A>, shard: &Shard) {
        let (served, keys) = (self.shared.system.load(), self.shared.keys.current());
        let moment = Moment {
            system: &served.system,
            keys: &keys,
            now: Instant::now(),
        };
        for datagram in batch {
            if !self.outbox.fits(&datagram.sender) {
                self.send(shard);
            }
            let received = datagram
                .received
                .map_or_else(reading::now, reading::from_kernel);
            let arrival = Arrival {
                from: datagram.sender.from.into().ip(),
                octets: datagram.octets,
                truncated: datagram.truncated,
                received: served.clock.apply(received),
            };
            let mut departure = None;
            self.outbox.put(&datagram.sender, |out| {
                let transmit = || *departure.insert(served.clock.apply(reading::now()));
                let (handler, counted) = (&self.shared.handler, &mut self.counted);
                handler.answer(&moment, &arrival, transmit, &mut self.rng, out, counted)
            });
            if self.has_waited(departure) {
                self.send(shard);
            }
        }
        self.send(shard);
    }

    /// Whether the first answer that waits has waited long enough, now that another leaves at
    /// `departure`.
    fn has_waited(&mut self, departure: Option<NtpTimestamp>) -> bool {
        let Some(departure) = departure else {
            return false;
        };
        let first = *self.first.get_or_insert(departure);
        departure.since(first) > LONGEST_STAY
    }

    /// Sends what waits. It is counted before, so that whoever has an answer finds it counted.
    fn send(&mut self, shard: &Shard) {
        shard.add(&self.counted);
        self.counted = StatsSnapshot::default();
        self.first = None;
        let (failed, reason) = self.outbox.send(self.socket);
        if let Some(reason) = reason {
            shard.add(&StatsSnapshot {
                response_send_errors: failed,
                ..StatsSnapshot::default()
            });
            let (address, error) = (self.socket.address(), io::Error::from(reason));
            tracing::debug!(%address, %error, "cannot answer");
        }
    }
}
