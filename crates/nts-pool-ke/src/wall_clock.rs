//! The wall clock, and an alarm when it jumps.
//!
//! Only certificates are checked by it. Every timer, deadline and age goes by a monotonic clock, so
//! that a jump costs no user anything unless it makes a certificate look expired.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nts_service::telemetry::metrics::{Counter, Registry};
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;
use tokio::time::{MissedTickBehavior, interval};

/// A longer jump is worth an alarm.
const ALARMING: Duration = Duration::from_secs(3600);
/// From one look at the clock to the next.
const LOOK: Duration = Duration::from_secs(1);

/// Something that says what time it is, right or wrong.
pub trait WallClock: fmt::Debug + Send + Sync {
    /// The time of day.
    fn now(&self) -> SystemTime;
}

/// This machine's own.
#[derive(Debug)]
pub struct SystemClock;

impl WallClock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// The clock by which TLS checks certificates.
#[derive(Debug)]
pub(crate) struct CertificateTime(pub(crate) Arc<dyn WallClock>);

impl TimeProvider for CertificateTime {
    fn current_time(&self) -> Option<UnixTime> {
        let since_1970 = self.0.now().duration_since(UNIX_EPOCH).ok()?;
        Some(UnixTime::since_unix_epoch(since_1970))
    }
}

/// Where jumps are counted.
pub(crate) fn jumps(registry: &Registry) -> Counter {
    registry.counter(
        "nts_pool_ke_clock_jumps_total",
        "Jumps of this machine's clock by more than an hour.",
        &[],
    )
}

/// Looks at the clock for ever, and says so when it jumps. Dropping the future ends it.
pub(crate) async fn watch(clock: Arc<dyn WallClock>, jumps: Counter) {
    let now = || (tokio::time::Instant::now().into_std(), clock.now());
    let mut before = now();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let present = now();
        let jump = jump(before, present);
        before = present;
        if jump.length() > ALARMING {
            jumps.increment();
            tracing::error!(
                "this machine's clock jumped {jump}, unless the machine was asleep; \
                 certificates are checked by it, so see that it is right"
            );
        }
    }
}

/// How far the wall clock went off its course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Jump {
    Ahead(Duration),
    Back(Duration),
}

impl Jump {
    fn length(self) -> Duration {
        match self {
            Self::Ahead(by) | Self::Back(by) => by,
        }
    }
}

impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ahead(by) => write!(f, "ahead by {} s", by.as_secs()),
            Self::Back(by) => write!(f, "back by {} s", by.as_secs()),
        }
    }
}

/// What the wall clock did between two looks that is not in the time that passed.
fn jump(before: (Instant, SystemTime), now: (Instant, SystemTime)) -> Jump {
    let passed = now.0.saturating_duration_since(before.0);
    match now.1.duration_since(before.1) {
        Ok(shown) => shown
            .checked_sub(passed)
            .map_or_else(|| Jump::Back(passed.saturating_sub(shown)), Jump::Ahead),
        Err(error) => Jump::Back(error.duration().saturating_add(passed)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::sleep;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_jump_is_what_is_not_in_the_time_that_passed() {
        let (start, noon) = (Instant::now(), UNIX_EPOCH + seconds(1_800_000_000));
        let jump = |passed, shown| jump((start, noon), (start + seconds(passed), shown));
        assert_eq!(jump(10, noon + seconds(10)), Jump::Ahead(seconds(0)));
        assert_eq!(jump(10, noon + seconds(4000)), Jump::Ahead(seconds(3990)));
        assert_eq!(jump(10, noon + seconds(4)), Jump::Back(seconds(6)));
        assert_eq!(jump(10, noon - seconds(4)), Jump::Back(seconds(14)));
    }

    /// A clock that a test sets.
    #[derive(Debug)]
    struct Settable {
        start: tokio::time::Instant,
        shown_at_start: Mutex<SystemTime>,
    }

    impl WallClock for Settable {
        fn now(&self) -> SystemTime {
            *self.shown_at_start.lock().unwrap() + self.start.elapsed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn jumps_of_more_than_an_hour_are_counted_once_each() {
        let clock = Arc::new(Settable {
            start: tokio::time::Instant::now(),
            shown_at_start: Mutex::new(UNIX_EPOCH + seconds(1_800_000_000)),
        });
        let jumps = jumps(&Registry::new());
        let watch = tokio::spawn(watch(clock.clone(), jumps.clone()));
        sleep(seconds(100_000)).await;
        assert_eq!(jumps.get(), 0);
        for (set, counted) in [
            (seconds(1_800_003_600), 0),
            (seconds(1_800_007_300), 1),
            (seconds(1_800_007_000), 1),
            (seconds(1_700_000_000), 2),
        ] {
            *clock.shown_at_start.lock().unwrap() = UNIX_EPOCH + set;
            sleep(seconds(100)).await;
            assert_eq!(jumps.get(), counted, "{set:?}");
        }
        watch.abort();
    }

    #[test]
    fn before_1970_no_certificate_is_good() {
        #[derive(Debug)]
        struct Early;
        impl WallClock for Early {
            fn now(&self) -> SystemTime {
                UNIX_EPOCH - Duration::from_secs(1)
            }
        }
        assert_eq!(CertificateTime(Arc::new(Early)).current_time(), None);
    }
}
