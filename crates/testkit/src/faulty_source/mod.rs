//! A time source's NTS-KE server that does what a [`Script`] says, and remembers what it was
//! asked: on real TLS, with real certificates, so that a pool cannot tell it from a good one.
//!
//! Its cookies open nothing; it is for what happens before a user asks for the time.

mod connection;
mod door;
mod script;
mod seen;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nts_proto::ke::negotiation::Capabilities;
use nts_proto::ke::token::AuthenticationToken;
use nts_service::tls::{self, ClientCertificates, Identity};
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::authority::CertificateAuthority;
use crate::deadline::within;
use door::Door;

pub use script::{Answer, Connect, Gate, Script};
pub use seen::{Asked, Kind, Seen};

/// How a source is set up, apart from its faults.
pub struct Setup {
    /// What it shows to pools.
    pub identity: Identity,
    /// What it supports.
    pub capabilities: Capabilities,
    /// The token it demands, if any.
    pub token: Option<AuthenticationToken>,
    /// The client certificate it demands, if any.
    pub certificate: Option<CertificateDer<'static>>,
}

impl Setup {
    /// A source that serves everybody as we would, under `names`.
    pub fn new(authority: &CertificateAuthority, names: &[&str]) -> Self {
        Self {
            identity: authority.server(names).identity(),
            capabilities: Capabilities::ours(),
            token: None,
            certificate: None,
        }
    }
}

/// See the module. Some time after it was dropped, connections are refused; see
/// [`FaultySource::stop`].
pub struct FaultySource {
    address: SocketAddr,
    shared: Arc<Shared>,
    seen: watch::Receiver<Seen>,
    dropping: mpsc::Sender<oneshot::Sender<()>>,
    /// Ends with the source.
    tasks: JoinSet<()>,
}

struct Shared {
    tls: Mutex<Arc<ServerConfig>>,
    capabilities: Capabilities,
    token: Option<AuthenticationToken>,
    certificate: Option<CertificateDer<'static>>,
    script: watch::Sender<Script>,
    seen: watch::Sender<Seen>,
}

impl FaultySource {
    /// Starts a source on any port of the address, with a certificate for that address.
    pub async fn start(authority: &CertificateAuthority, ip: IpAddr, script: Script) -> Self {
        let name = ip.to_string();
        Self::with_setup(ip, Setup::new(authority, &[&name]), script).await
    }

    /// Starts a source on any port of the address.
    ///
    /// # Panics
    /// If the address is none of this machine's.
    pub async fn with_setup(ip: IpAddr, setup: Setup, script: Script) -> Self {
        let door = Door::new(ip, script.connect).await;
        let address = door.address();
        let (sender, seen) = watch::channel(Seen::default());
        let shared = Arc::new(Shared {
            tls: Mutex::new(server_config(&setup.identity)),
            capabilities: setup.capabilities,
            token: setup.token,
            certificate: setup.certificate,
            script: watch::Sender::new(script),
            seen: sender,
        });
        let mut tasks = JoinSet::new();
        let (dropping, drops) = mpsc::channel(1);
        let script = shared.script.subscribe();
        tasks.spawn(accept(door, script, drops, Arc::clone(&shared)));
        Self {
            address,
            shared,
            seen,
            dropping,
            tasks,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it does from the next connection or request on. Whether it listens at all changes a
    /// moment later, at the latest when [`FaultySource::drop_connections`] has returned.
    pub fn follow(&self, script: Script) {
        self.shared.script.send_replace(script);
    }

    /// What it shows of itself from the next connection on.
    pub fn show(&self, identity: &Identity) {
        *lock(&self.shared.tls) = server_config(identity);
    }

    /// Cuts off all connections, whatever they wait for, and goes on listening.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn drop_connections(&self) {
        let (done, dropped) = oneshot::channel();
        let dropping = async {
            let _ = self.dropping.send(done).await;
            let _ = dropped.await;
        };
        within("connections to be dropped", dropping).await;
    }

    /// Closes its port and cuts off all connections: from then on, connections are refused.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn stop(self) {
        let Self {
            dropping,
            mut tasks,
            ..
        } = self;
        drop(dropping);
        let ended = async { while tasks.join_next().await.is_some() {} };
        within("a source to stop", ended).await;
    }

    /// What it has seen up to now.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until what it has seen is as `condition` wants it.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn wait_for(&self, what: &str, condition: impl FnMut(&Seen) -> bool) {
        let mut seen = self.seen.clone();
        let waited = within(what, seen.wait_for(condition)).await;
        waited.expect("the sender lives as long as the source");
    }
}

impl Shared {
    fn script(&self) -> Script {
        self.script.borrow().clone()
    }

    fn tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&lock(&self.tls))
    }

    fn note(&self, change: impl FnOnce(&mut Seen)) {
        self.seen.send_modify(change);
    }
}

fn server_config(identity: &Identity) -> Arc<ServerConfig> {
    tls::server_config(identity, ClientCertificates::Request)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn obey(door: &mut Door, script: &mut watch::Receiver<Script>) {
    let connect = script.borrow_and_update().connect;
    door.become_as(connect).await;
}

async fn accept(
    mut door: Door,
    mut script: watch::Receiver<Script>,
    mut drops: mpsc::Receiver<oneshot::Sender<()>>,
    shared: Arc<Shared>,
) {
    let mut connections = JoinSet::new();
    let mut numbers = 0..;
    loop {
        tokio::select! {
            biased;
            Ok(()) = script.changed() => obey(&mut door, &mut script).await,
            dropping = drops.recv() => {
                let Some(done) = dropping else { break };
                // The change may have come after the look for one above.
                if script.has_changed().unwrap_or_default() {
                    obey(&mut door, &mut script).await;
                }
                let open = connections.len();
                connections.shutdown().await;
                shared.note(|seen| seen.closed += open);
                let _ = done.send(());
            }
            accepted = door.accept() => {
                let Some(stream) = accepted else { return };
                shared.note(|seen| seen.connections += 1);
                let (shared, number) = (Arc::clone(&shared), numbers.next().unwrap_or_default());
                connections.spawn(async move {
                    connection::serve(stream, number, &shared).await;
                    shared.note(|seen| seen.closed += 1);
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(door);
    connections.shutdown().await;
}
