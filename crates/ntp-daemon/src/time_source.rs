//! The serving half of the daemon: NTP servers, key exchange servers, and the keys they share.
//!
//! It runs without the rest of the daemon, which is how tests use it: with port 0 in the
//! configuration, and the addresses asked afterwards. What never happens here: reading a
//! configuration file, signals, or a word to systemd.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use nts_service::shutdown::{self, Trigger};
use tokio::task::JoinSet;

use crate::config::Config;
use crate::ke_server::KeServer;
use crate::keys::{KeyFileError, KeyStore};
use crate::server::{Server, SharedSystemState, system};

/// Running servers. Dropping it stops them at once.
#[derive(Debug)]
pub struct TimeSource {
    servers: Vec<Server>,
    ke_servers: Vec<KeServer>,
    keys: Arc<KeyStore>,
    system: SharedSystemState,
    trigger: Trigger,
    tasks: JoinSet<()>,
}

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The file of the cookie keys must not be used.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The system gives no thread or socket pair.
    #[error("cannot start the NTP server: {0}")]
    Server(#[from] io::Error),
}

impl TimeSource {
    /// Starts the servers of `config`. Must be called inside a Tokio runtime.
    ///
    /// A socket that cannot be bound is a warning and tried again each second. In tests the first
    /// `[[server]]` may listen on port 0: a key exchange server without `ntp-port` then tells the
    /// port that was bound.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(config: &Config) -> Result<Self, StartError> {
        let keys = Arc::new(KeyStore::open(&config.keyset)?);
        let state = system::without_discipline(&config.synchronization);
        let system: SharedSystemState = Arc::new(ArcSwap::from_pointee(state));
        let (trigger, shutdown) = shutdown::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&keys).rotate_on_schedule(shutdown.clone()));
        if config.sources.is_empty() {
            tasks.spawn(system::refresh(Arc::clone(&system), shutdown.clone()));
        }
        let start = |server| Server::start(server, Arc::clone(&system), Arc::clone(&keys));
        let servers = config
            .servers
            .iter()
            .map(start)
            .collect::<io::Result<Vec<_>>>()?;
        let any_port = config
            .servers
            .first()
            .is_some_and(|server| server.listen.port() == 0);
        let bound_port = servers
            .first()
            .and_then(Server::local_address)
            .map(|it| it.port());
        let ke_servers = config.ke_servers.iter().map(|ke_server| {
            let mut ke_server = ke_server.clone();
            if any_port {
                ke_server.ntp_port = ke_server.ntp_port.or(bound_port);
            }
            KeServer::start(&ke_server, Arc::clone(&keys), shutdown.clone())
        });
        let ke_servers = ke_servers.collect();
        Ok(Self {
            servers,
            ke_servers,
            keys,
            system,
            trigger,
            tasks,
        })
    }

    /// The NTP servers, in the order of the configuration.
    #[must_use]
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The key exchange servers, in the order of the configuration.
    #[must_use]
    pub fn ke_servers(&self) -> &[KeServer] {
        &self.ke_servers
    }

    /// Where NTP is answered now.
    #[must_use]
    pub fn ntp_addresses(&self) -> Vec<SocketAddr> {
        self.servers
            .iter()
            .filter_map(Server::local_address)
            .collect()
    }

    /// Where key exchanges are answered now.
    #[must_use]
    pub fn ke_addresses(&self) -> Vec<SocketAddr> {
        self.ke_servers
            .iter()
            .filter_map(KeServer::local_address)
            .collect()
    }

    /// What the servers say about the clock; whoever keeps the clock stores into it.
    #[must_use]
    pub fn system(&self) -> &SharedSystemState {
        &self.system
    }

    /// The cookie keys.
    #[must_use]
    pub fn keys(&self) -> &Arc<KeyStore> {
        &self.keys
    }

    /// Takes over the secrets of shared cookie keys, and certificates, private keys and authorised
    /// pools of `config` for each key exchange server that listens where it did before. Gives the
    /// addresses of those that are new or gone, which only a restart makes true.
    pub fn reload(&self, config: &Config) -> Vec<SocketAddr> {
        if !self.keys.reload(&config.keyset) {
            tracing::warn!("shared-secret-path was added or taken out; restart for that");
        }
        let mut changed = Vec::new();
        for ke_server in &config.ke_servers {
            let same = |it: &&KeServer| it.configured_address() == ke_server.listen;
            match self.ke_servers.iter().find(same) {
                Some(running) => running.reload(ke_server),
                None => changed.push(ke_server.listen),
            }
        }
        let configured = |address| config.ke_servers.iter().any(|it| it.listen == address);
        let running = self.ke_servers.iter().map(KeServer::configured_address);
        changed.extend(running.filter(|address| !configured(*address)));
        changed
    }

    /// Stops serving: running exchanges may finish, for two seconds at most; then the cookie
    /// keys are saved.
    pub async fn shutdown(mut self) {
        self.trigger.fire();
        let (servers, keys) = (self.servers, self.keys);
        let blocking = tokio::task::spawn_blocking(move || {
            drop(servers);
            keys.save();
        });
        for ke_server in self.ke_servers {
            ke_server.finished().await;
        }
        while self.tasks.join_next().await.is_some() {}
        if blocking.await.is_err() {
            tracing::error!("the NTP servers ended by a defect");
        }
    }
}
