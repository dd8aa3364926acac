//! `[[server]]`: sockets that answer NTP.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use nts_service::config::{ListenAddress, Located, Problem, Section};
use serde::Deserialize;

/// Greatest `rate-limiting-cache-size`.
const MAX_CACHE_SIZE: usize = 1 << 24;
/// Greatest `rate-limiting-cutoff-ms`.
const MAX_CUTOFF: Duration = Duration::from_secs(86_400);
/// Greatest `threads`.
const MAX_THREADS: usize = 256;
/// `rate-limiting-burst` when it is not set.
const DEFAULT_BURST: u16 = 8;

/// One `[[server]]`: a UDP socket that answers NTP.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Threads that serve, each with a socket of its own; 0 is one per core, up to 8.
    pub threads: usize,
    /// Number of addresses the rate limiter remembers; 0 turns it off.
    pub rate_limiting_cache_size: usize,
    /// Time after which an address that asked may ask once more; 0 turns the limiter off.
    pub rate_limiting_cutoff: Duration,
    /// What an address may ask at once.
    pub rate_limiting_burst: u16,
    /// Whether an address that asks too often is told so.
    pub rate_limiting_kiss: RateKiss,
    /// If present: who may ask, and what happens to all others.
    pub allowlist: Option<FilterList>,
    /// If present: who may not ask; looked at before `allowlist`.
    pub denylist: Option<FilterList>,
    /// If present: requests without NTS are refused like this.
    pub require_nts: Option<FilterAction>,
    /// NTP versions that are answered.
    pub accept_ntp_versions: AcceptedVersions,
}

impl ServerConfig {
    /// A server at `listen` that answers everybody.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            threads: 1,
            rate_limiting_cache_size: 0,
            rate_limiting_cutoff: Duration::ZERO,
            rate_limiting_burst: DEFAULT_BURST,
            rate_limiting_kiss: RateKiss::default(),
            allowlist: None,
            denylist: None,
            require_nts: None,
            accept_ntp_versions: AcceptedVersions::default(),
        }
    }
}

/// `allowlist` or `denylist`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterList {
    /// The networks.
    pub filter: Vec<IpNet>,
    /// What happens to a request that the list refuses.
    pub action: FilterAction,
}

/// How a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FilterAction {
    /// No answer.
    Ignore,
    /// A kiss packet `DENY`.
    Deny,
}

/// `rate-limiting-kiss`: who is told that it asks too often, by the kiss code RATE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RateKiss {
    /// Nobody: it gets no answer.
    #[default]
    Never,
    /// Whose request is authenticated by NTS.
    Nts,
    /// Everybody, by an answer that whoever forges an address can provoke.
    Always,
}

/// `accept-ntp-versions` of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedVersions {
    /// NTPv3 requests are answered.
    pub v3: bool,
    /// NTPv4 requests are answered.
    pub v4: bool,
}

impl Default for AcceptedVersions {
    fn default() -> Self {
        Self { v3: true, v4: true }
    }
}

/// Reads all servers. A wrong one is reported and left out.
pub(super) fn read_all(root: &Section<'_>) -> Vec<ServerConfig> {
    let mut taken = HashSet::new();
    root.sections("server")
        .iter()
        .filter_map(|section| read(section, &mut taken))
        .collect()
}

/// Where the server of this section listens. That one of the same kind is there already (`taken`)
/// is an error.
pub(super) fn read_listen(
    section: &Section<'_>,
    taken: &mut HashSet<SocketAddr>,
) -> Option<SocketAddr> {
    let listen = section.required::<ListenAddress>("listen")?.get();
    if !taken.insert(listen) {
        section.error(
            "listen",
            "an entry above listens there already; take one of them out",
        );
    }
    Some(listen)
}

fn read(section: &Section<'_>, taken: &mut HashSet<SocketAddr>) -> Option<ServerConfig> {
    let listen = read_listen(section, taken);
    let threads = section.number("threads", 1, 0..=MAX_THREADS, "");
    let size = section.number(
        "rate-limiting-cache-size",
        0,
        0..=MAX_CACHE_SIZE,
        "addresses",
    );
    let range = Duration::ZERO..=MAX_CUTOFF;
    let cutoff = section.milliseconds("rate-limiting-cutoff-ms", Duration::ZERO, range);
    let burst = section.number("rate-limiting-burst", DEFAULT_BURST, 1..=1000, "requests");
    let kiss = section.or("rate-limiting-kiss", RateKiss::default());
    warn_about_half_a_limit(section, size, cutoff);
    let allowlist = read_filter(section, "allowlist");
    let denylist = read_filter(section, "denylist");
    let require_nts = section
        .optional::<RequireNts>("require-nts")
        .and_then(RequireNts::action);
    let accept_ntp_versions = read_versions(section);
    Some(ServerConfig {
        listen: listen?,
        threads,
        rate_limiting_cache_size: size,
        rate_limiting_cutoff: cutoff,
        rate_limiting_burst: burst,
        rate_limiting_kiss: kiss,
        allowlist,
        denylist,
        require_nts,
        accept_ntp_versions,
    })
}

fn warn_about_half_a_limit(section: &Section<'_>, size: usize, cutoff: Duration) {
    if size > 0 && cutoff.is_zero() {
        let message = "limits nothing; set rate-limiting-cutoff-ms too";
        section.warning("rate-limiting-cache-size", message);
    } else if size == 0 && !cutoff.is_zero() {
        let message = "limits nothing; set rate-limiting-cache-size too";
        section.warning("rate-limiting-cutoff-ms", message);
    }
}

fn read_filter(section: &Section<'_>, key: &'static str) -> Option<FilterList> {
    let list = section.section(key)?;
    let action = list.required::<FilterAction>("action");
    if !list.has("filter") {
        list.error(
            "filter",
            "missing; add `filter = [\"192.0.2.0/24\", …]` to this section",
        );
    }
    let filter = list.list::<String>("filter")?;
    let filter = filter
        .iter()
        .filter_map(|text| read_network(&list, text))
        .collect();
    Some(FilterList {
        filter,
        action: action?,
    })
}

fn read_network(list: &Section<'_>, text: &Located<String>) -> Option<IpNet> {
    let network = text.parse::<IpNet>();
    if network.is_err() {
        let message = "no network; write an address and a length like `192.0.2.0/24` or \
                       `2001:db8::/32`";
        let problem = Problem::error(text.place().clone(), message);
        list.problems()
            .push(problem.with_value(format!("{:?}", **text)));
    }
    network.ok()
}

/// `require-nts` as written.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "write true, false, \"ignore\" or \"deny\"")]
enum RequireNts {
    Switch(bool),
    Action(FilterAction),
}

impl RequireNts {
    fn action(self) -> Option<FilterAction> {
        match self {
            Self::Switch(false) => None,
            Self::Switch(true) => Some(FilterAction::Ignore),
            Self::Action(action) => Some(action),
        }
    }
}

fn read_versions(section: &Section<'_>) -> AcceptedVersions {
    let key = "accept-ntp-versions";
    let Some(versions) = section.list::<i64>(key) else {
        return AcceptedVersions::default();
    };
    let mut accepted = AcceptedVersions {
        v3: false,
        v4: false,
    };
    for version in &versions {
        match **version {
            3 => accepted.v3 = true,
            4 => accepted.v4 = true,
            5 => section
                .problems()
                .error(version.place(), "NTPv5 is not supported; take 5 out"),
            _ => section
                .problems()
                .error(version.place(), "no such version; write 3 or 4"),
        }
    }
    if versions.is_empty() {
        section.error(
            key,
            "no request would be answered; write [3, 4] or take this server out",
        );
    }
    accepted
}
