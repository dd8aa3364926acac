//! `[upstream]`: how the pool deals with its time sources.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use nts_service::config::Section;
use serde::de::DeserializeOwned;

/// `[upstream]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// How many sources are tried for one user before keys are sent.
    pub attempts: usize,
    /// Exchanges at the same time with one source, unless its entry says otherwise.
    pub source_concurrency: usize,
    /// Connections to one source that wait for the next exchange.
    pub idle_per_source: usize,
    /// How long they wait.
    pub idle_timeout: Duration,
    /// How old a connection becomes, give or take a tenth.
    pub max_age: Duration,
    /// From one check of a source to the next, give or take a fifth.
    pub info_interval: Duration,
    /// Whether a request with keys is repeated to the *same* source when a kept-alive connection
    /// turns out to have died.
    pub same_source_retry: bool,
    /// Whether addresses of private networks are not connected to, unless a source's entry says
    /// otherwise.
    pub deny_private_addresses: bool,
    /// Where sources may send users.
    pub name_policy: NamePolicy,
}

/// Which names a source may put into its answers, for users to ask for the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NamePolicy {
    /// Any host.
    #[default]
    Any,
    /// Its domain, its `ntp-names`, and the addresses to which those lead.
    Verified,
}

impl NamePolicy {
    /// The value as it stands in a configuration.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Verified => "verified",
        }
    }
}

/// The keys and their bounds. Times are in seconds.
mod bounds {
    use super::RangeInclusive;

    pub(super) const ATTEMPTS: RangeInclusive<usize> = 1..=10;
    pub(super) const CONCURRENCY: RangeInclusive<usize> = 1..=1000;
    /// Sources keep some fifty or a hundred connections, for all pools together.
    pub(super) const IDLE: RangeInclusive<usize> = 0..=50;
    pub(super) const IDLE_TIMEOUT: RangeInclusive<u64> = 1..=3600;
    /// On a connection a source may make cookies with the keys that it had when it was opened.
    pub(super) const MAX_AGE: RangeInclusive<u64> = 10..=3600;
    /// What a source said an hour ago is not used any more.
    pub(super) const INFO_INTERVAL: RangeInclusive<u64> = 5..=1800;
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self {
            attempts: 3,
            source_concurrency: 8,
            idle_per_source: 2,
            idle_timeout: Duration::from_secs(300),
            max_age: Duration::from_secs(3600),
            info_interval: Duration::from_secs(60),
            same_source_retry: true,
            deny_private_addresses: false,
            name_policy: NamePolicy::default(),
        }
    }
}

impl UpstreamConfig {
    /// What holds unless the configuration says otherwise, for sources that others list.
    pub(super) fn for_sources_of_a_registry() -> Self {
        Self {
            deny_private_addresses: true,
            name_policy: NamePolicy::Verified,
            ..Self::default()
        }
    }
}

/// Reads the section; what it does not say is as in `default`.
pub(super) fn read(section: &Section<'_>, default: &UpstreamConfig) -> UpstreamConfig {
    UpstreamConfig {
        attempts: count(section, "attempts", default.attempts, bounds::ATTEMPTS),
        source_concurrency: count(
            section,
            "source-concurrency",
            default.source_concurrency,
            bounds::CONCURRENCY,
        ),
        idle_per_source: count(
            section,
            "idle-per-source",
            default.idle_per_source,
            bounds::IDLE,
        ),
        idle_timeout: seconds(
            section,
            "idle-timeout-s",
            default.idle_timeout,
            bounds::IDLE_TIMEOUT,
        ),
        max_age: seconds(section, "max-age-s", default.max_age, bounds::MAX_AGE),
        info_interval: seconds(
            section,
            "info-interval-s",
            default.info_interval,
            bounds::INFO_INTERVAL,
        ),
        same_source_retry: section.or("same-source-retry", default.same_source_retry),
        deny_private_addresses: section
            .or("deny-private-addresses", default.deny_private_addresses),
        name_policy: section.or("name-policy", default.name_policy),
    }
}

/// A source's own limit of exchanges at the same time, if it has one.
pub(super) fn read_max_concurrency(source: &Section<'_>) -> Option<usize> {
    const KEY: &str = "max-concurrency";
    let limit = count(
        source,
        KEY,
        *bounds::CONCURRENCY.start(),
        bounds::CONCURRENCY,
    );
    source.has(KEY).then_some(limit)
}

fn count<T: DeserializeOwned + PartialOrd + Display>(
    section: &Section<'_>,
    key: &'static str,
    default: T,
    bounds: RangeInclusive<T>,
) -> T {
    section.number(key, default, bounds, "")
}

fn seconds(
    section: &Section<'_>,
    key: &'static str,
    default: Duration,
    bounds: RangeInclusive<u64>,
) -> Duration {
    Duration::from_secs(section.number(key, default.as_secs(), bounds, "seconds"))
}
