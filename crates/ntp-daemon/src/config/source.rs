//! `[[source]]` and `[source-defaults]`.

use std::fmt;
use std::net::IpAddr;

use nts_service::config::{Address, Located, Section};
use nts_service::tls::{TrustAnchors, TrustMode};
use serde::Deserialize;

use super::notices::Notices;
use super::{NTP_PORT, POOL_FEATURE};

/// Port of NTS key exchange.
const KE_PORT: u16 = 4460;
/// Sources that `pool` and `nts-pool` hold when `count` does not say it.
const DEFAULT_COUNT: usize = 4;
/// Greatest `count`: a pool is told of every source that is held, and reads 32 names.
const MAX_COUNT: usize = 32;
/// Greatest poll interval that RFC 5905 §7.2 knows, log2 seconds.
const MAX_POLL: i8 = 17;

/// One `[[source]]`: what to ask for time, and how.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// What kind of source this is.
    pub mode: SourceMode,
    /// The NTP server, the pool's name, or the NTS-KE server.
    pub address: RemoteAddress,
    /// Bounds of the poll interval (from the source, else from `[source-defaults]`).
    pub poll_interval_limits: PollLimits,
    /// First poll interval after the initial burst, log2 seconds; within the limits.
    pub initial_poll_interval: i8,
    /// Whether the first four requests go out two seconds apart.
    pub burst: bool,
}

/// `mode` of a source, with the keys that are legal for that mode only.
#[derive(Clone, Debug)]
pub enum SourceMode {
    /// One NTP server, not authenticated.
    Server,
    /// Several NTP servers behind one DNS name, not authenticated.
    Pool {
        /// Greatest number of sources to hold, at least 1.
        count: usize,
        /// Addresses never used.
        ignore: Vec<IpAddr>,
    },
    /// One NTP server, found and authenticated by NTS key exchange.
    Nts {
        /// Roots of the system and of `certificate-authority`.
        trust: TrustAnchors,
    },
    /// Several NTP servers, handed out by an NTS pool. Only with the feature
    /// `unstable_nts-pool` does a configuration file yield this mode.
    NtsPool {
        /// Greatest number of sources to hold, at least 1.
        count: usize,
        /// Roots of the system and of `certificate-authority`.
        trust: TrustAnchors,
    },
}

impl SourceMode {
    /// The mode as the configuration file writes it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Server => Mode::Server.name(),
            Self::Pool { .. } => Mode::Pool.name(),
            Self::Nts { .. } => Mode::Nts.name(),
            Self::NtsPool { .. } => Mode::NtsPool.name(),
        }
    }

    /// How many sources it can give.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Server | Self::Nts { .. } => 1,
            Self::Pool { count, .. } | Self::NtsPool { count, .. } => *count,
        }
    }
}

/// Host and port of a remote, not yet resolved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteAddress {
    /// A DNS name, or an IP address without brackets.
    pub host: String,
    /// The port; never 0.
    pub port: u16,
}

impl fmt::Display for RemoteAddress {
    /// `host:port`, with brackets around an IPv6 address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Bounds of a poll interval in log2 seconds, `0 <= min <= max <= 17`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollLimits {
    /// Shortest interval, log2 seconds.
    pub min: i8,
    /// Longest interval, log2 seconds.
    pub max: i8,
}

impl Default for PollLimits {
    /// 16 s … 1024 s.
    fn default() -> Self {
        Self { min: 4, max: 10 }
    }
}

/// `[source-defaults]`, or the same keys of one source.
#[derive(Clone, Copy)]
struct Polling {
    limits: PollLimits,
    initial: i8,
}

/// Reads all sources. A wrong one is reported and left out.
pub(super) fn read_all(root: &Section<'_>, notices: &Notices) -> Vec<SourceConfig> {
    let built_in = Polling {
        limits: PollLimits::default(),
        initial: PollLimits::default().min,
    };
    let defaults = match root.section("source-defaults") {
        Some(section) => read_polling(&section, built_in, Missing::Error),
        None => built_in,
    };
    let sources = root.sections("source");
    sources
        .iter()
        .filter_map(|section| read(section, defaults, notices))
        .collect()
}

/// The keys that belong to some modes only.
const KEYS_OF_MODES: [(&str, &[Mode]); 4] = [
    ("certificate-authority", &[Mode::Nts, Mode::NtsPool]),
    ("count", &[Mode::Pool, Mode::NtsPool]),
    ("ignore", &[Mode::Pool]),
    ("enable-srv-resolution", &[Mode::Nts, Mode::NtsPool]),
];

/// The keys that belong to every mode.
const COMMON_KEYS: [&str; 5] = [
    "address",
    "burst",
    "ntp-version",
    "poll-interval-limits",
    "initial-poll-interval",
];

/// The keys of clocks at this machine, which are not supported.
const KEYS_OF_DEVICES: [&str; 5] = [
    "path",
    "precision",
    "accuracy",
    "period",
    "measurement_noise_estimate",
];

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Server,
    Pool,
    Nts,
    NtsPool,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Pool => "pool",
            Self::Nts => "nts",
            Self::NtsPool => "nts-pool",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Server | Self::Pool => NTP_PORT,
            Self::Nts | Self::NtsPool => KE_PORT,
        }
    }
}

fn read(section: &Section<'_>, defaults: Polling, notices: &Notices) -> Option<SourceConfig> {
    let Some(mode) = read_mode(section) else {
        // Which other keys are right depends on the mode.
        let of_modes = KEYS_OF_MODES.iter().map(|(key, _)| *key);
        for key in of_modes.chain(COMMON_KEYS).chain(KEYS_OF_DEVICES) {
            section.has(key);
        }
        return None;
    };
    for (key, modes) in KEYS_OF_MODES {
        if !modes.contains(&mode) {
            let name = mode.name();
            section.refuse(
                key,
                format!("does not belong to mode \"{name}\"; take it out"),
            );
        }
    }
    let address = section
        .required::<Address>("address")
        .map(|address| RemoteAddress {
            host: address.host().to_string(),
            port: address.port_or(mode.default_port()),
        });
    let polling = read_polling(section, defaults, Missing::Default);
    section.checked("ntp-version", check_version);
    let burst = section.or("burst", true);
    let mode = read_keys_of_mode(section, mode, notices);
    Some(SourceConfig {
        mode: mode?,
        address: address?,
        poll_interval_limits: polling.limits,
        initial_poll_interval: polling.initial,
        burst,
    })
}

fn read_mode(section: &Section<'_>) -> Option<Mode> {
    let mode = section.required::<String>("mode")?;
    match mode.as_str() {
        "server" => Some(Mode::Server),
        "pool" => Some(Mode::Pool),
        "nts" => Some(Mode::Nts),
        "nts-pool" if cfg!(feature = "unstable_nts-pool") => Some(Mode::NtsPool),
        "nts-pool" => {
            section.value_needs_feature("mode", POOL_FEATURE);
            None
        }
        "sock" | "pps" => {
            section.error(
                "mode",
                "clocks at this machine are not supported; take this source out",
            );
            None
        }
        _ => {
            let message = "no such mode; write \"server\", \"pool\", \"nts\" or \"nts-pool\"";
            section.error("mode", message);
            None
        }
    }
}

fn read_keys_of_mode(section: &Section<'_>, mode: Mode, notices: &Notices) -> Option<SourceMode> {
    let count = || section.number("count", DEFAULT_COUNT, 1..=MAX_COUNT, "");
    match mode {
        Mode::Server => Some(SourceMode::Server),
        Mode::Pool => {
            let ignore = section.list::<IpAddr>("ignore").unwrap_or_default();
            let ignore = ignore
                .into_iter()
                .map(|ip| Located::into_inner(ip).to_canonical())
                .collect();
            Some(SourceMode::Pool {
                count: count(),
                ignore,
            })
        }
        Mode::Nts | Mode::NtsPool => {
            if section.or("enable-srv-resolution", false) {
                let why = "the name itself is looked up, no SRV record";
                notices.no_effect(section, "enable-srv-resolution", why);
            }
            let trust = read_trust(section);
            Some(match mode {
                // Read first: a key that is not read counts as unknown.
                Mode::NtsPool => SourceMode::NtsPool {
                    count: count(),
                    trust: trust?,
                },
                _ => SourceMode::Nts { trust: trust? },
            })
        }
    }
}

/// The roots to check servers against; `None` if `certificate-authority` is wrong.
fn read_trust(section: &Section<'_>) -> Option<TrustAnchors> {
    let key = "certificate-authority";
    let (place, problems) = (section.place(key), section.problems());
    if section.has(key) {
        let file = section.path(key)?;
        TrustAnchors::load(TrustMode::SystemAndFile, Some(&file), &place, problems)
    } else {
        TrustAnchors::load(TrustMode::System, None, &place, problems)
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "write 4 or \"auto\"")]
enum Version {
    Number(i64),
    Word(String),
}

/// NTPv4 is what is spoken; `"auto"` may choose it.
fn check_version(version: Version) -> Result<(), String> {
    match version {
        Version::Number(4) => Ok(()),
        Version::Word(word) if word == "auto" => Ok(()),
        Version::Number(5) => Err("NTPv5 is not supported; write 4 or \"auto\"".to_owned()),
        _ => Err("no such version; write 4 or \"auto\"".to_owned()),
    }
}

/// What a missing side of `poll-interval-limits` means.
#[derive(Clone, Copy, PartialEq)]
enum Missing {
    Default,
    Error,
}

/// The polling keys of `section`; what is missing or wrong is as in `defaults`.
fn read_polling(section: &Section<'_>, defaults: Polling, missing: Missing) -> Polling {
    let mut limits = defaults.limits;
    if let Some(section) = section.section("poll-interval-limits") {
        let side = |key, default| {
            if missing == Missing::Error {
                section.required::<i64>(key);
            }
            section.number(key, default, 0..=MAX_POLL, "(log2 seconds)")
        };
        limits = PollLimits {
            min: side("min", limits.min),
            max: side("max", limits.max),
        };
    }
    if limits.min > limits.max {
        let PollLimits { min, max } = limits;
        let message = format!("min = {min} is greater than max = {max}; make it smaller");
        section.error("poll-interval-limits", message);
        limits = defaults.limits;
    }
    // An inherited value gives way to the limits of this section; its own must respect them.
    let PollLimits { min, max } = limits;
    let inherited = defaults.initial.clamp(min, max);
    let initial = section.number(
        "initial-poll-interval",
        inherited,
        min..=max,
        "(log2 seconds)",
    );
    Polling { limits, initial }
}
