//! Whole servers and real TLS on loopback: what is said, octet for octet.

mod life;
mod pools;
mod users;

use std::time::Duration;

use nts_proto::code_points::AeadAlgorithm;
use nts_proto::ke::keys::SessionKeys;
use nts_proto::ke::negotiation::Negotiated;
use nts_proto::ke::token::AuthenticationToken;
use nts_service::shutdown::{self, Trigger};
use nts_service::tls::{self, Identity, TrustAnchors};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::config::{KeAuthorization, KeysetConfig};
use crate::fixtures::Pki;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// The token of [`TOKEN`] as a record of the present numbers.
const TOKEN_RECORD: &str =
    "000e00203031323334353637383961626364656630313233343536373839616263646566";
/// C2S `00 01 … 1f`, S2C `20 21 … 3f`.
const KEYS: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\
                    202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";
/// An ordinary request: NTPv4, AEAD 15.
const ORDINARY: &str = "80010002000080040002000f80000000";
/// What its answer begins with.
const CHOSEN: &str = "80010002000080040002000f";
const KEEP_ALIVE: &str = "00080000";
const END: &str = "80000000";
/// Error records with End of Message.
const ERROR_0: &str = "80020002000080000000";
const ERROR_1: &str = "80020002000180000000";
const ERROR_2: &str = "80020002000280000000";

/// A running server.
struct Lab {
    pki: Pki,
    config: KeServerConfig,
    keys: Arc<KeyStore>,
    server: KeServer,
    trigger: Trigger,
}

impl Lab {
    /// A server that knows pools by [`TOKEN`].
    fn new() -> Self {
        Self::with(|_, _| {})
    }

    fn with(change: impl FnOnce(&mut KeServerConfig, &Pki)) -> Self {
        let pki = Pki::new();
        let mut config = KeServerConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            identity: identity(&pki, "localhost"),
            identity_files: None,
            authorization: KeAuthorization {
                certificates: Vec::new(),
                tokens: vec![AuthenticationToken::new(TOKEN).unwrap()],
            },
            key_exchange_timeout: Duration::from_secs(5),
            concurrent_connections: 8,
            longlived_connections: 2,
            rate_limit_interval: Duration::ZERO,
            rate_limit_burst: 8,
            ntp_port: None,
            ntp_server: None,
            proxy_protocol: None,
        };
        change(&mut config, &pki);
        let keys = Arc::new(KeyStore::open(&KeysetConfig::default()).unwrap());
        let (trigger, shutdown) = shutdown::channel();
        let server = KeServer::start(&config, Arc::clone(&keys), shutdown);
        Self {
            pki,
            config,
            keys,
            server,
            trigger,
        }
    }

    fn trust(&self) -> TrustAnchors {
        let pem = std::fs::read(self.pki.path("ca.pem")).unwrap();
        TrustAnchors::only([rustls_pki_types::pem::PemObject::from_pem_slice(&pem).unwrap()])
            .unwrap()
    }

    async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.server.local_address().unwrap())
            .await
            .unwrap()
    }

    async fn connect(&self) -> Peer {
        self.connect_as(None).await
    }

    async fn connect_as(&self, identity: Option<&Identity>) -> Peer {
        let config = tls::client_config(&self.trust(), identity);
        let name = "localhost".try_into().unwrap();
        Peer(tls::connect(config, name, self.tcp().await).await.unwrap())
    }

    fn counted(&self) -> KeStatsSnapshot {
        self.server.stats().snapshot()
    }

    /// Checks an answer with eight cookies: what stands around them, and that each holds `keys`.
    fn check_cookies(&self, answer: &str, before: &str, after: &str, algorithm: u16, keys: &str) {
        let rest = answer
            .strip_prefix(before)
            .unwrap_or_else(|| panic!("{answer}"));
        let mut rest = rest
            .strip_suffix(after)
            .unwrap_or_else(|| panic!("{answer}"));
        let length = 2 * (40 + hex::decode(keys).unwrap().len());
        let header = format!("0005{:04x}", length / 2);
        for _ in 0..8 {
            rest = rest
                .strip_prefix(&header)
                .unwrap_or_else(|| panic!("{answer}"));
            let (cookie, next) = rest.split_at(length);
            let contents = self
                .keys
                .current()
                .open(&hex::decode(cookie).unwrap())
                .unwrap();
            assert_eq!(contents.algorithm.code(), algorithm);
            assert_eq!(hex_keys(&contents.keys), keys);
            rest = next;
        }
        assert_eq!(rest, "", "more than eight cookies");
    }
}

fn identity(pki: &Pki, name: &str) -> Identity {
    let issued = pki.issue(name);
    Identity::new(issued.chain(), issued.key()).unwrap()
}

fn hex_keys(keys: &SessionKeys) -> String {
    hex::encode(keys.c2s()) + &hex::encode(keys.s2c())
}

/// The id of the key that sealed the first cookie of an answer.
fn key_id(answer: &str) -> &str {
    let (_, cookie) = answer.split_once("00050068").unwrap();
    &cookie[..8]
}

/// The client's side of a connection.
struct Peer(TlsStream<TcpStream>);

impl Peer {
    async fn send(&mut self, message: &str) {
        self.0
            .write_all(&hex::decode(message).unwrap())
            .await
            .unwrap();
        self.0.flush().await.unwrap();
    }

    /// One TLS record as hex digits; empty after close_notify.
    async fn receive(&mut self) -> String {
        let mut buffer = vec![0; 1 << 14];
        let length = self
            .0
            .read(&mut buffer)
            .await
            .expect("an answer or close_notify");
        hex::encode(&buffer[..length])
    }

    async fn ask(&mut self, request: &str) -> String {
        self.send(request).await;
        self.receive().await
    }

    /// Asks, and makes sure that the server closes after the answer.
    async fn ask_last(mut self, request: &str) -> String {
        let answer = self.ask(request).await;
        assert_eq!(self.receive().await, "", "no close_notify after {answer}");
        answer
    }

    /// The keys that this side takes from the connection.
    fn export(&self, algorithm: u16) -> String {
        let negotiated = Negotiated::ntpv4(AeadAlgorithm::from(algorithm)).unwrap();
        hex_keys(&tls::export_session_keys(self.0.get_ref().1, &negotiated).unwrap())
    }
}
