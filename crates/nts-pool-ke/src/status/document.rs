//! The state of all sources as one JSON document.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::selection::Standing;
use crate::snapshot::Header;
use crate::source::Source;
use crate::sources::Sources;

/// More sources than that are left out.
const MOST_SOURCES: usize = 2000;

/// What a pool says about itself.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Document {
    /// Of the program.
    pub(super) version: String,
    /// Whether there is a source that works.
    pub(super) ready: bool,
    /// Whether users for whom nobody is left get a source that fails.
    pub(super) panic: bool,
    /// The signed list in use, if there is one.
    #[serde(default)]
    pub(super) signed_list: Option<ListStatus>,
    /// In the order of the configuration.
    pub(super) sources: Vec<SourceStatus>,
    /// How many more there are.
    pub(super) omitted: usize,
}

/// What a registry says about its list.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct ListStatus {
    /// Whom it is for.
    pub(super) pool: String,
    /// Greater than that of the list before.
    pub(super) serial: u64,
    /// How long ago it was made.
    pub(super) seconds_ago: u64,
}

/// How one source does.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct SourceStatus {
    /// As in logs and metrics.
    pub(super) id: String,
    /// `unknown`, `healthy`, `ejected`, `probing`, `ramp` or `drained`.
    pub(super) state: String,
    /// As configured.
    pub(super) weight: u32,
    /// Its part of those users who can be sent anywhere, from 0 to 1.
    pub(super) share: f64,
    /// Which part of the last 128 users' exchanges it served, from 0 to 1; unknown before the first.
    pub(super) success: Option<f64>,
    /// Users' exchanges.
    pub(super) exchanges: u64,
    /// How many of them it failed.
    pub(super) failures: u64,
    /// Smoothed round-trip time.
    pub(super) rtt_seconds: Option<f64>,
    /// Exchanges under way.
    pub(super) connections_busy: usize,
    /// Connections that wait for the next exchange.
    pub(super) connections_idle: usize,
    /// The last failure, of an exchange or a check.
    pub(super) last_error: Option<ErrorStatus>,
}

/// The last failure of a source.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct ErrorStatus {
    /// `check`, `before keys` or `after keys`.
    pub(super) occasion: String,
    /// Why.
    pub(super) text: String,
    /// How long ago.
    pub(super) seconds_ago: u64,
}

impl Document {
    /// How `sources` do now.
    pub(super) fn of(sources: &Sources) -> Self {
        let directory = sources.directory();
        let overview = directory.overview();
        let standing = |source: &Source| {
            let known = overview.get(&source.key());
            known.map_or(Standing::OUT, |(_, standing)| *standing)
        };
        let effective = |source: &Source| {
            let Standing { admitted, tenths } = standing(source);
            let weight = f64::from(source.config().weight) * f64::from(tenths);
            if admitted { weight } else { 0.0 }
        };
        let all: f64 = sources.all().iter().map(|it| effective(it)).sum();
        let status = |source: &Source| {
            let state = overview.get(&source.key());
            SourceStatus::of(
                source,
                state.map_or("unknown", |(state, _)| state.label()),
                if all > 0.0 {
                    effective(source) / all
                } else {
                    0.0
                },
            )
        };
        let shown = sources.all().iter().take(MOST_SOURCES);
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: directory.is_ready(),
            panic: directory.is_in_panic(),
            signed_list: sources.signed().map(ListStatus::of),
            sources: shown.map(|source| status(source)).collect(),
            omitted: sources.all().len().saturating_sub(MOST_SOURCES),
        }
    }
}

impl ListStatus {
    fn of(header: &Header) -> Self {
        Self {
            pool: header.pool.clone(),
            serial: header.serial,
            seconds_ago: header.age(SystemTime::now()).as_secs(),
        }
    }
}

impl SourceStatus {
    fn of(source: &Source, state: &str, share: f64) -> Self {
        let track = source.track().summary();
        let now = Instant::now();
        let last_error = track.last_error.map(|error| ErrorStatus {
            occasion: error.occasion.label().to_owned(),
            seconds_ago: now.saturating_duration_since(error.at).as_secs(),
            text: error.text,
        });
        Self {
            id: source.label().to_owned(),
            state: state.to_owned(),
            weight: source.config().weight,
            share,
            success: track.success,
            exchanges: track.exchanges,
            failures: track.failures,
            rtt_seconds: source.round_trip().map(|time| time.as_secs_f64()),
            connections_busy: source.busy(),
            connections_idle: source.idle.len(),
            last_error,
        }
    }
}
