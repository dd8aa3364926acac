//! The server's side of TLS.

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;

use super::explain::HandshakeError;
use super::identity::Identity;

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

/// A server that shows `identity`.
pub fn server_config(identity: &Identity, clients: ClientCertificates) -> Arc<ServerConfig> {
    let _ = (identity, clients);
    todo!()
}

/// Shakes hands as a server and makes sure that the client speaks NTS-KE.
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
    let _ = (config, alpn, stream);
    todo!()
}
