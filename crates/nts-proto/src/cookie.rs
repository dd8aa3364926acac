//! NTS cookies as everyone but the time source that made them sees them: opaque octets.

use std::fmt;

use zeroize::Zeroizing;

/// One cookie: opaque octets that only the time source that made them can read
/// (RFC 8915 §4.1.6, §6).
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie(Zeroizing<Vec<u8>>);

impl Cookie {
    /// Takes the octets of a cookie as they stand.
    pub fn new(octets: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(octets.into()))
    }

    /// The octets of the cookie.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Length in octets.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the cookie has no octets; such a cookie is of no use.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cookie(<{} octets redacted>)", self.0.len())
    }
}
