//! What the round-trip delays of a source say about the noise of its offsets.
//!
//! A packet that was held up was held up on one leg or on both, nobody knows which: the error of
//! its offset is within half of what its delay exceeds the least one, either way. A uniform error
//! in `[−e/2, e/2]` has variance `e²/12`, which is exact for independent exponential queues.

use std::collections::VecDeque;

/// Delays that give mean and deviation.
const RECENT: usize = 8;

/// Delays of which the least is that of the empty path.
const REMEMBERED: usize = 64;

/// What the least of `n` delays exceeds that of the empty path by, in mean excesses times `√n`:
/// the empty path is never seen, but the more measurements the nearer.
const UNSEEN_EXCESS: f64 = 1.2;

/// The least mean excess, s.
const LEAST_EXCESS: f64 = 1e-7;

/// The last delays of a source, s; newest last.
#[derive(Debug, Clone, Default)]
pub(super) struct Delays {
    remembered: VecDeque<f64>,
    /// The last measurement was dropped because of its delay.
    dropped: bool,
}

impl Delays {
    /// Takes a delay; `false` if it is so great that the measurement is to be dropped, which
    /// never happens twice in a row.
    pub(super) fn add(&mut self, delay: f64, outlier_threshold: f64) -> bool {
        let limit = self.mean() + outlier_threshold * self.variance().sqrt();
        if !self.dropped && self.remembered.len() >= RECENT && delay > limit {
            self.dropped = true;
            return false;
        }
        self.dropped = false;
        if self.remembered.len() == REMEMBERED {
            self.remembered.pop_front();
        }
        self.remembered.push_back(delay);
        true
    }

    fn recent(&self) -> impl Iterator<Item = f64> {
        self.remembered.iter().rev().take(RECENT).copied()
    }

    /// Mean of the last eight, s; zero without any.
    pub(super) fn mean(&self) -> f64 {
        let count = self.recent().count().max(1);
        self.recent().fold(0.0, |sum, delay| sum + delay) / count as f64
    }

    /// Sample variance of the last eight, s².
    fn variance(&self) -> f64 {
        let others = self.recent().count().saturating_sub(1).max(1);
        let mean = self.mean();
        let squares: f64 = self.recent().map(|delay| (delay - mean).powi(2)).sum();
        squares / others as f64
    }

    /// Standard deviation of the offsets that the delays' variation explains, s: an offset is
    /// half a difference of two legs, a delay their sum.
    pub(super) fn jitter(&self) -> f64 {
        self.variance().sqrt() / 2.0
    }

    fn least(&self) -> f64 {
        self.remembered
            .iter()
            .copied()
            .fold(f64::INFINITY, f64::min)
    }

    /// How much longer than the least delay the recent ones are on average, s.
    pub(super) fn mean_excess(&self) -> f64 {
        (self.mean() - self.least()).max(LEAST_EXCESS)
    }

    /// Variance of the error of an offset measured with this delay, s².
    pub(super) fn noise(&self, delay: f64) -> f64 {
        let unseen = UNSEEN_EXCESS / (self.remembered.len().max(1) as f64).sqrt();
        let excess = (delay - self.least()).max(0.0) + unseen * self.mean_excess();
        excess.powi(2) / 12.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(list: &[f64]) -> Delays {
        let mut delays = Delays::default();
        for delay in list {
            assert!(delays.add(*delay, f64::INFINITY));
        }
        delays
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-12 * b.abs()
    }

    #[test]
    fn mean_and_deviation_of_the_last_eight() {
        let mut list = vec![100.0; 5];
        list.extend([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        let delays = delays(&list);
        assert_eq!(delays.mean(), 4.5);
        // Sample variance of 1…8 is 6.
        assert!(close(delays.jitter(), 6_f64.sqrt() / 2.0));
        assert_eq!(delays.mean_excess(), 3.5);
    }

    #[test]
    fn the_least_of_sixty_four_is_remembered() {
        let mut list = vec![1.0];
        list.extend([3.0; REMEMBERED - 1]);
        let mut delays = delays(&list);
        assert_eq!(delays.mean_excess(), 2.0);
        assert!(delays.add(3.0, f64::INFINITY));
        assert_eq!(delays.mean_excess(), LEAST_EXCESS);
        assert_eq!(delays.remembered.len(), REMEMBERED);
    }

    #[test]
    fn a_delayed_measurement_is_noisier() {
        // Mean excess 2; of 64 delays, 1.2/8 of it is added.
        let mut list = vec![1.0];
        list.extend([3.0; REMEMBERED - 1]);
        let delays_of_many = delays(&list);
        assert!(close(delays_of_many.noise(1.0), 0.3_f64.powi(2) / 12.0));
        assert!(close(delays_of_many.noise(4.0), 3.3_f64.powi(2) / 12.0));
        // Of four, 1.2/2 of a mean excess of 1.5.
        let delays_of_four = delays(&[1.0, 2.0, 3.0, 4.0]);
        assert!(close(delays_of_four.noise(1.0), 0.9_f64.powi(2) / 12.0));
        assert!(close(delays_of_four.noise(4.0), 3.9_f64.powi(2) / 12.0));
    }

    #[test]
    fn outliers_are_dropped_but_never_two_in_a_row() {
        let mut delays = delays(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        // Mean 4.5, deviation 2.449.
        assert!(delays.add(16.7, 5.0));
        assert!(!delays.add(1000.0, 5.0));
        assert!(delays.add(1000.0, 5.0));
        assert!(delays.add(5.0, 5.0));
        assert!(!delays.add(1e6, 5.0));
    }

    #[test]
    fn seven_are_too_few_to_call_one_an_outlier() {
        let mut delays = delays(&[1.0; RECENT - 1]);
        assert!(delays.add(1000.0, 5.0));
        assert!(!delays.add(2000.0, 1.0));
    }

    #[test]
    fn nothing_is_known_at_first() {
        let delays = Delays::default();
        assert_eq!((delays.mean(), delays.jitter()), (0.0, 0.0));
    }
}
