//! `ntp.toml`: every key of the file becomes a value that cannot be invalid.
//!
//! A [`Config`] is complete: defaults are filled in, limits are checked, names and networks are
//! parsed. What never happens here: opening sockets, reading keys or certificates of the key
//! exchange server, or acting on any setting.

mod observability;
mod server;
mod source;
mod synchronization;

pub use observability::ObservabilityConfig;
pub use server::{
    AcceptedVersions, FilterAction, FilterList, KeServerConfig, KeysetConfig, ServerConfig,
};
pub use source::{CertificateAuthority, PollLimits, RemoteAddress, SourceConfig, SourceMode};
pub use synchronization::{AlgorithmConfig, ReferenceId, StepThreshold, SynchronizationConfig};

/// Everything a configuration file says, checked and with its defaults filled in.
#[derive(Debug)]
pub struct Config {
    /// `[[source]]`: where time comes from, in file order.
    pub sources: Vec<SourceConfig>,
    /// `[[server]]`: sockets that answer NTP.
    pub servers: Vec<ServerConfig>,
    /// `[[nts-ke-server]]`: sockets that answer NTS key exchanges.
    pub ke_servers: Vec<KeServerConfig>,
    /// `[keyset]`: the keys that seal cookies.
    pub keyset: KeysetConfig,
    /// `[synchronization]`: the clock.
    pub synchronization: SynchronizationConfig,
    /// `[observability]`: logs, observation socket, metrics.
    pub observability: ObservabilityConfig,
}
