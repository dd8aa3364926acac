//! `[synchronization.algorithm]`: tuning of the clock algorithm.

use std::ops::RangeInclusive;

use nts_service::config::Section;

/// One row per key: field, key, default, range, unit. The names are public surface.
macro_rules! algorithm {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $key:literal, $default:expr, $range:expr;)*) => {
        /// The tuning of the clock algorithm, each value within its range.
        #[derive(Clone, Debug, PartialEq)]
        pub struct AlgorithmConfig {
            $($(#[$doc])* pub $field: $type,)*
            /// Whether the root dispersion of servers is left out of account.
            pub ignore_server_dispersion: bool,
        }

        impl Default for AlgorithmConfig {
            fn default() -> Self {
                Self { $($field: $default,)* ignore_server_dispersion: false }
            }
        }

        impl AlgorithmConfig {
            /// Reads the table in `[synchronization]`; what is missing or wrong is as in the
            /// default.
            pub(super) fn read(synchronization: &Section<'_>) -> Self {
                let Some(section) = synchronization.section("algorithm") else {
                    return Self::default();
                };
                Self {
                    $($field: section.number($key, $default, $range, ""),)*
                    ignore_server_dispersion: section.or("ignore-server-dispersion", false),
                }
            }
        }
    };
}

/// A probability or a weight.
const FRACTION: RangeInclusive<f64> = 0.0..=1.0;
/// A count of votes.
const VOTES: RangeInclusive<u32> = 1..=1_000_000;
/// A number of standard deviations, or a factor.
const DEVIATIONS: RangeInclusive<f64> = 0.0..=1e6;
/// A duration or an offset in seconds.
const SECONDS: RangeInclusive<f64> = 0.0..=1e9;
/// A frequency in seconds per second; the kernel's limit is 500e-6.
const FREQUENCY: RangeInclusive<f64> = 0.0..=500e-6;

algorithm! {
    /// Below this probability the wander is taken to be smaller.
    precision_low_probability: f64 = "precision-low-probability", 1.0 / 3.0, FRACTION;
    /// Above this probability the wander is taken to be greater.
    precision_high_probability: f64 = "precision-high-probability", 2.0 / 3.0, FRACTION;
    /// Votes until the wander is changed.
    precision_hysteresis: u32 = "precision-hysteresis", 16, VOTES;
    /// Least weight of a measurement that votes.
    precision_minimum_weight: f64 = "precision-minimum-weight", 0.1, FRACTION;
    /// Weight below which polling gets slower.
    poll_interval_low_weight: f64 = "poll-interval-low-weight", 0.4, FRACTION;
    /// Weight above which polling gets faster.
    poll_interval_high_weight: f64 = "poll-interval-high-weight", 0.6, FRACTION;
    /// Votes until the poll interval is changed.
    poll_interval_hysteresis: u32 = "poll-interval-hysteresis", 16, VOTES;
    /// Probability below which a measurement resets the poll interval.
    poll_interval_step_threshold: f64 = "poll-interval-step-threshold", 1e-6, FRACTION;
    /// Standard deviations of the delay beyond which a measurement is dropped.
    delay_outlier_threshold: f64 = "delay-outlier-threshold", 5.0, DEVIATIONS;
    /// First estimate of the wander of the clock, s/s².
    initial_wander: f64 = "initial-wander", 1e-8, 0.0..=1.0;
    /// First estimate of the error of the frequency, s/s.
    initial_frequency_uncertainty: f64 = "initial-frequency-uncertainty", 100e-6, 0.0..=1.0;
    /// Greatest radius of a source that is used, s.
    maximum_source_uncertainty: f64 = "maximum-source-uncertainty", 0.25, SECONDS;
    /// Standard deviations in the radius of a source.
    range_statistical_weight: f64 = "range-statistical-weight", 2.0, DEVIATIONS;
    /// Part of the delay in the radius of a source.
    range_delay_weight: f64 = "range-delay-weight", 0.25, FRACTION;
    /// Standard deviations of the offset that are not corrected.
    steer_offset_threshold: f64 = "steer-offset-threshold", 2.0, DEVIATIONS;
    /// Standard deviations of the offset that a correction leaves.
    steer_offset_leftover: f64 = "steer-offset-leftover", 1.0, DEVIATIONS;
    /// Standard deviations of the frequency that are not corrected.
    steer_frequency_threshold: f64 = "steer-frequency-threshold", 0.0, DEVIATIONS;
    /// Standard deviations of the frequency that a correction leaves.
    steer_frequency_leftover: f64 = "steer-frequency-leftover", 0.0, DEVIATIONS;
    /// Offset beyond which the clock is stepped, s.
    step_threshold: f64 = "step-threshold", 0.010, SECONDS;
    /// Greatest frequency of a slew, s/s.
    slew_maximum_frequency_offset: f64 = "slew-maximum-frequency-offset", 200e-6, FREQUENCY;
    /// Least duration of a slew, s.
    slew_minimum_duration: f64 = "slew-minimum-duration", 8.0, SECONDS;
    /// Greatest frequency that the clock is set to, s/s.
    maximum_frequency_steer: f64 = "maximum-frequency-steer", 495e-6, FREQUENCY;
    /// Offset that another program must have caused, s.
    meddling_threshold: f64 = "meddling-threshold", 5.0, SECONDS;
}
