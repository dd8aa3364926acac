//! One source as the controller knows it.

use nts_proto::association::{Measurement, PollLimits, UnusableReason};
use nts_proto::ntp::header::{LeapIndicator, ReferenceId};
use nts_proto::time::{MonotonicTime, NtpDuration};

use crate::combine::Combined;
use crate::config::{Algorithm, Config};
use crate::selection::Interval;
use crate::snapshot::{SourceEstimate, SourceSnapshot, Verdict};
use crate::source::{START_SAMPLES, SourceFilter};
use crate::source_id::SourceId;

/// Root distances from here on are too great to be used, s (between MAXDIST of RFC 5905 and what
/// other implementations allow).
const GREATEST_ROOT_DISTANCE: f64 = 1.5;

/// What a source said about itself with its last measurement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claims {
    pub(super) leap: LeapIndicator,
    pub(super) stratum: u8,
    /// s
    pub(super) root_delay: f64,
    /// s
    pub(super) root_dispersion: f64,
}

#[derive(Debug)]
pub(super) struct Source {
    pub(super) filter: SourceFilter,
    /// The id by which others know it.
    pub(super) reference_id: ReferenceId,
    claims: Option<Claims>,
    unusable: Option<UnusableReason>,
    pub(super) verdict: Verdict,
}

/// A source that may be selected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) id: SourceId,
    pub(super) interval: Interval,
    pub(super) combined: Combined,
    pub(super) claims: Claims,
    pub(super) reference_id: ReferenceId,
    /// Delay to the primary server, s.
    pub(super) root_delay: f64,
    /// Variance that the frequency gains per second, 1/s.
    pub(super) wander: f64,
}

impl Source {
    pub(super) fn new(
        algorithm: &Algorithm,
        limits: PollLimits,
        own_precision: i8,
        frequency_uncertainty: f64,
        reference_id: ReferenceId,
    ) -> Self {
        Self {
            filter: SourceFilter::new(algorithm, limits, own_precision, frequency_uncertainty),
            reference_id,
            claims: None,
            unusable: None,
            verdict: Verdict::Starting { measurements: 0 },
        }
    }

    pub(super) fn note_claims(&mut self, measurement: &Measurement) {
        let seconds = |short| NtpDuration::from(short).as_seconds_f64();
        self.unusable = None;
        self.claims = Some(Claims {
            leap: measurement.leap,
            stratum: measurement.stratum,
            root_delay: seconds(measurement.root_delay),
            root_dispersion: seconds(measurement.root_dispersion),
        });
    }

    pub(super) fn note_unusable(&mut self, reason: UnusableReason) {
        self.unusable = Some(reason);
        self.verdict = Verdict::Unusable(reason);
    }

    /// The source as a candidate.
    ///
    /// # Errors
    /// Why it cannot be one.
    pub(super) fn candidate(
        &self,
        id: SourceId,
        now: MonotonicTime,
        config: &Config,
    ) -> Result<Candidate, Verdict> {
        let algorithm = &config.algorithm;
        if let Some(reason) = self.unusable {
            return Err(Verdict::Unusable(reason));
        }
        let measurements = self.filter.gathered();
        let (Some(claims), Some(estimate)) = (self.claims, self.filter.estimate(now)) else {
            return Err(Verdict::Starting { measurements });
        };
        if claims.stratum >= config.local_stratum {
            return Err(Verdict::Stratum);
        }
        let root_delay = claims.root_delay + self.filter.delay();
        if root_delay / 2.0 + claims.root_dispersion > GREATEST_ROOT_DISTANCE {
            return Err(Verdict::RootDistance);
        }
        let radius = self.radius(estimate.deviation(), algorithm);
        if radius > algorithm.maximum_source_uncertainty {
            return Err(Verdict::Uncertain);
        }
        let dispersion = if algorithm.ignore_server_dispersion {
            0.0
        } else {
            claims.root_dispersion
        };
        Ok(Candidate {
            id,
            interval: Interval::around(estimate.offset, radius),
            combined: Combined::of_source(estimate, dispersion),
            claims,
            reference_id: self.reference_id,
            root_delay,
            wander: self.filter.wander(),
        })
    }

    fn radius(&self, deviation: f64, algorithm: &Algorithm) -> f64 {
        algorithm.range_statistical_weight * deviation
            + algorithm.range_delay_weight * self.filter.delay()
    }

    pub(super) fn snapshot(
        &self,
        id: SourceId,
        now: MonotonicTime,
        algorithm: &Algorithm,
    ) -> SourceSnapshot {
        let estimate = self.filter.estimate(now).map(|estimate| SourceEstimate {
            offset: estimate.offset,
            offset_deviation: estimate.deviation(),
            radius: self.radius(estimate.deviation(), algorithm),
            frequency: estimate.frequency,
            frequency_deviation: estimate.covariance.frequency.sqrt(),
            delay: self.filter.delay(),
            jitter: self.filter.jitter(),
            wander: self.filter.wander().sqrt(),
        });
        SourceSnapshot {
            id,
            verdict: self.verdict,
            poll_wish: self.filter.poll_wish(),
            estimate,
        }
    }

    pub(super) fn has_started(&self) -> bool {
        self.filter.gathered() >= START_SAMPLES
    }
}
