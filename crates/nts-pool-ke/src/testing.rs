//! For tests only: a throw-away authority, and time sources that do as they are told, on real TLS
//! and loopback ports.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nts_proto::code_points::{AeadAlgorithm, ErrorCode, ProtocolId};
use nts_proto::cookie::Cookie;
use nts_proto::ke::EncodedMessage;
use nts_proto::ke::message::{Message, REQUEST_LIMIT};
use nts_proto::ke::name::NtpServerName;
use nts_proto::ke::negotiation::Capabilities;
use nts_proto::ke::number_set::NumberSet;
use nts_proto::ke::request::{FixedKeyRequest, InfoRequest, KeyExchangeRequest, Request};
use nts_proto::ke::response::{FixedKeyResponse, InfoResponse, KeyExchangeResponse, Refusal};
use nts_proto::ke::token::AuthenticationToken;
use nts_service::ke_stream::{read_message, write_message};
use nts_service::tls::{self, Alpn, ClientCertificates, Identity, TrustAnchors};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout};
use tokio_rustls::server::TlsStream;

use crate::budget::Budget;
use crate::config::{SourceConfig, UpstreamConfig};
use crate::exchange::Origin;
use crate::fleet::HealthPolicy;
use crate::metrics::Metrics;
use crate::selection::{Family, Location, SelectionPolicy};
use crate::source::Source;
use crate::sources::Sources;
use crate::upstream::{Answer as Found, IdleShare, Means, Resolve, SystemResolver, keeper};

/// A certificate authority of its own.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, as PEM.
pub(crate) struct Pem {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Pem {
    fn of((certificate, key): (rcgen::Certificate, KeyPair)) -> Self {
        Self {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn trust(&self) -> TrustAnchors {
        TrustAnchors::only([self.0.der().clone()]).unwrap()
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        self.sign(CertificateParams::new(vec![name.to_owned()]).unwrap())
    }

    fn sign(&self, params: CertificateParams) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    /// A certificate that ended with the year 2020.
    pub(crate) fn issue_expired_pem(&self, name: &str) -> Pem {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        Pem::of(self.sign(params))
    }

    /// A certificate for `name` as files hold it.
    pub(crate) fn issue_pem(&self, name: &str) -> Pem {
        Pem::of(self.issue(name))
    }

    /// A certificate for `name` as TLS needs it.
    pub(crate) fn identity(&self, name: &str) -> Identity {
        let (certificate, key) = self.issue(name);
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Identity::new(chain, key).unwrap()
    }
}

/// What a source does with one Fixed Key Request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Makes cookies.
    Cookies,
    /// Makes cookies, and names this server and port.
    Named(&'static str, u16),
    /// Makes no cookie.
    NoCookie,
    /// Makes cookies, but says another algorithm.
    OtherAlgorithm,
    /// Answers with an Error record.
    Error(ErrorCode),
    /// Closes without a word.
    Close,
    /// Begins an answer and closes.
    Truncated,
    /// Answers with octets that are no message.
    Garbage,
    /// Says nothing and keeps the connection.
    Silence,
}

/// How a source behaves.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// The numbers it understands; others are unknown critical records to it.
    pub(crate) number_set: NumberSet,
    /// Whether it knows Supported Next Protocol List.
    pub(crate) protocol_list: bool,
    pub(crate) algorithms: Vec<AeadAlgorithm>,
    /// What it answers to List Server Names; `None`: it does not know that record.
    pub(crate) names: Option<Vec<NtpServerName>>,
    /// Error record instead of an answer to every info request.
    pub(crate) info_error: Option<ErrorCode>,
    pub(crate) keep_alive: bool,
    /// For each Fixed Key Request in turn; the last one stays.
    pub(crate) answers: VecDeque<Answer>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            number_set: NumberSet::Ietf,
            protocol_list: true,
            algorithms: vec![AeadAlgorithm::AesSivCmac256, AeadAlgorithm::AesSivCmac512],
            names: None,
            info_error: None,
            keep_alive: true,
            answers: [Answer::Cookies].into(),
        }
    }
}

impl Script {
    pub(crate) fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            answers: answers.into_iter().collect(),
            ..Self::default()
        }
    }
}

/// What a source saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connections: usize,
    pub(crate) requests: usize,
    pub(crate) info_requests: usize,
    /// The token of each gated request.
    pub(crate) tokens: Vec<Option<AuthenticationToken>>,
    /// The C2S key of each Fixed Key Request.
    pub(crate) keys: Vec<Vec<u8>>,
}

/// A time source that does as it is told. It ends when dropped.
pub(crate) struct TestSource {
    pub(crate) address: SocketAddr,
    pub(crate) script: Arc<Mutex<Script>>,
    pub(crate) seen: Arc<Mutex<Seen>>,
    drop_connections: mpsc::Sender<oneshot::Sender<()>>,
    task: AbortHandle,
}

impl Drop for TestSource {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TestSource {
    pub(crate) async fn start(identity: &Identity, script: Script) -> Self {
        Self::start_at("127.0.0.1", identity, script).await
    }

    pub(crate) async fn start_at(ip: &str, identity: &Identity, script: Script) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(script));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let config = tls::server_config(identity, ClientCertificates::Request);
        let (drop_connections, mut dropping) = mpsc::channel::<oneshot::Sender<()>>(1);
        let task = {
            let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
            tokio::spawn(async move {
                let mut connections = JoinSet::new();
                loop {
                    let (stream, _) = tokio::select! {
                        accepted = listener.accept() => accepted.unwrap(),
                        Some(done) = dropping.recv() => {
                            connections.shutdown().await;
                            let _ = done.send(());
                            continue;
                        }
                    };
                    seen.lock().unwrap().connections += 1;
                    let handshake = tls::accept(Arc::clone(&config), Alpn::Required, stream);
                    let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                    connections.spawn(async move {
                        if let Ok(stream) = handshake.await {
                            serve(stream, &script, &seen).await;
                        }
                    });
                }
            })
        };
        Self {
            address,
            script,
            seen,
            drop_connections,
            task: task.abort_handle(),
        }
    }

    /// Drops all connections, as a restart would.
    pub(crate) async fn drop_connections(&self) {
        let (done, dropped) = oneshot::channel();
        self.drop_connections.send(done).await.unwrap();
        dropped.await.unwrap();
    }

    pub(crate) fn config(&self) -> SourceConfig {
        SourceConfig::new("127.0.0.1", self.address.port()).unwrap()
    }

    pub(crate) fn keys(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().keys.clone()
    }
}

async fn serve(mut stream: TlsStream<TcpStream>, script: &Mutex<Script>, seen: &Mutex<Seen>) {
    while let Ok(message) = read_message(&mut stream, REQUEST_LIMIT).await {
        seen.lock().unwrap().requests += 1;
        let Some((reply, keep)) = reply(&message, &mut script.lock().unwrap(), seen) else {
            return;
        };
        match reply {
            Reply::Message(message) => {
                write_message(&mut stream, message.as_ref()).await.unwrap();
            }
            Reply::Octets(octets) => write_message(&mut stream, octets).await.unwrap(),
            Reply::Silence => std::future::pending().await,
        }
        if !keep {
            return;
        }
    }
}

enum Reply {
    Message(EncodedMessage),
    Octets(&'static [u8]),
    Silence,
}

/// The reply, and whether the connection is kept; `None` closes without a word.
fn reply(message: &Message, script: &mut Script, seen: &Mutex<Seen>) -> Option<(Reply, bool)> {
    let refuse = |code| Some((Reply::Message(Refusal::Error(code).encode()), false));
    let authorize = |token: Option<&AuthenticationToken>| {
        seen.lock().unwrap().tokens.push(token.cloned());
        true
    };
    match Request::parse(message, authorize) {
        Ok(Request::Info(request)) => {
            seen.lock().unwrap().info_requests += 1;
            if let Some(code) = script.info_error {
                return refuse(code);
            }
            match info_reply(&request, script) {
                Some(response) => {
                    let keep = response.keep_alive;
                    Some((Reply::Message(response.encode(request.number_set)), keep))
                }
                None => refuse(ErrorCode::UnrecognizedCriticalRecord),
            }
        }
        Ok(Request::FixedKey(request)) => {
            let keys = request
                .accept(&Capabilities::ntpv4(&script.algorithms))
                .unwrap();
            seen.lock().unwrap().keys.push(keys.c2s().to_vec());
            let answer = match script.answers.len() {
                1 => script.answers[0],
                _ => script.answers.pop_front().unwrap(),
            };
            fixed_key_reply(answer, &request, script.keep_alive)
        }
        _ => refuse(ErrorCode::BadRequest),
    }
}

fn info_reply(request: &InfoRequest, script: &Script) -> Option<InfoResponse> {
    let unknown = request.number_set != script.number_set
        || (request.server_names && script.names.is_none())
        || (request.protocols && !script.protocol_list);
    if unknown {
        return None;
    }
    let capabilities = Capabilities::ntpv4(&script.algorithms);
    let names = script.names.clone().unwrap_or_default();
    Some(InfoResponse::answer(
        request,
        &capabilities,
        &names,
        script.keep_alive,
    ))
}

fn fixed_key_reply(
    answer: Answer,
    request: &FixedKeyRequest,
    keep_alive: bool,
) -> Option<(Reply, bool)> {
    let mut exchange = KeyExchangeResponse {
        protocol: ProtocolId::Ntpv4,
        algorithm: request.algorithm(),
        compliant_exporter: false,
        server: None,
        port: None,
        cookies: cookies(),
    };
    match answer {
        Answer::Cookies => {}
        Answer::Named(name, port) => {
            exchange.server = Some(name.parse().unwrap());
            exchange.port = Some(port);
        }
        Answer::NoCookie => exchange.cookies.clear(),
        Answer::OtherAlgorithm => exchange.algorithm = AeadAlgorithm::Aes128GcmSiv,
        Answer::Error(code) => {
            return Some((Reply::Message(Refusal::Error(code).encode()), false));
        }
        Answer::Close => return None,
        Answer::Truncated => return Some((Reply::Octets(b"\x80\x01\0\x02\0"), false)),
        Answer::Garbage => return Some((Reply::Octets(&[0x80, 0, 0, 1, 0xff]), false)),
        Answer::Silence => return Some((Reply::Silence, true)),
    }
    let response = FixedKeyResponse {
        exchange,
        keep_alive: keep_alive && request.keep_alive(),
    };
    let keep = response.keep_alive;
    Some((Reply::Message(response.encode(request.number_set())), keep))
}

/// The cookies that every test source makes.
pub(crate) fn cookies() -> Vec<Cookie> {
    (0..8)
        .map(|number| Cookie::new(vec![number; 104]))
        .collect()
}

/// Sources as the pool sees them, each with its keeper, and all of them tended. All end when
/// dropped.
pub(crate) struct TestPool {
    pub(crate) sources: Arc<Sources>,
    _keepers: JoinSet<()>,
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
        let sources = untended(sources, means);
        let metrics = Arc::new(Metrics::new(Default::default(), &sources));
        let mut keepers = JoinSet::new();
        for source in sources.all() {
            keepers.spawn(keeper::keep(Arc::clone(source), Arc::clone(&metrics)));
        }
        keepers.spawn(Arc::clone(&sources).tend());
        Self {
            sources,
            _keepers: keepers,
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
pub(crate) fn untended(sources: Vec<SourceConfig>, means: &Arc<Means>) -> Arc<Sources> {
    let (selection, health) = (SelectionPolicy::default(), HealthPolicy::default());
    Arc::new(Sources::new(sources, means, selection, health).unwrap())
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
        idle_share: IdleShare::new(1000),
        exchange_timeout: Duration::from_secs(20),
        tls: tls::client_config(&authority.trust(), None),
        resolver,
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
