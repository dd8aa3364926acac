//! A user: an ordinary NTS client that wants keys, cookies and the time, once.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use nts_proto::association::{
    Association, AssociationConfig, DatagramOutcome, Measurement, NtsSession, TimerAction,
};
use nts_proto::code_points::{AeadAlgorithm, ProtocolId};
use nts_proto::error::ResponseError;
use nts_proto::ke::keys::SessionKeys;
use nts_proto::ke::message::{Message, RESPONSE_LIMIT};
use nts_proto::ke::request::KeyExchangeRequest;
use nts_proto::ke::response::KeyExchangeResponse;
use nts_proto::time::{MonotonicTime, NtpTimestamp};
use nts_service::tls;
use rustls::ClientConfig;
use tokio::net::UdpSocket;

use crate::authority::CertificateAuthority;
use crate::deadline::within;
use crate::wire::{End, RawClient, Transcript, connect_from};

/// What most users ask for: NTPv4 with AEAD 15.
pub fn plain_request() -> KeyExchangeRequest {
    KeyExchangeRequest {
        protocols: vec![ProtocolId::Ntpv4],
        algorithms: vec![AeadAlgorithm::AesSivCmac256],
        denied: Vec::new(),
        compliant_exporter: false,
    }
}

/// A user of pools and of time sources.
#[derive(Clone)]
pub struct User {
    config: Arc<ClientConfig>,
    /// Where he connects from; if not given, the system chooses.
    address: Option<IpAddr>,
}

/// Why a user has no keys.
#[derive(Debug)]
pub enum Failure {
    /// No connection, or no TLS.
    Connect(io::Error),
    /// The connection ended without a complete answer.
    NoAnswer(Transcript),
    /// The answer is of no use.
    Response(ResponseError),
}

impl User {
    /// A user who trusts `authority` alone.
    pub fn new(authority: &CertificateAuthority) -> Self {
        Self {
            config: tls::client_config(&authority.trust(), None),
            address: None,
        }
    }

    /// The same user without ALPN, whom servers must refuse.
    pub fn without_alpn(&self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols.clear();
        Self {
            config: Arc::new(config),
            address: self.address,
        }
    }

    /// The same user at this address.
    pub fn at(&self, address: IpAddr) -> Self {
        Self {
            address: Some(address),
            ..self.clone()
        }
    }

    /// The user's TLS set-up.
    pub fn tls(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// Connects for talking in octets.
    ///
    /// # Errors
    /// What the TLS library or the network say.
    pub async fn connect(&self, server: SocketAddr, name: &str) -> io::Result<RawClient> {
        match self.address {
            None => RawClient::connect(self.tls(), server, name).await,
            Some(local) => {
                let stream = connect_from(local, server).await?;
                RawClient::over(stream, self.tls(), name).await
            }
        }
    }

    /// Sends `octets` and reads until the server closes.
    ///
    /// # Panics
    /// If there is no TLS connection.
    pub async fn converse(&self, server: SocketAddr, name: &str, octets: &[u8]) -> Transcript {
        let mut connection = self.connect(server, name).await.expect("TLS");
        connection.send(octets).await;
        connection.receive_all().await
    }

    /// One key exchange.
    ///
    /// # Errors
    /// [`Failure`]; an answer that is not followed by close_notify is one too.
    pub async fn key_exchange(
        &self,
        server: SocketAddr,
        name: &str,
        request: &KeyExchangeRequest,
    ) -> Result<Session, Failure> {
        let mut connection = self.connect(server, name).await.map_err(Failure::Connect)?;
        connection.send(request.encode().as_ref()).await;
        let answer = connection.receive_all().await;
        Session::read(&connection, answer, request)
    }
}

/// What a key exchange gave.
#[derive(Debug)]
pub struct Session {
    /// The answer.
    pub response: KeyExchangeResponse,
    /// The keys, exported from the user's own end of the connection.
    pub keys: SessionKeys,
}

impl Session {
    /// What the server's whole `answer` to `request` on this connection gives.
    ///
    /// # Errors
    /// [`Failure`]; an answer that is not followed by close_notify is one too.
    pub fn read(
        connection: &RawClient,
        answer: Transcript,
        request: &KeyExchangeRequest,
    ) -> Result<Self, Failure> {
        if answer.octets.is_empty() || answer.end == End::Cut {
            return Err(Failure::NoAnswer(answer));
        }
        let response = Message::decode(&answer.octets, RESPONSE_LIMIT)
            .map_err(ResponseError::from)
            .and_then(|message| KeyExchangeResponse::parse(&message, request))
            .map_err(Failure::Response)?;
        let negotiated = response
            .negotiated()
            .expect("only known algorithms are offered");
        let keys =
            tls::export_session_keys(connection.session(), &negotiated).expect("an exporter");
        Ok(Self { response, keys })
    }

    /// The address of the NTP server that the answer names.
    ///
    /// # Panics
    /// If it names none, or not by address.
    pub fn ntp_server(&self) -> SocketAddr {
        let name = self
            .response
            .server
            .as_ref()
            .expect("a pool always names the server");
        let address: IpAddr = name
            .as_str()
            .parse()
            .expect("a server named by its address");
        SocketAddr::new(address, self.response.port.unwrap_or(123))
    }

    /// Asks `server` for the time, once, with the first cookie.
    ///
    /// # Panics
    /// If there is no answer, or one that is not authenticated.
    pub async fn ask_time(self, server: SocketAddr) -> Measurement {
        let Self { response, keys } = self;
        let session = NtsSession::new(response.algorithm, &keys, response.cookies)
            .expect("keys and cookies that fit");
        let clock = Clock(Instant::now());
        let config = AssociationConfig::default();
        let now = clock.monotonic();
        let mut association = Association::nts(config, session, now, now);
        let request = match association.handle_timer(clock.monotonic(), &mut rand::rng()) {
            TimerAction::Send(request) => request,
            other => panic!("the first poll is due: {other:?}"),
        };
        let socket = UdpSocket::bind((server.ip(), 0)).await.expect("a socket");
        socket.connect(server).await.expect("a destination");
        association.handle_sent(now_as_timestamp());
        socket
            .send(request.as_ref())
            .await
            .expect("a datagram sent");
        let mut answer = [0; 2048];
        let length = within("an NTP answer", socket.recv(&mut answer))
            .await
            .expect("an answer");
        let received = now_as_timestamp();
        let outcome =
            association.handle_datagram(clock.monotonic(), received, &answer[..length], &[]);
        match outcome {
            DatagramOutcome::Measurement(measurement) => measurement,
            other => panic!("an authenticated measurement, not {other:?}"),
        }
    }
}

struct Clock(Instant);

impl Clock {
    fn monotonic(&self) -> MonotonicTime {
        MonotonicTime::from_duration(self.0.elapsed())
    }
}

fn now_as_timestamp() -> NtpTimestamp {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    NtpTimestamp::from_unix(now.as_secs().cast_signed(), now.subsec_nanos())
}
