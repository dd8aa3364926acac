//! Ed25519 keys (RFC 8032) in the forms in which people keep them.
//!
//! No file is read here, and a private key is never shown.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use data_encoding::BASE64;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use zeroize::Zeroizing;

/// The length of a signature in octets.
pub(super) const SIGNATURE_LENGTH: usize = 64;
const KEY_LENGTH: usize = 32;
/// What stands before the key in a SubjectPublicKeyInfo (RFC 8410 §4).
const INFO: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// What signatures are checked with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; KEY_LENGTH]);

impl PublicKey {
    /// The key in base64.
    ///
    /// # Errors
    /// If it is none, in words for a person.
    pub fn from_base64(text: &str) -> Result<Self, String> {
        let octets = BASE64.decode(text.as_bytes()).ok();
        let key = octets.and_then(|octets| octets.try_into().ok()).map(Self);
        key.ok_or_else(|| {
            "no Ed25519 public key; write its 32 octets in base64, 44 characters, as \
             `nts-pool-ke snapshot keygen` prints them"
                .to_owned()
        })
    }

    /// The key in a PEM file, as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// If there is none, in words for a person.
    pub fn from_pem(octets: &[u8]) -> Result<Self, String> {
        let info = SubjectPublicKeyInfoDer::from_pem_slice(octets).ok();
        let key = info.and_then(|info| info.strip_prefix(INFO)?.try_into().ok().map(Self));
        key.ok_or_else(|| {
            "holds no Ed25519 public key; a PEM file with `-----BEGIN PUBLIC KEY-----` belongs \
             there, as `openssl pkey -pubout` makes it of a key"
                .to_owned()
        })
    }

    /// Whether this key's owner has signed `octets`.
    pub(super) fn verifies(&self, octets: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.0);
        key.verify(octets, signature).is_ok()
    }
}

/// In base64.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// What signatures are made with. It is overwritten when dropped.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// A new one.
    ///
    /// # Errors
    /// If the system has no randomness to give.
    pub fn generate() -> Result<Self, String> {
        let pair = Ed25519KeyPair::generate();
        pair.map(Self)
            .map_err(|_| "the system gives no random numbers".to_owned())
    }

    /// The key in a PEM file (PKCS#8), as [`SigningKey::to_pem`] and `openssl genpkey` write it.
    ///
    /// # Errors
    /// If there is none, in words for a person.
    pub fn from_pem(octets: &[u8]) -> Result<Self, String> {
        // The parser's own words may hold lines of a key.
        let der = PrivatePkcs8KeyDer::from_pem_slice(octets).ok();
        let pair = der.and_then(|der| {
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).ok()
        });
        pair.map(Self).ok_or_else(|| {
            "holds no Ed25519 private key (PEM, PKCS#8); make one with `nts-pool-ke snapshot \
             keygen`, or with `openssl genpkey -algorithm ed25519`"
                .to_owned()
        })
    }

    /// The key as a PEM file (PKCS#8).
    ///
    /// # Panics
    /// Never: a key can be written.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let der = self.0.to_pkcs8v1().expect("a key pair has a private key");
        let base64 = Zeroizing::new(BASE64.encode(der.as_ref()));
        // 48 octets are one line of 64 characters.
        Zeroizing::new(format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            *base64
        ))
    }

    /// What its signatures are checked with.
    ///
    /// # Panics
    /// Never: a public key is 32 octets long.
    pub fn public(&self) -> PublicKey {
        let octets = self.0.public_key().as_ref();
        PublicKey(octets.try_into().expect("32 octets"))
    }

    /// The signature of `octets`.
    pub(super) fn sign(&self, octets: &[u8]) -> [u8; SIGNATURE_LENGTH] {
        let signature = self.0.sign(octets);
        signature.as_ref().try_into().expect("64 octets")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // `openssl genpkey -algorithm ed25519`, and `openssl pkey -pubout` of it.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
        -----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
        -----END PUBLIC KEY-----\n";
    const BARE: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    #[test]
    fn the_first_vector_of_rfc_8032() {
        let key = SigningKey::from_pem(PRIVATE.as_bytes()).unwrap();
        let signature = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590\
                         a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
        let signature = data_encoding::HEXLOWER
            .decode(signature.as_bytes())
            .unwrap();
        assert_eq!(key.sign(b"").as_slice(), signature);
        assert_eq!(key.public().to_string(), BARE);
        assert!(key.public().verifies(b"", &signature));
        assert!(!key.public().verifies(b"x", &signature));
        assert!(!key.public().verifies(b"", &signature[..63]));
        assert_eq!(*key.to_pem(), PRIVATE);
        assert_eq!(format!("{key:?}"), "SigningKey(<redacted>)");
    }

    #[test]
    fn public_keys_are_read_in_both_forms() {
        let key = PublicKey::from_base64(BARE).unwrap();
        assert_eq!(PublicKey::from_pem(PUBLIC.as_bytes()), Ok(key));
        for text in ["", "11qY", &BARE[1..], &format!("{BARE} "), PRIVATE] {
            assert!(PublicKey::from_base64(text).is_err(), "{text}");
        }
        for text in ["", BARE, PRIVATE, &PUBLIC.replace("VwAyEA", "VwAyEB")] {
            assert!(PublicKey::from_pem(text.as_bytes()).is_err(), "{text}");
        }
        for text in ["", BARE, PUBLIC] {
            let error = SigningKey::from_pem(text.as_bytes()).unwrap_err();
            assert!(error.starts_with("holds no Ed25519 private key"), "{error}");
        }
    }

    #[test]
    fn each_new_key_is_another() {
        let [one, two] = [(); 2].map(|()| SigningKey::generate().unwrap());
        assert_ne!(one.public(), two.public());
        let again = SigningKey::from_pem(one.to_pem().as_bytes()).unwrap();
        assert_eq!(again.public(), one.public());
    }
}
