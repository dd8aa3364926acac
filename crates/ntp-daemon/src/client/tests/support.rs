//! Time sources in this process, and a key exchange server that says what a test wants.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nts_proto::ke::keys::SessionKeys;
use nts_proto::ke::negotiation::{Capabilities, Negotiated, negotiate};
use nts_proto::ke::request::{KeyExchangeRequest, Request};
use nts_proto::ke::response::{KeyExchangeResponse, Refusal};
use nts_service::ke_stream;
use nts_service::tls::{self, Alpn, ClientCertificates, Identity, TrustAnchors};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::client::{Board, Client};
use crate::clock::Keeper;
use crate::config::{
    self, PollLimits, RemoteAddress, SourceConfig, SourceMode, SynchronizationConfig,
};
use crate::fixtures::{Issued, Pki};
use crate::observe::state::SourceState;
use crate::time_source::TimeSource;

/// Time that anything in a test may take.
pub(in crate::client) const DEADLINE: Duration = Duration::from_secs(30);

/// An NTP server of stratum 1 at `host`; `more` goes into its section of the configuration.
pub(in crate::client) fn time_source(host: &str, more: &str) -> TimeSource {
    let text = format!(
        "[[server]]\nlisten = \"{host}:1\"\n{more}\n[synchronization]\nlocal-stratum = 1\n"
    );
    let mut config = config::parse("test", &text).unwrap().config;
    for server in &mut config.servers {
        server.listen.set_port(0);
    }
    TimeSource::start(&config).unwrap()
}

/// Where a [`time_source`] answers.
pub(in crate::client) fn address(source: &TimeSource) -> SocketAddr {
    source.ntp_addresses()[0]
}

/// A client with a clock of its own.
pub(in crate::client) fn spawn(sources: &[SourceConfig]) -> Client {
    let keeper = Keeper::of_own_clock(&SynchronizationConfig::default()).unwrap();
    Client::spawn(sources, &keeper)
}

/// The same with NTS cookies of the last run, and for the next, in a file.
pub(in crate::client) fn spawn_with(sources: &[SourceConfig], cookies: &Path) -> Client {
    let keeper = Keeper::of_own_clock(&SynchronizationConfig::default()).unwrap();
    Client::spawn_with(sources, &keeper, Some(cookies))
}

/// A configured source with the shortest poll intervals.
pub(in crate::client) fn source_config(server: SocketAddr, mode: SourceMode) -> SourceConfig {
    SourceConfig {
        mode,
        address: RemoteAddress {
            host: server.ip().to_string(),
            port: server.port(),
        },
        poll_interval_limits: PollLimits { min: 0, max: 4 },
        initial_poll_interval: 0,
        burst: true,
    }
}

/// Who trusts the authority of `pki`.
pub(in crate::client) fn trust(pki: &Pki) -> TrustAnchors {
    let authority = std::fs::read(pki.path("ca.pem")).unwrap();
    let authority = rustls_pki_types::pem::PemObject::from_pem_slice(&authority).unwrap();
    TrustAnchors::only([authority]).unwrap()
}

/// Waits until the rows are as wanted; gives them.
pub(in crate::client) async fn wait_for(
    client: &Client,
    wanted: impl Fn(&[SourceState]) -> bool,
) -> Vec<SourceState> {
    let board: Arc<Board> = client.board();
    let deadline = Instant::now() + DEADLINE;
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    loop {
        ticks.tick().await;
        let sources = board.sources();
        if wanted(&sources) {
            return sources;
        }
        assert!(
            Instant::now() < deadline,
            "not in time: {sources:#?}\n{:#?}",
            board.configured_sources()
        );
    }
}

/// Whether each of `wanted` sources has an authenticated measurement.
pub(in crate::client) fn authenticated(sources: &[SourceState], wanted: usize) -> bool {
    sources.len() == wanted
        && sources
            .iter()
            .all(|source| source.authenticated && source.offset.is_some())
}

/// What a key exchange is answered with.
pub(in crate::client) enum Answer {
    /// Cookies of this source, which is named by its address unless `name` is given.
    Source {
        source: Arc<TimeSource>,
        name: Option<String>,
        /// Where NTP requests should go, if not to the source itself.
        port: Option<u16>,
    },
    /// A refusal.
    Refuse(Refusal),
}

impl Answer {
    pub(in crate::client) fn source(source: &Arc<TimeSource>) -> Self {
        Self::Source {
            source: Arc::clone(source),
            name: None,
            port: None,
        }
    }

    fn encode(self, negotiated: &Negotiated, keys: &SessionKeys) -> Vec<u8> {
        let (source, name, port) = match self {
            Self::Source { source, name, port } => (source, name, port),
            Self::Refuse(refusal) => return refusal.encode().as_ref().to_vec(),
        };
        let address = address(&source);
        let name = name.unwrap_or_else(|| address.ip().to_string());
        let cookie = || {
            let keyset = source.keys().current();
            let cookie = keyset.seal(negotiated.algorithm(), keys, &mut rand::rng());
            cookie.unwrap()
        };
        let response = KeyExchangeResponse {
            protocol: negotiated.protocol(),
            algorithm: negotiated.algorithm(),
            compliant_exporter: false,
            server: (!name.is_empty()).then(|| name.parse().unwrap()),
            port: Some(port.unwrap_or(address.port())),
            cookies: (0..8).map(|_| cookie()).collect(),
        };
        response.encode().as_ref().to_vec()
    }
}

/// A key exchange server that answers by a script.
pub(in crate::client) struct ScriptedServer {
    pub(in crate::client) address: SocketAddr,
    requests: Arc<Mutex<Vec<KeyExchangeRequest>>>,
    task: JoinHandle<()>,
}

impl ScriptedServer {
    /// Listens at `host` with the certificate `issued`; `script` gets the number of the exchange,
    /// from 0, and its request.
    pub(in crate::client) async fn start(
        host: &str,
        issued: &Issued,
        script: impl Fn(usize, &KeyExchangeRequest) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let identity = Identity::new(issued.chain(), issued.key()).unwrap();
        let tls = tls::server_config(&identity, ClientCertificates::Ignore);
        let requests = Arc::default();
        let seen: Arc<Mutex<Vec<KeyExchangeRequest>>> = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // A user that gives up in the middle is part of some tests.
                let _ = timeout(DEADLINE, serve(stream, Arc::clone(&tls), &seen, &script)).await;
            }
        });
        Self {
            address,
            requests,
            task,
        }
    }

    /// The names that each exchange so far denied.
    pub(in crate::client) fn denied(&self) -> Vec<Vec<String>> {
        let requests = self.requests.lock().unwrap();
        let names =
            |request: &KeyExchangeRequest| request.denied.iter().map(ToString::to_string).collect();
        requests.iter().map(names).collect()
    }

    /// How many exchanges there were.
    pub(in crate::client) fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: TcpStream,
    tls: Arc<rustls::ServerConfig>,
    seen: &Mutex<Vec<KeyExchangeRequest>>,
    script: &(impl Fn(usize, &KeyExchangeRequest) -> Answer + Sync),
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut stream = tls::accept(tls, Alpn::Required, stream).await?;
    let message = ke_stream::read_message(&mut stream, 4096).await?;
    let Request::KeyExchange(request) = Request::parse(&message, |_| false)? else {
        return Err("not a key exchange".into());
    };
    let negotiated = negotiate(&request, &Capabilities::ours()).map_err(|_| "nothing in common")?;
    let keys = tls::export_session_keys(stream.get_ref().1, &negotiated)?;
    let number = seen.lock().unwrap().len();
    let answer = script(number, &request);
    seen.lock().unwrap().push(request);
    let octets = answer.encode(&negotiated, &keys);
    ke_stream::write_message(&mut stream, &octets).await?;
    ke_stream::close(stream).await;
    Ok(())
}
