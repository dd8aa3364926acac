//! What a server showed of itself in the handshake, kept for a person to read.
//!
//! The verdict is that of the real verifier, unchanged: nothing is accepted here that would be
//! refused elsewhere.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::CertificateError::{
    BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
    NotValidYetContext, UnknownIssuer,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::certificate::Facts;

/// What a certificate says about itself.
#[derive(Clone, Debug)]
pub struct CertificateFacts {
    /// Whose it is, as a distinguished name.
    pub subject: String,
    /// Who issued it, as a distinguished name.
    pub issuer: String,
    /// DNS names and IP addresses that it is for.
    pub names: Vec<String>,
    /// Not valid before.
    pub not_before: SystemTime,
    /// Not valid after.
    pub not_after: SystemTime,
}

/// Why a chain was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    /// A certificate has expired or is not valid yet.
    Dates {
        /// Nothing else is wrong with the chain.
        otherwise_good: bool,
    },
    /// It is for another host.
    Name,
    /// No authority that is trusted has issued it.
    Issuer,
    /// Anything else.
    Other,
}

/// What a server presented, and what was thought of it.
#[derive(Clone, Debug)]
pub struct Presented {
    /// As the server sent them, its own first; what cannot be parsed is left out.
    pub chain: Vec<CertificateFacts>,
    /// Why it was refused, if it was.
    pub fault: Option<CertificateFault>,
}

/// Sees the certificates of one handshake. Clones see the same.
#[derive(Clone, Debug, Default)]
pub struct Witness(Arc<Mutex<Option<Presented>>>);

impl Witness {
    /// What the server presented; `None` if it came to no certificate.
    pub fn presented(&self) -> Option<Presented> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The same verifier, watched.
    pub(super) fn watch(&self, verifier: Arc<dyn ServerCertVerifier>) -> Arc<Watched> {
        Arc::new(Watched {
            verifier,
            witness: self.clone(),
        })
    }
}

/// A verifier that is watched.
#[derive(Debug)]
pub(super) struct Watched {
    verifier: Arc<dyn ServerCertVerifier>,
    witness: Witness,
}

impl ServerCertVerifier for Watched {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verify = |now| {
            self.verifier.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            )
        };
        let verdict = verify(now);
        let chain: Vec<_> = std::iter::once(end_entity)
            .chain(intermediates)
            .filter_map(CertificateFacts::of)
            .collect();
        let in_time = || {
            let midst = chain.first().and_then(midst);
            midst.is_some_and(|midst| verify(midst).is_ok())
        };
        let fault = verdict.as_ref().err().map(|error| fault(error, in_time));
        let presented = Presented { chain, fault };
        *self
            .witness
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(presented);
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

impl CertificateFacts {
    /// `None` if the octets are no certificate.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let facts = Facts::of(certificate)?;
        Some(Self {
            not_before: facts.not_before(),
            not_after: facts.not_after(),
            subject: facts.subject,
            issuer: facts.issuer,
            names: facts.names,
        })
    }
}

/// A moment at which the certificate is valid.
fn midst(certificate: &CertificateFacts) -> Option<UnixTime> {
    let start = certificate
        .not_before
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()?;
    let lifetime = certificate
        .not_after
        .duration_since(certificate.not_before)
        .ok()?;
    let midst = start.checked_add(lifetime / 2)?;
    Some(UnixTime::since_unix_epoch(Duration::from_secs(
        midst.as_secs(),
    )))
}

fn fault(error: &Error, in_time: impl FnOnce() -> bool) -> CertificateFault {
    let Error::InvalidCertificate(error) = error else {
        return CertificateFault::Other;
    };
    match error {
        Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. } => {
            CertificateFault::Dates {
                otherwise_good: in_time(),
            }
        }
        NotValidForName | NotValidForNameContext { .. } => CertificateFault::Name,
        UnknownIssuer | BadSignature => CertificateFault::Issuer,
        _ => CertificateFault::Other,
    }
}
