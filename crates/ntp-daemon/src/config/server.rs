//! `[[server]]`, `[[nts-ke-server]]` and `[keyset]`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

/// One `[[server]]`: a UDP socket that answers NTP.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Number of addresses the rate limiter remembers; 0 turns it off.
    pub rate_limiting_cache_size: usize,
    /// Least time between two requests of one address.
    pub rate_limiting_cutoff: Duration,
    /// If present: who may ask, and what happens to all others.
    pub allowlist: Option<FilterList>,
    /// If present: who may not ask; looked at before `allowlist`.
    pub denylist: Option<FilterList>,
    /// If present: requests without NTS are refused like this.
    pub require_nts: Option<FilterAction>,
    /// NTP versions that are answered.
    pub accept_ntp_versions: AcceptedVersions,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterAction {
    /// No answer.
    Ignore,
    /// A kiss packet `DENY`.
    Deny,
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

/// One `[[nts-ke-server]]`: a TCP socket that answers NTS key exchanges.
#[derive(Clone, Debug)]
pub struct KeServerConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Budget of one exchange, from accept on.
    pub key_exchange_timeout: Duration,
    /// Greatest number of connections of ordinary exchanges.
    pub concurrent_connections: usize,
    /// Greatest number of connections that pools keep alive.
    pub longlived_connections: usize,
    /// Port told to clients; without it they use 123.
    pub ntp_port: Option<u16>,
}

/// `[keyset]`: the keys that seal cookies.
#[derive(Clone, Debug)]
pub struct KeysetConfig {
    /// How many keys before the present one still open cookies.
    pub stale_key_count: usize,
    /// Time between two new keys.
    pub key_rotation_interval: Duration,
    /// File that keeps the keys over a restart.
    pub key_storage_path: Option<PathBuf>,
}

impl Default for KeysetConfig {
    fn default() -> Self {
        Self {
            stale_key_count: 7,
            key_rotation_interval: Duration::from_secs(86_400),
            key_storage_path: None,
        }
    }
}
