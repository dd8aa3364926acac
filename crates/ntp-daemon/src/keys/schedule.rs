//! When the next key is due: by the wall clock, but also when that is set back.

use std::time::Duration;

use tokio::time::Instant;

/// When the newest key was made, by two clocks.
#[derive(Debug)]
pub(super) struct Schedule {
    interval: Duration,
    /// By the wall clock, Unix seconds.
    created: u64,
    /// The latest time for a rotation by the monotonic clock.
    deadline: Instant,
}

impl Schedule {
    /// Goes on with a key made at `created`; a time in the future counts as now.
    pub(super) fn resume(interval: Duration, created: u64, wall: u64, now: Instant) -> Self {
        let age = Duration::from_secs(wall.saturating_sub(created));
        let deadline = now + interval.saturating_sub(age);
        Self {
            interval,
            created,
            deadline,
        }
    }

    /// A new key has been made.
    pub(super) fn rotated(&mut self, wall: u64, now: Instant) {
        *self = Self::resume(self.interval, wall, wall, now);
    }

    /// Time until the next rotation; zero if it is due. A wall clock that jumps ahead makes it due
    /// at once (and only once), one that is set back does not put it off.
    pub(super) fn until_due(&self, wall: u64, now: Instant) -> Duration {
        let age = Duration::from_secs(wall.saturating_sub(self.created));
        let by_wall = self.interval.saturating_sub(age);
        by_wall.min(self.deadline.saturating_duration_since(now))
    }

    /// When the newest key was made, Unix seconds.
    pub(super) fn created(&self) -> u64 {
        self.created
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn hours(hours: u64) -> Duration {
        Duration::from_secs(3600 * hours)
    }

    #[test]
    fn goes_on_from_the_stored_time() {
        let now = Instant::now();
        let schedule = Schedule::resume(DAY, 1_000_000, 1_000_000 + 3600 * 20, now);
        assert_eq!(schedule.until_due(1_000_000 + 3600 * 20, now), hours(4));
        assert_eq!(
            schedule.until_due(1_000_000 + 3600 * 24, now + hours(4)),
            Duration::ZERO
        );
        let old = Schedule::resume(DAY, 0, 1_000_000, now);
        assert_eq!(old.until_due(1_000_000, now), Duration::ZERO);
    }

    #[test]
    fn a_wall_clock_that_is_set_back_does_not_put_it_off() {
        let now = Instant::now();
        let schedule = Schedule::resume(DAY, 1_000_000, 1_000_000, now);
        assert_eq!(schedule.until_due(0, now + hours(23)), hours(1));
        assert_eq!(schedule.until_due(0, now + hours(24)), Duration::ZERO);
        let future = Schedule::resume(DAY, 9_000_000, 1_000_000, now);
        assert_eq!(future.until_due(1_000_000, now), DAY);
    }

    #[test]
    fn a_jump_ahead_makes_one_rotation_due() {
        let now = Instant::now();
        let mut schedule = Schedule::resume(DAY, 1_000_000, 1_000_000, now);
        assert_eq!(schedule.until_due(99_000_000, now), Duration::ZERO);
        schedule.rotated(99_000_000, now);
        assert_eq!(schedule.until_due(99_000_000, now), DAY);
        // And back again: the newest key is from the future, the monotonic clock decides.
        assert_eq!(schedule.until_due(1_000_000, now + hours(1)), hours(23));
    }
}
