//! How much of each level may be out of service on users' word alone.
//!
//! While a source gets its users back little by little it still counts as out, so that it can be
//! taken out again at once, and sources that take turns do not sum up to more.

use crate::selection::LevelId;

/// One level's account.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// Weight of all sources that are not drained.
    weight: u64,
    /// Of these, weight of those that users' failures alone took out, and that are not healthy
    /// again.
    charged: u64,
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

    /// A source that is not drained takes part.
    pub(super) fn enter(&mut self, levels: &[LevelId], weight: u32) {
        self.each(levels, |account| account.weight += u64::from(weight));
    }

    /// A source is in service, for the first time or again.
    pub(super) fn begin_service(&mut self, levels: &[LevelId]) {
        self.each(levels, |account| account.in_service += 1);
    }

    /// A source is in service no longer.
    pub(super) fn end_service(&mut self, levels: &[LevelId]) {
        self.each(levels, |account| {
            account.in_service = account.in_service.saturating_sub(1);
        });
    }

    /// A source is out on nothing but users' word.
    pub(super) fn charge(&mut self, levels: &[LevelId], weight: u32) {
        self.each(levels, |account| account.charged += u64::from(weight));
    }

    /// A source that was charged is healthy again.
    pub(super) fn discharge(&mut self, levels: &[LevelId], weight: u32) {
        self.each(levels, |account| {
            account.charged = account.charged.saturating_sub(weight.into());
        });
    }

    /// Whether a source may be charged: in none of its levels more than half of the weight may be.
    pub(super) fn may_charge(&self, levels: &[LevelId], weight: u32) -> bool {
        self.all(levels, |account| {
            2 * (account.charged + u64::from(weight)) <= account.weight
        })
    }

    /// Whether a source can be spared: in each of its levels so many others are in service.
    pub(super) fn can_spare(&self, levels: &[LevelId], others: usize) -> bool {
        self.all(levels, |account| account.in_service > others)
    }

    /// Weight, charged weight and sources in service of a level.
    #[cfg(test)]
    pub(super) fn account(&self, level: LevelId) -> (u64, u64, usize) {
        let account = self.accounts.get(level.get()).copied().unwrap_or_default();
        (account.weight, account.charged, account.in_service)
    }

    fn all(&self, levels: &[LevelId], holds: impl Fn(&Account) -> bool) -> bool {
        let account = |level: &LevelId| self.accounts.get(level.get());
        levels
            .iter()
            .all(|level| account(level).is_some_and(&holds))
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

    /// A guard of ten sources of weight 7 in one level.
    fn ten() -> (Guard, [LevelId; 1]) {
        let mut guard = Guard::default();
        let levels = [LevelId::GLOBAL];
        for _ in 0..10 {
            guard.enter(&levels, 7);
            guard.begin_service(&levels);
        }
        (guard, levels)
    }

    #[test]
    fn half_of_the_weight_may_be_charged() {
        let (mut guard, levels) = ten();
        for _ in 0..5 {
            assert!(guard.may_charge(&levels, 7));
            guard.charge(&levels, 7);
        }
        assert!(!guard.may_charge(&levels, 7));
        guard.discharge(&levels, 7);
        assert!(guard.may_charge(&levels, 7));
        assert!(!guard.may_charge(&levels, 8));
    }

    #[test]
    fn the_last_ones_cannot_be_spared() {
        let (mut guard, levels) = ten();
        (0..6).for_each(|_| guard.end_service(&levels));
        assert!(guard.can_spare(&levels, 3));
        guard.end_service(&levels);
        assert!(!guard.can_spare(&levels, 3));
        guard.begin_service(&levels);
        assert!(guard.can_spare(&levels, 3));
    }

    #[test]
    fn every_level_has_to_allow_it() {
        let (mut guard, everybody) = ten();
        let both = [LevelId::GLOBAL, LevelId::at(1)];
        guard.enter(&both, 1);
        guard.begin_service(&both);
        assert!(guard.may_charge(&everybody, 1) && guard.can_spare(&everybody, 3));
        assert!(!guard.may_charge(&both, 1) && !guard.can_spare(&both, 3));
    }
}
