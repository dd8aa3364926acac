//! A time source that does as it is told, and remembers what it saw.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use nts_proto::code_points::{AeadAlgorithm, ErrorCode, ProtocolId};
use nts_proto::cookie::Cookie;
use nts_proto::ke::EncodedMessage;
use nts_proto::ke::message::{Message, REQUEST_LIMIT};
use nts_proto::ke::name::NtpServerName;
use nts_proto::ke::negotiation::Capabilities;
use nts_proto::ke::number_set::NumberSet;
use nts_proto::ke::request::{FixedKeyRequest, InfoRequest, Request};
use nts_proto::ke::response::{FixedKeyResponse, InfoResponse, KeyExchangeResponse, Refusal};
use nts_proto::ke::token::AuthenticationToken;
use nts_service::ke_stream::{read_message, write_message};
use nts_service::tls::{self, Alpn, ClientCertificates, Identity};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::server::TlsStream;

use crate::config::SourceConfig;

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
