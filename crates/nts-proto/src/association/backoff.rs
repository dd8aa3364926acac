//! How long to wait before the next key exchange (RFC 8915 §4.2).
//!
//! A fleet of clients that asks again at once after an outage is the worst thing that can happen
//! to a server, so waits grow by half each time, with jitter, and only real success (a key
//! exchange *and* an authenticated answer with its result) makes them short again.

use std::time::Duration;

use rand_core::CryptoRng;

/// The wait before the first retry.
const FIRST: Duration = Duration::from_secs(10);
/// What each further retry multiplies the wait with.
const FACTOR: f64 = 1.5;
/// The longest wait, before jitter. RFC 8915 allows 5 days; an hour is kinder to users and still
/// harmless to servers.
const LONGEST: Duration = Duration::from_secs(3600);
/// The greatest jitter, as a part of the wait, in both directions.
const JITTER: f64 = 0.25;

/// The waits before the key exchanges of one configured source.
#[derive(Debug, Clone, Default)]
pub struct KeyExchangeBackoff {
    /// Key exchanges begun since the last reset.
    attempts: u32,
    /// Whether the last of them gave keys.
    exchanged: bool,
}

impl KeyExchangeBackoff {
    /// Nothing tried yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a key exchange that is about to begin and says how long to wait before it: nothing
    /// for the first, and `min(10 s · 1.5^(n−1), 1 h)` ± 25 % for the n-th retry.
    pub fn next_wait(&mut self, rng: &mut impl CryptoRng) -> Duration {
        let wait = base_wait(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        self.exchanged = false;
        let unit = f64::from(rng.next_u32()) / f64::from(u32::MAX);
        wait.mul_f64(1.0 - JITTER + 2.0 * JITTER * unit)
    }

    /// The key exchange that was begun last gave keys. Waits do not become shorter yet.
    pub fn key_exchange_succeeded(&mut self) {
        self.exchanged = true;
    }

    /// An authenticated NTP answer came under the keys in use. If they are those of the last key
    /// exchange, waits start again from the beginning.
    pub fn authenticated_answer(&mut self) {
        if self.exchanged {
            *self = Self::default();
        }
    }

    /// Key exchanges begun since the last success.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
}

/// The wait before the `retry`-th retry, without jitter; none before the first attempt (0).
fn base_wait(retry: u32) -> Duration {
    let Some(exponent) = retry.checked_sub(1) else {
        return Duration::ZERO;
    };
    let factor = FACTOR.powi(i32::try_from(exponent).unwrap_or(i32::MAX));
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
        let seconds: Vec<f64> = (0..6).map(|n| base_wait(n).as_secs_f64()).collect();
        assert_eq!(seconds, [0.0, 10.0, 15.0, 22.5, 33.75, 50.625]);
        assert_eq!(base_wait(15).as_secs(), 2919);
        assert_eq!(base_wait(16), LONGEST);
        assert_eq!(base_wait(u32::MAX), LONGEST);
    }

    #[test]
    fn jitter_stays_within_a_quarter_and_is_used() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut factors = Vec::new();
        for _ in 0..200 {
            let mut backoff = KeyExchangeBackoff::new();
            assert_eq!(backoff.next_wait(&mut rng), Duration::ZERO);
            factors.push(backoff.next_wait(&mut rng).as_secs_f64() / 10.0);
        }
        assert!(factors.iter().all(|f| (0.75..=1.25).contains(f)));
        assert!(factors.iter().any(|f| *f < 0.8));
        assert!(factors.iter().any(|f| *f > 1.2));
    }

    #[test]
    fn only_a_key_exchange_with_an_authenticated_answer_resets() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut backoff = KeyExchangeBackoff::new();
        for _ in 0..4 {
            backoff.next_wait(&mut rng);
        }
        // Answers under old keys while key exchanges fail.
        backoff.authenticated_answer();
        assert_eq!(backoff.attempts(), 4);
        // Keys without an answer.
        backoff.next_wait(&mut rng);
        backoff.key_exchange_succeeded();
        assert_eq!(backoff.attempts(), 5);
        // The next attempt begins: that success is void.
        backoff.next_wait(&mut rng);
        backoff.authenticated_answer();
        assert_eq!(backoff.attempts(), 6);
        // Both.
        backoff.key_exchange_succeeded();
        backoff.authenticated_answer();
        assert_eq!(backoff.attempts(), 0);
        assert_eq!(backoff.next_wait(&mut rng), Duration::ZERO);
    }
}
