//! A running pool: its listeners, its keepers, and how all of them end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nts_service::files;
use nts_service::listener::{self, BindError, Gate, Inherited, Limits, ListenError, Stats};
use nts_service::shutdown::{self, Shutdown, Trigger};
use nts_service::telemetry::http::{self, Pages};
use nts_service::telemetry::metrics::Registry;
use nts_service::telemetry::readiness::Readiness;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::selection::RosterError;
use crate::setup::Setup;
use crate::sources::Present;
use crate::wall_clock::{self, SystemClock, WallClock};

/// What may follow an exchange's deadline: the good-bye.
const GRACE: Duration = Duration::from_millis(250);
const METRICS_PREFIX: &str = "nts_pool_ke";

/// A pool that serves users. Dropping it ends it at once; [`Pool::shutdown`] lets running
/// exchanges finish.
#[derive(Debug)]
pub struct Pool {
    addresses: Vec<SocketAddr>,
    metrics_address: Option<SocketAddr>,
    registry: Registry,
    /// Says that the end comes.
    leaving: Trigger,
    /// How long users are served after that.
    leave: Duration,
    trigger: Trigger,
    listeners: JoinSet<()>,
    setup: Setup,
    /// Ends with the pool.
    _tending: JoinSet<()>,
}

/// Why a pool does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The socket for metrics cannot be opened.
    #[error(transparent)]
    Metrics(#[from] BindError),
    /// There is nothing that users could connect to.
    #[error(transparent)]
    Listen(#[from] ListenError),
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
        Self::start_on(config, Inherited::none())
    }

    /// The same with sockets that the service manager handed over, for a configuration that wants
    /// them.
    ///
    /// # Errors
    /// See [`StartError`]; nothing runs then.
    pub fn start_on(config: Config, inherited: Inherited) -> Result<Self, StartError> {
        Self::start_with(config, inherited, Arc::new(SystemClock))
    }

    /// The same with another clock than the machine's to check certificates by.
    ///
    /// # Errors
    /// See [`StartError`]; nothing runs then.
    pub fn start_by(config: Config, clock: Arc<dyn WallClock>) -> Result<Self, StartError> {
        Self::start_with(config, Inherited::none(), clock)
    }

    fn start_with(
        config: Config,
        inherited: Inherited,
        clock: Arc<dyn WallClock>,
    ) -> Result<Self, StartError> {
        let listeners = config.listen.open(inherited)?;
        let metrics_listener = match config.observability.metrics_exporter_listen {
            Some(address) => Some(listener::bind(address)?),
            None => None,
        };
        let addresses = listeners.iter().filter_map(local_address).collect();
        let metrics_address = metrics_listener.as_ref().and_then(local_address);
        let registry = Registry::new();
        files::show_usage(&registry, METRICS_PREFIX);
        let limits = ListenerLimits::of(&config, &registry);
        let leave = config.shutdown.delay;
        let setup = Setup::new(config, &registry, Arc::clone(&clock))?;
        let (trigger, shutdown) = shutdown::channel();
        let (leaving, leaves) = shutdown::channel();

        let mut tending = JoinSet::new();
        tending.spawn(Arc::clone(&setup.sources).tend());
        tending.spawn(wall_clock::watch(clock, wall_clock::jumps(&registry)));
        let mut running = JoinSet::new();
        if let Some(listener) = metrics_listener {
            let sources = Arc::clone(&setup.sources);
            let pages = pages(registry.clone(), sources, leaves);
            running.spawn(http::serve(listener, pages, shutdown.clone()));
        }
        let stats = Stats::new(&registry, METRICS_PREFIX);
        for listener in listeners {
            let front = Arc::clone(&setup.front);
            let handler = move |connection| front.load_full().serve(connection);
            let ListenerLimits { gate, times } = limits.clone();
            let (shutdown, stats) = (shutdown.clone(), stats.clone());
            running.spawn(listener::serve(
                listener, gate, times, shutdown, stats, handler,
            ));
        }
        Ok(Self {
            addresses,
            metrics_address,
            registry,
            leaving,
            leave,
            trigger,
            listeners: running,
            setup,
            _tending: tending,
        })
    }

    /// The configuration in effect.
    pub fn config(&self) -> Config {
        self.setup.config()
    }

    /// Goes by `config` from now on, except for the addresses it listens on. Exchanges that run end
    /// as they began. What was known of sources that stay is still known.
    ///
    /// # Errors
    /// If the sources make no pool; nothing has changed then.
    pub fn reload(&mut self, config: Config) -> Result<(), RosterError> {
        self.setup.reload(config)
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

    /// Says that the end comes, serves on for the configured delay, stops accepting, lets running
    /// exchanges finish, and ends.
    pub async fn shutdown(mut self) {
        self.leaving.fire();
        tokio::time::sleep(self.leave).await;
        self.trigger.fire();
        while self.listeners.join_next().await.is_some() {}
    }
}

/// What holds for all connections of users.
#[derive(Clone)]
struct ListenerLimits {
    gate: Gate,
    times: Limits,
}

impl ListenerLimits {
    fn of(config: &Config, registry: &Registry) -> Self {
        let budget = config.key_exchange_timeout;
        let connections = config.limits.connections(files::limit());
        let limit = format!("{METRICS_PREFIX}_connections_limit");
        let limit = registry.gauge(&limit, "Connections at the same time, at most.", &[]);
        limit.set(connections as f64);
        let gate = Gate::with_prefix_limits(connections, config.limits.prefixes.clone());
        gate.set_proxy_protocol(config.proxy_protocol.clone());
        Self {
            gate,
            times: Limits {
                first_byte: Some(config.limits.first_byte(budget)),
                time_limit: budget,
                grace: GRACE,
                drain: config.shutdown.timeout,
            },
        }
    }
}

fn local_address(listener: &TcpListener) -> Option<SocketAddr> {
    listener.local_addr().ok()
}

fn pages(registry: Registry, sources: Arc<Present>, shutdown: Shutdown) -> Pages {
    let ready = Readiness::new()
        .when("running", move || match shutdown.is_requested() {
            true => Err("stopping".to_owned()),
            false => Ok(()),
        })
        .when("sources", move || {
            match sources.get().directory().is_ready() {
                true => Ok(()),
                false => Err("no time source works".to_owned()),
            }
        });
    Pages::new(move || Ok(registry.render())).with_ready(ready)
}

#[cfg(test)]
mod tests;
