//! What makes some users drop cookies, although any source may make them so.
//!
//! Only lengths are looked at, never octets.

use std::fmt;

use crate::cookie::Cookie;

/// Some implementations take no longer cookies than this, in octets.
pub const LONGEST_FOR_ALL: usize = 192;
/// Some implementations take only multiples of this.
const MULTIPLE_FOR_ALL: usize = 4;

/// The ways in which the cookies of one answer are unusual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CookieQuirks {
    long: bool,
    odd: bool,
    unequal: bool,
}

impl CookieQuirks {
    /// Looks at the cookies of one answer.
    pub fn of(cookies: &[Cookie]) -> Self {
        let mut lengths = cookies.iter().map(Cookie::len);
        let first = lengths.clone().next();
        Self {
            long: lengths.clone().any(|length| length > LONGEST_FOR_ALL),
            odd: lengths.clone().any(|length| length % MULTIPLE_FOR_ALL != 0),
            unequal: lengths.any(|length| Some(length) != first),
        }
    }

    /// Whether there is none.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// A list for the log.
impl fmt::Display for CookieQuirks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quirks = [
            (self.long, "longer than 192 octets"),
            (self.odd, "not a multiple of 4 octets long"),
            (self.unequal, "of unequal lengths"),
        ];
        let mut separator = "";
        for (_, words) in quirks.iter().filter(|(applies, _)| *applies) {
            write!(f, "{separator}{words}")?;
            separator = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lengths: &[usize], expected: &str) {
        let cookies: Vec<_> = lengths
            .iter()
            .map(|length| Cookie::new(vec![7; *length]))
            .collect();
        let quirks = CookieQuirks::of(&cookies);
        assert_eq!(quirks.to_string(), expected);
        assert_eq!(quirks.is_none(), expected.is_empty());
    }

    #[test]
    fn only_what_some_users_drop_is_a_quirk() {
        check(&[], "");
        check(&[104; 8], "");
        check(&[192], "");
        check(&[196, 196], "longer than 192 octets");
        check(&[101, 101], "not a multiple of 4 octets long");
        check(&[100, 104], "of unequal lengths");
        check(
            &[104, 1023],
            "longer than 192 octets, not a multiple of 4 octets long, of unequal lengths",
        );
    }
}
