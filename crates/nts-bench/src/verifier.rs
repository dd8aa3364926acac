//! Checks servers' certificates in full at first, and then often enough: a load generator that
//! verifies three signatures per handshake is slower than the server it is to measure.
//!
//! What is left out costs the server nothing less: it signs each handshake, and Finished shows each
//! time that both sides have the same keys.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::BoxError;

/// Verifies the first certificate and its name, and whichever differs from it later; the signature
/// of the first handshake, and of each so-manyth after it.
#[derive(Debug)]
pub(crate) struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    every: u64,
    handshakes: AtomicU64,
    verified: OnceLock<(ServerName<'static>, CertificateDer<'static>)>,
}

impl Verifier {
    /// For servers whose certificates are issued by these authorities; `every` is the so-manyth, and
    /// with 1 nothing is left out.
    ///
    /// # Errors
    /// If there is no authority.
    pub(crate) fn new(
        roots: RootCertStore,
        provider: Arc<CryptoProvider>,
        every: u64,
    ) -> Result<Self, BoxError> {
        Ok(Self {
            inner: WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()?,
            every: every.max(1),
            handshakes: AtomicU64::new(0),
            verified: OnceLock::new(),
        })
    }

    fn is_verified(&self, name: &ServerName<'_>, certificate: &CertificateDer<'_>) -> bool {
        let verified = self.verified.get().filter(|_| self.every > 1);
        verified.is_some_and(|(its_name, it)| its_name == name && it == certificate)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.is_verified(name, certificate) {
            return Ok(ServerCertVerified::assertion());
        }
        let verified =
            self.inner
                .verify_server_cert(certificate, intermediates, name, ocsp, now)?;
        self.verified
            .get_or_init(|| (name.to_owned(), certificate.clone().into_owned()));
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let number = self.handshakes.fetch_add(1, Ordering::Relaxed);
        if !number.is_multiple_of(self.every) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        self.inner
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests;
