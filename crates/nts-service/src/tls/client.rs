//! The client's side of TLS.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{DangerousClientConfigBuilder, ServerCertVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, ConfigBuilder, WantsVerifier};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ALPN;
use super::explain::HandshakeError;
use super::identity::Identity;
use super::provider::provider;
use super::session::speaks_ntske;
use super::trust::TrustAnchors;
use super::witness::Witness;

/// A client that trusts `trust` and presents `identity` to servers that ask for a certificate.
///
/// No early data, no resumption: each session stands for itself.
pub fn client_config(trust: &TrustAnchors, identity: Option<&Identity>) -> Arc<ClientConfig> {
    config(trust.verifier(), identity)
}

/// The same, and `witness` sees what the server presents.
pub fn watched_client_config(
    trust: &TrustAnchors,
    identity: Option<&Identity>,
    witness: &Witness,
) -> Arc<ClientConfig> {
    config(witness.watch(trust.verifier()), identity)
}

fn config(verifier: Arc<dyn ServerCertVerifier>, identity: Option<&Identity>) -> Arc<ClientConfig> {
    let cfg: ConfigBuilder<ClientConfig, WantsVerifier> =
        ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has the suites of TLS 1.3");
    // "Dangerous" is only the name of the builder: the verifier is a real one.
    let builder = DangerousClientConfigBuilder { cfg }.with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        Some(identity) => builder
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified_key()))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Arc::new(config)
}

/// Shakes hands as a client and makes sure that the server speaks NTS-KE. The deadline is the
/// caller's.
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
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    match speaks_ntske(stream.get_ref().1) {
        true => Ok(stream),
        false => Err(HandshakeError::Alpn),
    }
}
