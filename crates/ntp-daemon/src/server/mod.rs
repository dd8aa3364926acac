//! The NTP server: UDP sockets, access lists, rate limits, counters.
//!
//! Each `[[server]]` has threads of its own, off the async runtime, each with a socket of its own;
//! they share nothing but what is read only or atomic. What never happens here: parsing or building
//! packets (`nts_proto::server`), waiting for anything but a datagram, and a log line above `debug`
//! that a stranger's datagram causes.

mod access;
mod batch;
mod handler;
mod limiter;
mod socket;
mod stats;
pub(crate) mod system;
#[cfg(test)]
mod tests;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nts_service::listener::BindError;
use nts_service::telemetry::throttle::Throttle;

pub(crate) use limiter::{Allowance, RateLimiter};
pub use stats::{Stats, StatsSnapshot};
pub use system::{Served, SharedSystemState};

use crate::config::ServerConfig;
use crate::keys::KeyStore;
use handler::Handler;
use socket::ServerSocket;
use worker::Shared;

/// Pause after the sockets could not be bound.
const BIND_PAUSE: Duration = Duration::from_secs(1);

/// Once in this time it is said that they still cannot be bound.
const BIND_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Threads at most where the configuration leaves the number to us.
const MAX_AUTOMATIC_THREADS: usize = 8;

/// A running server. Dropping it stops and joins its threads.
#[derive(Debug)]
pub struct Server {
    configured: SocketAddr,
    sockets: Arc<OnceLock<Vec<ServerSocket>>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds the sockets and starts the threads. Sockets that cannot be bound are a warning: it is
    /// tried again each second, as the network may come up later.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(
        config: &ServerConfig,
        system: SharedSystemState,
        keys: Arc<KeyStore>,
    ) -> io::Result<Self> {
        let threads = threads(config);
        let shared = Arc::new(Shared {
            handler: Handler::new(config),
            system,
            keys,
            stats: Arc::new(Stats::new(threads)),
            stop: AtomicBool::new(false),
        });
        let sockets = Arc::new(OnceLock::new());
        let binding = Binding {
            address: config.listen,
            threads,
            sockets: Arc::clone(&sockets),
            warnings: Throttle::new(1, BIND_LOG_INTERVAL),
            shared: Arc::clone(&shared),
        };
        binding.bind();
        let thread = thread::Builder::new()
            .name("ntp-server".to_owned())
            .spawn(move || binding.run())?;
        Ok(Self {
            configured: config.listen,
            sockets,
            shared,
            thread: Some(thread),
        })
    }

    /// The address that was bound, or the configured one as long as none was.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.local_address().unwrap_or(self.configured)
    }

    /// The address that was bound.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        bound(&self.sockets)
    }

    /// What it counts.
    #[must_use]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.shared.stats
    }

    /// Tells [`address`](Self::address) and counters at any time, as long as anybody asks.
    pub(crate) fn watch(&self) -> impl Fn() -> (SocketAddr, StatsSnapshot) + use<> {
        let configured = self.configured;
        let (sockets, stats) = (Arc::clone(&self.sockets), Arc::clone(self.stats()));
        move || (bound(&sockets).unwrap_or(configured), stats.snapshot())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        for socket in self.sockets.get().into_iter().flatten() {
            socket.wake();
        }
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!(address = %self.address(), "the NTP server ended by a defect");
            }
        }
    }
}

fn bound(sockets: &OnceLock<Vec<ServerSocket>>) -> Option<SocketAddr> {
    sockets.get()?.first().map(ServerSocket::address)
}

/// The number of threads of a server.
fn threads(config: &ServerConfig) -> usize {
    match config.threads {
        0 => thread::available_parallelism()
            .map_or(1, |cores| cores.get().min(MAX_AUTOMATIC_THREADS)),
        threads => threads,
    }
}

/// The sockets of a server, on the way to being bound, and what is served on them.
struct Binding {
    address: SocketAddr,
    threads: usize,
    sockets: Arc<OnceLock<Vec<ServerSocket>>>,
    warnings: Throttle,
    shared: Arc<Shared>,
}

impl Binding {
    /// On failure warns, now and then, for it is tried again.
    fn bind(&self) {
        match ServerSocket::bind_all(self.address, self.threads) {
            Ok(sockets) => {
                let address = sockets.first().map_or(self.address, ServerSocket::address);
                tracing::info!(%address, threads = self.threads, "NTP server listens");
                let _ = self.sockets.set(sockets);
            }
            Err(error) => {
                let error = BindError::new(self.address, error);
                if self.warnings.pass().is_some() {
                    tracing::warn!("NTP server: {error}; trying again");
                }
            }
        }
    }

    /// Serves on all sockets until it is told to stop.
    fn run(self) {
        let sockets = loop {
            if self.shared.stop.load(SeqCst) {
                return;
            }
            if let Some(sockets) = self.sockets.get() {
                break sockets;
            }
            thread::park_timeout(BIND_PAUSE);
            self.bind();
        };
        let Some((first, others)) = sockets.split_first() else {
            return;
        };
        thread::scope(|scope| {
            for (number, socket) in (1..).zip(others) {
                let shared = &self.shared;
                let name = format!("ntp-server-{number}");
                let started = thread::Builder::new()
                    .name(name)
                    .spawn_scoped(scope, move || shared.serve(socket, number));
                if let Err(error) = started {
                    // Its socket would get requests that nobody reads.
                    tracing::error!(%error, "no thread for a socket of the NTP server");
                    socket.wake();
                }
            }
            self.shared.serve(first, 0);
        });
    }
}
