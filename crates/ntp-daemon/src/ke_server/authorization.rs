//! Who may ask what only pools may ask: a client certificate or a token, whichever is configured.

use std::fmt;
use std::sync::Arc;

use nts_proto::ke::token::AuthenticationToken;
use nts_service::tls::{self, ClientCertificates, LiveIdentity};
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;

use crate::config::{KeAuthorization, KeServerConfig};

/// The certificate that the server shows and the pools that it knows; exchanged as a whole.
pub(super) struct Credentials {
    /// TLS with the certificate of the server.
    pub(super) tls: Arc<ServerConfig>,
    authorization: KeAuthorization,
}

impl Credentials {
    /// The credentials of a configuration, with the certificate that is shown. Clients are asked for a certificate only where one
    /// could authorise them; none is required, as ordinary users have none.
    pub(super) fn new(config: &KeServerConfig, identity: LiveIdentity) -> Self {
        let authorization = config.authorization.clone();
        let clients = match authorization.certificates.is_empty() {
            true => ClientCertificates::Ignore,
            false => ClientCertificates::Request,
        };
        Self {
            tls: tls::server_config(identity, clients),
            authorization,
        }
    }

    /// Whether a request may use the records that are for pools: by the very certificate that the
    /// peer presented (its key was proven in the handshake), or by the token of this request.
    pub(super) fn authorize(
        &self,
        certificate: Option<&CertificateDer<'_>>,
        token: Option<&AuthenticationToken>,
    ) -> bool {
        let by_certificate = certificate.is_some_and(|presented| {
            self.authorization
                .certificates
                .iter()
                .any(|c| c == presented)
        });
        // All tokens are compared, so that the time does not tell which one matched.
        let by_token = token.is_some_and(|presented| {
            let matches = |token: &AuthenticationToken| token.matches(presented);
            self.authorization
                .tokens
                .iter()
                .map(matches)
                .fold(false, |any, one| any | one)
        });
        by_certificate | by_token
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}
