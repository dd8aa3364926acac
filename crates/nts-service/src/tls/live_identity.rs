//! A server's identity that is renewed while the server runs.
//!
//! Handshakes that begin after a renewal show the new certificate; those that have begun, and
//! connections that are up, are not touched. A pair of files that is no good, or not complete yet,
//! never takes the place of one that works.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::UnixTime;

use super::identity::{Identity, IdentityError, about};
use crate::config::{Located, Problems};

/// See the module. Clones are the same identity.
#[derive(Clone, Debug)]
pub struct LiveIdentity(Arc<ArcSwap<Identity>>);

/// What became of an attempt to renew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The files hold what is shown already.
    Unchanged,
    /// The new certificate is shown from now on.
    Renewed,
    /// Chain and key do not belong together: most likely one of the two files is still to be
    /// written. The old pair goes on; try again when a file changes.
    HalfRenewed,
    /// The files are no good, as reported. The old pair goes on.
    Refused,
}

impl LiveIdentity {
    /// Begins with `identity`.
    pub fn new(identity: Identity) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(identity)))
    }

    /// What is shown now.
    pub fn current(&self) -> Arc<Identity> {
        self.0.load_full()
    }

    /// Shows `identity` from now on. It has been checked when it was loaded.
    pub fn replace(&self, identity: Identity) {
        self.0.store(Arc::new(identity));
    }

    /// Reads chain and key again and shows them if they are good: as [`Identity::load`] wants them,
    /// and with at least one name. Names that get lost are a warning. Reads files, so it may wait.
    pub fn renew(
        &self,
        chain: &Located<PathBuf>,
        key: &Located<PathBuf>,
        problems: &Problems,
    ) -> Renewal {
        self.renew_at(chain, key, problems, UnixTime::now())
    }

    pub(super) fn renew_at(
        &self,
        chain: &Located<PathBuf>,
        key: &Located<PathBuf>,
        problems: &Problems,
        now: UnixTime,
    ) -> Renewal {
        let identity = match Identity::read(chain, key, problems) {
            None => return Renewal::Refused,
            Some(Err(IdentityError::KeyMismatch(subject))) => {
                let fault = format!(
                    "the private key does not belong to the certificate of `{subject}` in `{}`; \
                     the certificate that was loaded before stays until both files are renewed",
                    chain.display()
                );
                problems.warning(key.place(), about(key, &fault));
                return Renewal::HalfRenewed;
            }
            Some(Err(error)) => {
                error.report(chain, key, problems);
                return Renewal::Refused;
            }
            Some(Ok(identity)) => identity,
        };
        let before = self.current();
        if identity.is_same_as(&before) {
            return Renewal::Unchanged;
        }
        if !identity.check(chain, problems, now) || !has_names(&identity, &before, chain, problems)
        {
            return Renewal::Refused;
        }
        self.replace(identity);
        Renewal::Renewed
    }
}

/// Whether `identity` names anything, if the one `before` did; tells which names get lost.
fn has_names(
    identity: &Identity,
    before: &Identity,
    chain: &Located<PathBuf>,
    problems: &Problems,
) -> bool {
    let lost: Vec<_> = before
        .names()
        .iter()
        .filter(|name| !identity.names().contains(name))
        .map(String::as_str)
        .collect();
    if lost.is_empty() {
        return true;
    }
    if identity.names().is_empty() {
        let fault = "its first certificate has no names (subjectAltName), and the one before it \
                     had; have one made with the server's name";
        problems.error(chain.place(), about(chain, fault));
        return false;
    }
    let fault = format!(
        "its certificate no longer names `{}`; clients that use such a name will refuse it",
        lost.join("`, `")
    );
    problems.warning(chain.place(), about(chain, &fault));
    true
}

impl From<&Identity> for LiveIdentity {
    fn from(identity: &Identity) -> Self {
        Self::new(identity.clone())
    }
}

impl ResolvesServerCert for LiveIdentity {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().certified_key())
    }
}
