//! The weighted draw: cumulative weights, and exclusion that keeps every proportion exact.

use rand::{CryptoRng, RngExt as _};

use super::roster::SourceIndex;

/// So many draws may hit sources that are not eligible before all are looked at.
const REJECTIONS: usize = 8;

/// Sources with their weights, ready to be drawn from.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    sources: Box<[SourceIndex]>,
    /// Of each source, the sum of its weight and those of all before it.
    ends: Box<[u64]>,
}

impl Table {
    /// Makes a table; sources without weight are left out.
    pub(super) fn new(weights: impl Iterator<Item = (SourceIndex, u64)>) -> Self {
        let mut end = 0_u64;
        let (sources, ends): (Vec<_>, Vec<_>) = weights
            .filter(|(_, weight)| *weight > 0)
            .map(|(source, weight)| {
                end = end.saturating_add(weight);
                (source, end)
            })
            .unzip();
        Self {
            sources: sources.into(),
            ends: ends.into(),
        }
    }

    /// Whether there is nothing to draw.
    pub(super) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The sources.
    pub(super) fn sources(&self) -> impl Iterator<Item = SourceIndex> {
        self.sources.iter().copied()
    }

    /// The sources and their weights.
    pub(super) fn weights(&self) -> impl Iterator<Item = (SourceIndex, u64)> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let weights = self.ends.iter().zip(starts).map(|(end, start)| end - start);
        self.sources.iter().copied().zip(weights)
    }

    /// Draws one source, in exact proportion to the weights of the eligible ones; `None` if none
    /// is eligible.
    ///
    /// A few draws from all sources, of which those that hit nothing eligible are thrown away,
    /// have the same distribution as one draw from the eligible sources, and almost always
    /// suffice. So `eligible` is asked at most 8 + 2 × (number of sources) times, but once or
    /// twice as a rule.
    pub(super) fn draw(
        &self,
        eligible: impl Fn(SourceIndex) -> bool,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Option<SourceIndex> {
        let total = *self.ends.last()?;
        for _ in 0..REJECTIONS {
            let ticket = rng.random_range(0..total);
            let at = self.ends.partition_point(|end| *end <= ticket);
            let source = *self.sources.get(at)?;
            if eligible(source) {
                return Some(source);
            }
        }
        self.draw_walking(eligible, rng)
    }

    fn draw_walking(
        &self,
        eligible: impl Fn(SourceIndex) -> bool,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Option<SourceIndex> {
        let candidates = || self.weights().filter(|(source, _)| eligible(*source));
        let total: u64 = candidates().map(|(_, weight)| weight).sum();
        if total == 0 {
            return None;
        }
        let mut ticket = rng.random_range(0..total);
        let mut last = None;
        for (source, weight) in candidates() {
            if ticket < weight {
                return Some(source);
            }
            ticket -= weight;
            last = Some(source);
        }
        // A source stopped being eligible between the two walks.
        last
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    fn table(weights: &[u64]) -> Table {
        Table::new((0..).map(SourceIndex::new).zip(weights.iter().copied()))
    }

    fn source(at: u32) -> SourceIndex {
        SourceIndex::new(at)
    }

    #[test]
    fn weights_are_given_back() {
        let weights: Vec<_> = table(&[3, 0, 5]).weights().collect();
        assert_eq!(weights, [(source(0), 3), (source(2), 5)]);
    }

    #[test]
    fn p01_the_smallest_weights_get_no_more_and_no_less() {
        let mut rng = StdRng::seed_from_u64(6);
        let table = table(&[1, 0, 1, 2]);
        for eligible in [vec![0, 2, 3], vec![0, 2], vec![0, 3]] {
            let total: u32 = eligible.iter().map(|at| [1, 0, 1, 2][*at]).sum();
            let mut counts = [0_u32; 4];
            for _ in 0..60_000 {
                let drawn = table.draw(|it| eligible.contains(&it.get()), &mut rng);
                counts[drawn.unwrap().get()] += 1;
            }
            for at in eligible {
                let share = f64::from([1, 0, 1, 2][at]) / f64::from(total);
                let deviation = f64::from(counts[at]) - 60_000.0 * share;
                assert!(deviation.abs() < 4.0 * (60_000.0 * share).sqrt());
            }
        }
    }

    #[test]
    fn p10_nothing_to_draw_from_is_none() {
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(table(&[]).draw(|_| true, &mut rng), None);
        assert_eq!(table(&[0, 0]).draw(|_| true, &mut rng), None);
        assert_eq!(table(&[1, 2]).draw(|_| false, &mut rng), None);
    }

    #[test]
    fn the_only_eligible_source_is_found_however_light() {
        let mut rng = StdRng::seed_from_u64(2);
        let table = table(&[1_000_000, 1, 1_000_000]);
        for _ in 0..100 {
            assert_eq!(table.draw(|it| it == source(1), &mut rng), Some(source(1)));
        }
    }

    #[test]
    fn p16_a_draw_asks_a_bounded_number_of_questions() {
        let mut rng = StdRng::seed_from_u64(3);
        let table = table(&[1; 100]);
        let asked = Cell::new(0);
        let nobody = |_| {
            asked.set(asked.get() + 1);
            false
        };
        assert_eq!(table.draw(nobody, &mut rng), None);
        assert_eq!(asked.get(), REJECTIONS + 100);
    }

    #[test]
    fn a_source_that_changes_between_the_walks_does_no_harm() {
        let mut rng = StdRng::seed_from_u64(4);
        let table = table(&[1; 10]);
        for limit in 0..60 {
            let asked = Cell::new(0);
            let fading = |it: SourceIndex| {
                asked.set(asked.get() + 1);
                asked.get() < limit && it.get() >= 10 - limit.min(3)
            };
            let _ = table.draw(fading, &mut rng);
        }
    }

    #[test]
    fn p11_sums_saturate() {
        let mut rng = StdRng::seed_from_u64(5);
        let table = table(&[u64::MAX, u64::MAX]);
        assert!(table.draw(|_| true, &mut rng).is_some());
    }
}
