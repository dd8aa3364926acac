//! `[observability]`: logs, observation socket, metrics.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// `[observability]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservabilityConfig {
    /// Least severe level that is logged (`-l` wins over it).
    pub log_level: tracing::Level,
    /// File the log is appended to; standard output without it.
    pub log_path: Option<PathBuf>,
    /// Path of the observation socket; no socket without it.
    pub observation_path: Option<PathBuf>,
    /// File mode of the observation socket.
    pub observation_permissions: u32,
    /// Where `ntp-metrics-exporter` listens.
    pub metrics_exporter_listen: SocketAddr,
}

impl Default for ObservabilityConfig {
    fn default() -> Self {
        Self {
            log_level: tracing::Level::INFO,
            log_path: None,
            observation_path: None,
            observation_permissions: 0o666,
            metrics_exporter_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9975)),
        }
    }
}
