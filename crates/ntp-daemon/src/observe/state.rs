//! The document on the observation socket, shared by the daemon that writes it and the programs
//! that read it.
//!
//! Keys and units are public surface: they are those that monitoring of ntpd-rs 1.9 knows, plus
//! keys of our own (each says so). What is not known yet is `null`. What never happens here:
//! collecting the values, or rendering them for people.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::config;
use crate::ke_server::KeStatsSnapshot;
use crate::keys::KeyStatus;
use crate::server::StatsSnapshot;

/// All that the daemon tells about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObservableState {
    /// The program.
    pub program: ProgramState,
    /// What it knows about time as a whole.
    pub system: SystemState,
    /// One entry per remote that is asked for time.
    pub sources: Vec<SourceState>,
    /// Our own key: one entry per `[[source]]` of the configuration.
    #[serde(default)]
    pub configured_sources: Vec<ConfiguredSourceState>,
    /// One entry per `[[server]]`.
    pub servers: Vec<ServerState>,
    /// Our own key: one entry per `[[nts-ke-server]]`.
    #[serde(default)]
    pub nts_ke_servers: Vec<KeServerState>,
    /// Our own key: the keys that seal cookies; `null` without any server.
    #[serde(default)]
    pub cookie_keys: Option<CookieKeysState>,
}

/// `program`: which build, running since when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProgramState {
    /// Version of the daemon.
    pub version: String,
    /// Commit it was built from, or `unknown`.
    pub build_commit: String,
    /// Date of that commit, or `unknown`.
    pub build_commit_date: String,
    /// Seconds since the daemon started.
    pub uptime_seconds: f64,
    /// The clock of the daemon when it wrote this document.
    pub now: Timestamp,
}

/// An NTP timestamp as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamp {
    /// Seconds since 1900 modulo 2^32 in the upper half, their fraction in the lower half.
    pub timestamp: u64,
}

/// `system`: what the daemon tells its own clients, and what it did to the clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SystemState {
    /// Stratum that is served; 16 is unsynchronised.
    pub stratum: u8,
    /// Reference id that is served, its four octets read as a big-endian number.
    pub reference_id: u32,
    /// Greatest sum of steps in seconds; `null` is no limit.
    pub accumulated_steps_threshold: Option<f64>,
    /// Precision of the clock in seconds.
    pub precision: f64,
    /// Delay to the primary server in seconds.
    pub root_delay: f64,
    /// When the root variance was valid.
    pub root_variance_base_time: Timestamp,
    /// Variance of the clock's error at that time, in s².
    pub root_variance_base: f64,
    /// Its growth with the time t since then: factor of t.
    pub root_variance_linear: f64,
    /// Factor of t².
    pub root_variance_quadratic: f64,
    /// Factor of t³.
    pub root_variance_cubic: f64,
    /// What is announced about leap seconds.
    pub leap_indicator: LeapIndicator,
    /// Sum of all steps of the clock but the first, in seconds.
    pub accumulated_steps: f64,
    /// Our own key: whether this daemon steers the system's clock.
    #[serde(default)]
    pub clock_control: bool,
    /// Our own key: the clock that the daemon keeps; `null` if it keeps none.
    #[serde(default)]
    pub clock: Option<ClockState>,
}

/// `clock` of the system: how well the clock is kept that the daemon steers, be it the system's or
/// one of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClockState {
    /// Whether it is synchronised to the sources.
    pub synchronized: bool,
    /// Why it is not, in plain words.
    pub reason: Option<String>,
    /// How far true time was ahead of the clock after the last update, in seconds; it is being
    /// corrected. `null` before the first.
    pub offset: Option<f64>,
    /// Standard deviation of that, in seconds.
    pub offset_uncertainty: Option<f64>,
    /// How much faster than by itself the clock is made to run, in s/s, without `slew`.
    pub frequency: f64,
    /// Standard deviation of the error of that, in s/s.
    pub frequency_uncertainty: Option<f64>,
    /// How much faster it runs at the moment to make up for an offset, in s/s.
    pub slew: f64,
    /// How often it was stepped.
    pub steps: u64,
    /// When the sources corrected it last.
    pub last_update: Option<Timestamp>,
}

impl SystemState {
    /// Root dispersion in seconds at `now`: the root of the variance polynomial.
    #[must_use]
    pub fn root_dispersion(&self, now: Timestamp) -> f64 {
        let t = seconds_between(self.root_variance_base_time, now).max(0.0);
        let variance = self.root_variance_base
            + t * (self.root_variance_linear
                + t * (self.root_variance_quadratic + t * self.root_variance_cubic));
        variance.max(0.0).sqrt()
    }
}

/// Seconds from `earlier` to `later`, right also across the change of era in 2036.
fn seconds_between(earlier: Timestamp, later: Timestamp) -> f64 {
    let difference = later
        .timestamp
        .wrapping_sub(earlier.timestamp)
        .cast_signed();
    difference as f64 / 4_294_967_296.0
}

/// Leap indicator as ntpd-rs spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeapIndicator {
    /// Nothing announced.
    NoWarning,
    /// The last minute of the day has 61 seconds.
    Leap61,
    /// The last minute of the day has 59 seconds.
    Leap59,
    /// Not known.
    Unknown,
    /// The clock is not synchronised.
    Unsynchronized,
}

/// One entry of `sources`. Times are in seconds; positive offsets mean that the remote's clock is
/// ahead of ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceState {
    /// Offset of the remote's clock; `null` before the first usable answer.
    pub offset: Option<f64>,
    /// Bound of the error of the offset.
    pub uncertainty: Option<f64>,
    /// Round trip.
    pub delay: Option<f64>,
    /// Root delay that the remote reports.
    pub remote_delay: Option<f64>,
    /// Root dispersion that the remote reports.
    pub remote_uncertainty: Option<f64>,
    /// When the newest measurement was taken.
    pub last_update: Option<Timestamp>,
    /// Polls without an answer since the last answer, at most 8.
    pub unanswered_polls: u32,
    /// Poll interval in log2 seconds.
    pub poll_interval: i8,
    /// Cookies held; `null` for a source without NTS.
    pub nts_cookies: Option<usize>,
    /// The source's address as configured.
    pub name: String,
    /// Address and port of the remote.
    pub address: SocketAddr,
    /// Number of the source, never used twice in one run of the daemon.
    pub id: u64,
    /// Our own key: `mode` of the configured source.
    #[serde(default)]
    pub mode: SourceMode,
    /// Our own key: the name of the remote, for instance the one that a pool gave.
    #[serde(default)]
    pub remote_name: String,
    /// Our own key: what the daemon thinks of the source.
    #[serde(default)]
    pub state: SourceCondition,
    /// Our own key: the last answer was authenticated by NTS.
    #[serde(default)]
    pub authenticated: bool,
    /// Our own key: stratum of the remote; `null` before the first answer.
    #[serde(default)]
    pub stratum: Option<u8>,
    /// Our own key: reference id of the remote as a big-endian number.
    #[serde(default)]
    pub reference_id: Option<u32>,
    /// Our own key: the last 8 polls, newest in the lowest bit, set when answered.
    #[serde(default)]
    pub reach: u8,
    /// Our own key: mean difference of the last offsets from the best one.
    #[serde(default)]
    pub jitter: Option<f64>,
    /// Our own key: seconds until the next request.
    #[serde(default)]
    pub next_poll_seconds: Option<f64>,
    /// Our own key: what went wrong last, in plain words; `null` when nothing is wrong.
    #[serde(default)]
    pub last_error: Option<String>,
}

/// `mode` of a `[[source]]`, spelt as in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceMode {
    /// One plain NTP server.
    #[default]
    Server,
    /// Several plain NTP servers behind one name.
    Pool,
    /// One NTS server.
    Nts,
    /// Several NTS servers from an NTS pool.
    NtsPool,
}

/// What the daemon thinks of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceCondition {
    /// No usable answer yet.
    #[default]
    Starting,
    /// Answers, and the answers can be used.
    Reachable,
    /// Answers, but has not been measured often enough.
    Measuring,
    /// Used.
    Selected,
    /// Used, and says most.
    Best,
    /// Not used: contradicts the sources that are.
    Falseticker,
    /// Not used: too few sources agree with each other.
    NoConsensus,
    /// Not used: its stratum is not below `local-stratum`.
    StratumTooHigh,
    /// Not used: too far from a reference clock.
    TooFar,
    /// Not used: its error may be greater than `maximum-source-uncertainty`.
    Uncertain,
    /// Answers, but says that its own clock is not synchronised or fails another packet test.
    Unusable,
    /// None of the last polls was answered.
    Unreachable,
}

impl SourceCondition {
    /// Whether the clock is kept by the source.
    #[must_use]
    pub fn is_used(self) -> bool {
        matches!(self, Self::Best | Self::Selected)
    }
}

/// One entry of `configured_sources`: what a `[[source]]` owes and holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfiguredSourceState {
    /// The source's address as configured.
    pub name: String,
    /// Its mode.
    pub mode: SourceMode,
    /// How many remotes it should hold.
    pub wanted: usize,
    /// How many it holds.
    pub held: usize,
    /// Why it holds fewer than it should, in plain words.
    pub last_error: Option<String>,
    /// Seconds until it tries again; `null` when nothing is planned.
    pub next_try_seconds: Option<f64>,
}

/// One entry of `servers`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerState {
    /// Address it listens on.
    pub address: SocketAddr,
    /// What it counted.
    pub stats: ServerStats,
}

/// `stats` of a server: counters since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStats {
    /// Datagrams received.
    pub received_packets: u64,
    /// Requests answered with time.
    pub accepted_packets: u64,
    /// Requests answered with `DENY`.
    pub denied_packets: u64,
    /// Datagrams dropped: malformed, or refused in silence.
    pub ignored_packets: u64,
    /// Requests refused by the rate limit.
    pub rate_limited_packets: u64,
    /// Answers that could not be sent.
    pub response_send_errors: u64,
    /// Of `received_packets`: with NTS.
    pub nts_received_packets: u64,
    /// Of `accepted_packets`: with NTS.
    pub nts_accepted_packets: u64,
    /// Of `denied_packets`: with NTS.
    pub nts_denied_packets: u64,
    /// Of `rate_limited_packets`: with NTS.
    pub nts_rate_limited_packets: u64,
    /// Requests answered with an NTS NAK.
    pub nts_nak_packets: u64,
    /// Our own key: requests that got no NTS NAK because their network got many already.
    #[serde(default)]
    pub nts_nak_limited_packets: u64,
    /// Our own key: of `accepted_packets`: NTPv3.
    #[serde(default)]
    pub accepted_v3_packets: u64,
    /// Our own key: of `ignored_packets`: no NTP packets.
    #[serde(default)]
    pub malformed_packets: u64,
    /// Our own key: of `ignored_packets`: packets that are not requests.
    #[serde(default)]
    pub wrong_mode_packets: u64,
    /// Our own key: of `ignored_packets`: versions that are not accepted.
    #[serde(default)]
    pub wrong_version_packets: u64,
}

/// One entry of `nts_ke_servers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeServerState {
    /// Address it listens on.
    pub address: SocketAddr,
    /// What it counted.
    pub stats: KeServerStats,
}

/// `stats` of a key exchange server: counters since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeServerStats {
    /// Connections that were accepted.
    pub accepted_connections: u64,
    /// Connections that were closed at once because a limit was reached.
    #[serde(default)]
    pub refused_connections: u64,
    /// Connections that were closed because their address had made many already.
    #[serde(default)]
    pub rate_limited_connections: u64,
    /// Connections that were closed because they did not send anything in time.
    #[serde(default)]
    pub silent_connections: u64,
    /// TLS handshakes that failed or did not settle on `ntske/1`.
    pub failed_handshakes: u64,
    /// Ordinary exchanges that got cookies.
    pub key_exchanges: u64,
    /// Fixed Key Requests of pools that got cookies.
    pub fixed_key_requests: u64,
    /// Requests of pools for lists of what is supported.
    pub info_requests: u64,
    /// Requests answered with an Error record or an empty list.
    pub refused_requests: u64,
    /// Connections that ended without an answer.
    pub abandoned_connections: u64,
}

/// `cookie_keys`: the keys that seal cookies and open them. None of it is secret.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CookieKeysState {
    /// Whether they are derived from a secret that other nodes have too.
    pub shared: bool,
    /// How many open cookies.
    pub count: usize,
    /// The id of the one that seals, which stands at the front of its cookies.
    pub sealing_id: u32,
    /// Seconds since it began to seal.
    pub age_seconds: f64,
    /// Seconds until another one seals.
    pub next_rotation_seconds: f64,
}

impl From<KeyStatus> for CookieKeysState {
    fn from(status: KeyStatus) -> Self {
        Self {
            shared: status.shared,
            count: status.count,
            sealing_id: status.sealing_id,
            age_seconds: status.age.as_secs_f64(),
            next_rotation_seconds: status.next_rotation.as_secs_f64(),
        }
    }
}

impl From<&config::SourceMode> for SourceMode {
    fn from(mode: &config::SourceMode) -> Self {
        match mode {
            config::SourceMode::Server => Self::Server,
            config::SourceMode::Pool { .. } => Self::Pool,
            config::SourceMode::Nts { .. } => Self::Nts,
            config::SourceMode::NtsPool { .. } => Self::NtsPool,
        }
    }
}

impl From<StatsSnapshot> for ServerStats {
    fn from(counted: StatsSnapshot) -> Self {
        Self {
            received_packets: counted.received_packets,
            accepted_packets: counted.accepted_packets,
            denied_packets: counted.denied_packets,
            ignored_packets: counted.ignored_packets,
            rate_limited_packets: counted.rate_limited_packets,
            response_send_errors: counted.response_send_errors,
            nts_received_packets: counted.nts_received_packets,
            nts_accepted_packets: counted.nts_accepted_packets,
            nts_denied_packets: counted.nts_denied_packets,
            nts_rate_limited_packets: counted.nts_rate_limited_packets,
            nts_nak_packets: counted.nts_nak_packets,
            nts_nak_limited_packets: counted.nts_nak_limited_packets,
            accepted_v3_packets: counted.accepted_v3_packets,
            malformed_packets: counted.malformed_packets,
            wrong_mode_packets: counted.wrong_mode_packets,
            wrong_version_packets: counted.wrong_version_packets,
        }
    }
}

impl From<KeStatsSnapshot> for KeServerStats {
    fn from(counted: KeStatsSnapshot) -> Self {
        Self {
            accepted_connections: counted.accepted_connections,
            refused_connections: counted.refused_connections,
            rate_limited_connections: counted.rate_limited_connections,
            silent_connections: counted.silent_connections,
            failed_handshakes: counted.failed_handshakes,
            key_exchanges: counted.key_exchanges,
            fixed_key_requests: counted.fixed_key_requests,
            info_requests: counted.info_requests,
            refused_requests: counted.refused_requests,
            abandoned_connections: counted.abandoned_connections,
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
pub(crate) mod tests;
