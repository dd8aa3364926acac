//! The names under which users know a source, so that a deny record finds it (protocol §3.7).
//!
//! A deny record repeats what the user saw in a Server record. That is the configured domain, or a
//! name from the source's own list, or one that the source put into an earlier answer.

use std::collections::VecDeque;

use nts_proto::ke::name::NtpServerName;

/// So many names are taken from a source's own list; the rest is ignored.
const MOST_LISTED: usize = 64;
/// So many names from answers are remembered; the oldest gives way.
const MOST_SEEN: usize = 16;

/// All names of one source, in canonical form.
#[derive(Debug)]
pub(crate) struct KnownNames {
    configured: String,
    listed: Vec<String>,
    seen: VecDeque<String>,
}

impl KnownNames {
    /// A source of which only the configured domain is known.
    pub(crate) fn new(configured: &NtpServerName) -> Self {
        Self {
            configured: configured.canonical(),
            listed: Vec::new(),
            seen: VecDeque::new(),
        }
    }

    /// Replaces the names that the source itself lists.
    pub(crate) fn set_listed(&mut self, names: &[NtpServerName]) {
        self.listed = names
            .iter()
            .take(MOST_LISTED)
            .map(NtpServerName::canonical)
            .collect();
    }

    /// Remembers a name that the source put into an answer.
    pub(crate) fn note_seen(&mut self, name: &NtpServerName) {
        let name = name.canonical();
        if self.all().any(|known| *known == name) {
            return;
        }
        if self.seen.len() == MOST_SEEN {
            self.seen.pop_front();
        }
        self.seen.push_back(name);
    }

    /// Whether one of `denied` is a name of this source.
    pub(crate) fn is_denied(&self, denied: &DeniedNames) -> bool {
        !denied.0.is_empty() && self.all().any(|known| denied.0.contains(known))
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.configured)
            .chain(&self.listed)
            .chain(&self.seen)
    }
}

/// The names that one user denied, in canonical form.
#[derive(Debug)]
pub(crate) struct DeniedNames(Vec<String>);

impl DeniedNames {
    /// Prepares a user's deny records for comparison.
    pub(crate) fn new(names: &[NtpServerName]) -> Self {
        Self(names.iter().map(NtpServerName::canonical).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NtpServerName {
        text.parse().unwrap()
    }

    fn denied(texts: &[&str]) -> DeniedNames {
        DeniedNames::new(&texts.iter().map(|text| name(text)).collect::<Vec<_>>())
    }

    #[test]
    fn the_configured_domain_can_be_denied_in_any_spelling() {
        let names = KnownNames::new(&name("NTS.a.test"));
        for spelling in ["nts.a.test", "NTS.A.TEST", "nts.a.test."] {
            assert!(
                names.is_denied(&denied(&["x.test", spelling])),
                "{spelling}"
            );
        }
        assert!(!names.is_denied(&denied(&["nts.a.test..", "a.test", "s.a.test"])));
        assert!(!names.is_denied(&denied(&[])));
    }

    #[test]
    fn listed_names_can_be_denied_until_the_list_changes() {
        let mut names = KnownNames::new(&name("a.test"));
        names.set_listed(&[name("Ntp1.a.test"), name("ntp2.a.test.")]);
        assert!(names.is_denied(&denied(&["ntp1.a.test"])));
        assert!(names.is_denied(&denied(&["ntp2.a.test"])));
        names.set_listed(&[name("ntp2.a.test")]);
        assert!(!names.is_denied(&denied(&["ntp1.a.test"])));
        assert!(names.is_denied(&denied(&["a.test"])));
    }

    #[test]
    fn names_seen_in_answers_can_be_denied_and_the_oldest_gives_way() {
        let mut names = KnownNames::new(&name("a.test"));
        for number in 0..=MOST_SEEN {
            names.note_seen(&name(&format!("ntp{number}.a.test")));
            names.note_seen(&name(&format!("NTP{number}.a.test.")));
        }
        assert_eq!(names.seen.len(), MOST_SEEN);
        assert!(!names.is_denied(&denied(&["ntp0.a.test"])));
        assert!(names.is_denied(&denied(&["ntp1.a.test"])));
        assert!(names.is_denied(&denied(&["ntp16.a.test"])));
    }

    #[test]
    fn a_known_name_is_not_remembered_twice() {
        let mut names = KnownNames::new(&name("a.test"));
        names.note_seen(&name("A.test."));
        assert!(names.seen.is_empty());
    }
}
