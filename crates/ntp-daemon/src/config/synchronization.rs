//! `[synchronization]` and `[synchronization.algorithm]`.

use std::time::Duration;

/// `[synchronization]`: when and how far the clock may be moved, and what is served.
#[derive(Clone, Debug, PartialEq)]
pub struct SynchronizationConfig {
    /// How many sources must agree before the clock is steered.
    pub minimum_agreeing_sources: usize,
    /// Greatest step once the daemon runs.
    pub single_step_panic_threshold: StepThreshold,
    /// Greatest step at start.
    pub startup_step_panic_threshold: StepThreshold,
    /// Greatest sum of all steps but the first; `None` is no limit.
    pub accumulated_step_panic_threshold: Option<Duration>,
    /// Stratum served without a source, 1…16; 16 is "unsynchronised".
    pub local_stratum: u8,
    /// Reference id served at `local_stratum` 1.
    pub reference_id: ReferenceId,
    /// Whether a step is logged as a warning.
    pub warn_on_jump: bool,
    /// Whether the daemon may steer the clock (`-x` wins over it).
    pub control_clock: bool,
    /// `[synchronization.algorithm]`.
    pub algorithm: AlgorithmConfig,
}

impl Default for SynchronizationConfig {
    fn default() -> Self {
        Self {
            minimum_agreeing_sources: 3,
            single_step_panic_threshold: StepThreshold {
                forward: Some(Duration::from_secs(1000)),
                backward: Some(Duration::from_secs(1000)),
            },
            startup_step_panic_threshold: StepThreshold {
                forward: None,
                backward: Some(Duration::from_secs(86_400)),
            },
            accumulated_step_panic_threshold: None,
            local_stratum: 16,
            reference_id: ReferenceId(*b"XNON"),
            warn_on_jump: true,
            control_clock: true,
            algorithm: AlgorithmConfig::default(),
        }
    }
}

/// How far a step may go; a step passes when it is smaller. `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepThreshold {
    /// Limit of steps that set the clock ahead.
    pub forward: Option<Duration>,
    /// Limit of steps that set the clock back.
    pub backward: Option<Duration>,
}

/// A reference id of up to four ASCII characters, padded with zero octets (RFC 5905 §7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferenceId(pub [u8; 4]);

/// `[synchronization.algorithm]`: tuning of the clock algorithm; units as in the manual.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    missing_docs,
    reason = "the manual has one row per key; names are those of the file"
)]
pub struct AlgorithmConfig {
    pub precision_low_probability: f64,
    pub precision_high_probability: f64,
    pub precision_hysteresis: u32,
    pub precision_minimum_weight: f64,
    pub poll_interval_low_weight: f64,
    pub poll_interval_high_weight: f64,
    pub poll_interval_hysteresis: u32,
    pub poll_interval_step_threshold: f64,
    pub delay_outlier_threshold: f64,
    pub initial_wander: f64,
    pub initial_frequency_uncertainty: f64,
    pub maximum_source_uncertainty: f64,
    pub range_statistical_weight: f64,
    pub range_delay_weight: f64,
    pub steer_offset_threshold: f64,
    pub steer_offset_leftover: f64,
    pub steer_frequency_threshold: f64,
    pub steer_frequency_leftover: f64,
    pub step_threshold: f64,
    pub slew_maximum_frequency_offset: f64,
    pub slew_minimum_duration: f64,
    pub maximum_frequency_steer: f64,
    pub ignore_server_dispersion: bool,
    pub meddling_threshold: f64,
}

impl Default for AlgorithmConfig {
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
