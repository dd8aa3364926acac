//! The NTP server: UDP sockets, access lists, rate limits, counters.
//!
//! Each `[[server]]` has a thread of its own, off the async runtime. What never happens here:
//! parsing or building packets (`nts_proto::server`), waiting for anything but a datagram, and a
//! log line above `debug` that a stranger's datagram causes.

mod access;
mod limiter;
mod socket;
mod stats;
pub(crate) mod system;
#[cfg(test)]
mod tests;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

pub(crate) use stats::counters;
pub use stats::{Stats, StatsSnapshot};
pub use system::{Served, SharedSystemState};
use worker::Worker;

use crate::config::ServerConfig;
use crate::keys::KeyStore;

/// A running server. Dropping it stops and joins its thread.
#[derive(Debug)]
pub struct Server {
    configured: SocketAddr,
    bound: Arc<OnceLock<SocketAddr>>,
    stats: Arc<Stats>,
    /// Closed to stop the thread.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds the socket and starts the thread. A socket that cannot be bound is a warning: the
    /// thread tries again each second, as the network may come up later.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(
        config: &ServerConfig,
        system: SharedSystemState,
        keys: Arc<KeyStore>,
    ) -> io::Result<Self> {
        let (stop, stopped) = UnixStream::pair()?;
        let (bound, stats) = (Arc::new(OnceLock::new()), Arc::new(Stats::default()));
        let worker = Worker::new(
            config,
            stopped,
            Arc::clone(&bound),
            system,
            keys,
            Arc::clone(&stats),
        );
        let socket = worker.bind();
        let thread = std::thread::Builder::new()
            .name("ntp-server".to_owned())
            .spawn(move || worker.run(socket))?;
        Ok(Self {
            configured: config.listen,
            bound,
            stats,
            stop: Some(stop),
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
        self.bound.get().copied()
    }

    /// What it counts.
    #[must_use]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// Tells [`address`](Self::address) and counters at any time, as long as anybody asks.
    pub(crate) fn watch(&self) -> impl Fn() -> (SocketAddr, StatsSnapshot) + use<> {
        let (configured, bound, stats) = (
            self.configured,
            Arc::clone(&self.bound),
            Arc::clone(&self.stats),
        );
        move || (*bound.get().unwrap_or(&configured), stats.snapshot())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(address = %self.address(), "the NTP server ended by a defect");
        }
    }
}
