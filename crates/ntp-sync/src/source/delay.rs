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
        self.recent().sum::<f64>() / count as f64
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
