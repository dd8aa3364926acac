//! One NTS key exchange as an ordinary user has it (RFC 8915 §4).

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use nts_proto::code_points::{AeadAlgorithm, ProtocolId};
use nts_proto::cookie::Cookie;
use nts_proto::ke::keys::SessionKeys;
use nts_proto::ke::message::RESPONSE_LIMIT;
use nts_proto::ke::name::NtpServerName;
use nts_proto::ke::request::KeyExchangeRequest;
use nts_proto::ke::response::KeyExchangeResponse;
use nts_service::{ke_stream, tls};
use rustls::client::Resumption;
use rustls::client::danger::DangerousClientConfigBuilder;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::BoxError;
use crate::verifier::Verifier;

/// Time for connection, handshake, request and answer.
const LIMIT: Duration = Duration::from_secs(10);

/// What a user offers for the agreement on TLS keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// X25519 alone.
    X25519,
    /// X25519MLKEM768: X25519 together with a post-quantum method.
    Hybrid,
}

/// The suites of TLS 1.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// All of them: the server chooses.
    Any,
    /// TLS_AES_128_GCM_SHA256 alone.
    Aes128,
    /// TLS_AES_256_GCM_SHA384 alone.
    Aes256,
    /// TLS_CHACHA20_POLY1305_SHA256 alone.
    Chacha20,
}

/// How a user talks TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    pub(crate) group: Group,
    pub(crate) suite: Suite,
    /// See [`Verifier`].
    pub(crate) verify_every: u64,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            group: Group::X25519,
            suite: Suite::Any,
            verify_every: 1,
        }
    }
}

/// What an exchange gave.
#[derive(Debug)]
pub(crate) struct Exchanged {
    pub(crate) algorithm: AeadAlgorithm,
    pub(crate) keys: SessionKeys,
    pub(crate) cookies: Vec<Cookie>,
}

/// A user: whom he trusts, and what he offers.
#[derive(Clone, Debug)]
pub(crate) struct User {
    config: Arc<ClientConfig>,
    request: KeyExchangeRequest,
    /// The octets of the request.
    encoded: Arc<[u8]>,
}

impl User {
    /// A user who trusts the authorities in the PEM file `authority`, asks for keys of `algorithm`
    /// and denies the servers `denied`.
    ///
    /// # Errors
    /// If the file cannot be read or has no authority.
    pub(crate) fn new(
        authority: &Path,
        offer: Offer,
        algorithm: AeadAlgorithm,
        denied: Vec<NtpServerName>,
    ) -> Result<Self, BoxError> {
        let request = KeyExchangeRequest {
            protocols: vec![ProtocolId::Ntpv4],
            algorithms: vec![algorithm],
            denied,
            compliant_exporter: algorithm == AeadAlgorithm::Aes128GcmSiv,
        };
        Ok(Self {
            config: client_config(authority, offer)?,
            encoded: request.encode().as_ref().into(),
            request,
        })
    }

    /// How he talks TLS.
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// Asks `server`, whose certificate must be for `name`, and checks the answer.
    ///
    /// # Errors
    /// Whatever went wrong, in words.
    pub(crate) async fn ask(
        &self,
        server: SocketAddr,
        name: ServerName<'static>,
    ) -> Result<(KeyExchangeResponse, TlsStream<TcpStream>), BoxError> {
        timeout(LIMIT, self.try_to_ask(server, name))
            .await
            .map_err(|_| "no answer in ten seconds")?
    }

    async fn try_to_ask(
        &self,
        server: SocketAddr,
        name: ServerName<'static>,
    ) -> Result<(KeyExchangeResponse, TlsStream<TcpStream>), BoxError> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let mut stream = tls::connect(self.config(), name, stream).await?;
        ke_stream::write_message(&mut stream, &self.encoded).await?;
        let message = ke_stream::read_message(&mut stream, RESPONSE_LIMIT).await?;
        let response = KeyExchangeResponse::parse(&message, &self.request)?;
        Ok((response, stream))
    }
}

/// One exchange with the server at this address, whose certificate is for it.
///
/// # Errors
/// Whatever went wrong, in words.
pub(crate) fn run(
    server: SocketAddr,
    authority: &Path,
    algorithm: AeadAlgorithm,
) -> Result<Exchanged, BoxError> {
    let user = User::new(authority, Offer::default(), algorithm, Vec::new())?;
    let name = ServerName::IpAddress(server.ip().into());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (response, stream) = runtime.block_on(user.ask(server, name))?;
    let negotiated = response
        .negotiated()
        .ok_or("an algorithm without a key length")?;
    Ok(Exchanged {
        algorithm: response.algorithm,
        keys: tls::export_session_keys(stream.get_ref().1, &negotiated)?,
        cookies: response.cookies,
    })
}

fn client_config(authority: &Path, offer: Offer) -> Result<Arc<ClientConfig>, BoxError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(provider(offer.group, offer.suite));
    let verifier = Verifier::new(roots, Arc::clone(&provider), offer.verify_every)?;
    let cfg = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13])?;
    let mut config = DangerousClientConfigBuilder { cfg }
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![tls::ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn provider(group: Group, suite: Suite) -> CryptoProvider {
    use aws_lc_rs::{cipher_suite, kx_group};
    CryptoProvider {
        kx_groups: match group {
            Group::X25519 => vec![kx_group::X25519],
            Group::Hybrid => vec![kx_group::X25519MLKEM768],
        },
        cipher_suites: match suite {
            Suite::Any => vec![
                cipher_suite::TLS13_AES_256_GCM_SHA384,
                cipher_suite::TLS13_AES_128_GCM_SHA256,
                cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            ],
            Suite::Aes128 => vec![cipher_suite::TLS13_AES_128_GCM_SHA256],
            Suite::Aes256 => vec![cipher_suite::TLS13_AES_256_GCM_SHA384],
            Suite::Chacha20 => vec![cipher_suite::TLS13_CHACHA20_POLY1305_SHA256],
        },
        ..aws_lc_rs::default_provider()
    }
}
