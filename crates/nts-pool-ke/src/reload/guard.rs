//! No reload takes most sources away by mistake: a list that was written by a program which had
//! forgotten most of them is still a list.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use nts_service::config::{Place, Problem};

use crate::config::{SourceConfig, SourceList};

/// So many may go without a word.
const FEW: usize = 3;

/// How a list of sources differs from the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    before: usize,
    after: usize,
    added: usize,
    removed: usize,
}

impl Change {
    /// From `before` to `after`, going by ids.
    pub(super) fn between(before: &SourceList, after: &SourceList) -> Self {
        Self::of(before, after, |_| true)
    }

    /// The same, as if there were only those sources that `counts`.
    fn of(before: &SourceList, after: &SourceList, counts: impl Fn(&SourceConfig) -> bool) -> Self {
        let ids = |list: &SourceList| -> HashSet<String> {
            let counted = list.sources.iter().filter(|it| counts(it));
            counted.map(SourceConfig::id).collect()
        };
        let (former, present) = (ids(before), ids(after));
        Self {
            before: former.len(),
            after: present.len(),
            added: present.difference(&former).count(),
            removed: former.difference(&present).count(),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            after,
            added,
            removed,
            ..
        } = self;
        write!(f, "{after} sources, {added} new, {removed} gone")
    }
}

/// A change that is not taken in unless the operator wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Removal(Change);

impl Removal {
    /// If `after` lacks more than half of `before`, and more than a few, and does not say that it
    /// may.
    pub(super) fn forbidden(before: &SourceList, after: &SourceList) -> Option<Self> {
        // Weight 0 takes a source away from users just as well.
        let change = Change::of(before, after, |source| source.weight > 0);
        let mass = change.removed > FEW && 2 * change.removed > change.before;
        (mass && !after.allow_mass_removal).then_some(Self(change))
    }

    /// In words; `name` stands for where `after` came from.
    pub(super) fn problem(self, after: &SourceList, name: &Path) -> Problem {
        let Self(Change {
            before, removed, ..
        }) = self;
        let cure = match after.signed {
            Some(_) => "sign the list with `allow-mass-removal` in it",
            None => "write `allow-mass-removal = true` at its top",
        };
        let message = format!(
            "{removed} of {before} sources are not in it any more, or have weight 0; if that is \
             meant, {cure}, or send SIGHUP"
        );
        Problem::error(Place::file(name), message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(ports: std::ops::RangeInclusive<u16>) -> SourceList {
        let source = |port| SourceConfig::new("a.test", port).unwrap();
        ports.map(source).collect::<Vec<_>>().into()
    }

    #[track_caller]
    fn check(before: u16, after: std::ops::RangeInclusive<u16>, forbidden: bool) {
        let (before, mut after) = (list(1..=before), list(after));
        let removal = Removal::forbidden(&before, &after);
        assert_eq!(removal.is_some(), forbidden);
        after.allow_mass_removal = true;
        assert_eq!(Removal::forbidden(&before, &after), None);
    }

    #[test]
    fn more_than_half_and_more_than_three_do_not_go_unasked() {
        check(8, 5..=8, false);
        check(7, 5..=7, true);
        check(8, 6..=8, true);
        check(100, 51..=100, false);
        check(100, 52..=100, true);
        check(3, 9..=9, false);
        check(4, 9..=9, true);
        // New ones do not make up for it.
        check(10, 7..=50, true);
        check(10, 6..=50, false);
    }

    #[test]
    fn a_list_in_which_nothing_has_weight_is_as_good_as_an_empty_one() {
        let drained = |from| {
            let mut list = list(1..=8);
            for source in list.sources.iter_mut().skip(from) {
                source.weight = 0;
            }
            list
        };
        assert!(Removal::forbidden(&list(1..=8), &drained(0)).is_some());
        assert!(Removal::forbidden(&list(1..=8), &drained(3)).is_some());
        assert_eq!(Removal::forbidden(&list(1..=8), &drained(4)), None);
        // Who gives users nothing may go.
        assert_eq!(Removal::forbidden(&drained(2), &list(1..=2)), None);
        assert_eq!(Removal::forbidden(&drained(0), &list(1..=8)), None);
    }

    #[test]
    fn it_is_said_what_would_go_and_how_to_allow_it() {
        let removal = Removal::forbidden(&list(1..=9), &list(9..=9)).unwrap();
        let problem = removal
            .problem(&list(9..=9), Path::new("a.toml"))
            .to_string();
        assert!(problem.contains("8 of 9 sources"), "{problem}");
        assert!(problem.contains("`allow-mass-removal = true`"), "{problem}");
        let change = Change::between(&list(1..=9), &list(9..=11));
        assert_eq!(change.to_string(), "3 sources, 2 new, 8 gone");
    }
}
