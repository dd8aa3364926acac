//! The thread of one server: datagram in, at most one answer out.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nts_proto::ntp::packet::Packet;
use nts_proto::server::{
    DropReason, Outcome, PlainRequests, Policy, ReplyKind, Request, Responder, Treatment,
};
use rand::rngs::ThreadRng;

use nts_service::listener::BindError;
use nts_service::telemetry::throttle::Throttle;

use super::access::AccessLists;
use super::limiter::RateLimiter;
use super::socket::{Datagram, ServerSocket};
use super::stats::Stats;
use super::system::SharedSystemState;
use crate::clock::reading;
use crate::config::{FilterAction, ServerConfig};
use crate::keys::KeyStore;

/// The longest request that is read. One with NTS and 8 cookies of the longest kind has 1500.
const BUFFER: usize = 2048;

/// Datagrams that are answered before the thread looks up.
const BATCH: usize = 64;

/// Pause after a socket could not be bound, in milliseconds.
const BIND_PAUSE: u16 = 1000;

/// Once in this time it is said that the socket still cannot be bound.
const BIND_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Pause after the kernel reported an error, in milliseconds, so that it cannot make us spin.
const ERROR_PAUSE: u16 = 100;

/// What the thread owns.
pub(super) struct Worker {
    address: SocketAddr,
    bound: Arc<OnceLock<SocketAddr>>,
    bind_warnings: Throttle,
    stop: UnixStream,
    lists: AccessLists,
    limiter: Option<RateLimiter>,
    policy: Policy,
    system: SharedSystemState,
    keys: Arc<KeyStore>,
    stats: Arc<Stats>,
}

/// Whether the thread goes on.
#[derive(PartialEq)]
enum Next {
    GoOn,
    Stop,
}

impl Worker {
    /// A worker for `config`. It ends when the other end of `stop` is closed, and tells `bound`
    /// the address that it could bind.
    pub(super) fn new(
        config: &ServerConfig,
        stop: UnixStream,
        bound: Arc<OnceLock<SocketAddr>>,
        system: SharedSystemState,
        keys: Arc<KeyStore>,
        stats: Arc<Stats>,
    ) -> Self {
        Self {
            address: config.listen,
            bound,
            bind_warnings: Throttle::new(1, BIND_LOG_INTERVAL),
            stop,
            lists: AccessLists::new(config.denylist.as_ref(), config.allowlist.as_ref()),
            limiter: RateLimiter::new(config.rate_limiting_cache_size, config.rate_limiting_cutoff),
            policy: policy(config),
            system,
            keys,
            stats,
        }
    }

    /// Binds the socket; on failure warns, now and then, for the thread will try again.
    pub(super) fn bind(&self) -> Option<ServerSocket> {
        let bound = ServerSocket::bind(self.address)
            .and_then(|socket| Ok((socket.local_address()?, socket)));
        match bound {
            Ok((address, socket)) => {
                tracing::info!(%address, "NTP server listens");
                let _ = self.bound.set(address);
                Some(socket)
            }
            Err(error) => {
                let error = BindError::new(self.address, error);
                if self.bind_warnings.pass().is_some() {
                    tracing::warn!("NTP server: {error}; trying again");
                }
                None
            }
        }
    }

    /// Serves until it is told to stop.
    pub(super) fn run(mut self, socket: Option<ServerSocket>) {
        let Some(mut socket) = socket.or_else(|| self.bind_at_last()) else {
            return;
        };
        let mut buffers = Buffers {
            request: [0; BUFFER],
            reply: [0; BUFFER],
        };
        let mut rng = rand::rng();
        loop {
            let next = match self.serve_batch(&mut socket, &mut buffers, &mut rng) {
                Ok(()) => self.wait(Some(&socket), PollTimeout::NONE),
                Err(error) => {
                    tracing::debug!(address = %self.address, %error, "cannot receive");
                    self.wait(None, ERROR_PAUSE.into())
                }
            };
            if next == Next::Stop {
                return;
            }
        }
    }

    /// Answers what has arrived, but no more than a batch: the word to stop must be heard in a
    /// flood too.
    fn serve_batch(
        &mut self,
        socket: &mut ServerSocket,
        buffers: &mut Buffers,
        rng: &mut ThreadRng,
    ) -> io::Result<()> {
        for _ in 0..BATCH {
            let Some(datagram) = socket.receive(&mut buffers.request)? else {
                break;
            };
            self.handle(socket, &datagram, buffers, rng);
        }
        Ok(())
    }

    fn bind_at_last(&self) -> Option<ServerSocket> {
        loop {
            if self.wait(None, BIND_PAUSE.into()) == Next::Stop {
                return None;
            }
            if let Some(socket) = self.bind() {
                return Some(socket);
            }
        }
    }

    /// Waits for a datagram, the word to stop, or the timeout.
    fn wait(&self, socket: Option<&ServerSocket>, timeout: PollTimeout) -> Next {
        let stop = PollFd::new(self.stop.as_fd(), PollFlags::POLLIN);
        let events = match socket {
            Some(socket) => {
                let mut fds = [stop, PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
                poll(&mut fds, timeout).map(|_| fds[0].any())
            }
            None => {
                let mut fds = [stop];
                poll(&mut fds, timeout).map(|_| fds[0].any())
            }
        };
        match events {
            Ok(Some(true)) => Next::Stop,
            _ => Next::GoOn,
        }
    }

    fn handle(
        &mut self,
        socket: &ServerSocket,
        datagram: &Datagram,
        buffers: &mut Buffers,
        rng: &mut ThreadRng,
    ) {
        self.stats.received_packets.increment();
        let octets = buffers.request.get(..datagram.len).unwrap_or_default();
        let Some(treatment) = self.treatment(datagram.from.ip(), octets, rng) else {
            return;
        };
        if datagram.truncated {
            self.stats.ignored_packets.increment();
            return;
        }
        let (served, keys) = (self.system.load(), self.keys.current());
        let received = datagram
            .received
            .map_or_else(reading::now, reading::from_kernel);
        let request = Request {
            datagram: octets,
            received: served.clock.apply(received),
            treatment,
        };
        let responder = Responder {
            system: &served.system,
            keys: &keys,
            policy: &self.policy,
        };
        let transmit = || served.clock.apply(reading::now());
        let outcome = responder.respond(&request, transmit, rng, &mut buffers.reply);
        self.stats.count(&outcome);
        let Outcome::Reply { length, .. } = outcome else {
            return;
        };
        let reply = buffers.reply.get(..length).unwrap_or_default();
        if let Err(error) = socket.answer(datagram, reply) {
            self.stats.response_send_errors.increment();
            tracing::debug!(address = %self.address, %error, "cannot answer");
        }
    }

    /// What access lists and rate limit say; `None` if there is no answer.
    fn treatment(&mut self, from: IpAddr, octets: &[u8], rng: &mut ThreadRng) -> Option<Treatment> {
        let treatment = match self.lists.refusal(from) {
            Some(FilterAction::Ignore) => {
                self.stats.ignored_packets.increment();
                return None;
            }
            Some(FilterAction::Deny) => Treatment::Deny,
            None => Treatment::Serve,
        };
        if let Some(limiter) = &mut self.limiter
            && !limiter.admit(from, Instant::now(), rand::Rng::next_u32(rng))
        {
            self.stats.count_rate_limited(octets);
            return None;
        }
        Some(treatment)
    }
}

struct Buffers {
    request: [u8; BUFFER],
    reply: [u8; BUFFER],
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

impl Stats {
    /// Counts a request that gets no answer because of the rate limit.
    fn count_rate_limited(&self, octets: &[u8]) {
        self.rate_limited_packets.increment();
        if Packet::parse(octets).is_ok_and(|packet| packet.authenticator.is_some()) {
            self.nts_received_packets.increment();
            self.nts_rate_limited_packets.increment();
        }
    }

    /// Counts what became of a request that was neither refused by a list in silence nor rate
    /// limited.
    fn count(&self, outcome: &Outcome) {
        match *outcome {
            Outcome::Reply {
                kind,
                authenticated,
                ..
            } => {
                let (all, with_nts) = match kind {
                    ReplyKind::Time => (&self.accepted_packets, &self.nts_accepted_packets),
                    ReplyKind::Deny => (&self.denied_packets, &self.nts_denied_packets),
                    ReplyKind::Rate => (&self.rate_limited_packets, &self.nts_rate_limited_packets),
                    ReplyKind::NtsNak => {
                        self.nts_received_packets.increment();
                        self.nts_nak_packets.increment();
                        return;
                    }
                };
                all.increment();
                if authenticated {
                    self.nts_received_packets.increment();
                    with_nts.increment();
                }
            }
            Outcome::Drop(reason) => {
                self.ignored_packets.increment();
                if reason == DropReason::BadNts {
                    self.nts_received_packets.increment();
                }
            }
        }
    }
}
