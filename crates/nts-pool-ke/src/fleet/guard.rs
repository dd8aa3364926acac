//! How much of the pool may be out of service on users' word alone.
//!
//! While a source gets its users back little by little it still counts as out, so that it can be
//! taken out again at once, and sources that take turns do not sum up to more.
//!
//! Only the pool as a whole is guarded: who loses the sources of his region gets farther ones, and
//! would otherwise be sent for ever to a lone source there that passes checks but makes no cookies.

/// The account of that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Guard {
    /// Sources that are not drained …
    sources: usize,
    /// … and of these, how many are in service.
    in_service: usize,
    /// Their weight …
    weight: u64,
    /// … and of this, weight of those that users' failures alone took out, and that are not
    /// healthy again.
    charged: u64,
}

impl Guard {
    /// A source that is not drained takes part.
    pub(super) fn enter(&mut self, weight: u32) {
        self.sources += 1;
        self.weight += u64::from(weight);
    }

    /// A source is in service, for the first time or again.
    pub(super) fn begin_service(&mut self) {
        self.in_service += 1;
    }

    /// A source is in service no longer.
    pub(super) fn end_service(&mut self) {
        self.in_service = self.in_service.saturating_sub(1);
    }

    /// How many sources are not drained.
    pub(super) fn sources(&self) -> usize {
        self.sources
    }

    /// How many of them are in service, whether or not they are passed over.
    pub(super) fn in_service(&self) -> usize {
        self.in_service
    }

    /// A source is out on nothing but users' word.
    pub(super) fn charge(&mut self, weight: u32) {
        self.charged += u64::from(weight);
    }

    /// A source that was charged is healthy again.
    pub(super) fn discharge(&mut self, weight: u32) {
        self.charged = self.charged.saturating_sub(weight.into());
    }

    /// Whether a source may be charged: one always may, however heavy it is, and more only up to
    /// half of the weight.
    pub(super) fn may_charge(&self, weight: u32) -> bool {
        self.charged == 0 || 2 * (self.charged + u64::from(weight)) <= self.weight
    }

    /// Whether a source can be spared: so many others are in service, or half of a small pool.
    pub(super) fn can_spare(&self, others: usize) -> bool {
        self.in_service > others.min(self.sources.div_ceil(2))
    }

    /// Weight and charged weight.
    #[cfg(test)]
    pub(super) fn account(&self) -> (u64, u64) {
        (self.weight, self.charged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many sources of weight 7, all in service.
    fn guard(sources: usize) -> Guard {
        let mut guard = Guard::default();
        for _ in 0..sources {
            guard.enter(7);
            guard.begin_service();
        }
        guard
    }

    #[test]
    fn half_of_the_weight_may_be_charged() {
        let mut guard = guard(10);
        for _ in 0..5 {
            assert!(guard.may_charge(7));
            guard.charge(7);
        }
        assert!(!guard.may_charge(7));
        guard.discharge(7);
        assert!(guard.may_charge(7));
        assert!(!guard.may_charge(8));
    }

    #[test]
    fn one_source_may_be_charged_however_heavy_it_is() {
        let mut guard = guard(2);
        guard.enter(1000);
        assert!(guard.may_charge(1000));
        guard.charge(1000);
        assert!(!guard.may_charge(7));
    }

    #[test]
    fn of_few_sources_half_can_be_spared_and_of_many_all_but_some() {
        for (sources, spared) in [
            (1, 0),
            (2, 1),
            (3, 1),
            (4, 2),
            (5, 2),
            (6, 3),
            (7, 4),
            (10, 7),
        ] {
            let mut guard = guard(sources);
            for _ in 0..spared {
                assert!(guard.can_spare(3), "{sources}");
                guard.end_service();
            }
            assert!(!guard.can_spare(3), "{sources}");
        }
    }
}
