//! Tokens that follow from a secret of the pool, so that a list of sources holds none (pool design
//! §6.4).
//!
//! `token = base64url(HKDF-SHA256(secret, salt, id ‖ 0x00 ‖ generation))`: 32 octets, the generation
//! as four octets, most significant first. An id has no octet 0, so no two sources get the same.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use hkdf::Hkdf;
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

    /// The token of the source `id`; another one for each `generation`.
    pub fn token(&self, id: &str, generation: u32) -> AuthenticationToken {
        let text = self.text(id, generation);
        AuthenticationToken::new(text.as_bytes()).expect("base64url is what tokens are made of")
    }

    /// The same as a text, for the source's operator.
    pub fn text(&self, id: &str, generation: u32) -> Zeroizing<String> {
        let mut octets = Zeroizing::new([0; 32]);
        let info: [&[u8]; 3] = [id.as_bytes(), &[0], &generation.to_be_bytes()];
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
        for (id, generation, expected) in [
            (
                "a.test:4460",
                0,
                "dwAteurzDGpO1KCc8nHE_FlNmjRHHZ1oZqhXd6ZSAFU",
            ),
            (
                "a.test:4460",
                1,
                "sbHfEpWrvij69uxTsmawB3cpLxlf4PXgRHTOlTKpqEM",
            ),
            (
                "5a3f-02",
                258,
                "BlRuu-AWHpv-u5ef3XTGO7RBfH0gD9PI5iaBKAPZVgs",
            ),
        ] {
            assert_eq!(*secret.text(id, generation), expected);
            assert!(secret.token(id, generation).matches(&token(expected)));
        }
    }

    #[test]
    fn short_secrets_are_refused_and_none_is_shown() {
        assert!(secret("0123456789abcdef0123456789abcde\n").is_none());
        let secret = secret("0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(format!("{secret:?}"), "TokenSecret(<redacted>)");
    }
}
