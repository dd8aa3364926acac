//! `…-step-panic-threshold`: how far the clock may be set.

use std::time::Duration;

use nts_service::config::Section;
use serde::Deserialize;

/// How far a step may go; a step passes when it is smaller. `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepThreshold {
    /// Limit of steps that set the clock ahead.
    pub forward: Option<Duration>,
    /// Limit of steps that set the clock back.
    pub backward: Option<Duration>,
}

/// One limit as written: seconds, or `"inf"`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "write seconds, or \"inf\" for no limit")]
enum Limit {
    Seconds(f64),
    Word(String),
}

impl StepThreshold {
    /// Reads `key`: one limit for both directions, or a table in which a missing side means no
    /// limit on that side.
    pub(super) fn read(section: &Section<'_>, key: &'static str, default: Self) -> Self {
        if section.is_table(key) {
            let Some(sides) = section.section(key) else {
                return default;
            };
            let side = |key| sides.checked(key, check).unwrap_or(None);
            return Self {
                forward: side("forward"),
                backward: side("backward"),
            };
        }
        match section.checked(key, check) {
            Some(limit) => Self {
                forward: limit,
                backward: limit,
            },
            None => default,
        }
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
