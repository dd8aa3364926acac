//! The client's side of TLS.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::client::TlsStream;

use super::explain::HandshakeError;
use super::identity::Identity;
use super::trust::TrustAnchors;

/// A client that trusts `trust` and presents `identity` to servers that ask for a certificate.
pub fn client_config(trust: &TrustAnchors, identity: Option<&Identity>) -> Arc<ClientConfig> {
    let _ = (trust, identity);
    todo!()
}

/// Shakes hands as a client and makes sure that the server speaks NTS-KE.
///
/// # Errors
/// [`HandshakeError`], in words that name the cure where one is known.
pub async fn connect<S>(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    stream: S,
) -> Result<TlsStream<S>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _ = (config, name, stream);
    todo!()
}
