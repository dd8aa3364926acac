//! The smoothed round-trip time to one source.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// An exponentially weighted mean (one eighth per sample, as TCP does), updated without a lock.
#[derive(Debug, Default)]
pub(crate) struct RoundTrip {
    /// Microseconds; 0 means "never measured".
    smoothed: AtomicU32,
}

impl RoundTrip {
    /// Takes one measured round trip into account.
    pub(crate) fn record(&self, sample: Duration) {
        let sample = u32::try_from(sample.as_micros()).unwrap_or(u32::MAX).max(1);
        let old = self.smoothed.load(Ordering::Relaxed);
        let new = match old {
            0 => sample,
            old => old - old / 8 + sample / 8,
        };
        // Two samples at the same moment may overwrite each other: it is an estimate.
        self.smoothed.store(new.max(1), Ordering::Relaxed);
    }

    /// The current estimate, if there is any.
    pub(crate) fn get(&self) -> Option<Duration> {
        match self.smoothed.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sample_counts_whole_and_later_ones_an_eighth() {
        let round_trip = RoundTrip::default();
        assert_eq!(round_trip.get(), None);
        round_trip.record(Duration::from_micros(800));
        assert_eq!(round_trip.get(), Some(Duration::from_micros(800)));
        round_trip.record(Duration::from_micros(1600));
        assert_eq!(round_trip.get(), Some(Duration::from_micros(900)));
    }

    #[test]
    fn extremes_saturate() {
        let round_trip = RoundTrip::default();
        round_trip.record(Duration::ZERO);
        assert_eq!(round_trip.get(), Some(Duration::from_micros(1)));
        let round_trip = RoundTrip::default();
        round_trip.record(Duration::MAX);
        round_trip.record(Duration::MAX);
        assert!(round_trip.get() > Some(Duration::from_secs(4000)));
    }
}
