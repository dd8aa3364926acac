//! `…-step-panic-threshold`: how far the clock may be set.

use std::time::Duration;

use ntp_sync::config::StepThreshold;
use nts_service::config::Section;
use serde::Deserialize;

/// One limit as written: seconds, or `"inf"`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "write seconds, or \"inf\" for no limit")]
enum Limit {
    Seconds(f64),
    Word(String),
}

/// Reads `key`: one limit for both directions, or a table in which a missing side means no limit
/// on that side.
pub(super) fn read(
    section: &Section<'_>,
    key: &'static str,
    default: StepThreshold,
) -> StepThreshold {
    if section.is_table(key) {
        let Some(sides) = section.section(key) else {
            return default;
        };
        let side = |key| sides.checked(key, check).unwrap_or(None);
        return StepThreshold {
            forward: side("forward"),
            backward: side("backward"),
        };
    }
    match section.checked(key, check) {
        Some(limit) => StepThreshold {
            forward: limit,
            backward: limit,
        },
        None => default,
    }
}

fn check(limit: Limit) -> Result<Option<Duration>, String> {
    let message = || "no threshold; write seconds from 0 up, or \"inf\" for no limit".to_owned();
    match limit {
        Limit::Seconds(f64::INFINITY) => Ok(None),
        Limit::Seconds(seconds) => Duration::try_from_secs_f64(seconds)
            .map(Some)
            .map_err(|_| message()),
        Limit::Word(word) if word == "inf" => Ok(None),
        Limit::Word(_) => Err(message()),
    }
}
