//! The names under which users know sources, and what a user's deny records mean.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use super::roster::{OperatorId, Roster, SourceIndex};

/// So many deny records of one request are heeded; the rest is ignored, as the draft allows.
pub const MAX_DENIED: usize = 32;

/// One spelling for all names of the same host: lower case, no final dot, and IP addresses in
/// their canonical text form.
pub fn canonical_name(name: &str) -> Cow<'_, str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let numeric = name.contains(':') || name.starts_with(|first: char| first.is_ascii_digit());
    if numeric && let Ok(address) = name.parse::<IpAddr>() {
        return Cow::Owned(address.to_canonical().to_string());
    }
    if name.bytes().any(|octet| octet.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// Which sources are known by a name.
///
/// Names that are learned while the pool runs make a new index; the roster stays.
#[derive(Debug, Default)]
pub struct NameIndex {
    sources: HashMap<Box<str>, Box<[SourceIndex]>>,
}

impl NameIndex {
    /// Makes the index from pairs of a source and one of its names, in any spelling: its domain,
    /// the names configured and listed for it, and those seen in its answers.
    pub fn new<'a>(names: impl IntoIterator<Item = (SourceIndex, &'a str)>) -> Self {
        let mut sources = HashMap::<Box<str>, Vec<SourceIndex>>::new();
        for (source, name) in names {
            sources
                .entry(canonical_name(name).into())
                .or_default()
                .push(source);
        }
        Self {
            sources: sources
                .into_iter()
                .map(|(name, known)| (name, distinct(known).into()))
                .collect(),
        }
    }

    /// The sources that are known by this name, in any spelling.
    pub fn find(&self, name: &str) -> &[SourceIndex] {
        self.sources
            .get(canonical_name(name).as_ref())
            .map_or(&[], |known| known)
    }

    /// What it means that a user denies these names: one look-up for each of the first
    /// [`MAX_DENIED`]; no further name is so much as taken from the iterator.
    pub fn deny<'a>(&self, names: impl IntoIterator<Item = &'a str>, roster: &Roster) -> Denial {
        let mut sources = Vec::new();
        for name in names.into_iter().take(MAX_DENIED) {
            sources.extend_from_slice(self.find(name));
        }
        let sources = distinct(sources);
        let operators = sources.iter().filter_map(|source| roster.operator(*source));
        Denial {
            operators: distinct(operators.collect()),
            sources,
        }
    }
}

fn distinct<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items.dedup();
    items
}

/// The sources that one user denied, and their operators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denial {
    sources: Vec<SourceIndex>,
    operators: Vec<OperatorId>,
}

impl Denial {
    /// Nothing denied, or only names that no source has.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Whether the user denied this source.
    pub fn contains(&self, source: SourceIndex) -> bool {
        self.sources.binary_search(&source).is_ok()
    }

    /// Whether the user denied a source of this operator.
    pub(super) fn contains_operator(&self, operator: OperatorId) -> bool {
        self.operators.binary_search(&operator).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling() {
        for (name, canonical) in [
            ("ntp.Example.NET.", "ntp.example.net"),
            ("ntp.example.net", "ntp.example.net"),
            ("192.0.2.1.", "192.0.2.1"),
            ("::FFFF:192.0.2.1", "192.0.2.1"),
            ("2001:DB8:0:0::1", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("1.ntp.example", "1.ntp.example"),
            ("300.0.2.1", "300.0.2.1"),
            ("a.test..", "a.test."),
            (".", ""),
        ] {
            assert_eq!(canonical_name(name), canonical, "{name}");
        }
    }

    #[test]
    fn a_common_name_is_owned_only_if_it_has_to_be() {
        assert!(matches!(canonical_name("a.test"), Cow::Borrowed("a.test")));
        assert!(matches!(canonical_name("A.test"), Cow::Owned(_)));
    }
}
