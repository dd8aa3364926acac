//! The NTS key exchange server: ordinary users and pools on one port.
//!
//! One connection carries one ordinary exchange, or any number of requests of an authorised pool
//! as long as each asks for Keep Alive and gets it. What never happens here: parsing or building
//! records (`nts_proto::ke`), the export of keys from a connection that carried Keep Alive, and a
//! key set that outlives a request.

mod answer;
mod authorization;
mod certificate;
mod connection;
mod long_lived;
mod stats;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use nts_proto::ke::name::NtpServerName;
use nts_proto::ke::negotiation::Capabilities;
use nts_service::listener::{self, Gate, Limits, PrefixLimits, first_byte_limit};
use nts_service::shutdown::Shutdown;
use nts_service::telemetry::metrics::Registry;
use nts_service::telemetry::throttle::Throttle;
use nts_service::tls::LiveIdentity;
use nts_service::watch::Timing;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use stats::{KeStats, KeStatsSnapshot};

use crate::config::KeServerConfig;
use crate::keys::KeyStore;
use crate::server::{Allowance, RateLimiter};
use authorization::Credentials;
use long_lived::LongLived;

/// Pause after a socket could not be bound.
const BIND_PAUSE: Duration = Duration::from_secs(1);

/// Once in this time it is said that the socket still cannot be bound.
const BIND_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Time after the deadline of an exchange to say that it is over.
const GRACE: Duration = Duration::from_millis(500);

/// Running exchanges get their whole time when the daemon stops, but no more than this.
const LONGEST_DRAIN: Duration = Duration::from_secs(2);

/// Addresses that the limit of connections remembers, 8 octets each.
const LIMITED_ADDRESSES: usize = 1 << 16;

/// A running key exchange server. Dropping it ends all its connections at once; after the
/// shutdown given to [`KeServer::start`] they may finish, see [`KeServer::finished`].
#[derive(Debug)]
pub struct KeServer {
    configured: SocketAddr,
    bound: Arc<OnceLock<SocketAddr>>,
    shared: Arc<Shared>,
    gate: Gate,
    /// The certificate that is shown.
    identity: LiveIdentity,
    identity_files: watch::Sender<certificate::Files>,
    task: Option<JoinHandle<()>>,
}

/// What all connections of one server share.
#[derive(Debug)]
struct Shared {
    credentials: ArcSwap<Credentials>,
    capabilities: Capabilities,
    ntp_server: Option<NtpServerName>,
    ntp_port: Option<u16>,
    /// Budget of each request.
    timeout: Duration,
    long_lived: LongLived,
    limiter: Option<RateLimiter>,
    keys: Arc<KeyStore>,
    stats: KeStats,
}

impl KeServer {
    /// Binds the socket and starts to serve, until `shutdown`. Must be called inside a Tokio
    /// runtime. A socket that cannot be bound is a warning: it is tried again each second, as the
    /// network may come up later.
    #[must_use]
    pub fn start(config: &KeServerConfig, keys: Arc<KeyStore>, shutdown: Shutdown) -> Self {
        let counted = listener::Stats::new(&Registry::new(), "ntp_ke");
        let identity = LiveIdentity::from(&config.identity);
        let shared = Arc::new(Shared {
            credentials: ArcSwap::from_pointee(Credentials::new(config, identity.clone())),
            capabilities: Capabilities::ours(),
            ntp_server: config.ntp_server.clone(),
            ntp_port: config.ntp_port,
            timeout: config.key_exchange_timeout,
            long_lived: LongLived::new(config.longlived_connections),
            limiter: limiter(config),
            keys,
            stats: KeStats::beside(&counted),
        });
        let limits = Limits {
            first_byte: Some(first_byte_limit(config.key_exchange_timeout)),
            time_limit: config.key_exchange_timeout,
            grace: GRACE,
            drain: config.key_exchange_timeout.min(LONGEST_DRAIN),
        };
        let gate = Gate::with_prefix_limits(config.concurrent_connections, PrefixLimits::default());
        gate.set_proxy_protocol(config.proxy_protocol.clone());
        let bound = Arc::new(OnceLock::new());
        let binding = Binding {
            address: config.listen,
            bound: Arc::clone(&bound),
            warnings: Throttle::new(1, BIND_LOG_INTERVAL),
        };
        let listener = binding.bind();
        let task = tokio::spawn(serve(
            listener,
            binding,
            gate.clone(),
            limits,
            Arc::clone(&shared),
            counted,
            shutdown.clone(),
        ));
        let (identity_files, files) = watch::channel(files(config));
        // It ends with this server, which holds the other end.
        tokio::spawn(certificate::follow(
            identity.clone(),
            files,
            Timing::default(),
            shutdown,
        ));
        Self {
            configured: config.listen,
            bound,
            shared,
            gate,
            identity,
            identity_files,
            task: Some(task),
        }
    }

    /// Takes certificate, private key, authorised pools and balancers of `config` over: new
    /// connections get the certificate, new requests are judged by the authorisation.
    pub fn reload(&self, config: &KeServerConfig) {
        self.gate.set_proxy_protocol(config.proxy_protocol.clone());
        self.identity.replace(config.identity.clone());
        let credentials = Credentials::new(config, self.identity.clone());
        self.shared.credentials.store(Arc::new(credentials));
        self.identity_files.send_replace(files(config));
    }

    /// The address that the configuration names.
    #[must_use]
    pub fn configured_address(&self) -> SocketAddr {
        self.configured
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
    pub fn stats(&self) -> &KeStats {
        &self.shared.stats
    }

    /// Tells [`address`](Self::address) and counters at any time, as long as anybody asks.
    pub(crate) fn watch(&self) -> impl Fn() -> (SocketAddr, KeStatsSnapshot) + use<> {
        let (configured, bound, shared) = (
            self.configured,
            Arc::clone(&self.bound),
            Arc::clone(&self.shared),
        );
        move || (*bound.get().unwrap_or(&configured), shared.stats.snapshot())
    }

    /// Waits, after the shutdown, until no connection is left.
    pub async fn finished(mut self) {
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::error!(address = %self.address(), %error, "the NTS-KE server ended by a defect");
        }
    }
}

impl Drop for KeServer {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn files(config: &KeServerConfig) -> certificate::Files {
    config.identity_files.clone().map(Arc::new)
}

fn limiter(config: &KeServerConfig) -> Option<RateLimiter> {
    let allowance = Allowance {
        interval: config.rate_limit_interval,
        burst: config.rate_limit_burst,
        // Nobody can forge the address of a connection.
        leak: None,
    };
    RateLimiter::new(LIMITED_ADDRESSES, allowance)
}

/// The socket of a server, on the way to being bound.
struct Binding {
    address: SocketAddr,
    /// Told when it is.
    bound: Arc<OnceLock<SocketAddr>>,
    warnings: Throttle,
}

impl Binding {
    /// On failure warns, now and then, for it is tried again.
    fn bind(&self) -> Option<TcpListener> {
        match listener::bind(self.address) {
            Ok(listener) => {
                let address = listener.local_addr().unwrap_or(self.address);
                tracing::info!(%address, "NTS-KE server listens");
                let _ = self.bound.set(address);
                Some(listener)
            }
            Err(error) => {
                if self.warnings.pass().is_some() {
                    tracing::warn!("NTS-KE server: {error}; trying again");
                }
                None
            }
        }
    }
}

async fn serve(
    mut listener: Option<TcpListener>,
    binding: Binding,
    gate: Gate,
    limits: Limits,
    shared: Arc<Shared>,
    counted: listener::Stats,
    shutdown: Shutdown,
) {
    let listener = loop {
        if let Some(listener) = listener {
            break listener;
        }
        tokio::select! {
            () = tokio::time::sleep(BIND_PAUSE) => {}
            () = shutdown.requested() => return,
        }
        listener = binding.bind();
    };
    let handler = move |connection| connection::serve(Arc::clone(&shared), connection);
    listener::serve(listener, gate, limits, shutdown, counted, handler).await;
}
