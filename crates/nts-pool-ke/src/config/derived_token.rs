//! Tokens that follow from a secret of the pool, so that a list of sources holds none (pool design
//! §6.4).
//!
//! `token = base64url(HKDF-SHA256(secret, salt, id ‖ 0x00 ‖ domain ‖ 0x00 ‖ generation))`: 32 octets, the
//! domain in lower case and without a final dot, the generation as four octets, most significant first.
//! Neither id nor domain has an octet 0, so no two sources get the same.
//!
//! The domain is in it because lists are written by others: who lists another source's id for his own
//! server must not be sent that source's token. With the domain it goes to nobody but who has the
//! certificate of that name.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use hkdf::Hkdf;
use nts_proto::ke::name::NtpServerName;
use nts_proto::ke::token::AuthenticationToken;
use nts_service::config::{Located, Problem, Problems, Section, read_secret_file};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

const SALT: &[u8] = b"nts-pool source token v1";
const PATH: &str = "token-secret-path";
/// A secret of so many octets is taken for one that cannot be guessed.
const SHORTEST: usize = 32;

/// The secret that tokens of sources are derived from.
#[derive(Clone)]
pub struct TokenSecret {
    file: Located<PathBuf>,
    octets: Arc<Zeroizing<Vec<u8>>>,
}

impl TokenSecret {
    /// Reads the secret; `None` after a problem was reported.
    pub fn load(file: Located<PathBuf>, problems: &Problems) -> Option<Self> {
        let octets = read_secret_file(&file, problems)?;
        // An editor's line break at the end is no part of the secret.
        let octets = Zeroizing::new(octets.trim_ascii().to_vec());
        if octets.len() < SHORTEST {
            let message = format!(
                "the secret in `{}` has {} octets, which could be guessed; make one of {SHORTEST} \
                 or more with `openssl rand -hex 32`",
                file.display(),
                octets.len()
            );
            problems.push(Problem::error(file.place().clone(), message));
            return None;
        }
        Some(Self {
            octets: Arc::new(octets),
            file,
        })
    }

    /// The token of the source `id` at `domain`; another one for each `generation`.
    pub fn token(&self, id: &str, domain: &NtpServerName, generation: u32) -> AuthenticationToken {
        let text = self.text(id, domain, generation);
        AuthenticationToken::new(text.as_bytes()).expect("base64url is what tokens are made of")
    }

    /// The same as a text, for the source's operator.
    pub fn text(&self, id: &str, domain: &NtpServerName, generation: u32) -> Zeroizing<String> {
        let mut octets = Zeroizing::new([0; 32]);
        let domain = domain.canonical();
        let generation = generation.to_be_bytes();
        let info: [&[u8]; 5] = [id.as_bytes(), &[0], domain.as_bytes(), &[0], &generation];
        let (mut pseudorandom, hkdf) = Hkdf::<Sha256>::extract(Some(SALT), &self.octets);
        pseudorandom.as_mut_slice().zeroize();
        hkdf.expand_multi_info(&info, &mut *octets)
            .expect("HKDF gives 32 octets");
        Zeroizing::new(BASE64URL_NOPAD.encode(&*octets))
    }

    /// The file that it came from.
    pub(super) fn file(&self) -> &Located<PathBuf> {
        &self.file
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(<redacted>)")
    }
}

/// Reads the secret that the configuration names, if it names one.
pub(super) fn read(server: &Section<'_>) -> Option<TokenSecret> {
    TokenSecret::load(server.path(PATH)?, server.problems())
}

#[cfg(test)]
mod tests {
    use nts_service::config::Place;

    use super::*;

    fn secret(text: &str) -> Option<TokenSecret> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, text).unwrap();
        TokenSecret::load(
            Located::new(path, Place::file("pool.toml")),
            &Problems::new(),
        )
    }

    fn token(text: &str) -> AuthenticationToken {
        AuthenticationToken::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn tokens_are_what_another_implementation_makes_of_them() {
        let secret = secret("0123456789abcdef0123456789abcdef\n").unwrap();
        for (id, domain, generation, expected) in [
            (
                "a.test:4460",
                "a.test",
                0,
                "Fqw58gSFgx8GM6WZ5F0ry7ZVRTzrwtMy53x1ItfkiNA",
            ),
            (
                "a.test:4460",
                "A.Test.",
                1,
                "GWqEfiW7lKcc3NUKf7zaBoUwMO7-blzYCGpX4jzahOQ",
            ),
            (
                "5a3f-02",
                "192.0.2.7",
                258,
                "7nhsCUEiK-GL-HZuibXGfd5I0gX7RxZQEmefuQlf2Oc",
            ),
            // Another server under a known id.
            (
                "a.test:4460",
                "b.test",
                0,
                "67lECKSeDOS0OCsl7Gu5TC8tKjooSHGBmnarvxnHo9Q",
            ),
        ] {
            let domain = domain.parse().unwrap();
            assert_eq!(*secret.text(id, &domain, generation), expected);
            let derived = secret.token(id, &domain, generation);
            assert!(derived.matches(&token(expected)));
        }
    }

    #[test]
    fn short_secrets_are_refused_and_none_is_shown() {
        assert!(secret("0123456789abcdef0123456789abcde\n").is_none());
        let secret = secret("0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(format!("{secret:?}"), "TokenSecret(<redacted>)");
    }
}
