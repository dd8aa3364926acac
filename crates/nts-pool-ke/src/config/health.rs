//! `[health]`: when a source is ejected, and what brings it back.

use std::time::Duration;

use nts_service::config::Section;

use crate::fleet::HealthPolicy;

/// Failures in a row that may be asked for.
const FAILURES: std::ops::RangeInclusive<u32> = 1..=1000;
/// A day.
const LONGEST: u64 = 24 * 3600;

/// Reads the section.
pub(super) fn read(section: &Section<'_>) -> HealthPolicy {
    let default = HealthPolicy::default();
    let count = |key, default| section.number(key, default, FAILURES, "");
    let seconds = |key, default: Duration| {
        Duration::from_secs(section.number(key, default.as_secs(), 1..=LONGEST, "seconds"))
    };
    let policy = HealthPolicy {
        failures: count("failures", default.failures),
        hard_failures: count("hard-failures", default.hard_failures),
        unknown_failures: count("unknown-failures", default.unknown_failures),
        ratio_at_least: count("ratio-at-least", default.ratio_at_least),
        ratio_window: seconds("ratio-window-s", default.ratio_window),
        hold: seconds("hold-s", default.hold),
        hold_max: seconds("hold-max-s", default.hold_max),
        forgive_after: seconds("forgive-after-s", default.forgive_after),
        probes: count("probes", default.probes),
        ramp: seconds("ramp-s", default.ramp),
        ramp_after_hard: seconds("ramp-after-hard-s", default.ramp_after_hard),
        keep_sources: section.number("keep-sources", default.keep_sources, 0..=1000, ""),
        probe_pause_min: seconds("probe-pause-min-s", default.probe_pause_min),
        probe_pause_max: seconds("probe-pause-max-s", default.probe_pause_max),
        outage_at_least: section.number(
            "outage-at-least",
            default.outage_at_least,
            1..=100_000,
            "",
        ),
        outage_window: seconds("outage-window-s", default.outage_window),
        outage_max: seconds("outage-max-s", default.outage_max),
        checks_per_second: section.number(
            "checks-per-second",
            default.checks_per_second,
            1..=100_000,
            "",
        ),
        ..default
    };
    if policy.probe_pause_max < policy.probe_pause_min {
        section.error(
            "probe-pause-max-s",
            "shorter than `probe-pause-min-s`; write the same or more",
        );
    }
    if policy.hold_max < policy.hold {
        section.error(
            "hold-max-s",
            "shorter than `hold-s`; write the same or more",
        );
    }
    policy
}
