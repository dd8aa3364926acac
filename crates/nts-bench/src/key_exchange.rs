//! One NTS key exchange as an ordinary user has it (RFC 8915 §4).

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nts_proto::code_points::{AeadAlgorithm, ProtocolId};
use nts_proto::cookie::Cookie;
use nts_proto::ke::keys::SessionKeys;
use nts_proto::ke::message::RESPONSE_LIMIT;
use nts_proto::ke::request::KeyExchangeRequest;
use nts_proto::ke::response::KeyExchangeResponse;
use nts_service::tls::TrustAnchors;
use nts_service::{ke_stream, tls};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::ntp::BoxError;

/// Time for connection, handshake, request and answer.
const LIMIT: Duration = Duration::from_secs(5);

/// What an exchange gave.
#[derive(Debug)]
pub(crate) struct Exchanged {
    pub(crate) algorithm: AeadAlgorithm,
    pub(crate) keys: SessionKeys,
    pub(crate) cookies: Vec<Cookie>,
}

/// Asks `server`, whose certificate must be for its address and lead to an authority in the PEM
/// file `authority`, for keys of `algorithm`.
///
/// # Errors
/// Whatever went wrong, in words.
pub(crate) fn run(
    server: SocketAddr,
    authority: &Path,
    algorithm: AeadAlgorithm,
) -> Result<Exchanged, BoxError> {
    let roots = CertificateDer::pem_file_iter(authority)?.collect::<Result<Vec<_>, _>>()?;
    let trust = TrustAnchors::only(roots)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async { timeout(LIMIT, exchange(server, &trust, algorithm)).await? })
}

async fn exchange(
    server: SocketAddr,
    trust: &TrustAnchors,
    algorithm: AeadAlgorithm,
) -> Result<Exchanged, BoxError> {
    let request = KeyExchangeRequest {
        protocols: vec![ProtocolId::Ntpv4],
        algorithms: vec![algorithm],
        denied: Vec::new(),
        compliant_exporter: false,
    };
    let config = Arc::clone(&tls::client_config(trust, None));
    let name = ServerName::IpAddress(server.ip().into());
    let mut stream = tls::connect(config, name, TcpStream::connect(server).await?).await?;
    ke_stream::write_message(&mut stream, request.encode().as_ref()).await?;
    let message = ke_stream::read_message(&mut stream, RESPONSE_LIMIT).await?;
    let response = KeyExchangeResponse::parse(&message, &request)?;
    let negotiated = response
        .negotiated()
        .ok_or("an algorithm without a key length")?;
    let keys = tls::export_session_keys(stream.get_ref().1, &negotiated)?;
    Ok(Exchanged {
        algorithm: response.algorithm,
        keys,
        cookies: response.cookies,
    })
}
