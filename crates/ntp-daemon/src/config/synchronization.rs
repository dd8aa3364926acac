//! `[synchronization]`: when and how far the clock may be moved, and what is served.

use std::path::PathBuf;
use std::time::Duration;

use ntp_sync::config::{Algorithm, Config as Defaults, StepThreshold};
use nts_service::config::Section;

use super::{algorithm, storage, thresholds};

/// `[synchronization]`.
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
    /// Reference id served at a `local_stratum` below 16, if configured.
    pub reference_id: Option<ReferenceId>,
    /// Whether a step is logged as a warning.
    pub warn_on_jump: bool,
    /// Whether the daemon may steer the clock (`-x` wins over it).
    pub control_clock: bool,
    /// File that keeps the clock's frequency over a restart.
    pub drift_file: Option<PathBuf>,
    /// File that keeps the last time that was known to be right.
    pub last_time_file: Option<PathBuf>,
    /// File that keeps NTS keys and unused cookies over a restart; nobody else may read it.
    pub cookie_storage_path: Option<PathBuf>,
    /// `[synchronization.algorithm]`.
    pub algorithm: Algorithm,
}

impl Default for SynchronizationConfig {
    fn default() -> Self {
        let defaults = Defaults::default();
        Self {
            minimum_agreeing_sources: defaults.minimum_agreeing_sources,
            single_step_panic_threshold: defaults.single_step_panic_threshold,
            startup_step_panic_threshold: defaults.startup_step_panic_threshold,
            accumulated_step_panic_threshold: defaults.accumulated_step_panic_threshold,
            local_stratum: defaults.local_stratum,
            reference_id: None,
            warn_on_jump: true,
            control_clock: true,
            drift_file: None,
            last_time_file: None,
            cookie_storage_path: None,
            algorithm: defaults.algorithm,
        }
    }
}

/// A reference id of up to four ASCII characters, padded with zero octets (RFC 5905 §7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferenceId(pub [u8; 4]);

impl ReferenceId {
    fn new(text: &str) -> Option<Self> {
        let mut octets = [0; 4];
        octets
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        let printable = text.bytes().all(|octet| matches!(octet, b' '..=b'~'));
        (printable && !text.is_empty()).then_some(Self(octets))
    }
}

impl SynchronizationConfig {
    /// Reads the section; what is missing or wrong is as in the default.
    pub(super) fn read(root: &Section<'_>) -> Self {
        let default = Self::default();
        let Some(section) = root.section("synchronization") else {
            return default;
        };
        let step = |key, default| thresholds::read(&section, key, default);
        let minimum = default.minimum_agreeing_sources;
        Self {
            minimum_agreeing_sources: section.number(
                "minimum-agreeing-sources",
                minimum,
                1..=1000,
                "",
            ),
            single_step_panic_threshold: step(
                "single-step-panic-threshold",
                default.single_step_panic_threshold,
            ),
            startup_step_panic_threshold: step(
                "startup-step-panic-threshold",
                default.startup_step_panic_threshold,
            ),
            accumulated_step_panic_threshold: section
                .checked("accumulated-step-panic-threshold", check_accumulated)
                .unwrap_or(None),
            local_stratum: section.number("local-stratum", default.local_stratum, 1..=16, ""),
            reference_id: section.checked("reference-id", |text: String| {
                ReferenceId::new(&text)
                    .ok_or_else(|| "write 1 to 4 printable ASCII characters".to_owned())
            }),
            warn_on_jump: section.or("warn-on-jump", default.warn_on_jump),
            control_clock: section.or("control-clock", default.control_clock),
            drift_file: storage::file(&section, "drift-file"),
            last_time_file: storage::file(&section, "last-time-file"),
            cookie_storage_path: storage::secret_file(&section, "cookie-storage-path"),
            algorithm: algorithm::read(&section),
        }
    }
}

/// Seconds; 0 is no limit.
fn check_accumulated(seconds: f64) -> Result<Option<Duration>, String> {
    match Duration::try_from_secs_f64(seconds) {
        Ok(Duration::ZERO) => Ok(None),
        Ok(limit) => Ok(Some(limit)),
        Err(_) => Err("no threshold; write seconds, or 0 for no limit".to_owned()),
    }
}
