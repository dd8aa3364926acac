//! Whom a client trusts.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};
use rustls_platform_verifier::Verifier;
use serde::Deserialize;

use super::certificate::{Facts, Verdict};
use super::identity::{about, read_certificates};
use super::provider::provider;
use crate::config::{Located, Place, Problems};

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
#[derive(Clone)]
pub struct TrustAnchors {
    verifier: Arc<dyn ServerCertVerifier>,
    /// Whether those of the system are among them.
    with_system: bool,
    /// All others.
    authorities: Arc<[CertificateDer<'static>]>,
}

impl TrustAnchors {
    /// Loads them; `None` after the problems have been reported.
    ///
    /// `file` is a PEM file with one or more authorities. It is needed unless the mode is
    /// [`TrustMode::System`], with which it is not looked at. `place` is where the mode was
    /// configured, for what has no file.
    pub fn load(
        mode: TrustMode,
        file: Option<&Located<PathBuf>>,
        place: &Place,
        problems: &Problems,
    ) -> Option<Self> {
        Self::load_at(mode, file, place, problems, UnixTime::now())
    }

    pub(super) fn load_at(
        mode: TrustMode,
        file: Option<&Located<PathBuf>>,
        place: &Place,
        problems: &Problems,
        now: UnixTime,
    ) -> Option<Self> {
        let authorities = match (mode, file) {
            (TrustMode::System, _) => Vec::new(),
            (_, Some(file)) => load_authorities(file, problems, now)?,
            (_, None) => {
                problems.error(
                    place,
                    "needs a file of certificate authorities; name one, or trust those of the \
                     system",
                );
                return None;
            }
        };
        let with_system = mode != TrustMode::Only;
        let verifier = match with_system {
            false => file_verifier(authorities.iter().cloned()),
            true => system_verifier(authorities.clone()),
        };
        verifier
            .map_err(|error| {
                let message = format!(
                    "no certificate authorities to trust: {error}; install the system's (package \
                     `ca-certificates`), or name a file of authorities"
                );
                problems.error(place, message);
            })
            .ok()
            .map(|verifier| Self {
                verifier,
                with_system,
                authorities: authorities.into(),
            })
    }

    /// Trusts exactly these authorities.
    ///
    /// # Errors
    /// If there is none, or one of them is no certificate.
    pub fn only<'c>(
        authorities: impl IntoIterator<Item = CertificateDer<'c>>,
    ) -> Result<Self, rustls::Error> {
        let authorities = authorities.into_iter().map(CertificateDer::into_owned);
        let authorities: Arc<[_]> = authorities.collect();
        Ok(Self {
            verifier: file_verifier(authorities.iter().cloned())?,
            with_system: false,
            authorities,
        })
    }

    /// Whether these are the same authorities. Nobody knows that of the system's if they were
    /// loaded twice.
    pub fn is_same_as(&self, other: &Self) -> bool {
        let known = !self.with_system && !other.with_system;
        let same = known && self.authorities == other.authorities;
        same || Arc::ptr_eq(&self.verifier, &other.verifier)
    }

    /// A number that most likely is another one when other authorities are named, also in another
    /// run of the program. Those of the system count as one, whichever they are.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.with_system, &self.authorities).hash(&mut hasher);
        hasher.finish()
    }

    pub(super) fn verifier(&self) -> Arc<dyn ServerCertVerifier> {
        self.verifier.clone()
    }
}

impl fmt::Debug for TrustAnchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TrustAnchors")
    }
}

fn file_verifier<'c>(
    authorities: impl IntoIterator<Item = CertificateDer<'c>>,
) -> Result<Arc<dyn ServerCertVerifier>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.into_owned())?;
    }
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
    match builder.build() {
        Ok(verifier) => Ok(verifier),
        Err(error) => Err(rustls::Error::General(error.to_string())),
    }
}

fn system_verifier(
    authorities: Vec<CertificateDer<'static>>,
) -> Result<Arc<dyn ServerCertVerifier>, rustls::Error> {
    Ok(Arc::new(Verifier::new_with_extra_roots(
        authorities,
        provider(),
    )?))
}

/// The authorities of a file, each of which must be usable.
fn load_authorities(
    file: &Located<PathBuf>,
    problems: &Problems,
    now: UnixTime,
) -> Option<Vec<CertificateDer<'static>>> {
    let certificates = read_certificates(file, problems)?;
    let mut usable = true;
    for (index, certificate) in certificates.iter().enumerate() {
        let number = index + 1;
        let facts = Facts::of(certificate);
        let addable = RootCertStore::empty().add(certificate.clone()).is_ok();
        let Some(facts) = facts.filter(|_| addable) else {
            let fault = format!("its certificate number {number} is damaged; copy the file again");
            problems.error(file.place(), about(file, &fault));
            usable = false;
            continue;
        };
        let warn = |what: &str| {
            let fault = format!(
                "its certificate number {number} (`{}`) {what}",
                facts.subject
            );
            problems.warning(file.place(), about(file, &fault));
        };
        if !facts.is_ca {
            warn(
                "is not marked as an authority (CA:TRUE), so nothing issued by it is accepted; \
                 name the certificate of the authority, not that of the server",
            );
        }
        if let Verdict::Warning(text) | Verdict::Error(text) = facts.validity(now) {
            warn(&text);
        }
    }
    usable.then_some(certificates)
}
