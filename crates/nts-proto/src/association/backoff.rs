//! How long to wait before the next key exchange (RFC 8915 §4.2).
//!
//! A fleet of clients that asks again at once after an outage is the worst thing that can happen
//! to a server, so waits grow by half each time, with jitter, and only real success (a key
//! exchange *and* an authenticated answer with its result) makes them short again.

use std::time::Duration;

use rand_core::Rng;

/// The wait after the first failure.
const FIRST: Duration = Duration::from_secs(10);

/// What each further failure multiplies the wait with.
const FACTOR: f64 = 1.5;

/// The longest wait, before jitter. RFC 8915 allows 5 days; an hour is kinder to users and still
/// harmless to servers.
const LONGEST: Duration = Duration::from_secs(3600);

/// The greatest jitter, as a part of the wait, in both directions.
const JITTER: f64 = 0.25;

/// The waits between the key exchanges of one configured source.
#[derive(Debug, Clone, Default)]
pub struct KeyExchangeBackoff {
    failures: u32,
}

impl KeyExchangeBackoff {
    /// Nothing failed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a failure and says how long to wait before the next key exchange: after the n-th
    /// failure in a row `min(10 s · 1.5^(n−1), 1 h)` ± 25 %.
    ///
    /// A key exchange that gave keys with which no authenticated answer came is a failure too.
    pub fn fail(&mut self, rng: &mut impl Rng) -> Duration {
        let wait = base_wait(self.failures);
        self.failures = self.failures.saturating_add(1);
        let unit = f64::from(rng.next_u32()) / f64::from(u32::MAX);
        wait.mul_f64(1.0 - JITTER + 2.0 * JITTER * unit)
    }

    /// An authenticated answer came under keys that are newer than the last failure: waits start
    /// again from the beginning.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// The wait after a failure that others came `before`, without jitter.
fn base_wait(before: u32) -> Duration {
    let factor = FACTOR.powi(i32::try_from(before).unwrap_or(i32::MAX));
    let seconds = (FIRST.as_secs_f64() * factor).min(LONGEST.as_secs_f64());
    Duration::from_secs_f64(seconds)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn the_schedule_without_jitter() {
        let seconds: Vec<f64> = (0..5).map(|n| base_wait(n).as_secs_f64()).collect();
        assert_eq!(seconds, [10.0, 15.0, 22.5, 33.75, 50.625]);
        assert_eq!(base_wait(14).as_secs(), 2919);
        assert_eq!(base_wait(15), LONGEST);
        assert_eq!(base_wait(u32::MAX), LONGEST);
    }

    #[test]
    fn jitter_stays_within_a_quarter_and_is_used() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut factors = Vec::new();
        for _ in 0..200 {
            let mut backoff = KeyExchangeBackoff::new();
            factors.push(backoff.fail(&mut rng).as_secs_f64() / 10.0);
        }
        assert!(factors.iter().all(|f| (0.75..=1.25).contains(f)));
        assert!(factors.iter().any(|f| *f < 0.8));
        assert!(factors.iter().any(|f| *f > 1.2));
    }

    #[test]
    fn waits_grow_until_reset() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut backoff = KeyExchangeBackoff::new();
        for _ in 0..100 {
            backoff.fail(&mut rng);
        }
        assert!(backoff.fail(&mut rng) >= LONGEST.mul_f64(0.75));
        backoff.reset();
        assert!(backoff.fail(&mut rng) <= FIRST.mul_f64(1.25));
    }
}
