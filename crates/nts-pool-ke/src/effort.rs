//! How much more than one connection for each user a node makes, so that a bad day does not
//! multiply connections (pool design §3.4). Pure arithmetic: `now` is an argument.

use std::time::{Duration, Instant};

/// A source gets at least so long before another one is got ready beside it.
const SHORTEST_WAIT: Duration = Duration::from_millis(150);
/// Allowances are counted in millionths.
const ONE: u64 = 1_000_000;

/// What a node may do beside trying one source for each user.
#[derive(Debug)]
pub struct Effort {
    failovers: Allowance,
    hedges: Allowance,
    ready: SlowTenth,
}

impl Default for Effort {
    fn default() -> Self {
        Self {
            failovers: Allowance::new(ONE / 5, 10 * ONE, 500 * ONE),
            hedges: Allowance::new(ONE / 10, 0, 20 * ONE),
            ready: SlowTenth::default(),
        }
    }
}

impl Effort {
    /// A user has come, which allows for more.
    pub fn user_came(&mut self, now: Instant) {
        self.failovers.user_came(now);
        self.hedges.user_came(now);
    }

    /// Whether another source may be tried instead of one that failed: for one user in five, and
    /// ten times a second.
    pub fn may_fail_over(&mut self, now: Instant) -> bool {
        self.failovers.take(now)
    }

    /// Whether another source may be got ready beside one that takes long: for one user in ten.
    pub fn may_hedge(&mut self, now: Instant) -> bool {
        self.hedges.take(now)
    }

    /// After what time a source takes long: nine in ten were ready by then.
    pub fn hedge_after(&self) -> Duration {
        self.ready.estimate.max(SHORTEST_WAIT)
    }

    /// A source was ready for a user after a connection to it was opened, which took so long.
    pub fn note_ready(&mut self, took: Duration) {
        self.ready.note(took);
    }
}

/// A number that grows with users and time, and shrinks when it is made use of.
#[derive(Debug)]
struct Allowance {
    per_user: u64,
    per_second: u64,
    most: u64,
    left: u64,
    updated: Option<Instant>,
}

impl Allowance {
    /// As much as there can be.
    fn new(per_user: u64, per_second: u64, most: u64) -> Self {
        Self {
            per_user,
            per_second,
            most,
            left: most,
            updated: None,
        }
    }

    fn user_came(&mut self, now: Instant) {
        self.pass_time(now);
        self.left = (self.left + self.per_user).min(self.most);
    }

    fn take(&mut self, now: Instant) -> bool {
        self.pass_time(now);
        let left = self.left.checked_sub(ONE);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }

    fn pass_time(&mut self, now: Instant) {
        let before = self.updated.replace(now).unwrap_or(now);
        let passed = now.saturating_duration_since(before).as_micros();
        let gained = u128::from(self.per_second) * passed / 1_000_000;
        let gained = u64::try_from(gained).unwrap_or(self.most);
        self.left = self.left.saturating_add(gained).min(self.most);
    }
}

/// The time that one in ten exceeds, followed step by step: it goes up by nine parts for each one
/// that took longer, and down by one for each that did not.
#[derive(Debug)]
struct SlowTenth {
    estimate: Duration,
}

impl Default for SlowTenth {
    fn default() -> Self {
        Self {
            estimate: SHORTEST_WAIT,
        }
    }
}

impl SlowTenth {
    const STEP: f64 = 0.005;
    /// So that it can come back from anything in little time.
    const BOUNDS: [Duration; 2] = [Duration::from_millis(1), Duration::from_secs(10)];

    fn note(&mut self, took: Duration) {
        let factor = match took > self.estimate {
            true => 1.0 + 9.0 * Self::STEP,
            false => 1.0 - Self::STEP,
        };
        let [shortest, longest] = Self::BOUNDS;
        self.estimate = self.estimate.mul_f64(factor).clamp(shortest, longest);
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    /// How many of `wanted` are allowed over so many seconds with so many users each.
    fn allowed(
        take: impl Fn(&mut Effort, Instant) -> bool,
        seconds: u32,
        users: u32,
        wanted: usize,
    ) -> usize {
        let start = Instant::now();
        let mut effort = Effort::default();
        // What could be saved up before is used up.
        while take(&mut effort, start) {}
        let mut allowed = 0;
        for second in 0..seconds {
            let now = start + Duration::from_secs(1) * (second + 1);
            (0..users).for_each(|_| effort.user_came(now));
            allowed += (0..wanted).filter(|_| take(&mut effort, now)).count();
        }
        allowed
    }

    #[test]
    fn failovers_are_ten_a_second_and_a_fifth_of_the_users() {
        assert_eq!(allowed(Effort::may_fail_over, 10, 0, 1000), 100);
        assert_eq!(allowed(Effort::may_fail_over, 10, 1000, 1000), 2100);
        assert_eq!(allowed(Effort::may_fail_over, 10, 1000, 50), 500);
    }

    #[test]
    fn a_single_bad_moment_may_use_what_was_saved_up() {
        let now = Instant::now();
        let mut effort = Effort::default();
        let count = (0..1000).filter(|_| effort.may_fail_over(now)).count();
        assert_eq!(count, 500);
        let later = now + Duration::from_secs(3600);
        let count = (0..1000).filter(|_| effort.may_fail_over(later)).count();
        assert_eq!(count, 500);
    }

    #[test]
    fn hedges_are_a_tenth_of_the_users() {
        assert_eq!(allowed(Effort::may_hedge, 10, 0, 1000), 0);
        assert_eq!(allowed(Effort::may_hedge, 10, 100, 1000), 100);
    }

    #[test]
    fn time_that_goes_backwards_does_no_harm() {
        let now = Instant::now() + Duration::from_secs(10);
        let mut effort = Effort::default();
        assert!(effort.may_fail_over(now));
        assert!(effort.may_fail_over(now - Duration::from_secs(5)));
    }

    #[test]
    fn a_source_takes_long_when_nine_in_ten_took_less() {
        let mut effort = Effort::default();
        assert_eq!(effort.hedge_after(), Duration::from_millis(150));
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..2000 {
            effort.note_ready(Duration::from_millis(rng.random_range(0..1000)));
        }
        let after = effort.hedge_after().as_millis();
        assert!((800..=990).contains(&after), "{after}");
        (0..1000).for_each(|_| effort.note_ready(Duration::from_millis(20)));
        assert_eq!(effort.hedge_after(), Duration::from_millis(150));
        (0..500).for_each(|_| effort.note_ready(Duration::from_secs(3600)));
        assert_eq!(effort.hedge_after(), Duration::from_secs(10));
    }
}
