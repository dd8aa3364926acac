//! How the clock is to be kept: `[synchronization]` and `[synchronization.algorithm]` of the
//! daemon's configuration as numbers. Names and defaults are those of the configuration file.

use std::time::Duration;

/// How far one step may go; a step passes when it is smaller. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepThreshold {
    /// Limit of steps that set the clock ahead.
    pub forward: Option<Duration>,
    /// Limit of steps that set the clock back.
    pub backward: Option<Duration>,
}

impl StepThreshold {
    /// No limit in either direction.
    pub const UNLIMITED: Self = Self {
        forward: None,
        backward: None,
    };

    /// The same limit in both directions.
    pub const fn both(limit: Duration) -> Self {
        Self {
            forward: Some(limit),
            backward: Some(limit),
        }
    }

    /// Whether a step of `seconds` (positive is ahead) stays below the limit. A limit of zero
    /// forbids every step in its direction.
    pub(crate) fn allows(&self, seconds: f64) -> bool {
        let below = |limit: Option<Duration>, size: f64| {
            limit.is_none_or(|limit| size <= 0.0 || size < limit.as_secs_f64())
        };
        below(self.forward, seconds) && below(self.backward, -seconds)
    }
}

/// When and how far the clock may be moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// How many sources must agree before the clock is steered.
    pub minimum_agreeing_sources: usize,
    /// Greatest step after the first correction.
    pub single_step_panic_threshold: StepThreshold,
    /// Greatest step as first correction.
    pub startup_step_panic_threshold: StepThreshold,
    /// Greatest sum of all steps but the first; `None` is no limit.
    pub accumulated_step_panic_threshold: Option<Duration>,
    /// Sources of this stratum and above are not used.
    pub local_stratum: u8,
    /// Tuning.
    pub algorithm: Algorithm,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            minimum_agreeing_sources: 3,
            single_step_panic_threshold: StepThreshold::both(Duration::from_secs(1000)),
            startup_step_panic_threshold: StepThreshold {
                forward: None,
                backward: Some(Duration::from_secs(86_400)),
            },
            accumulated_step_panic_threshold: None,
            local_stratum: 16,
            algorithm: Algorithm::default(),
        }
    }
}

/// Tuning of the algorithm. The values are taken as they are: whoever fills this in has checked
/// that none is negative or not a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Algorithm {
    /// Chance of a smaller surprise below which a measurement votes for less wander.
    pub precision_low_probability: f64,
    /// Chance of a smaller surprise above which a measurement votes for more wander.
    pub precision_high_probability: f64,
    /// Votes until the wander is changed.
    pub precision_hysteresis: u32,
    /// Least weight of a measurement that votes for less wander.
    pub precision_minimum_weight: f64,
    /// Weight below which polling gets slower.
    pub poll_interval_low_weight: f64,
    /// Weight above which polling gets faster.
    pub poll_interval_high_weight: f64,
    /// Votes until the poll interval is changed.
    pub poll_interval_hysteresis: u32,
    /// Chance of so great a surprise below which one of the clocks is taken to have jumped.
    pub poll_interval_step_threshold: f64,
    /// Standard deviations of the delay beyond which a measurement is dropped.
    pub delay_outlier_threshold: f64,
    /// First estimate of the wander of the clocks, s/s per √s.
    pub initial_wander: f64,
    /// First estimate of the error of the frequency, s/s.
    pub initial_frequency_uncertainty: f64,
    /// Greatest radius of a source that is used, s.
    pub maximum_source_uncertainty: f64,
    /// Standard deviations in the radius of a source.
    pub range_statistical_weight: f64,
    /// Part of the delay in the radius of a source.
    pub range_delay_weight: f64,
    /// Standard deviations of the offset that are not corrected.
    pub steer_offset_threshold: f64,
    /// Standard deviations of the offset that a correction leaves.
    pub steer_offset_leftover: f64,
    /// Standard deviations of the frequency that are not corrected.
    pub steer_frequency_threshold: f64,
    /// Standard deviations of the frequency that a correction leaves.
    pub steer_frequency_leftover: f64,
    /// Offset beyond which the clock is stepped, s.
    pub step_threshold: f64,
    /// Greatest frequency of a slew, s/s.
    pub slew_maximum_frequency_offset: f64,
    /// Least duration of a slew, s.
    pub slew_minimum_duration: f64,
    /// Greatest frequency that the clock is set to, s/s.
    pub maximum_frequency_steer: f64,
    /// Whether the root dispersion of sources is left out of account.
    pub ignore_server_dispersion: bool,
    /// Offset that another program must have caused to be noticed, s.
    pub meddling_threshold: f64,
}

impl Default for Algorithm {
    fn default() -> Self {
        Self {
            precision_low_probability: 1.0 / 3.0,
            precision_high_probability: 2.0 / 3.0,
            precision_hysteresis: 16,
            precision_minimum_weight: 0.1,
            poll_interval_low_weight: 0.4,
            poll_interval_high_weight: 0.6,
            poll_interval_hysteresis: 16,
            poll_interval_step_threshold: 1e-6,
            delay_outlier_threshold: 5.0,
            initial_wander: 1e-8,
            initial_frequency_uncertainty: 100e-6,
            maximum_source_uncertainty: 0.25,
            range_statistical_weight: 2.0,
            range_delay_weight: 0.25,
            steer_offset_threshold: 2.0,
            steer_offset_leftover: 1.0,
            steer_frequency_threshold: 0.0,
            steer_frequency_leftover: 0.0,
            step_threshold: 0.010,
            slew_maximum_frequency_offset: 200e-6,
            slew_minimum_duration: 8.0,
            maximum_frequency_steer: 495e-6,
            ignore_server_dispersion: false,
            meddling_threshold: 5.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_passes_when_it_is_smaller() {
        let threshold = StepThreshold::both(Duration::from_secs(10));
        assert!(threshold.allows(9.99) && threshold.allows(-9.99) && threshold.allows(0.0));
        assert!(!threshold.allows(10.0) && !threshold.allows(-10.0));
    }

    #[test]
    fn each_direction_has_its_limit() {
        let threshold = Config::default().startup_step_panic_threshold;
        assert!(threshold.allows(1e9) && threshold.allows(-86_399.0));
        assert!(!threshold.allows(-86_400.0));
        let forbidden = StepThreshold {
            forward: Some(Duration::ZERO),
            backward: None,
        };
        assert!(!forbidden.allows(1e-9) && forbidden.allows(-1e9));
        assert!(StepThreshold::UNLIMITED.allows(1e9) && StepThreshold::UNLIMITED.allows(-1e9));
    }
}
