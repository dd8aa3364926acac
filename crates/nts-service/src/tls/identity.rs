//! A certificate chain with its private key.

use std::path::PathBuf;

use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::{Located, Problems};

/// A chain and key that belong together.
#[derive(Clone, Debug)]
pub struct Identity {}

/// Why chain and key are no identity.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct IdentityError(String);

impl Identity {
    /// Loads a chain (leaf first) and its key from PEM files, and checks them; `None` after the
    /// problems have been reported.
    pub fn load(
        chain: &Located<PathBuf>,
        key: &Located<PathBuf>,
        problems: &Problems,
    ) -> Option<Self> {
        let _ = (chain, key, problems);
        todo!()
    }

    /// Puts a chain (leaf first) and its key together.
    ///
    /// # Errors
    /// If the key does not belong to the first certificate, or either is unusable.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, IdentityError> {
        let _ = (chain, key);
        todo!()
    }
}

/// Loads a file with exactly one certificate, as pools are authorised by (protocol reference
/// §3.2); `None` after the problems have been reported.
pub fn load_certificate(
    file: &Located<PathBuf>,
    problems: &Problems,
) -> Option<CertificateDer<'static>> {
    let _ = (file, problems);
    todo!()
}
