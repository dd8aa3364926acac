//! One NTS key exchange, from the name of the server to keys, cookies and the address of the NTP
//! server (RFC 8915 §4; the deny records of draft-ietf-ntp-nts-keyexchange-pool).
//!
//! Everything from the first connection on has one limit of 5 s. What never happens here: a second
//! try, or a decision about what the result is good for.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use nts_proto::association::{InvalidSession, NtsSession};
use nts_proto::code_points::{AeadAlgorithm, ErrorCode, ProtocolId};
use nts_proto::error::ResponseError;
use nts_proto::ke::name::NtpServerName;
use nts_proto::ke::request::KeyExchangeRequest;
use nts_proto::ke::response::KeyExchangeResponse;
use nts_service::ke_stream::{self, ReadError};
use nts_service::look_up::{look_up, look_up_absolute};
use nts_service::tls::{self, ExportError, HandshakeError, TrustAnchors};
use rustls::time_provider::TimeProvider;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::connect::{ConnectError, connect_first};
use super::net::has_route;
use crate::config::RemoteAddress;

/// Time for connection, handshake, request and answer together.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(5);

/// Time for each look-up of a name.
const LOOK_UP_LIMIT: Duration = Duration::from_secs(5);

/// Greatest answer in octets that is read (RFC 8915 §4).
const RESPONSE_LIMIT: usize = 65_536;

/// UDP port of the NTP server when the answer names none (RFC 8915 §4.1.8).
const NTP_PORT: u16 = 123;

/// What is offered, best first: the mandatory one has the shorter cookies.
const ALGORITHMS: [AeadAlgorithm; 2] = [AeadAlgorithm::AesSivCmac256, AeadAlgorithm::AesSivCmac512];

/// Whom to ask for keys, and whose certificates to believe.
#[derive(Clone, Debug)]
pub(super) struct KeyExchangeClient {
    server: RemoteAddress,
    tls: Arc<rustls::ClientConfig>,
}

/// What a key exchange gave.
#[derive(Debug)]
pub(super) struct Exchanged {
    /// Keys and cookies.
    pub(super) session: NtsSession,
    /// Name of the NTP server, as the answer has it; without a Server record, the host asked.
    pub(super) name: NtpServerName,
    /// The answer had a Server record. A pool's always has.
    pub(super) named: bool,
    /// Address and port of the NTP server.
    pub(super) address: SocketAddr,
}

impl KeyExchangeClient {
    /// A client of `server`, whose certificate must be valid for its host and lead to `trust`, at
    /// the present time or the one that `time` tells.
    pub(super) fn new(
        server: RemoteAddress,
        trust: &TrustAnchors,
        time: Option<Arc<dyn TimeProvider>>,
    ) -> Self {
        let mut tls = tls::client_config(trust, None);
        if let Some(time) = time {
            Arc::make_mut(&mut tls).time_provider = time;
        }
        Self { server, tls }
    }

    /// Runs one exchange, with one deny record per name in `denied`.
    ///
    /// # Errors
    /// [`KeyExchangeError`], in words for a person.
    pub(super) async fn run(
        &self,
        denied: Vec<NtpServerName>,
    ) -> Result<Exchanged, KeyExchangeError> {
        let RemoteAddress { host, port } = &self.server;
        let addresses = limited_look_up(host, look_up(host, *port)).await?;
        let stage = Stage::default();
        let (response, session, peer) = timeout(
            EXCHANGE_LIMIT,
            self.exchange(&addresses, request(denied), &stage),
        )
        .await
        .map_err(|_| KeyExchangeError::Timeout {
            limit: EXCHANGE_LIMIT.as_secs(),
            stage: stage.text(),
        })??;
        self.locate(response, session, peer).await
    }

    async fn exchange(
        &self,
        addresses: &[SocketAddr],
        request: KeyExchangeRequest,
        stage: &Stage,
    ) -> Result<(KeyExchangeResponse, NtsSession, IpAddr), KeyExchangeError> {
        let name = ServerName::try_from(self.server.host.clone())
            .map_err(|_| KeyExchangeError::NotAName(self.server.host.clone()))?;
        let (stream, peer) = connect_first(addresses, TcpStream::connect).await?;
        stream.set_nodelay(true).map_err(KeyExchangeError::Socket)?;
        stage.enter(HANDSHAKE);
        let mut stream = tls::connect(Arc::clone(&self.tls), name, stream).await?;
        stage.enter(ANSWER);
        let encoded = if request.denied.is_empty() {
            request.encode()
        } else {
            // We cannot know by which numbers the pool knows deny records.
            request.encode_for_any_pool()
        };
        ke_stream::write_message(&mut stream, encoded.as_ref())
            .await
            .map_err(KeyExchangeError::Socket)?;
        let message = ke_stream::read_message(&mut stream, RESPONSE_LIMIT).await?;
        let mut response = KeyExchangeResponse::parse(&message, &request)?;
        let session = open_session(&stream, &mut response)?;
        // The answer is complete: a peer that does not close properly changes nothing.
        let _ = ke_stream::close(&mut stream).await;
        Ok((response, session, peer.ip()))
    }

    /// Finds the NTP server that the answer names (RFC 8915 §4.1.7, §4.1.8).
    async fn locate(
        &self,
        response: KeyExchangeResponse,
        session: NtsSession,
        peer: IpAddr,
    ) -> Result<Exchanged, KeyExchangeError> {
        let port = response.port.unwrap_or(NTP_PORT);
        let Some(name) = response.server else {
            let host = &self.server.host;
            return Ok(Exchanged {
                session,
                name: host
                    .parse()
                    .map_err(|_| KeyExchangeError::NotAName(host.clone()))?,
                named: false,
                address: SocketAddr::new(peer, port),
            });
        };
        let looked_up = look_up_absolute(name.as_str(), port, peer);
        let addresses = limited_look_up(name.as_str(), looked_up).await?;
        for address in addresses {
            if has_route(address).await {
                return Ok(Exchanged {
                    session,
                    name,
                    named: true,
                    address,
                });
            }
        }
        Err(KeyExchangeError::NoRoute(name.to_string()))
    }
}

fn request(denied: Vec<NtpServerName>) -> KeyExchangeRequest {
    KeyExchangeRequest {
        protocols: vec![ProtocolId::Ntpv4],
        algorithms: ALGORITHMS.to_vec(),
        denied,
        compliant_exporter: false,
    }
}

fn open_session(
    stream: &TlsStream<TcpStream>,
    response: &mut KeyExchangeResponse,
) -> Result<NtsSession, KeyExchangeError> {
    let negotiated = response
        .negotiated()
        .ok_or(ResponseError::NoCommonAlgorithm)?;
    let keys = tls::export_session_keys(stream.get_ref().1, &negotiated)?;
    let cookies = std::mem::take(&mut response.cookies);
    Ok(NtsSession::new(negotiated.algorithm(), &keys, cookies)?)
}

async fn limited_look_up(
    host: &str,
    look_up: impl Future<Output = io::Result<Vec<SocketAddr>>>,
) -> Result<Vec<SocketAddr>, KeyExchangeError> {
    timeout(LOOK_UP_LIMIT, look_up)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|error| KeyExchangeError::LookUp {
            host: host.to_owned(),
            error,
        })
}

const HANDSHAKE: u8 = 1;
const ANSWER: u8 = 2;

/// How far an exchange has come, for the text of a timeout.
#[derive(Default)]
struct Stage(AtomicU8);

impl Stage {
    fn enter(&self, stage: u8) {
        self.0.store(stage, Ordering::Relaxed);
    }

    fn text(&self) -> &'static str {
        match self.0.load(Ordering::Relaxed) {
            HANDSHAKE => "the server accepted the connection but not the TLS handshake",
            ANSWER => "the server did not answer the request",
            _ => "the server did not accept the connection",
        }
    }
}

/// Why there are no keys, in words for a person.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyExchangeError {
    /// The configured host is neither a DNS name nor an address.
    #[error("\"{0}\" is neither a DNS name nor an IP address")]
    NotAName(String),
    /// A name could not be resolved.
    #[error("cannot look up {host}: {error}")]
    LookUp {
        /// The name.
        host: String,
        /// What the resolver says.
        error: io::Error,
    },
    /// No address of the server took a connection.
    #[error("cannot connect: {0}")]
    Connect(#[from] ConnectError),
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Socket(io::Error),
    /// No TLS session came about.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// There was no complete answer.
    #[error("no answer: {0}")]
    Read(#[from] ReadError),
    /// The answer is of no use.
    #[error("{}", explain(.0))]
    Response(#[from] ResponseError),
    /// The keys could not be taken from the TLS session.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The answer held nothing to work with.
    #[error("the answer is of no use: {0}")]
    Session(#[from] InvalidSession),
    /// The NTP server has no address that can be reached from here.
    #[error("there is no route to the NTP server {0}")]
    NoRoute(String),
    /// The whole exchange took too long.
    #[error("timed out after {limit} s: {stage}")]
    Timeout {
        /// The limit in seconds.
        limit: u64,
        /// How far it came.
        stage: &'static str,
    },
}

impl KeyExchangeError {
    /// Whether a pool may have meant that it has no server left that we do not deny.
    pub(super) fn nothing_left(&self) -> bool {
        matches!(
            self,
            Self::Response(ResponseError::Error(ErrorCode::InternalServerError))
        )
    }
}

fn explain(error: &ResponseError) -> String {
    match error {
        ResponseError::Error(ErrorCode::InternalServerError) => {
            "the server reports an internal error (a pool: it has no time source to give now)"
                .into()
        }
        ResponseError::Error(ErrorCode::BadRequest) => {
            "the server calls our request malformed".into()
        }
        ResponseError::NoCommonProtocol => "the server does not offer NTPv4".into(),
        ResponseError::NoCommonAlgorithm => {
            "the server offers none of the AEAD algorithms 15 and 17".into()
        }
        other => format!("the answer is of no use: {other}"),
    }
}

#[cfg(test)]
#[path = "key_exchange_tests.rs"]
mod tests;
