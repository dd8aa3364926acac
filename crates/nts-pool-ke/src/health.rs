//! Which sources are to be tried last, because they failed lately.
//!
//! Pure: the time of each event is an argument. Two kinds of evidence are kept apart:
//!
//! * A source that cannot be reached is set aside until it answers something, which the keeper's
//!   key-free checks find out, so that no user has to test it.
//! * A source that took a user's keys and then failed cost that user an exchange, and a key-free
//!   check says nothing about it. It is set aside for a hold time that doubles with each repetition.
//!
//! Being set aside never makes a source unusable: when no other is left it is still picked.

use std::time::Duration;

use tokio::time::Instant;

/// So many failures in a row to reach a source set it aside.
const UNREACHABLE_UNTIL_ASIDE: u32 = 2;
/// How long the first failure after keys sets a source aside.
const FIRST_HOLD: Duration = Duration::from_secs(5);
/// The longest that repeated failures after keys set a source aside.
const LONGEST_HOLD: Duration = Duration::from_secs(300);

/// What this pool has lately seen of one source.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Failures before keys were sent, since the last answer of any kind.
    unreachable: u32,
    /// Failures after keys were sent, since the last good answer to keys.
    broken: u32,
    held_until: Option<Instant>,
}

/// One thing that a source did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It answered a key-free check.
    CheckPassed,
    /// It made cookies.
    CookiesMade,
    /// It failed before any key was sent to it, in a check or in an exchange.
    FailedBeforeKeys,
    /// It failed after a user's keys were sent to it.
    FailedAfterKeys,
}

impl Health {
    /// Takes note of `event` at `now`.
    pub(crate) fn record(&mut self, event: Event, now: Instant) {
        match event {
            Event::CheckPassed => self.unreachable = 0,
            Event::CookiesMade => *self = Self::default(),
            Event::FailedBeforeKeys => self.unreachable = self.unreachable.saturating_add(1),
            Event::FailedAfterKeys => {
                let hold = FIRST_HOLD.saturating_mul(1 << self.broken.min(16));
                self.broken = self.broken.saturating_add(1);
                self.held_until = Some(now + hold.min(LONGEST_HOLD));
            }
        }
    }

    /// Whether the source is to be tried only when no other is left.
    pub(crate) fn is_aside(&self, now: Instant) -> bool {
        self.unreachable >= UNREACHABLE_UNTIL_ASIDE
            || self.held_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_new_source_is_not_aside() {
        assert!(!Health::default().is_aside(Instant::now()));
    }

    #[test]
    fn two_failures_in_a_row_set_aside_until_a_check_passes() {
        let now = Instant::now();
        let mut health = Health::default();
        health.record(Event::FailedBeforeKeys, now);
        assert!(!health.is_aside(now));
        health.record(Event::FailedBeforeKeys, now);
        assert!(health.is_aside(now));
        assert!(health.is_aside(now + seconds(100_000)));
        health.record(Event::CheckPassed, now);
        assert!(!health.is_aside(now));
    }

    #[test]
    fn failures_must_be_consecutive() {
        let now = Instant::now();
        let mut health = Health::default();
        for _ in 0..5 {
            health.record(Event::FailedBeforeKeys, now);
            health.record(Event::CheckPassed, now);
        }
        assert!(!health.is_aside(now));
    }

    #[test]
    fn a_failure_after_keys_holds_for_a_time_and_checks_do_not_shorten_it() {
        let now = Instant::now();
        let mut health = Health::default();
        health.record(Event::FailedAfterKeys, now);
        health.record(Event::CheckPassed, now);
        assert!(health.is_aside(now + seconds(4)));
        assert!(!health.is_aside(now + seconds(5)));
    }

    #[test]
    fn holds_double_up_to_the_longest_and_cookies_reset_them() {
        let now = Instant::now();
        let mut health = Health::default();
        for hold in [5, 10, 20, 40, 80, 160, 300, 300] {
            health.record(Event::FailedAfterKeys, now);
            assert!(health.is_aside(now + seconds(hold) - Duration::from_nanos(1)));
            assert!(!health.is_aside(now + seconds(hold)));
        }
        health.record(Event::CookiesMade, now);
        assert!(!health.is_aside(now));
        health.record(Event::FailedAfterKeys, now);
        assert!(!health.is_aside(now + seconds(5)));
    }

    #[test]
    fn any_number_of_failures_is_fine() {
        let now = Instant::now();
        let mut health = Health {
            unreachable: u32::MAX,
            broken: u32::MAX,
            held_until: None,
        };
        health.record(Event::FailedBeforeKeys, now);
        health.record(Event::FailedAfterKeys, now);
        assert!(health.is_aside(now));
    }
}
