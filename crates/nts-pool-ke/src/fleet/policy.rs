//! The constants of health (pool design §3), each of which a pool operator may set.

use std::time::Duration;

/// The constants of health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthPolicy {
    /// So many failures in a row eject a healthy source …
    pub failures: u32,
    /// … or so many hard ones …
    pub hard_failures: u32,
    /// … or more than half of all, if there were so many …
    pub ratio_at_least: u32,
    /// … within this time.
    pub ratio_window: Duration,
    /// So many failures eject a source of which nothing is known yet.
    pub unknown_failures: u32,
    /// How long a first ejection lasts; each further one lasts twice as long.
    pub hold: Duration,
    /// The longest that one lasts.
    pub hold_max: Duration,
    /// After so long in good health one ejection is forgotten.
    pub forgive_after: Duration,
    /// So many checks in a row readmit a source.
    pub probes: u32,
    /// Between those checks: at least this …
    pub probe_pause_min: Duration,
    /// … and at most this.
    pub probe_pause_max: Duration,
    /// How long a readmitted source takes to get all of its weight …
    pub ramp: Duration,
    /// … and if it was ejected for a hard failure.
    pub ramp_after_hard: Duration,
    /// Users' failures alone leave so many sources in service, or half of a smaller pool.
    pub keep_sources: usize,
    /// Everything fails at once if more than half of all sources, and at least so many unless
    /// there are fewer, …
    pub outage_at_least: usize,
    /// … began to fail within this time.
    pub outage_window: Duration,
    /// That has ended when for so long no more than a quarter is failing …
    pub calm: Duration,
    /// … or when for so long at least something works: what still fails then is really ill.
    pub outage_max: Duration,
    /// Between the checks of a source that fails while everything fails.
    pub panic_check_pause: Duration,
    /// Between the checks of a source that is well.
    pub check_interval: Duration,
    /// No source is checked again sooner than that.
    pub check_pause: Duration,
    /// So many checks per second at most when all have to be checked at once.
    pub checks_per_second: u32,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self {
            failures: 3,
            hard_failures: 2,
            ratio_at_least: 20,
            ratio_window: Duration::from_secs(30),
            unknown_failures: 2,
            hold: Duration::from_secs(30),
            hold_max: Duration::from_secs(30 * 60),
            forgive_after: Duration::from_secs(10 * 60),
            probes: 2,
            probe_pause_min: Duration::from_secs(2),
            probe_pause_max: Duration::from_secs(5),
            ramp: Duration::from_secs(5 * 60),
            ramp_after_hard: Duration::from_secs(10 * 60),
            keep_sources: 3,
            outage_at_least: 4,
            outage_window: Duration::from_secs(30),
            calm: Duration::from_secs(3),
            outage_max: Duration::from_secs(5 * 60),
            panic_check_pause: Duration::from_millis(700),
            check_interval: Duration::from_secs(60),
            check_pause: Duration::from_secs(1),
            checks_per_second: 500,
        }
    }
}
