//! How much of each level may be out of service on users' word alone.

use crate::selection::LevelId;

/// One level's account.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// Weight of all sources that are not drained.
    weight: u64,
    /// Of these, weight of those that users' failures alone took out.
    weight_out: u64,
    /// Sources in service.
    in_service: usize,
}

/// All levels' accounts.
#[derive(Debug, Default)]
pub(super) struct Guard {
    accounts: Vec<Account>,
}

impl Guard {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.accounts.clear();
    }

    /// Enters a source that is not drained and in service.
    pub(super) fn enter(&mut self, levels: &[LevelId], weight: u32) {
        self.each(levels, |account| {
            account.weight += u64::from(weight);
            account.in_service += 1;
        });
    }

    /// A source goes out of service; `on_users_word` if nothing but users' failures speaks
    /// against it.
    pub(super) fn take_out(&mut self, levels: &[LevelId], weight: u32, on_users_word: bool) {
        self.each(levels, |account| {
            account.in_service = account.in_service.saturating_sub(1);
            account.weight_out += u64::from(weight) * u64::from(on_users_word);
        });
    }

    /// A source comes back into service, having gone as `on_users_word` says.
    pub(super) fn bring_back(&mut self, levels: &[LevelId], weight: u32, on_users_word: bool) {
        self.each(levels, |account| {
            account.in_service += 1;
            let weight = u64::from(weight) * u64::from(on_users_word);
            account.weight_out = account.weight_out.saturating_sub(weight);
        });
    }

    /// Whether users' failures alone may take this source out: in each of its levels no more than
    /// half of the weight may be out so, and `keep` sources have to stay.
    pub(super) fn allows(&self, levels: &[LevelId], weight: u32, keep: usize) -> bool {
        levels.iter().all(|level| {
            let account = self.accounts.get(level.get()).copied().unwrap_or_default();
            let out = account.weight_out + u64::from(weight);
            account.in_service > keep && 2 * out <= account.weight
        })
    }

    fn each(&mut self, levels: &[LevelId], change: impl Fn(&mut Account)) {
        for level in levels {
            if self.accounts.len() <= level.get() {
                self.accounts.resize(level.get() + 1, Account::default());
            }
            change(&mut self.accounts[level.get()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: usize = 3;

    fn ten_in_one_level() -> (Guard, [LevelId; 1]) {
        let mut guard = Guard::default();
        let levels = [LevelId::GLOBAL];
        (0..10).for_each(|_| guard.enter(&levels, 7));
        (guard, levels)
    }

    #[test]
    fn half_of_the_weight_may_go_on_users_word() {
        let (mut guard, levels) = ten_in_one_level();
        for _ in 0..5 {
            assert!(guard.allows(&levels, 7, KEEP));
            guard.take_out(&levels, 7, true);
        }
        assert!(!guard.allows(&levels, 7, KEEP));
        guard.bring_back(&levels, 7, true);
        assert!(guard.allows(&levels, 7, KEEP));
        assert!(!guard.allows(&levels, 8, KEEP));
    }

    #[test]
    fn what_failed_its_checks_does_not_count_as_weight_but_the_last_sources_stay() {
        let (mut guard, levels) = ten_in_one_level();
        for _ in 0..6 {
            guard.take_out(&levels, 7, false);
        }
        assert!(guard.allows(&levels, 7, KEEP));
        guard.take_out(&levels, 7, true);
        assert!(!guard.allows(&levels, 7, KEEP));
    }

    #[test]
    fn every_level_has_to_allow_it() {
        let (mut guard, levels) = ten_in_one_level();
        let country = crate::selection::Roster::new(
            vec![crate::selection::Entry {
                id: String::new(),
                weight: 1,
                on_probation: false,
                families: crate::selection::Families::BOTH,
                operator: None,
                regions: vec![crate::selection::Region::Continent(
                    crate::selection::Continent::Asia,
                )],
            }],
            crate::selection::Groups::default(),
        )
        .unwrap();
        let both = country.levels_of(crate::selection::SourceIndex::new(0));
        guard.enter(both, 1);
        assert!(guard.allows(&levels, 1, KEEP));
        assert!(!guard.allows(both, 1, KEEP));
    }
}
