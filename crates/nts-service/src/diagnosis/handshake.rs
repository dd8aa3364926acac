//! TLS as NTS-KE wants it: steps `tls` and `certificate`.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::{ClientConfig, Error, InvalidMessage, ProtocolVersion};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::PATIENCE;
use super::certificate;
use super::reach::open;
use super::report::{Report, Step};
use crate::config::Host;
use crate::ke_stream::ReadError;
use crate::quick_ack::QuickAckStream;
use crate::tls::{self, HandshakeError, Identity, TrustAnchors, Witness};

/// A TLS session with the server.
pub type Session = TlsStream<QuickAckStream>;

/// A server whose certificate is good, for further connections.
#[derive(Clone)]
pub struct Peer {
    host: Host,
    address: SocketAddr,
    tls: Arc<ClientConfig>,
}

impl Peer {
    /// The server at `address`, whose certificate has to be for `host`.
    pub fn new(
        host: &Host,
        address: SocketAddr,
        trust: &TrustAnchors,
        identity: Option<&Identity>,
    ) -> Self {
        Self {
            host: host.clone(),
            address,
            tls: tls::client_config(trust, identity),
        }
    }

    /// The name that its certificate is for.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens one more session.
    ///
    /// # Errors
    /// In words, for within a sentence.
    pub async fn open(&self) -> Result<Session, String> {
        let stream = open(self.address)
            .await
            .map_err(|error| format!("no TCP connection: {error}"))?;
        let name = self.host.server_name().clone();
        match timeout(PATIENCE, tls::connect(Arc::clone(&self.tls), name, stream)).await {
            Ok(Ok(session)) => Ok(session),
            Ok(Err(error)) => Err(format!("no TLS session: {error}")),
            Err(_) => Err("no TLS session in time".to_owned()),
        }
    }
}

/// Shakes hands and looks at the certificate; `None` after a step has failed.
pub(super) async fn shake_hands(
    report: &mut Report<'_>,
    stream: QuickAckStream,
    peer: &Peer,
    trust: &TrustAnchors,
    identity: Option<&Identity>,
) -> Option<Session> {
    let witness = Witness::default();
    let config = tls::watched_client_config(trust, identity, &witness);
    let name = peer.host.server_name().clone();
    let outcome = timeout(PATIENCE, tls::connect(config, name, stream)).await;
    let presented = witness.presented();
    match outcome {
        Ok(Ok(session)) => {
            report.add(agreed(&session));
            if let Some(presented) = presented {
                report.add(certificate::accepted(&presented));
            }
            Some(session)
        }
        Ok(Err(HandshakeError::Certificate(text))) => {
            let step = match presented {
                Some(presented) => certificate::refused(&presented, &text, peer).await,
                None => Step::failed(
                    "certificate",
                    text,
                    "have its operator mend the certificate",
                ),
            };
            report.add(step);
            None
        }
        Ok(Err(error)) => {
            let (text, advice) = explain(&error);
            report.add(Step::failed("tls", text, advice));
            None
        }
        Err(_) => {
            report.add(Step::failed(
                "tls",
                format!(
                    "the connection was accepted, but no TLS handshake came within {} s",
                    PATIENCE.as_secs()
                ),
                "the service hangs, or waits for something else than TLS (such as a PROXY \
                 protocol header that only its balancer sends); or the path loses large packets: \
                 look at the server's log, restart it, and check the path's MTU",
            ));
            None
        }
    }
}

/// Shakes hands at the other addresses too; step `tls-others`, if there are any.
pub async fn check_others(report: &mut Report<'_>, others: &[SocketAddr], peer: &Peer) {
    const ID: &str = "tls-others";
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for address in others {
        let other = Peer {
            address: *address,
            ..peer.clone()
        };
        match other.open().await {
            Ok(_) => good.push(address.to_string()),
            Err(text) => bad.push(format!("{address}: {text}")),
        }
    }
    if !bad.is_empty() {
        report.add(Step::warning(
            ID,
            bad.join("; "),
            "users try each address of the name: set all its servers up in the same way, or take \
             those out of DNS that are none",
        ));
    } else if !good.is_empty() {
        report.add(Step::ok(ID, format!("{} too", good.join(", "))));
    }
}

/// What both sides agreed on.
fn agreed(session: &Session) -> Step {
    let connection = session.get_ref().1;
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3".to_owned(),
        other => format!("{other:?}"),
    };
    let suite = connection
        .negotiated_cipher_suite()
        .map_or_else(String::new, |suite| format!("{:?}", suite.suite()));
    let group = connection
        .negotiated_key_exchange_group()
        .map_or_else(String::new, |group| format!("{:?}", group.name()));
    let alpn = String::from_utf8_lossy(tls::ALPN);
    Step::ok(
        "tls",
        format!("{version}, {suite}, key agreement {group}, application protocol {alpn}"),
    )
    .with("version", version)
    .with("cipher_suite", suite)
    .with("group", group)
    .with("alpn", alpn.as_ref())
}

/// Why there is no session, and what to do about it.
fn explain(error: &HandshakeError) -> (String, &'static str) {
    let text = error.to_string();
    match error {
        HandshakeError::Certificate(_) => (text, "have its operator mend the certificate"),
        HandshakeError::Alpn => (
            "TLS works, but the server did not agree on the application protocol `ntske/1`: what \
             listens there is no NTS-KE server"
                .to_owned(),
            "check the port (NTS-KE usually has 4460); on the server, look which program has this \
             port, and whether something in front of it ends TLS",
        ),
        HandshakeError::Alert(_) => {
            let advice = explain_alert(&text);
            (text, advice)
        }
        HandshakeError::Protocol(Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::InvalidEmptyPayload,
        )) => (
            "what listens there does not speak TLS".to_owned(),
            "check the port (NTS-KE usually has 4460); on the server, look which program has it",
        ),
        HandshakeError::Protocol(_) => (text, OLD_TLS),
        HandshakeError::Closed | HandshakeError::Io(_) => (
            text,
            "the server, or something in front of it, gave up before TLS began: it may be full, \
             limit the rate of this network, or wait for a PROXY protocol header that only its \
             balancer sends; look at its log, and try again in a minute",
        ),
    }
}

const OLD_TLS: &str = "NTS needs TLS 1.3: update the server's TLS library, or allow TLS 1.3 there";

/// What to do about an alert, by the words that were found for it.
fn explain_alert(text: &str) -> &'static str {
    if text.contains("TLS 1.3") {
        OLD_TLS
    } else if text.contains("certificate") {
        "ordinary users of NTS have no certificate, so the server must not demand one of them; a \
         pool that presents one needs one that the server knows"
    } else if text.contains("name") {
        "use the name that the server is set up for, or set it up for this one"
    } else {
        "the reason stands in the server's log"
    }
}

/// Why no answer came on a session, and what to do about it, if that is known. Alerts about the
/// client's certificate come this late (RFC 8446 §4.4.2.4).
pub fn explain_read(error: ReadError) -> (String, Option<&'static str>) {
    match error {
        ReadError::Io(error) => match HandshakeError::from(error) {
            HandshakeError::Io(error) => (format!("the connection failed: {error}"), None),
            error => {
                let (text, advice) = explain(&error);
                (text, Some(advice))
            }
        },
        ReadError::Closed { received: 0, .. } => (
            "the server closed the connection without an answer".to_owned(),
            None,
        ),
        error => (error.to_string(), None),
    }
}
