//! Authentication tokens: how a pool proves to a time source that it is the one it knows.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The longest token in octets. Every implementation must support 64; a request that carries a
/// token and the longest keys stays below 1024 octets.
pub const MAX_TOKEN_LENGTH: usize = 512;

/// Octets that are no [`AuthenticationToken`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token is 1 to {MAX_TOKEN_LENGTH} ASCII characters without NUL")]
pub struct InvalidToken;

/// A shared secret: 1 to [`MAX_TOKEN_LENGTH`] ASCII characters other than NUL.
///
/// It is wiped when dropped, compared in constant time, and never shown.
#[derive(Clone)]
pub struct AuthenticationToken(Zeroizing<Box<[u8]>>);

impl AuthenticationToken {
    /// Takes a copy of the token.
    ///
    /// # Errors
    /// [`InvalidToken`] if it is empty, too long, not ASCII, or holds a NUL.
    pub fn new(octets: impl AsRef<[u8]>) -> Result<Self, InvalidToken> {
        let octets = octets.as_ref();
        if octets.is_empty() || octets.len() > MAX_TOKEN_LENGTH {
            return Err(InvalidToken);
        }
        if !octets.iter().all(|octet| octet.is_ascii() && *octet != 0) {
            return Err(InvalidToken);
        }
        Ok(Self(Zeroizing::new(octets.into())))
    }

    /// Whether both are the same token. The time taken depends on the lengths only.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// Length in octets.
    pub fn length(&self) -> usize {
        self.0.len()
    }

    /// The octets, for the wire only.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for AuthenticationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthenticationToken(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_match_only_themselves() {
        let token = AuthenticationToken::new("0123456789abcdef").unwrap();
        assert!(token.matches(&token.clone()));
        for other in ["0123456789abcdeF", "0123456789abcde", "0123456789abcdef0"] {
            assert!(!token.matches(&AuthenticationToken::new(other).unwrap()));
        }
    }

    #[test]
    fn refuses_what_is_no_token() {
        for octets in [&b""[..], b"a\0", b"a\xfe", &[b'a'; MAX_TOKEN_LENGTH + 1]] {
            assert_eq!(AuthenticationToken::new(octets).err(), Some(InvalidToken));
        }
        assert_eq!(
            AuthenticationToken::new([b'a'; MAX_TOKEN_LENGTH])
                .unwrap()
                .length(),
            512
        );
    }

    #[test]
    fn debug_shows_nothing_of_it() {
        let token = AuthenticationToken::new("xyzzy").unwrap();
        assert_eq!(format!("{token:?}"), "AuthenticationToken(<redacted>)");
    }
}
