//! Names of NTP servers as NTS-KE carries them (RFC 8915 §4.1.7).

use std::fmt;
use std::str::FromStr;

/// The longest name in octets.
pub const MAX_NAME_LENGTH: usize = 255;

/// Text that is no [`NtpServerName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an NTP server name is 1 to 255 printable ASCII characters without blanks")]
pub struct InvalidName;

/// A host name or IP address of an NTP server: 1 to 255 printable ASCII characters, no blanks.
///
/// The text is kept as received: a user who denies a server must repeat the precise name that
/// the pool gave.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NtpServerName(Box<str>);

impl NtpServerName {
    /// Takes the body of a record.
    ///
    /// # Errors
    /// [`InvalidName`] if it is empty, longer than [`MAX_NAME_LENGTH`], or holds anything but
    /// printable ASCII without blanks.
    pub fn from_bytes(octets: &[u8]) -> Result<Self, InvalidName> {
        if octets.is_empty() || octets.len() > MAX_NAME_LENGTH {
            return Err(InvalidName);
        }
        if !octets.iter().all(u8::is_ascii_graphic) {
            return Err(InvalidName);
        }
        std::str::from_utf8(octets)
            .map(|text| Self(text.into()))
            .map_err(|_| InvalidName)
    }

    /// The name as it was received.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether both name the same host: ASCII case and one final dot make no difference.
    pub fn same_host(&self, other: &Self) -> bool {
        self.without_final_dot()
            .eq_ignore_ascii_case(other.without_final_dot())
    }

    /// Lower case, without a final dot: equal for names of the same host, so fit for a map's key.
    pub fn canonical(&self) -> String {
        self.without_final_dot().to_ascii_lowercase()
    }

    fn without_final_dot(&self) -> &str {
        self.0.strip_suffix('.').unwrap_or(&self.0)
    }
}

impl FromStr for NtpServerName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::from_bytes(text.as_bytes())
    }
}

impl fmt::Display for NtpServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NtpServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NtpServerName {
        text.parse().expect(text)
    }

    #[test]
    fn takes_names_and_addresses_verbatim() {
        for text in ["a.test", "A.Test.", "192.0.2.1", "2001:db8::1", "x"] {
            assert_eq!(name(text).as_str(), text);
        }
        assert_eq!(name(&"a".repeat(255)).as_str().len(), 255);
    }

    #[test]
    fn refuses_what_is_no_name() {
        let long = "a".repeat(256);
        for text in [
            "",
            " ",
            "a b",
            "a\t",
            "a\0",
            "a\n",
            "\u{e4}.test",
            "a\u{7f}",
            &long,
        ] {
            assert_eq!(text.parse::<NtpServerName>(), Err(InvalidName), "{text:?}");
        }
        assert_eq!(NtpServerName::from_bytes(b"a\xfe.test"), Err(InvalidName));
    }

    #[test]
    fn hosts_are_compared_without_case_and_one_final_dot() {
        assert!(name("NTP.a.Test.").same_host(&name("ntp.A.test")));
        assert!(!name("a.test..").same_host(&name("a.test")));
        assert!(!name("a.test").same_host(&name("b.test")));
        assert_eq!(name("NTP.a.Test.").canonical(), "ntp.a.test");
    }
}
