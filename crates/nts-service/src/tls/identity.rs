//! A certificate chain with its private key: what a server, or a client that is asked, shows.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use zeroize::Zeroize;

use super::certificate::{Facts, Verdict};
use super::pem;
use super::witness::CertificateFacts;
use crate::config::{Located, Problems, read_file, read_secret_file};

/// A chain and key that belong together. Debug shows the subject only.
#[derive(Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    leaf: Arc<Facts>,
}

/// Why chain and key are no identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The chain is empty.
    #[error("there is no certificate; put the end-entity certificate first")]
    NoCertificate,
    /// A certificate cannot be parsed.
    #[error("certificate number {0} is damaged; copy the file again")]
    BadCertificate(usize),
    /// The key is of a kind that the library does not know.
    #[error(
        "the private key is of an unsupported kind; use ECDSA P-256 or RSA of 2048 bits or more"
    )]
    UnsupportedKey,
    /// The key belongs to another certificate of the chain.
    #[error(
        "the private key belongs to certificate number {0} of the chain; put that one first and \
         the certificate of its issuer after it"
    )]
    LeafNotFirst(usize),
    /// The key belongs to none of the certificates.
    #[error(
        "the private key does not belong to the certificate of `{0}`; use the key that the \
         certificate was requested with, or have a new certificate made for this key"
    )]
    KeyMismatch(String),
}

impl Identity {
    /// Loads a chain (leaf first) and its key from PEM files, and checks them; `None` after the
    /// problems have been reported.
    ///
    /// Errors: files that are missing, unreadable, damaged or of the wrong kind, a key that
    /// others can write to, a key that does not match, a leaf that is expired or not yet valid.
    /// Warnings: a key that others can read, a chain out of order, a leaf without names or with
    /// the mark of an authority, a leaf that ends within 14 days.
    pub fn load(
        chain: &Located<PathBuf>,
        key: &Located<PathBuf>,
        problems: &Problems,
    ) -> Option<Self> {
        Self::load_at(chain, key, problems, UnixTime::now())
    }

    pub(super) fn load_at(
        chain: &Located<PathBuf>,
        key: &Located<PathBuf>,
        problems: &Problems,
        now: UnixTime,
    ) -> Option<Self> {
        match Self::read(chain, key, problems)? {
            Ok(identity) => identity.check(chain, problems, now).then_some(identity),
            Err(error) => {
                error.report(chain, key, problems);
                None
            }
        }
    }

    /// Reads the two files and puts them together; `None` after the problems of the files
    /// themselves have been reported. Dates are not looked at.
    pub(super) fn read(
        chain: &Located<PathBuf>,
        key: &Located<PathBuf>,
        problems: &Problems,
    ) -> Option<Result<Self, IdentityError>> {
        // Both files are looked at before giving up, so that all problems are listed.
        let certificates = read_certificates(chain, problems);
        let private_key = read_secret_file(key, problems).and_then(|octets| {
            pem::private_key(&octets)
                .map_err(|fault| problems.error(key.place(), about(key, &fault)))
                .ok()
        });
        Some(Self::new(certificates?, private_key?))
    }

    /// Puts a chain (leaf first) and its key together. The key's octets are overwritten.
    ///
    /// # Errors
    /// [`IdentityError`]; dates are not looked at.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        mut key: PrivateKeyDer<'static>,
    ) -> Result<Self, IdentityError> {
        // Not by the provider's loader, which would take a copy of the key to itself.
        let signer = any_supported_type(&key);
        key.zeroize();
        let signer = signer.map_err(|_| IdentityError::UnsupportedKey)?;
        for (index, certificate) in chain.iter().enumerate() {
            Facts::of(certificate).ok_or(IdentityError::BadCertificate(index + 1))?;
        }
        let leaf = chain
            .first()
            .and_then(Facts::of)
            .ok_or(IdentityError::NoCertificate)?;
        let certified = CertifiedKey::new(chain, signer);
        if certified.keys_match().is_err() {
            return Err(match position_of_key(&certified) {
                Some(index) => IdentityError::LeafNotFirst(index + 1),
                None => IdentityError::KeyMismatch(leaf.subject),
            });
        }
        Ok(Self {
            certified: Arc::new(certified),
            leaf: Arc::new(leaf),
        })
    }

    /// The end-entity certificate.
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.certified.cert.first()
    }

    /// The DNS names and IP addresses that the certificate is made for.
    pub fn names(&self) -> &[String] {
        &self.leaf.names
    }

    /// What the certificates of the chain say about themselves, the leaf first.
    pub fn chain(&self) -> Vec<CertificateFacts> {
        let chain = self.certified.cert.iter();
        chain.filter_map(CertificateFacts::of).collect()
    }

    /// When the certificate ends.
    pub fn not_after(&self) -> SystemTime {
        self.leaf.not_after()
    }

    /// How long the certificate is still valid at `now`; `None` if it has expired.
    pub fn time_left(&self, now: SystemTime) -> Option<Duration> {
        self.not_after().duration_since(now).ok()
    }

    /// Whether it is the same chain.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }

    pub(super) fn certified_key(&self) -> Arc<CertifiedKey> {
        self.certified.clone()
    }

    /// Looks at dates, order and purpose; `false` if the identity cannot be used now.
    pub(super) fn check(
        &self,
        chain: &Located<PathBuf>,
        problems: &Problems,
        now: UnixTime,
    ) -> bool {
        let warn = |fault: &str| problems.warning(chain.place(), about(chain, fault));
        let facts: Vec<_> = self.certified.cert.iter().filter_map(Facts::of).collect();
        for (index, pair) in facts.windows(2).enumerate() {
            if let [lower, upper] = pair
                && !lower.is_issued_by(upper)
            {
                warn(&format!(
                    "its certificate number {} (`{}`) did not issue the one before it (`{}`); \
                     put the leaf first and each issuer after what it issued",
                    index + 2,
                    upper.subject,
                    lower.subject
                ));
            }
        }
        if self.leaf.is_ca {
            warn(
                "its first certificate is marked as an authority (CA:TRUE), which NTS clients \
                 refuse for a server; make an end-entity certificate",
            );
        }
        if self.leaf.names.is_empty() {
            warn(
                "its first certificate names no DNS name or IP address (subjectAltName), so no \
                 NTS client accepts it for a server; have one made with the server's name",
            );
        }
        match self.leaf.validity(now) {
            Verdict::Good => true,
            Verdict::Warning(text) => {
                warn(&format!("its certificate {text}"));
                true
            }
            Verdict::Error(text) => {
                problems.error(
                    chain.place(),
                    about(chain, &format!("its certificate {text}")),
                );
                false
            }
        }
    }
}

impl IdentityError {
    /// Reports the problem at the file that it lies in.
    pub(super) fn report(
        &self,
        chain: &Located<PathBuf>,
        key: &Located<PathBuf>,
        problems: &Problems,
    ) {
        let file = match self {
            Self::UnsupportedKey | Self::KeyMismatch(_) => key,
            Self::NoCertificate | Self::BadCertificate(_) | Self::LeafNotFirst(_) => chain,
        };
        problems.error(file.place(), about(file, &self.to_string()));
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity(`{}`, key redacted)", self.leaf.subject)
    }
}

/// Loads a file with exactly one certificate, as pools are authorised by (protocol reference
/// §3.2); `None` after the problems have been reported. That it has expired is a warning: its
/// owner must have another by now.
pub fn load_certificate(
    file: &Located<PathBuf>,
    problems: &Problems,
) -> Option<CertificateDer<'static>> {
    let mut certificates = read_certificates(file, problems)?;
    if certificates.len() > 1 {
        let fault = format!(
            "it holds {} certificates where exactly one belongs; keep only the end-entity \
             certificate, not its chain",
            certificates.len()
        );
        problems.error(file.place(), about(file, &fault));
        return None;
    }
    let certificate = certificates.pop()?;
    let Some(facts) = Facts::of(&certificate) else {
        problems.error(
            file.place(),
            about(file, "its certificate is damaged; copy the file again"),
        );
        return None;
    };
    if let Some(end) = facts.end_before(UnixTime::now()) {
        let fault = format!(
            "its certificate expired on {end}, so its pool must have another by now; ask for that \
             one"
        );
        problems.warning(file.place(), about(file, &fault));
    }
    Some(certificate)
}

/// The certificates of a PEM file; `None` after the problem has been reported.
pub(super) fn read_certificates(
    file: &Located<PathBuf>,
    problems: &Problems,
) -> Option<Vec<CertificateDer<'static>>> {
    let octets = read_file(file, problems)?;
    pem::certificates(&octets)
        .map_err(|fault| problems.error(file.place(), about(file, &fault)))
        .ok()
}

/// A fault of "it", with the name of the file.
pub(super) fn about(file: &Located<PathBuf>, fault: &str) -> String {
    format!("`{}`: {fault}", file.display())
}

/// Which certificate of the chain the key belongs to.
fn position_of_key(certified: &CertifiedKey) -> Option<usize> {
    let matches = |certificate: &CertificateDer<'static>| {
        CertifiedKey::new(vec![certificate.clone()], certified.key.clone())
            .keys_match()
            .is_ok()
    };
    certified.cert.iter().position(matches)
}
