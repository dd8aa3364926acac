//! How an exchange divides its time. Pure arithmetic: `now` is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// The most that is kept back to still send an Error record.
const LARGEST_RESERVE: Duration = Duration::from_millis(50);
/// A candidate gets at least this much, unless less is left.
const SHORTEST_TRIAL: Duration = Duration::from_millis(100);
/// A candidate gets so many of its own round-trip times: TCP, TLS and info need three.
const TRIAL_ROUND_TRIPS: u32 = 4;
/// A retry on a fresh connection needs TCP, TLS and the request itself.
const RETRY_ROUND_TRIPS: u32 = 3;

/// The time of one user's exchange, from accept to the last octet.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    started: Instant,
    /// When the answer has to be decided.
    answer_by: Instant,
    /// When everything has to be over.
    deadline: Instant,
}

impl Budget {
    /// A budget of `length` that ends at `deadline`.
    pub fn new(deadline: Instant, length: Duration) -> Self {
        Self {
            started: deadline - length,
            answer_by: deadline - LARGEST_RESERVE.min(length / 10),
            deadline,
        }
    }

    /// When the user was accepted.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// When the answer has to be decided, so that even an Error record still arrives in time.
    pub fn answer_by(&self) -> Instant {
        self.answer_by
    }

    /// When everything has to be over.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Until when one candidate may be tried before the next one gets its chance.
    ///
    /// `round_trip` is the smoothed round-trip time to it, when it is known.
    pub fn trial_until(&self, now: Instant, round_trip: Option<Duration>) -> Instant {
        let share = self.remaining(now) * 2 / 5;
        now + round_trip.map_or(share, trial_of).min(share)
    }

    /// Until when the last candidate may be tried: there is nobody to save time for, except that
    /// the request itself still has to be sent and answered.
    pub fn last_trial_until(&self, now: Instant) -> Instant {
        now + self.remaining(now) * 4 / 5
    }

    /// Whether a source is to blame if it was not ready within `given`: not if the user had left it
    /// less than a trial takes over its own round-trip time. A tenth less is no excuse: the moments
    /// before a trial begins are not the source's, but they are in its time.
    pub fn is_fair(given: Duration, round_trip: Option<Duration>) -> bool {
        let needed = round_trip.map_or(SHORTEST_TRIAL, trial_of);
        given >= needed * 9 / 10
    }

    /// Whether a source is to blame if it did not answer to keys within `given`: only if the user
    /// had left it half of the time. Being blamed for that outlasts every check, so whoever comes
    /// late with his request must not be able to bring it about.
    pub fn is_fair_after_keys(&self, given: Duration) -> bool {
        given >= (self.deadline - self.started) / 2
    }

    fn remaining(&self, now: Instant) -> Duration {
        self.answer_by.saturating_duration_since(now)
    }

    /// Whether a Fixed Key Request can still be repeated on a fresh connection.
    pub fn allows_retry(&self, now: Instant, round_trip: Option<Duration>) -> bool {
        let needed = round_trip
            .unwrap_or_default()
            .saturating_mul(RETRY_ROUND_TRIPS);
        now < self.answer_by && needed <= self.answer_by - now
    }
}

/// What a trial takes over this round-trip time.
fn trial_of(round_trip: Duration) -> Duration {
    round_trip
        .saturating_mul(TRIAL_ROUND_TRIPS)
        .max(SHORTEST_TRIAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn the_reserve_is_a_tenth_but_at_most_50_ms() {
        let now = Instant::now();
        assert_eq!(
            Budget::new(now + ms(1000), ms(1000)).answer_by(),
            now + ms(950)
        );
        assert_eq!(
            Budget::new(now + ms(5000), ms(5000)).answer_by(),
            now + ms(4950)
        );
        assert_eq!(
            Budget::new(now + ms(100), ms(100)).answer_by(),
            now + ms(90)
        );
        assert_eq!(
            Budget::new(now + ms(100), ms(100)).deadline(),
            now + ms(100)
        );
    }

    #[test]
    fn a_trial_is_four_round_trips_within_its_bounds() {
        let now = Instant::now();
        let budget = Budget::new(now + ms(1000), ms(1000));
        assert_eq!(budget.trial_until(now, Some(ms(50))), now + ms(200));
        assert_eq!(budget.trial_until(now, Some(ms(1))), now + ms(100));
        assert_eq!(budget.trial_until(now, Some(ms(900))), now + ms(380));
        assert_eq!(budget.trial_until(now, None), now + ms(380));
    }

    #[test]
    fn a_trial_never_outlasts_the_budget() {
        let now = Instant::now();
        let budget = Budget::new(now + ms(100), ms(100));
        assert_eq!(budget.trial_until(now, Some(ms(1))), now + ms(36));
        let late = now + ms(200);
        assert_eq!(budget.trial_until(late, None), late);
        assert_eq!(budget.last_trial_until(late), late);
    }

    #[test]
    fn the_last_trial_gets_four_fifths() {
        let now = Instant::now();
        let budget = Budget::new(now + ms(1000), ms(1000));
        assert_eq!(budget.last_trial_until(now + ms(450)), now + ms(850));
    }

    #[test]
    fn silence_counts_from_almost_a_whole_trial_on() {
        assert!(!Budget::is_fair(ms(89), None));
        assert!(Budget::is_fair(ms(90), None));
        assert!(Budget::is_fair(ms(90), Some(ms(25))));
        assert!(!Budget::is_fair(ms(179), Some(ms(50))));
        assert!(Budget::is_fair(ms(180), Some(ms(50))));
    }

    #[test]
    fn silence_after_keys_counts_from_half_of_the_time_on() {
        let budget = Budget::new(Instant::now() + ms(300), ms(1000));
        assert!(!budget.is_fair_after_keys(ms(499)));
        assert!(budget.is_fair_after_keys(ms(500)));
    }

    #[test]
    fn a_retry_needs_three_round_trips() {
        let now = Instant::now();
        let budget = Budget::new(now + ms(1000), ms(1000));
        assert!(budget.allows_retry(now + ms(650), Some(ms(100))));
        assert!(!budget.allows_retry(now + ms(651), Some(ms(100))));
        assert!(budget.allows_retry(now + ms(949), None));
        assert!(!budget.allows_retry(now + ms(950), None));
    }
}
