//! Whom a client trusts.

use std::path::PathBuf;

use serde::Deserialize;

use crate::config::{Located, Problems};

/// Which certificate authorities count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrustMode {
    /// Those in the file and no others.
    #[default]
    Only,
    /// Those of the system.
    System,
    /// Both.
    SystemAndFile,
}

/// The certificate authorities that a client trusts.
#[derive(Clone, Debug)]
pub struct TrustAnchors {}

impl TrustAnchors {
    /// Loads them. `file` is needed unless the mode is [`TrustMode::System`]; `None` after the
    /// problems have been reported.
    pub fn load(
        mode: TrustMode,
        file: Option<&Located<PathBuf>>,
        problems: &Problems,
    ) -> Option<Self> {
        let _ = (mode, file, problems);
        todo!()
    }

    /// Trusts exactly these certificates.
    ///
    /// # Errors
    /// If one of them is no certificate, or there is none.
    pub fn only<'c>(
        authorities: impl IntoIterator<Item = rustls_pki_types::CertificateDer<'c>>,
    ) -> Result<Self, rustls::Error> {
        let _ = authorities.into_iter();
        todo!()
    }
}
