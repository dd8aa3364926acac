//! The server's side of TLS.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{Acceptor, NoClientAuth, NoServerSessionStorage};
use rustls::version::TLS13;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::ALPN;
use super::client_certificates::AnyClientCertificate;
use super::explain::HandshakeError;
use super::live_identity::LiveIdentity;
use super::provider::provider;
use super::session::speaks_ntske;

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Not asked for.
    Ignore,
    /// Asked for, not required, and any chain will do: authorisation is decided later by exact
    /// equality of [`peer_certificate`](super::peer_certificate). That the client holds the
    /// certificate's key is verified.
    Request,
}

/// Whether a client must offer the application protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// As RFC 8915 §4 demands.
    Required,
    /// Clients that offer none at all are admitted, as some old pools are such clients.
    Optional,
}

/// A server that shows `identity`: an [`Identity`](super::Identity) for good, or a [`LiveIdentity`]
/// that can be renewed while connections come.
///
/// No early data and no session tickets: they would link a user across addresses, and shared
/// ticket keys would be one more secret to guard.
pub fn server_config(
    identity: impl Into<LiveIdentity>,
    clients: ClientCertificates,
) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has the suites of TLS 1.3");
    let builder = builder.with_client_cert_verifier(match clients {
        ClientCertificates::Ignore => Arc::new(NoClientAuth),
        ClientCertificates::Request => Arc::new(AnyClientCertificate::new(provider())),
    });
    let mut config = builder.with_cert_resolver(Arc::new(identity.into()));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.ignore_client_order = true;
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    Arc::new(config)
}

/// Shakes hands as a server and makes sure that the client speaks NTS-KE. The deadline is the
/// caller's.
///
/// # Errors
/// [`HandshakeError`].
pub async fn accept<S>(
    config: Arc<ServerConfig>,
    alpn: Alpn,
    stream: S,
) -> Result<TlsStream<S>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    accept_greeted(config, alpn, stream, || ()).await
}

/// The same, and calls `greeted` once the client has said what it wants (its whole ClientHello is
/// there), before anything is spent on the answer.
///
/// # Errors
/// [`HandshakeError`].
pub async fn accept_greeted<S>(
    config: Arc<ServerConfig>,
    alpn: Alpn,
    stream: S,
    greeted: impl FnOnce(),
) -> Result<TlsStream<S>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    greeted();
    let stream = hello.into_stream(config).await?;
    // A client that offers only other protocols has been refused by the library already.
    match alpn == Alpn::Optional || speaks_ntske(stream.get_ref().1) {
        true => Ok(stream),
        false => Err(HandshakeError::Alpn),
    }
}
