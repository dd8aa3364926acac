//! The names under which users know a source, so that a deny record finds it (protocol §3.7).
//!
//! A deny record repeats what the user saw in a Server record. That is the configured domain or
//! another configured name, or a name from the source's own list, or one that the source put into
//! an earlier answer.
//!
//! A source that gave each user another name could not be denied, once its earlier names were
//! forgotten: a user who wants four sources would get the same one four times. So names are kept
//! for as long as users deny them, and a source that has given too many gives no more.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use nts_proto::ke::name::NtpServerName;

/// So many names are taken from a source's own list; the rest is ignored.
const MOST_LISTED: usize = 64;
/// So many names from answers are remembered.
const MOST_SEEN: usize = 64;

/// A name that has not been in an answer for so long gives way to a new one: users remember for a
/// day whom they deny.
const SEEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// All names of one source, in canonical form.
#[derive(Debug)]
pub(crate) struct KnownNames {
    configured: Vec<String>,
    listed: Vec<String>,
    /// With the time of the last answer, longest ago first.
    seen: VecDeque<(String, Instant)>,
}

/// A source has named so many servers lately that no more can be remembered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooManyNames;

impl KnownNames {
    /// A source of which only the configured domain and other configured names are known.
    pub(crate) fn new(domain: &NtpServerName, others: &[NtpServerName]) -> Self {
        let mut names = Self {
            configured: Vec::new(),
            listed: Vec::new(),
            seen: VecDeque::new(),
        };
        names.configure(domain, others);
        names
    }

    /// Replaces the configured domain and other configured names.
    pub(crate) fn configure(&mut self, domain: &NtpServerName, others: &[NtpServerName]) {
        let configured = std::iter::once(domain).chain(others);
        self.configured = configured.map(NtpServerName::canonical).collect();
    }

    /// Replaces the names that the source itself lists. Gives whether that made a difference.
    pub(crate) fn set_listed(&mut self, names: &[NtpServerName]) -> bool {
        let names = names.iter().take(MOST_LISTED);
        let listed = names.map(NtpServerName::canonical).collect();
        let before = std::mem::replace(&mut self.listed, listed);
        before != self.listed
    }

    /// Remembers a name that the source put into an answer at `now`. Gives whether it is new.
    ///
    /// # Errors
    /// [`TooManyNames`] if it is a new one and could not be denied. The answer is no good then.
    pub(crate) fn note_seen(
        &mut self,
        name: &NtpServerName,
        now: Instant,
    ) -> Result<bool, TooManyNames> {
        let name = name.canonical();
        if let Some(position) = self.seen.iter().position(|(seen, _)| *seen == name) {
            self.seen.remove(position);
            self.seen.push_back((name, now));
            return Ok(false);
        }
        if self.all().any(|known| *known == name) {
            return Ok(false);
        }
        if self.seen.len() == MOST_SEEN {
            let oldest = self.seen.front();
            if oldest.is_some_and(|(_, last)| now < *last + SEEN_LIFETIME) {
                return Err(TooManyNames);
            }
            self.seen.pop_front();
        }
        self.seen.push_back((name, now));
        Ok(true)
    }

    /// All of them, some perhaps twice.
    pub(crate) fn all(&self) -> impl Iterator<Item = &String> {
        self.configured
            .iter()
            .chain(&self.listed)
            .chain(self.seen.iter().map(|(name, _)| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NtpServerName {
        text.parse().unwrap()
    }

    fn knows(names: &KnownNames, spelling: &str) -> bool {
        let name = name(spelling).canonical();
        names.all().any(|known| *known == name)
    }

    #[test]
    fn the_configured_domain_can_be_denied_in_any_spelling() {
        let names = KnownNames::new(&name("NTS.a.test"), &[]);
        for spelling in ["nts.a.test", "NTS.A.TEST", "nts.a.test."] {
            assert!(knows(&names, spelling), "{spelling}");
        }
        for other in ["nts.a.test..", "a.test", "s.a.test"] {
            assert!(!knows(&names, other), "{other}");
        }
    }

    #[test]
    fn every_configured_name_can_be_denied() {
        let names = KnownNames::new(&name("a.test"), &[name("Ntp1.a.test"), name("192.0.2.1")]);
        for spelling in ["a.test", "ntp1.a.test.", "192.0.2.1"] {
            assert!(knows(&names, spelling), "{spelling}");
        }
    }

    #[test]
    fn listed_names_can_be_denied_until_the_list_changes() {
        let mut names = KnownNames::new(&name("a.test"), &[]);
        let both = [name("Ntp1.a.test"), name("ntp2.a.test.")];
        assert!(names.set_listed(&both));
        assert!(!names.set_listed(&both));
        assert!(knows(&names, "ntp1.a.test"));
        assert!(knows(&names, "ntp2.a.test"));
        assert!(names.set_listed(&[name("ntp2.a.test")]));
        assert!(!knows(&names, "ntp1.a.test"));
        assert!(knows(&names, "a.test"));
    }

    #[test]
    fn names_seen_in_answers_can_be_denied() {
        let mut names = KnownNames::new(&name("a.test"), &[]);
        let now = Instant::now();
        for (spelling, new) in [
            ("ntp1.a.test", true),
            ("NTP1.a.test.", false),
            ("ntp2.a.test", true),
        ] {
            assert_eq!(names.note_seen(&name(spelling), now), Ok(new));
        }
        assert_eq!(names.seen.len(), 2);
        assert!(knows(&names, "Ntp1.a.test"));
        assert!(knows(&names, "ntp2.a.test."));
        assert!(!knows(&names, "ntp3.a.test"));
    }

    #[test]
    fn names_are_not_forgotten_while_users_deny_them() {
        let mut names = KnownNames::new(&name("a.test"), &[]);
        let start = Instant::now();
        let number = |number: usize| name(&format!("ntp{number}.a.test"));
        for index in 0..MOST_SEEN {
            assert_eq!(names.note_seen(&number(index), start), Ok(true));
        }
        let noon = start + SEEN_LIFETIME / 2;
        assert_eq!(names.note_seen(&name("new.test"), noon), Err(TooManyNames));
        assert_eq!(names.note_seen(&number(0), noon), Ok(false));
        assert!(knows(&names, "ntp1.a.test"));
        let next_day = start + SEEN_LIFETIME;
        assert_eq!(names.note_seen(&name("new.test"), next_day), Ok(true));
        assert!(!knows(&names, "ntp1.a.test"));
        for kept in ["ntp0.a.test", "ntp2.a.test", "new.test"] {
            assert!(knows(&names, kept), "{kept}");
        }
    }

    #[test]
    fn a_known_name_is_not_remembered_twice() {
        let mut names = KnownNames::new(&name("a.test"), &[]);
        assert_eq!(names.note_seen(&name("A.test."), Instant::now()), Ok(false));
        assert!(names.seen.is_empty());
    }
}
