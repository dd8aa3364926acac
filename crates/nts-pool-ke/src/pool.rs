//! A running pool: its listeners, its keepers, and how all of them end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nts_service::files;
use nts_service::listener::{self, BindError, Inherited, ListenError, Stats};
use nts_service::shutdown::{self, Shutdown, Trigger};
use nts_service::telemetry::http::{self, Pages};
use nts_service::telemetry::metrics::Registry;
use nts_service::telemetry::readiness::Readiness;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::defect::for_ever;
use crate::door::Door;
use crate::selection::RosterError;
use crate::setup::Setup;
use crate::status;
use crate::wall_clock::{self, SystemClock, WallClock};

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
    door: Door,
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
        let door = Door::new(&config, &registry);
        let leave = config.shutdown.delay;
        let setup = Setup::new(config, &registry, Arc::clone(&clock))?;
        let (trigger, shutdown) = shutdown::channel();
        let (leaving, leaves) = shutdown::channel();

        let mut tending = JoinSet::new();
        let sources = Arc::clone(&setup.sources);
        tending.spawn(for_ever(move || Arc::clone(&sources).tend()));
        let jumps = wall_clock::jumps(&registry);
        let watch = move || wall_clock::watch(Arc::clone(&clock), jumps.clone());
        tending.spawn(for_ever(watch));
        let certificates = setup.certificates.clone();
        tending.spawn(for_ever(move || certificates.clone().watch()));
        let mut running = JoinSet::new();
        if let Some(listener) = metrics_listener {
            let pages = pages(registry.clone(), &setup, leaves);
            running.spawn(http::serve(listener, pages, shutdown.clone()));
        }
        let stats = Stats::new(&registry, METRICS_PREFIX);
        for listener in listeners {
            let front = Arc::clone(&setup.front);
            let handler = move |connection| front.load_full().serve(connection);
            let (shutdown, stats) = (shutdown.clone(), stats.clone());
            let (gate, limits) = (door.gate.clone(), door.limits.clone());
            running.spawn(listener::serve(
                listener, gate, limits, shutdown, stats, handler,
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
            door,
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
        self.setup.reload(config)?;
        let config = self.setup.rest_of_config();
        self.door.set(config);
        self.leave = config.shutdown.delay;
        Ok(())
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

fn local_address(listener: &TcpListener) -> Option<SocketAddr> {
    listener.local_addr().ok()
}

fn pages(registry: Registry, setup: &Setup, leaves: Shutdown) -> Pages {
    let (sources, certificates) = (Arc::clone(&setup.sources), setup.certificates.clone());
    let shown = Arc::clone(&sources);
    let unless = |fault: bool, text: &str| match fault {
        true => Err(text.to_owned()),
        false => Ok(()),
    };
    let ready = Readiness::new()
        .when("running", move || unless(leaves.is_requested(), "stopping"))
        .when("certificate", move || {
            unless(certificates.users_see_an_expired_one(), "it has expired")
        })
        .when("sources", move || {
            let sources = sources.get();
            unless(!sources.directory().is_ready(), sources.trouble())
        });
    Pages::new(move || Ok(registry.render()))
        .with_ready(ready)
        .with_status(move || status::document(&shown.get()))
}

#[cfg(test)]
mod tests;
