//! A time source's NTS-KE server that does what a [`Script`] says, and remembers what it was
//! asked: on real TLS, with real certificates, so that a pool cannot tell it from a good one.
//!
//! Its cookies open nothing; it is for what happens before a user asks for the time.

mod connection;
mod script;
mod seen;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use nts_proto::ke::negotiation::Capabilities;
use nts_proto::ke::token::AuthenticationToken;
use nts_service::tls::{self, ClientCertificates, Identity};
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::authority::CertificateAuthority;
use crate::deadline::within;

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
    tls: Arc<ServerConfig>,
    capabilities: Capabilities,
    token: Option<AuthenticationToken>,
    certificate: Option<CertificateDer<'static>>,
    script: Mutex<Script>,
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
        let listener = TcpListener::bind((ip, 0))
            .await
            .expect("an address of loopback");
        let address = listener.local_addr().expect("a bound socket");
        let (sender, seen) = watch::channel(Seen::default());
        let shared = Arc::new(Shared {
            tls: tls::server_config(&setup.identity, ClientCertificates::Request),
            capabilities: setup.capabilities,
            token: setup.token,
            certificate: setup.certificate,
            script: Mutex::new(script),
            seen: sender,
        });
        let mut tasks = JoinSet::new();
        let (dropping, drops) = mpsc::channel(1);
        tasks.spawn(accept(listener, drops, Arc::clone(&shared)));
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

    /// What it does from the next connection or request on.
    pub fn follow(&self, script: Script) {
        *self
            .shared
            .script
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = script;
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
        self.script
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note(&self, change: impl FnOnce(&mut Seen)) {
        self.seen.send_modify(change);
    }
}

async fn accept(
    listener: TcpListener,
    mut drops: mpsc::Receiver<oneshot::Sender<()>>,
    shared: Arc<Shared>,
) {
    let mut connections = JoinSet::new();
    let mut numbers = 0..;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { return };
                shared.note(|seen| seen.connections += 1);
                let (shared, number) = (Arc::clone(&shared), numbers.next().unwrap_or_default());
                connections.spawn(async move {
                    connection::serve(stream, number, &shared).await;
                    shared.note(|seen| seen.closed += 1);
                });
            }
            dropping = drops.recv() => {
                let Some(done) = dropping else { break };
                let open = connections.len();
                connections.shutdown().await;
                shared.note(|seen| seen.closed += open);
                let _ = done.send(());
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
}
