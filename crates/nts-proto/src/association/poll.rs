//! When to poll: the interval, its limits, the burst at the start, and what a source demands
//! (RFC 5905 §7.4, §13).

use std::time::Duration;

use rand_core::CryptoRng;

/// The greatest exponent of RFC 5905.
const GREATEST_EXPONENT: i8 = 17;

/// The greatest exponent with NTS. A cookie is used some eight polls after it was issued, and
/// sources erase the keys of cookies after about a week; eight intervals of 2^14 s are 1.5 days.
const GREATEST_NTS_EXPONENT: i8 = 14;

/// Requests of the burst at the start.
const BURST_REQUESTS: u8 = 4;

/// The time between them.
pub(super) const BURST_SPACING: Duration = Duration::from_secs(2);

/// How far a RATE that might be forged can raise the interval above its lower limit, as an
/// exponent: to eight times that.
const UNPROVEN_RAISE: i8 = 3;

/// Least and greatest poll interval, log2 of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollLimits {
    min: i8,
    max: i8,
}

/// Poll limits that are not `0 ≤ min ≤ max ≤ 17`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("poll interval limits must be 0 ≤ min ≤ max ≤ 17 (log2 of seconds)")]
pub struct InvalidPollLimits;

impl PollLimits {
    /// Takes both limits, log2 of seconds.
    ///
    /// # Errors
    /// [`InvalidPollLimits`] unless `0 ≤ min ≤ max ≤ 17`.
    pub const fn new(min: i8, max: i8) -> Result<Self, InvalidPollLimits> {
        if 0 <= min && min <= max && max <= GREATEST_EXPONENT {
            Ok(Self { min, max })
        } else {
            Err(InvalidPollLimits)
        }
    }

    /// The least interval, log2 of seconds.
    pub const fn min(self) -> i8 {
        self.min
    }

    /// The greatest interval, log2 of seconds.
    pub const fn max(self) -> i8 {
        self.max
    }

    /// The limits for a source with NTS, whose cookies must not go stale between polls.
    pub(super) fn for_nts(self) -> Self {
        Self {
            min: self.min.min(GREATEST_NTS_EXPONENT),
            max: self.max.min(GREATEST_NTS_EXPONENT),
        }
    }

    fn clamp(self, exponent: i8) -> i8 {
        exponent.clamp(self.min, self.max)
    }
}

impl Default for PollLimits {
    /// 16 s to 1024 s.
    fn default() -> Self {
        Self { min: 4, max: 10 }
    }
}

/// Chooses the time to the next poll.
#[derive(Debug)]
pub(super) struct Poller {
    limits: PollLimits,
    /// What the discipline wishes.
    desired: i8,
    /// What the source demands; the lower limit if nothing.
    demanded: i8,
    /// Requests of the burst still to be sent.
    burst_left: u8,
}

impl Poller {
    pub(super) fn new(limits: PollLimits, initial: i8, burst: bool) -> Self {
        Self {
            limits,
            desired: initial,
            demanded: limits.min,
            burst_left: if burst { BURST_REQUESTS } else { 0 },
        }
    }

    /// The present interval, log2 of seconds, the burst aside.
    pub(super) fn exponent(&self) -> i8 {
        self.limits.clamp(self.desired.max(self.demanded))
    }

    /// Takes the discipline's wish.
    pub(super) fn set_desired(&mut self, exponent: i8) {
        self.desired = exponent;
    }

    /// Whether the source has asked for fewer requests.
    pub(super) fn is_slowed(&self) -> bool {
        self.demanded > self.limits.min
    }

    /// The source said RATE: the interval doubles and stays so, within the limits; the burst is
    /// over. Where the code might be forged though the source has NTS (`proven` is false), the
    /// raise is bounded.
    pub(super) fn slow_down(&mut self, proven: bool) {
        let bound = if proven {
            self.limits.max
        } else {
            self.limits.clamp(self.limits.min + UNPROVEN_RAISE)
        };
        let raised = (self.exponent() + 1).min(bound);
        self.demanded = self.demanded.max(raised);
        self.burst_left = 0;
    }

    /// The time from a poll that is being sent to the next one: 1 % to 5 % longer than the
    /// interval, so that clients do not march in step.
    pub(super) fn interval(&mut self, rng: &mut impl CryptoRng) -> Duration {
        let regular = self.regular_interval();
        self.burst_left = self.burst_left.saturating_sub(1);
        let interval = if self.burst_left > 0 {
            regular.min(BURST_SPACING)
        } else {
            regular
        };
        let unit = f64::from(rng.next_u32()) / f64::from(u32::MAX);
        interval.mul_f64(1.01 + 0.04 * unit)
    }

    /// The longest that [`Poller::interval`] may give now.
    pub(super) fn longest_interval(&self) -> Duration {
        self.regular_interval().mul_f64(1.05)
    }

    /// The interval without jitter and burst.
    pub(super) fn regular_interval(&self) -> Duration {
        Duration::from_secs(1 << self.exponent())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn limits(min: i8, max: i8) -> PollLimits {
        PollLimits::new(min, max).unwrap()
    }

    /// The interval without its jitter, a power of two, after a check that the jitter is in its
    /// bounds.
    fn seconds(poller: &mut Poller, rng: &mut StdRng) -> u64 {
        let interval = poller.interval(rng);
        let whole = Duration::from_secs(1 << interval.as_secs().ilog2());
        let factor = interval.as_secs_f64() / whole.as_secs_f64();
        assert!((1.009..=1.051).contains(&factor), "{interval:?}");
        whole.as_secs()
    }

    #[test]
    fn limits_are_checked() {
        for (min, max) in [(-1, 4), (5, 4), (4, 18), (i8::MIN, i8::MAX)] {
            assert_eq!(PollLimits::new(min, max), Err(InvalidPollLimits));
        }
        assert_eq!((limits(0, 17).min(), limits(0, 17).max()), (0, 17));
        assert_eq!(PollLimits::default(), limits(4, 10));
        assert_eq!(limits(4, 17).for_nts(), limits(4, 14));
        assert_eq!(limits(16, 17).for_nts(), limits(14, 14));
    }

    #[test]
    fn a_burst_of_four_and_then_the_regular_interval() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut poller = Poller::new(limits(4, 10), 4, true);
        let gaps: Vec<_> = (0..6).map(|_| seconds(&mut poller, &mut rng)).collect();
        assert_eq!(gaps, [2, 2, 2, 16, 16, 16]);
        let mut without = Poller::new(limits(4, 10), 6, false);
        assert_eq!(seconds(&mut without, &mut rng), 64);
        let mut fast = Poller::new(limits(0, 10), 0, true);
        let gaps: Vec<_> = (0..5).map(|_| seconds(&mut fast, &mut rng)).collect();
        assert_eq!(gaps, [1, 1, 1, 1, 1]);
    }

    #[test]
    fn jitter_is_used() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut poller = Poller::new(limits(10, 10), 10, false);
        let intervals: Vec<_> = (0..100).map(|_| poller.interval(&mut rng)).collect();
        let (least, most) = (intervals.iter().min(), intervals.iter().max());
        assert!(most.unwrap().as_secs() - least.unwrap().as_secs() > 30);
    }

    #[test]
    fn wishes_stay_within_the_limits() {
        let mut poller = Poller::new(limits(4, 10), 0, false);
        assert_eq!(poller.exponent(), 4);
        for (wish, exponent) in [(i8::MIN, 4), (7, 7), (i8::MAX, 10)] {
            poller.set_desired(wish);
            assert_eq!(poller.exponent(), exponent);
        }
    }

    #[test]
    fn rate_doubles_the_interval_for_good() {
        let mut poller = Poller::new(limits(4, 7), 5, true);
        assert!(!poller.is_slowed());
        poller.slow_down(true);
        assert!(poller.is_slowed());
        assert_eq!(poller.exponent(), 6);
        poller.set_desired(4);
        assert_eq!(poller.exponent(), 6);
        for _ in 0..300 {
            poller.slow_down(true);
            assert_eq!(poller.exponent(), 7);
        }
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(seconds(&mut poller, &mut rng), 128, "the burst is over");
    }

    #[test]
    fn a_rate_that_may_be_forged_is_bounded() {
        let mut poller = Poller::new(limits(4, 14), 4, false);
        for expected in [5, 6, 7, 7, 7] {
            poller.slow_down(false);
            assert_eq!(poller.exponent(), expected);
        }
        // It does not take back what the source demanded, or the discipline wishes.
        for _ in 0..3 {
            poller.slow_down(true);
        }
        poller.slow_down(false);
        assert_eq!(poller.exponent(), 10);
    }
}
