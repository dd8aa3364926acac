//! When the next key-free check is due, and how long things last.

use std::time::Duration;

use rand::{CryptoRng, RngExt as _};

use super::policy::HealthPolicy;

/// Give or take a fifth, so that what began together does not stay together.
pub(super) fn jittered(length: Duration, rng: &mut (impl CryptoRng + ?Sized)) -> Duration {
    length.mul_f64(rng.random_range(0.8..1.2))
}

/// Any time up to `length`.
pub(super) fn within(length: Duration, rng: &mut (impl CryptoRng + ?Sized)) -> Duration {
    length.mul_f64(rng.random_range(0.0..1.0))
}

impl HealthPolicy {
    /// How long the `strikes`th ejection lasts.
    pub(super) fn hold_for(&self, strikes: u32, rng: &mut (impl CryptoRng + ?Sized)) -> Duration {
        let doublings = strikes.saturating_sub(1).min(20);
        let hold = self.hold.saturating_mul(1 << doublings).min(self.hold_max);
        jittered(hold, rng)
    }

    /// From one check of a source that has to prove itself to the next.
    pub(super) fn probe_pause(&self, rng: &mut (impl CryptoRng + ?Sized)) -> Duration {
        let spread = self.probe_pause_max.saturating_sub(self.probe_pause_min);
        self.probe_pause_min + within(spread, rng)
    }

    /// In how long so many sources can be checked.
    pub(super) fn time_for_checks(&self, sources: usize) -> Duration {
        let sources = u32::try_from(sources).unwrap_or(u32::MAX);
        Duration::from_secs(1).saturating_mul(sources) / self.checks_per_second.max(1)
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    #[test]
    fn holds_double_up_to_half_an_hour_give_or_take_a_fifth() {
        let policy = HealthPolicy::default();
        let mut rng = StdRng::seed_from_u64(1);
        for (strikes, seconds) in [
            (1, 30),
            (2, 60),
            (3, 120),
            (6, 960),
            (7, 1800),
            (u32::MAX, 1800),
        ] {
            let expected = Duration::from_secs(seconds);
            let holds: Vec<_> = (0..200)
                .map(|_| policy.hold_for(strikes, &mut rng))
                .collect();
            let (shortest, longest) = (holds.iter().min().unwrap(), holds.iter().max().unwrap());
            assert!(*shortest >= expected.mul_f64(0.8) && *shortest < expected.mul_f64(0.85));
            assert!(*longest <= expected.mul_f64(1.2) && *longest > expected.mul_f64(1.15));
        }
    }

    #[test]
    fn probes_are_two_to_five_seconds_apart() {
        let policy = HealthPolicy::default();
        let mut rng = StdRng::seed_from_u64(2);
        for _ in 0..200 {
            let pause = policy.probe_pause(&mut rng).as_secs_f64();
            assert!((2.0..=5.0).contains(&pause));
        }
    }

    #[test]
    fn many_checks_take_their_time() {
        let policy = HealthPolicy::default();
        assert_eq!(policy.time_for_checks(0), Duration::ZERO);
        assert_eq!(policy.time_for_checks(5_000), Duration::from_secs(10));
        assert!(policy.time_for_checks(usize::MAX) > Duration::from_secs(1_000_000));
    }
}
