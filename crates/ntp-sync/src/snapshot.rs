//! What is known about the time at one moment, for the server, for status and for metrics.

use nts_proto::association::UnusableReason;
use nts_proto::ntp::header::{LeapIndicator, ReferenceId};
use nts_proto::time::{MonotonicTime, NtpTimestamp};

use crate::estimate::Covariance;
use crate::source_id::SourceId;

/// Everything at once.
#[derive(Debug, Clone, PartialEq)]
pub struct SystemSnapshot {
    /// When this was true.
    pub now: MonotonicTime,
    /// Whether the clock is synchronised, and if not, why.
    pub synchronization: Result<Synchronized, Unsynchronized>,
    /// What was learnt at the last update; it stays when synchronisation is lost.
    pub estimate: Option<SystemEstimate>,
    /// Correction of the clock's own frequency error, s/s, without slews.
    pub frequency: f64,
    /// What the clock's frequency is set to now, s/s, with the slew in progress.
    pub clock_frequency: f64,
    /// Sum of all steps but the first, s.
    pub accumulated_steps: f64,
    /// How often the clock was stepped.
    pub steps: u64,
    /// Each source with its verdict, in the order of their numbers.
    pub sources: Vec<SourceSnapshot>,
}

/// What a server says while its clock is synchronised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Synchronized {
    /// One more than that of the best source.
    pub stratum: u8,
    /// Leap second announcement.
    pub leap: LeapIndicator,
    /// The id of the best source.
    pub reference_id: ReferenceId,
    /// Local time of the last update.
    pub reference: NtpTimestamp,
    /// Delay to the primary server, s.
    pub root_delay: f64,
    /// Standard deviation of the clock's error now, s.
    pub root_dispersion: f64,
}

impl Synchronized {
    /// Bound of the clock's error, s (RFC 5905, root distance).
    pub fn root_distance(&self) -> f64 {
        self.root_delay / 2.0 + self.root_dispersion
    }
}

/// Why the clock is not synchronised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unsynchronized {
    /// No source has had enough measurements yet.
    Starting,
    /// Something else moved the clock.
    ClockMoved,
    /// The root distance has grown beyond 3 s.
    RootDistance,
    /// Sources have not agreed for a day.
    NoSelection,
    /// A step was needed that the configuration forbids.
    Panicked,
}

/// The combined estimate of the last update, as it is after the correction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SystemEstimate {
    /// When it was made.
    pub at: MonotonicTime,
    /// The same by the local clock.
    pub time: NtpTimestamp,
    /// How far true time was ahead of the local clock, s.
    pub offset: f64,
    /// Standard deviation of the noise of that, s.
    pub offset_deviation: f64,
    /// Standard deviation of the frequency, s/s.
    pub frequency_deviation: f64,
    /// How good the clock was, with the sources' own errors.
    pub root_variance: RootVariance,
}

/// Variance of the clock's error as a polynomial of the seconds since the last update, s².
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RootVariance {
    /// Constant term.
    pub base: f64,
    /// Factor of t.
    pub linear: f64,
    /// Factor of t².
    pub quadratic: f64,
    /// Factor of t³.
    pub cubic: f64,
}

impl RootVariance {
    /// How an error with this covariance grows while the frequency gains `wander` per second.
    pub(crate) fn new(covariance: &Covariance, wander: f64) -> Self {
        Self {
            base: covariance.offset,
            linear: 2.0 * covariance.mixed,
            quadratic: covariance.frequency,
            cubic: wander / 3.0,
        }
    }

    /// Standard deviation `seconds` after the update, s.
    pub fn dispersion(&self, seconds: f64) -> f64 {
        let t = seconds.max(0.0);
        let variance = self.base + t * (self.linear + t * (self.quadratic + t * self.cubic));
        variance.max(0.0).sqrt()
    }
}

/// A source and what is thought of it.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceSnapshot {
    /// The source.
    pub id: SourceId,
    /// Whether it is used, and if not, why.
    pub verdict: Verdict,
    /// The poll interval that its filter wishes, log2 of seconds.
    pub poll_wish: i8,
    /// What its filter says now; `None` before it has started.
    pub estimate: Option<SourceEstimate>,
}

/// What the filter of a source says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SourceEstimate {
    /// How far its clock is ahead of the local one, s.
    pub offset: f64,
    /// Standard deviation of that, s.
    pub offset_deviation: f64,
    /// Half the width of the interval that it votes for, s.
    pub radius: f64,
    /// How much faster than the local one its clock runs, s/s.
    pub frequency: f64,
    /// Standard deviation of that, s/s.
    pub frequency_deviation: f64,
    /// Mean of the last eight delays, s.
    pub delay: f64,
    /// Standard deviation of offsets that the last eight delays explain, s.
    pub jitter: f64,
    /// How restless its clock and ours are, s/s per √s.
    pub wander: f64,
}

/// What is thought of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is used.
    Selected,
    /// It is used, and says most.
    Best,
    /// It contradicts the sources that are used.
    Falseticker,
    /// It could be used, but too few sources agree with each other.
    NoConsensus,
    /// It has not had enough measurements.
    Starting {
        /// How many it has had.
        measurements: usize,
    },
    /// Its last answer gave no time to use.
    Unusable(UnusableReason),
    /// Its stratum is not below `local-stratum`.
    Stratum,
    /// It is too far from a reference clock.
    RootDistance,
    /// Its radius is greater than `maximum-source-uncertainty`.
    Uncertain,
}

impl Verdict {
    /// Whether the source is used.
    pub const fn is_selected(self) -> bool {
        matches!(self, Self::Selected | Self::Best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dispersion_grows_as_a_filter_says() {
        let covariance = Covariance {
            offset: 4.0,
            mixed: 1.0,
            frequency: 2.0,
        };
        let variance = RootVariance::new(&covariance, 3.0);
        assert_eq!(variance.dispersion(0.0), 2.0);
        assert_eq!(variance.dispersion(-1.0), 2.0);
        // 4 + 2·1·2 + 2·2² + 3·2³/3
        assert_eq!(variance.dispersion(2.0), 24_f64.sqrt());
        let mut moved = crate::estimate::Estimate {
            offset: 0.0,
            frequency: 0.0,
            covariance,
        };
        moved.advance(2.0, 3.0);
        assert_eq!(variance.dispersion(2.0), moved.deviation());
    }
}
