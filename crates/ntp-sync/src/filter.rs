//! The last eight measurements of one source, for people to look at (after RFC 5905 §10).
//!
//! Of the packets that cross a network, those that crossed it fastest tell the time best: whatever
//! held the others up, held them up in one direction only. So the measurement with the least
//! delay gives the offset, where age counts as delay because clocks drift apart.

use std::collections::VecDeque;
use std::time::Duration;

use nts_proto::association::Measurement;
use nts_proto::time::{MonotonicTime, NtpDuration};

/// How many measurements are kept (RFC 5905, NSTAGE).
const STAGES: usize = 8;

/// How fast the error of a clock may grow, s/s (RFC 5905, PHI).
const FREQUENCY_TOLERANCE: f64 = 15e-6;

/// What one measurement adds to the picture.
#[derive(Debug, Clone, Copy)]
struct Sample {
    offset: NtpDuration,
    delay: NtpDuration,
    /// Granularity of the source's clock.
    precision: NtpDuration,
    monotonic: MonotonicTime,
}

impl Sample {
    /// Bound of the error of the offset some time after it was taken: the packet may have spent
    /// its whole delay in one direction, the source's clock may have been read early or late by
    /// its precision, and the clocks have drifted since.
    fn uncertainty(&self, age: Duration) -> NtpDuration {
        let drift = NtpDuration::from_seconds_f64(age.as_secs_f64() * FREQUENCY_TOLERANCE);
        self.delay.mean(NtpDuration::ZERO) + self.precision + drift
    }
}

/// What the last measurements of a source come to, as of the newest of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// How far the source's clock is ahead of the local one, by the best measurement.
    pub offset: NtpDuration,
    /// Round-trip delay of that measurement.
    pub delay: NtpDuration,
    /// Bound of the error of the offset, as far as the path and the clocks' drift (15 ppm) are
    /// its cause. The error of the source's own clock comes on top.
    pub uncertainty: NtpDuration,
    /// How much the other offsets differ from the best one (root mean square); not less than the
    /// precision of the source's clock.
    pub jitter: NtpDuration,
}

/// The measurements. Holds at most eight.
#[derive(Debug, Clone, Default)]
pub struct SampleFilter {
    /// Oldest first.
    samples: VecDeque<Sample>,
}

impl SampleFilter {
    /// A filter without measurements.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a measurement; the ninth pushes the first one out.
    pub fn add(&mut self, measurement: &Measurement) {
        if self.samples.len() == STAGES {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample {
            offset: measurement.offset,
            delay: measurement.delay,
            precision: NtpDuration::from_log2_seconds(measurement.precision),
            monotonic: measurement.monotonic,
        });
    }

    /// Forgets everything: the local clock was stepped, or the source's was.
    pub fn clear(&mut self) {
        self.samples.clear();
    }

    /// What the measurements come to; `None` without any.
    pub fn estimate(&self) -> Option<Estimate> {
        let now = self.samples.back()?.monotonic;
        let uncertainty =
            |sample: &Sample| sample.uncertainty(now.saturating_since(sample.monotonic));
        // Of equals, the newest.
        let best = self.samples.iter().rev().min_by_key(|s| uncertainty(s))?;
        Some(Estimate {
            offset: best.offset,
            delay: best.delay,
            uncertainty: uncertainty(best),
            jitter: self.jitter(best),
        })
    }

    /// RFC 5905 §10: root mean square of the differences from the best offset, which is one of
    /// the samples itself and so does not count among them.
    fn jitter(&self, best: &Sample) -> NtpDuration {
        let squares: f64 = self
            .samples
            .iter()
            .map(|sample| (sample.offset - best.offset).as_seconds_f64().powi(2))
            .sum();
        let others = self.samples.len().saturating_sub(1).max(1);
        let mean = squares / others as f64;
        NtpDuration::from_seconds_f64(mean.sqrt()).max(best.precision)
    }
}

#[cfg(test)]
mod tests {
    use nts_proto::ntp::header::{LeapIndicator, ReferenceId};
    use nts_proto::time::{NtpShort, NtpTimestamp};
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> MonotonicTime {
        MonotonicTime::from_duration(Duration::from_secs(seconds))
    }

    fn bits(bits: i64) -> NtpDuration {
        NtpDuration::from_bits(bits)
    }

    fn measurement(time: u64, offset: NtpDuration, delay: NtpDuration) -> Measurement {
        Measurement {
            offset,
            delay,
            time: NtpTimestamp::from_unix(0, 0),
            monotonic: at(time),
            leap: LeapIndicator::NoWarning,
            stratum: 1,
            precision: -20,
            root_delay: NtpShort::ZERO,
            root_dispersion: NtpShort::ZERO,
            reference_id: ReferenceId::from_bytes(*b"GPS\0"),
            authenticated: false,
        }
    }

    /// A filter with measurements (time in s, offset, delay), both in 2^-32 s.
    fn filter(measurements: &[(u64, i64, i64)]) -> SampleFilter {
        let mut filter = SampleFilter::new();
        for (time, offset, delay) in measurements {
            filter.add(&measurement(*time, bits(*offset), bits(*delay)));
        }
        filter
    }

    /// 2^-20 s.
    const PRECISION: i64 = 1 << 12;

    #[test]
    fn nothing_comes_of_nothing() {
        assert_eq!(SampleFilter::new().estimate(), None);
        let mut filter = filter(&[(1, 2, 3)]);
        filter.clear();
        assert_eq!(filter.estimate(), None);
    }

    #[test]
    fn one_measurement_speaks_for_itself() {
        assert_eq!(
            filter(&[(1, -500, 1 << 20)]).estimate(),
            Some(Estimate {
                offset: bits(-500),
                delay: bits(1 << 20),
                uncertainty: bits((1 << 19) + PRECISION),
                jitter: bits(PRECISION),
            })
        );
    }

    #[test]
    fn the_least_delay_gives_the_offset() {
        // Differences from the best: 3 and 4 times 2^16, so the jitter is √((9 + 16)/2) times it.
        let estimate = filter(&[
            (1, 3 << 16, 5 << 22),
            (1, 0, 1 << 22),
            (1, -(4 << 16), 3 << 22),
        ])
        .estimate()
        .unwrap();
        assert_eq!(estimate.offset, NtpDuration::ZERO);
        assert_eq!(estimate.delay, bits(1 << 22));
        assert_eq!(estimate.uncertainty, bits((1 << 21) + PRECISION));
        assert_eq!(estimate.jitter, bits(231_705));
    }

    #[test]
    fn of_equal_delays_the_newest_counts() {
        let estimate = filter(&[(1, 1, 1 << 22), (1, 2, 1 << 22)]).estimate();
        assert_eq!(estimate.unwrap().offset, bits(2));
    }

    #[test]
    fn age_counts_as_delay() {
        // 15 ppm of 1000 s are 15 ms: 30 ms more delay are as bad.
        let one_millisecond = 4_294_967;
        let old = (0, 1, one_millisecond);
        let better = filter(&[old, (1000, 2, 30 * one_millisecond)]).estimate();
        assert_eq!(better.unwrap().offset, bits(2));
        let worse = filter(&[old, (1000, 2, 32 * one_millisecond)])
            .estimate()
            .unwrap();
        assert_eq!(worse.offset, bits(1));
        let drift = NtpDuration::from_seconds_f64(0.015).to_bits();
        assert_eq!(
            worse.uncertainty,
            bits(one_millisecond / 2 + PRECISION + drift)
        );
    }

    #[test]
    fn the_ninth_pushes_the_first_out() {
        let mut measurements = vec![(0, 99, 1)];
        measurements.extend((1..8).map(|n| (0, n, 1 << 22)));
        let mut filter = filter(&measurements);
        assert_eq!(filter.estimate().unwrap().offset, bits(99));
        filter.add(&measurement(0, bits(8), bits(1 << 22)));
        assert_eq!(filter.estimate().unwrap().offset, bits(8));
        assert_eq!(filter.samples.len(), STAGES);
    }

    proptest! {
        /// If the source's clock differs by a constant and packets are held up at will, the true
        /// offset lies within the uncertainty.
        #[test]
        fn the_truth_lies_within_the_uncertainty(
            offset in -(1_i64 << 50)..(1 << 50),
            legs in prop::collection::vec((0_i64..(1 << 34), 0_i64..(1 << 34)), 1..20),
        ) {
            let mut filter = SampleFilter::new();
            for (time, (there, back)) in (0_u64..).zip(&legs) {
                let seen = bits(offset) + (bits(*there) - bits(*back)).mean(NtpDuration::ZERO);
                filter.add(&measurement(time * 16, seen, bits(there + back)));
            }
            let estimate = filter.estimate().unwrap();
            let error = (estimate.offset - bits(offset)).abs();
            prop_assert!(error <= estimate.uncertainty, "{:?} > {:?}", error, estimate.uncertainty);
        }

        #[test]
        fn any_measurements_are_survived(
            measurements in prop::collection::vec((any::<u64>(), any::<i64>(), any::<i64>(), any::<i8>()), 1..20),
        ) {
            let mut filter = SampleFilter::new();
            for (time, offset, delay, precision) in measurements {
                let mut measurement = measurement(time, bits(offset), bits(delay));
                measurement.precision = precision;
                filter.add(&measurement);
            }
            let estimate = filter.estimate().unwrap();
            prop_assert!(estimate.jitter >= NtpDuration::ZERO);
        }
    }
}
