//! A running pool: its listeners, its keepers, and how all of them end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nts_service::files;
use nts_service::listener::{self, BindError, Gate, Limits, Stats};
use nts_service::shutdown::{self, Shutdown, Trigger};
use nts_service::telemetry::http::{self, Pages};
use nts_service::telemetry::metrics::Registry;
use nts_service::tls::{self, ClientCertificates};
use rand::seq::SliceRandom as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::Config;
use crate::metrics::{Metrics, show_certificates};
use crate::server::Front;
use crate::source::{Source, State};
use crate::upstream::{IdleShare, Means, SystemResolver, keeper};

/// What may follow an exchange's deadline: the good-bye.
const GRACE: Duration = Duration::from_millis(250);
/// How long running exchanges may take to finish at the end.
const DRAIN: Duration = Duration::from_secs(5);
/// Sources that are checked per second when the pool starts.
const FIRST_CHECKS_PER_SECOND: f64 = 200.0;
const METRICS_PREFIX: &str = "nts_pool_ke";

/// A pool that serves users. Dropping it ends it at once; [`Pool::shutdown`] lets running
/// exchanges finish.
#[derive(Debug)]
pub struct Pool {
    addresses: Vec<SocketAddr>,
    metrics_address: Option<SocketAddr>,
    registry: Registry,
    trigger: Trigger,
    listeners: JoinSet<()>,
    /// Ends with the pool.
    _keepers: JoinSet<()>,
}

impl Pool {
    /// Opens all sockets and begins to serve. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// If a socket cannot be opened; nothing runs then.
    pub fn start(config: Config) -> Result<Self, BindError> {
        let listeners = listener::bind_all(&config.listen)?;
        let metrics_listener = match config.observability.metrics_exporter_listen {
            Some(address) => Some(listener::bind(address)?),
            None => None,
        };
        let addresses = listeners.iter().filter_map(local_address).collect();
        let metrics_address = metrics_listener.as_ref().and_then(local_address);

        let attempts = config.upstream.attempts;
        let means = Arc::new(Means {
            policy: config.upstream,
            exchange_timeout: config.key_exchange_timeout,
            tls: tls::client_config(&config.tls.trust, Some(&config.tls.upstream_identity)),
            idle_share: IdleShare::new(files::share_of_idle(files::limit())),
            resolver: Arc::new(SystemResolver::default()),
        });
        let new_source = |source| Arc::new(Source::new(source, Arc::clone(&means)));
        let sources: Vec<_> = config.sources.sources.into_iter().map(new_source).collect();
        let registry = Registry::new();
        let metrics = Arc::new(Metrics::new(registry.clone(), &sources));
        show_certificates(
            &registry,
            [
                ("front", config.tls.identity.not_after()),
                ("upstream", config.tls.upstream_identity.not_after()),
            ],
        );
        let (trigger, shutdown) = shutdown::channel();

        let mut keepers = JoinSet::new();
        for (source, delay) in std::iter::zip(&sources, first_checks(sources.len())) {
            let (source, metrics) = (Arc::clone(source), Arc::clone(&metrics));
            keepers.spawn(keeper::keep(source, delay, metrics));
        }
        let mut running = JoinSet::new();
        if let Some(listener) = metrics_listener {
            let pages = pages(registry.clone(), sources.clone(), shutdown.clone());
            running.spawn(http::serve(listener, pages, shutdown.clone()));
        }
        let budget = config.key_exchange_timeout;
        let front = Arc::new(Front {
            tls: tls::server_config(&config.tls.identity, ClientCertificates::Ignore),
            sources,
            attempts,
            timeout: budget,
            handshake_timeout: config.limits.handshake(budget),
            request_timeout: config.limits.request(budget),
            metrics,
        });
        let limits = Limits {
            first_byte: Some(config.limits.first_byte(budget)),
            time_limit: budget,
            grace: GRACE,
            drain: DRAIN,
        };
        let stats = Stats::new(&registry, METRICS_PREFIX);
        let connections = config.limits.connections(files::limit());
        let limit = format!("{METRICS_PREFIX}_connections_limit");
        let limit = registry.gauge(&limit, "Connections at the same time, at most.", &[]);
        limit.set(connections as f64);
        let gate = Gate::with_prefix_limits(connections, config.limits.prefixes);
        for listener in listeners {
            let front = Arc::clone(&front);
            let handler = move |connection| Arc::clone(&front).serve(connection);
            let (gate, shutdown, stats) = (gate.clone(), shutdown.clone(), stats.clone());
            running.spawn(listener::serve(
                listener, gate, limits, shutdown, stats, handler,
            ));
        }
        Ok(Self {
            addresses,
            metrics_address,
            registry,
            trigger,
            listeners: running,
            _keepers: keepers,
        })
    }

    /// Where users connect to, in the order of the configuration, with the ports really used.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where metrics are served, if anywhere.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// All metrics of this pool.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Stops accepting, lets running exchanges finish, and ends.
    pub async fn shutdown(mut self) {
        self.trigger.fire();
        while self.listeners.join_next().await.is_some() {}
    }
}

/// For each of so many sources, when it is checked for the first time: in random order, so that
/// pools that start together do not all come to the same one, and not too many at once.
fn first_checks(sources: usize) -> Vec<Duration> {
    let mut delays: Vec<_> = (0..sources)
        .map(|turn| Duration::from_secs(1).mul_f64(turn as f64 / FIRST_CHECKS_PER_SECOND))
        .collect();
    delays.shuffle(&mut rand::rng());
    delays
}

fn local_address(listener: &TcpListener) -> Option<SocketAddr> {
    listener.local_addr().ok()
}

fn pages(registry: Registry, sources: Vec<Arc<Source>>, shutdown: Shutdown) -> Pages {
    Pages::new(move || Ok(registry.render())).with_ready(move || {
        let now = Instant::now();
        if shutdown.is_requested() {
            Err("stopping".to_owned())
        } else if sources.iter().any(|it| it.state(now) == State::InUse) {
            Ok(())
        } else {
            Err("no time source is in use".to_owned())
        }
    })
}

#[cfg(test)]
mod tests;
