//! The file of the secrets from which several nodes derive the same cookie keys: one secret per
//! line, the first of which seals; empty lines and lines that begin with `#` do not count.

use std::path::Path;

use nts_proto::keyset::SharedSecret;

use crate::private_file::{self, ReadError};

/// Secrets in a file at most. Two are in use while they are changed.
const MAX_SECRETS: usize = 8;

/// How to get a secret.
const RECIPE: &str = "make a secret with `openssl rand -hex 32`";

/// The secrets of a file: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedSecrets(Vec<SharedSecret>);

impl SharedSecrets {
    /// Reads a file that nobody but its owner, who is us or root, may read or write.
    ///
    /// # Errors
    /// What is wrong, with the cure, and without a word of what it says.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        let octets = private_file::read_made_by_hand(path).map_err(|error| match error {
            ReadError::Mode(message) => message,
            ReadError::Io(error) => format!("cannot read `{}`: {error}", path.display()),
        })?;
        Self::parse(&octets).map_err(|message| format!("`{}`: {message}", path.display()))
    }

    fn parse(octets: &[u8]) -> Result<Self, String> {
        let mut secrets = Vec::new();
        for (line, number) in octets.split(|octet| *octet == b'\n').zip(1_u32..) {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            if !line.iter().all(u8::is_ascii_graphic) {
                return Err(format!(
                    "line {number} has blanks or characters that are not ASCII; {RECIPE}"
                ));
            }
            let secret = SharedSecret::new(line)
                .map_err(|error| format!("line {number}: {error}; {RECIPE}"))?;
            if secrets.contains(&secret) {
                return Err(format!(
                    "line {number} is there twice; take one of them out"
                ));
            }
            secrets.push(secret);
        }
        match secrets.len() {
            0 => Err(format!("there is no secret in it; {RECIPE}")),
            1..=MAX_SECRETS => Ok(Self(secrets)),
            _ => Err(format!(
                "more than {MAX_SECRETS} secrets; take out those that no node uses any more"
            )),
        }
    }

    /// The secrets, of which the first one seals.
    pub(super) fn as_slice(&self) -> &[SharedSecret] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const FIRST: &str = "0123456789abcdef0123456789abcdef";
    const SECOND: &str = "fedcba9876543210fedcba9876543210";

    fn error(text: &str) -> String {
        SharedSecrets::parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn one_secret_per_line() {
        let text = format!("# of 2026\n\n  {FIRST}\r\n# of 2025\n{SECOND}");
        let secrets = SharedSecrets::parse(text.as_bytes()).unwrap();
        let expected = [FIRST, SECOND].map(|it| SharedSecret::new(it.as_bytes()).unwrap());
        assert_eq!(secrets.as_slice(), expected);
    }

    #[test]
    fn what_is_no_secret_is_named_by_its_line() {
        let cure = "make a secret with `openssl rand -hex 32`";
        assert_eq!(
            error("# none\n"),
            format!("there is no secret in it; {cure}")
        );
        assert_eq!(
            error("\nshort"),
            format!("line 2: a secret of fewer than 32 characters can be guessed; {cure}")
        );
        for line in [format!("{FIRST} x"), format!("{FIRST}\u{e4}")] {
            assert_eq!(
                error(&line),
                format!("line 1 has blanks or characters that are not ASCII; {cure}")
            );
        }
        assert_eq!(
            error(&format!("{FIRST}\n{SECOND}\n{FIRST}")),
            "line 3 is there twice; take one of them out"
        );
        let nine: String = (0..9).map(|i| format!("{FIRST}{i}\n")).collect();
        assert_eq!(
            error(&nine),
            "more than 8 secrets; take out those that no node uses any more"
        );
    }

    #[test]
    fn a_file_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let shown = path.display();
        let load = || SharedSecrets::load(&path);
        assert_eq!(
            load().unwrap_err(),
            format!("cannot read `{shown}`: No such file or directory (os error 2)")
        );
        std::fs::write(&path, FIRST).unwrap();
        let set_mode = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        set_mode(0o644);
        assert_eq!(
            load().unwrap_err(),
            format!(
                "others can read or write `{shown}` (mode 644), so it holds no secret; give it to \
                 its owner alone with `chmod 600` and `chown`, and change what is in it if anybody \
                 may have read it"
            )
        );
        set_mode(0o600);
        assert_eq!(load().unwrap().as_slice().len(), 1);
        std::fs::write(&path, "tiny").unwrap();
        assert!(
            load()
                .unwrap_err()
                .starts_with(&format!("`{shown}`: line 1: "))
        );
    }
}
