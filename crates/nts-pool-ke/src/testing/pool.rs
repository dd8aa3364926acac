//! Sources as a pool sees them, and what an exchange with them takes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nts_proto::code_points::{AeadAlgorithm, ProtocolId};
use nts_proto::ke::request::KeyExchangeRequest;
use nts_service::tls;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::Authority;
use crate::budget::Budget;
use crate::config::{SourceConfig, UpstreamConfig};
use crate::exchange::Origin;
use crate::keepers::Keepers;
use crate::metrics::Metrics;
use crate::selection::{Family, Location};
use crate::source::Source;
use crate::sources::{Present, Rules, Sources};
use crate::upstream::{Answer as Found, IdleShare, Means, Node, Resolve, SystemResolver};

/// Sources as the pool sees them, each with its keeper, and all of them tended. All end when
/// dropped.
pub(crate) struct TestPool {
    pub(crate) sources: Arc<Sources>,
    _keepers: Keepers,
    _tending: JoinSet<()>,
}

impl TestPool {
    pub(crate) fn new(authority: &Authority, sources: Vec<SourceConfig>) -> Self {
        Self::with_policy(authority, sources, UpstreamConfig::default())
    }

    pub(crate) fn with_policy(
        authority: &Authority,
        sources: Vec<SourceConfig>,
        policy: UpstreamConfig,
    ) -> Self {
        Self::with_means(sources, &means(authority, policy))
    }

    pub(crate) fn with_means(sources: Vec<SourceConfig>, means: &Arc<Means>) -> Self {
        let present = Arc::new(Present::new(untended(sources, means)));
        let metrics = Arc::new(Metrics::new(&Default::default(), Arc::clone(&present)));
        let mut keepers = Keepers::new(metrics);
        let sources = present.get();
        keepers.keep(&sources);
        let mut tending = JoinSet::new();
        tending.spawn(present.tend());
        Self {
            sources,
            _keepers: keepers,
            _tending: tending,
        }
    }

    /// The source at this position.
    pub(crate) fn source(&self, position: usize) -> &Arc<Source> {
        &self.sources.all()[position]
    }

    /// Waits until the first check of every source is over.
    pub(crate) async fn settle(&self) {
        for source in self.sources.all() {
            let _ = timeout(Duration::from_secs(10), source.board.learn())
                .await
                .unwrap();
        }
    }
}

/// Sources that nobody looks after.
pub(crate) fn untended(sources: Vec<SourceConfig>, means: &Arc<Means>) -> Sources {
    Sources::new(sources, means, Rules::default()).unwrap()
}

/// A user of IPv4 of whom nothing else is known.
pub(crate) fn somewhere() -> Origin {
    Origin {
        family: Family::V4,
        location: Location::default(),
        label: None,
    }
}

/// What connections to sources need that trust this authority.
pub(crate) fn means(authority: &Authority, policy: UpstreamConfig) -> Arc<Means> {
    means_with(authority, policy, Arc::new(SystemResolver::default()))
}

/// The same with another resolver.
pub(crate) fn means_with(
    authority: &Authority,
    policy: UpstreamConfig,
    resolver: Arc<dyn Resolve>,
) -> Arc<Means> {
    Arc::new(Means {
        policy,
        exchange_timeout: Duration::from_secs(20),
        tls: tls::client_config(&authority.trust(), None),
        node: Arc::new(Node::new(IdleShare::new(1000), resolver)),
    })
}

/// A resolver that says what it is told to, the same for every name.
#[derive(Debug, Default)]
pub(crate) struct TestResolver {
    /// `None`: it says nothing at all.
    answer: Mutex<Option<Result<Vec<IpAddr>, io::ErrorKind>>>,
    /// How often it was asked.
    pub(crate) asked: AtomicUsize,
}

impl TestResolver {
    pub(crate) fn finding(addresses: &[&str]) -> Arc<Self> {
        let resolver = Self::default();
        resolver.find(addresses);
        Arc::new(resolver)
    }

    pub(crate) fn find(&self, addresses: &[&str]) {
        let found = addresses.iter().map(|text| text.parse().unwrap());
        *self.answer.lock().unwrap() = Some(Ok(found.collect()));
    }

    pub(crate) fn fail(&self) {
        *self.answer.lock().unwrap() = Some(Err(io::ErrorKind::TimedOut));
    }

    pub(crate) fn be_silent(&self) {
        *self.answer.lock().unwrap() = None;
    }
}

impl Resolve for TestResolver {
    fn resolve(&self, _: &str, port: u16) -> Found {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answer.lock().unwrap().clone();
        Box::pin(async move {
            let Some(answer) = answer else {
                return std::future::pending().await;
            };
            let with_port = |address| SocketAddr::new(address, port);
            Ok(answer?.into_iter().map(with_port).collect())
        })
    }
}

/// A budget of `length` from now on.
pub(crate) fn budget(length: Duration) -> Budget {
    Budget::new(Instant::now() + length, length)
}

/// What an ordinary user sends.
pub(crate) fn ordinary_request() -> KeyExchangeRequest {
    KeyExchangeRequest {
        protocols: vec![ProtocolId::Ntpv4],
        algorithms: vec![AeadAlgorithm::AesSivCmac256],
        denied: Vec::new(),
        compliant_exporter: false,
    }
}

/// A port on which nobody listens.
pub(crate) async fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}
