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
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::metrics::{Metrics, show_certificates};
use crate::selection::RosterError;
use crate::server::Front;
use crate::sources::Sources;
use crate::upstream::{IdleShare, Means, SystemResolver, keeper};
use crate::wall_clock::{self, CertificateTime, SystemClock, WallClock};

/// What may follow an exchange's deadline: the good-bye.
const GRACE: Duration = Duration::from_millis(250);
/// How long running exchanges may take to finish at the end.
const DRAIN: Duration = Duration::from_secs(5);
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

/// Why a pool does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket cannot be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The sources make no pool. A [`Config`] that was read from a file has been checked for that.
    #[error(transparent)]
    Sources(#[from] RosterError),
}

impl Pool {
    /// Opens all sockets and begins to serve. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// See [`StartError`]; nothing runs then.
    pub fn start(config: Config) -> Result<Self, StartError> {
        Self::start_by(config, Arc::new(SystemClock))
    }

    /// The same with another clock than the machine's to check certificates by.
    ///
    /// # Errors
    /// See [`StartError`]; nothing runs then.
    pub fn start_by(config: Config, clock: Arc<dyn WallClock>) -> Result<Self, StartError> {
        let listeners = listener::bind_all(&config.listen)?;
        let metrics_listener = match config.observability.metrics_exporter_listen {
            Some(address) => Some(listener::bind(address)?),
            None => None,
        };
        let addresses = listeners.iter().filter_map(local_address).collect();
        let metrics_address = metrics_listener.as_ref().and_then(local_address);

        let mut tls = tls::client_config(&config.tls.trust, Some(&config.tls.upstream_identity));
        Arc::make_mut(&mut tls).time_provider = Arc::new(CertificateTime(Arc::clone(&clock)));
        let means = Arc::new(Means {
            policy: config.upstream,
            exchange_timeout: config.key_exchange_timeout,
            tls,
            idle_share: IdleShare::new(files::share_of_idle(files::limit())),
            resolver: Arc::new(SystemResolver::default()),
        });
        let (selection, health) = (config.selection, config.health);
        let sources = Sources::new(config.sources.sources, &means, selection, health)?;
        let sources = Arc::new(sources);
        let registry = Registry::new();
        let metrics = Arc::new(Metrics::new(registry.clone(), &sources));
        show_certificates(
            &registry,
            Arc::clone(&clock),
            [
                ("front", config.tls.identity.not_after()),
                ("upstream", config.tls.upstream_identity.not_after()),
            ],
        );
        let geo_loaded = registry.gauge(
            "nts_pool_ke_geo_loaded",
            "1 if it is known where users are.",
            &[],
        );
        geo_loaded.set(f64::from(u8::from(config.geo.is_some())));
        let (trigger, shutdown) = shutdown::channel();

        let mut keepers = JoinSet::new();
        for source in sources.all() {
            keepers.spawn(keeper::keep(Arc::clone(source), Arc::clone(&metrics)));
        }
        keepers.spawn(Arc::clone(&sources).tend());
        keepers.spawn(wall_clock::watch(clock, wall_clock::jumps(&registry)));
        let mut running = JoinSet::new();
        if let Some(listener) = metrics_listener {
            let pages = pages(registry.clone(), Arc::clone(&sources), shutdown.clone());
            running.spawn(http::serve(listener, pages, shutdown.clone()));
        }
        let budget = config.key_exchange_timeout;
        let front = Arc::new(Front {
            tls: tls::server_config(&config.tls.identity, ClientCertificates::Ignore),
            sources,
            geo: config.geo.map(|database| database.geo),
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

fn local_address(listener: &TcpListener) -> Option<SocketAddr> {
    listener.local_addr().ok()
}

fn pages(registry: Registry, sources: Arc<Sources>, shutdown: Shutdown) -> Pages {
    Pages::new(move || Ok(registry.render())).with_ready(move || {
        if shutdown.is_requested() {
            Err("stopping".to_owned())
        } else if sources.directory().is_ready() {
            Ok(())
        } else {
            Err("no time source works".to_owned())
        }
    })
}

#[cfg(test)]
mod tests;
