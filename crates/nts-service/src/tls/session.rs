//! What one can take from an established session.

use nts_proto::ke::keys::{EXPORTER_LABEL, SessionKeys};
use nts_proto::ke::negotiation::Negotiated;
use rustls::{CommonState, ConnectionCommon};
use rustls_pki_types::CertificateDer;

use super::ALPN;

/// The TLS library refused to export keys.
#[derive(Debug, thiserror::Error)]
#[error("cannot export keys from the TLS session: {0}")]
pub struct ExportError(#[from] rustls::Error);

/// Takes the keys for what was negotiated from the session (RFC 8915 §4.3, §5.1).
///
/// `connection` is the second half of `TlsStream::get_ref` or `get_mut`, of either side.
///
/// # Errors
/// [`ExportError`] if the handshake is not over.
pub fn export_session_keys<Data>(
    connection: &ConnectionCommon<Data>,
    negotiated: &Negotiated,
) -> Result<SessionKeys, ExportError> {
    SessionKeys::export(negotiated, |context, key| {
        connection.export_keying_material(key, EXPORTER_LABEL, Some(context))?;
        Ok(())
    })
}

/// The peer's end-entity certificate, if it presented one.
pub fn peer_certificate(connection: &CommonState) -> Option<&CertificateDer<'static>> {
    connection.peer_certificates()?.first()
}

/// Whether `ntske/1` was negotiated. A handshake can succeed without, when the peer knows no
/// ALPN (RFC 7301 §3.1), so that each side has to look (RFC 8915 §4).
pub fn speaks_ntske(connection: &CommonState) -> bool {
    connection.alpn_protocol() == Some(ALPN)
}
