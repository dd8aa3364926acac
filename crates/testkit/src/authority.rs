//! A throw-away certificate authority and what it issues.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nts_service::tls::{Identity, TrustAnchors};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate authority that lives as long as the test.
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its key, both as PEM.
pub struct Credentials {
    /// The certificate alone; the authority that issued it is a root.
    pub certificate_pem: String,
    /// The private key.
    pub key_pem: String,
}

impl CertificateAuthority {
    /// A new authority with a new key.
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params
            .distinguished_name
            .push(DnType::CommonName, "throw-away authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// Credentials of a server with these DNS names and IP addresses.
    pub fn server(&self, names: &[&str]) -> Credentials {
        self.issue(names, ExtendedKeyUsagePurpose::ServerAuth, |_| {})
    }

    /// Credentials of a client, such as a pool towards its sources.
    pub fn client(&self, name: &str) -> Credentials {
        self.issue(&[name], ExtendedKeyUsagePurpose::ClientAuth, |_| {})
    }

    /// Credentials of a server whose time is over.
    pub fn expired(&self, names: &[&str]) -> Credentials {
        self.issue(names, ExtendedKeyUsagePurpose::ServerAuth, |params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        })
    }

    /// Credentials of a server that are good for so long from now on.
    pub fn valid_for(&self, names: &[&str], time: Duration) -> Credentials {
        self.issue(names, ExtendedKeyUsagePurpose::ServerAuth, |params| {
            params.not_after = (SystemTime::now() + time).into();
        })
    }

    /// Credentials of a server whose time has not come.
    pub fn not_yet_valid(&self, names: &[&str]) -> Credentials {
        self.issue(names, ExtendedKeyUsagePurpose::ServerAuth, |params| {
            params.not_before = date_time_ymd(2100, 1, 1);
            params.not_after = date_time_ymd(2101, 1, 1);
        })
    }

    /// The authority's own certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Trusts this authority and no other.
    pub fn trust(&self) -> TrustAnchors {
        let certificate = CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("own PEM");
        TrustAnchors::only([certificate]).expect("an authority")
    }

    /// Writes the authority's certificate to `directory/NAME.pem`.
    pub fn write(&self, directory: &Path, name: &str) -> PathBuf {
        let path = directory.join(format!("{name}.pem"));
        fs::write(&path, &self.pem).expect("a writable directory");
        path
    }

    fn issue(
        &self,
        names: &[&str],
        usage: ExtendedKeyUsagePurpose,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Credentials {
        let texts: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(texts).expect("names or addresses");
        let subject = names.first().copied().unwrap_or("nobody");
        params.distinguished_name.push(DnType::CommonName, subject);
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Credentials {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        }
    }
}

impl Default for CertificateAuthority {
    fn default() -> Self {
        Self::new()
    }
}

impl Credentials {
    /// The certificate.
    pub fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate_pem.as_bytes()).expect("own PEM")
    }

    /// As the TLS set-up takes it; dates are not looked at.
    pub fn identity(&self) -> Identity {
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).expect("own PEM");
        Identity::new(vec![self.certificate()], key).expect("they belong together")
    }

    /// The secret number of the private key (ECDSA P-256), without what stands around it in the
    /// file, which is no secret.
    pub fn private_key(&self) -> Vec<u8> {
        /// In RFC 5915: version 1, then an octet string of 32.
        const BEFORE: [u8; 5] = [0x02, 0x01, 0x01, 0x04, 0x20];
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).expect("own PEM");
        let der = key.secret_der();
        let at = der.windows(BEFORE.len()).position(|it| it == BEFORE);
        let start = at.expect("an ECDSA key") + BEFORE.len();
        der[start..start + 32].to_vec()
    }

    /// Writes `directory/NAME.pem` and, for its owner only, `directory/NAME.key`.
    pub fn write(&self, directory: &Path, name: &str) -> (PathBuf, PathBuf) {
        let chain = directory.join(format!("{name}.pem"));
        fs::write(&chain, &self.certificate_pem).expect("a writable directory");
        let key = directory.join(format!("{name}.key"));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&key)
            .expect("a new file in a writable directory");
        file.write_all(self.key_pem.as_bytes())
            .expect("room for a key");
        (chain, key)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_written_is_what_was_issued() {
        let directory = tempfile::tempdir().unwrap();
        let authority = CertificateAuthority::new();
        let issued = authority.server(&["a.test", "127.0.0.2"]);
        let (chain, key) = issued.write(directory.path(), "a");
        assert_eq!(fs::read_to_string(chain).unwrap(), issued.certificate_pem);
        assert_eq!(
            fs::metadata(&key).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_to_string(key).unwrap(), issued.key_pem);
        let file = authority.write(directory.path(), "ca");
        assert_eq!(fs::read_to_string(file).unwrap(), authority.pem());
        assert_eq!(issued.identity().names(), ["a.test", "127.0.0.2"]);
    }
}
