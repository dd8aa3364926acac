mod handshake;
mod live_identity;
mod loading;
mod trust;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

use super::*;
use crate::config::{Located, Place};

/// A throw-away certificate authority.
struct Authority {
    pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
struct Leaf {
    pem: String,
    key_pem: String,
    der: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for `names` that `edit` may change before it is signed.
    fn leaf(&self, names: &[&str], edit: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).unwrap();
        let name = names.first().map_or("nameless", String::as_str);
        params.distinguished_name.push(DnType::CommonName, name);
        edit(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Leaf {
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            der: certificate.der().clone(),
            key,
        }
    }

    fn server(&self) -> Leaf {
        self.leaf(&["a.test", "192.0.2.1"], |_| {})
    }

    fn trust(&self) -> TrustAnchors {
        TrustAnchors::only([self.der.clone()]).unwrap()
    }
}

impl Leaf {
    fn identity(&self) -> Identity {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        Identity::new(vec![self.der.clone()], key).unwrap()
    }
}

/// Valid from the beginning of one year to that of another.
fn years(from: i32, until: i32) -> impl FnOnce(&mut CertificateParams) {
    move |params| {
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
    }
}

/// A directory whose files are named in problems as if they stood in `c.toml`.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn add(&self, name: &str, content: impl AsRef<[u8]>) -> Located<PathBuf> {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        Located::new(path, Place::file("c.toml").at_line(7).at_key(name))
    }

    /// Problems without the directory, which has another name each time.
    fn shown(&self, problems: &crate::config::Problems) -> String {
        problems
            .to_string()
            .replace(&format!("{}/", self.0.path().display()), "")
    }
}
