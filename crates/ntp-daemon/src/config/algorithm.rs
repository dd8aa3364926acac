//! `[synchronization.algorithm]`: tuning of the clock algorithm.

use std::ops::RangeInclusive;

use ntp_sync::config::Algorithm;
use nts_service::config::Section;

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

/// Reads the table in `[synchronization]`; what is missing or wrong is as in the default. The names
/// are public surface.
pub(super) fn read(synchronization: &Section<'_>) -> Algorithm {
    let default = Algorithm::default();
    let Some(section) = synchronization.section("algorithm") else {
        return default;
    };
    // One row per key: field, key, range.
    macro_rules! algorithm {
        ($($field:ident: $key:literal, $range:expr;)*) => {
            Algorithm {
                $($field: section.number($key, default.$field, $range, ""),)*
                ignore_server_dispersion: section
                    .or("ignore-server-dispersion", default.ignore_server_dispersion),
            }
        };
    }
    algorithm! {
        precision_low_probability: "precision-low-probability", FRACTION;
        precision_high_probability: "precision-high-probability", FRACTION;
        precision_hysteresis: "precision-hysteresis", VOTES;
        precision_minimum_weight: "precision-minimum-weight", FRACTION;
        poll_interval_low_weight: "poll-interval-low-weight", FRACTION;
        poll_interval_high_weight: "poll-interval-high-weight", FRACTION;
        poll_interval_hysteresis: "poll-interval-hysteresis", VOTES;
        poll_interval_step_threshold: "poll-interval-step-threshold", FRACTION;
        delay_outlier_threshold: "delay-outlier-threshold", DEVIATIONS;
        initial_wander: "initial-wander", 0.0..=1.0;
        initial_frequency_uncertainty: "initial-frequency-uncertainty", 0.0..=1.0;
        maximum_source_uncertainty: "maximum-source-uncertainty", SECONDS;
        range_statistical_weight: "range-statistical-weight", DEVIATIONS;
        range_delay_weight: "range-delay-weight", FRACTION;
        steer_offset_threshold: "steer-offset-threshold", DEVIATIONS;
        steer_offset_leftover: "steer-offset-leftover", DEVIATIONS;
        steer_frequency_threshold: "steer-frequency-threshold", DEVIATIONS;
        steer_frequency_leftover: "steer-frequency-leftover", DEVIATIONS;
        step_threshold: "step-threshold", SECONDS;
        slew_maximum_frequency_offset: "slew-maximum-frequency-offset", FREQUENCY;
        slew_minimum_duration: "slew-minimum-duration", SECONDS;
        maximum_frequency_steer: "maximum-frequency-steer", FREQUENCY;
        meddling_threshold: "meddling-threshold", SECONDS;
    }
}
