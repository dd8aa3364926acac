//! `[observability]`: logs, observation socket, metrics.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use nts_service::config::{ListenAddress, Located, Section};
use nts_service::telemetry::logging::Level;
use serde::Deserialize;

/// `[observability]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservabilityConfig {
    /// Least severe level that is logged (`-l` wins over it).
    pub log_level: Level,
    /// File the log is appended to; standard output without it.
    pub log_path: Option<PathBuf>,
    /// Whether the log has colours; `None` is when it goes to a terminal.
    pub ansi_colors: Option<bool>,
    /// Path of the observation socket; no socket without it.
    pub observation_path: Option<PathBuf>,
    /// File mode of the observation socket.
    pub observation_permissions: u32,
    /// Where `ntp-metrics-exporter` listens.
    pub metrics_exporter_listen: SocketAddr,
    /// File the log of `ntp-metrics-exporter` is appended to; standard output without it.
    pub log_path_metrics_exporter: Option<PathBuf>,
}

impl Default for ObservabilityConfig {
    fn default() -> Self {
        Self {
            log_level: Level::Info,
            log_path: None,
            ansi_colors: None,
            observation_path: None,
            observation_permissions: 0o666,
            metrics_exporter_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9975)),
            log_path_metrics_exporter: None,
        }
    }
}

impl ObservabilityConfig {
    /// Reads the section; what is missing or wrong is as in the default.
    pub(super) fn read(root: &Section<'_>) -> Self {
        let default = Self::default();
        let Some(section) = root.section("observability") else {
            return default;
        };
        let path = |key| section.path(key).map(Located::into_inner);
        Self {
            log_level: section
                .checked("log-level", |name: String| name.parse::<Level>())
                .unwrap_or(default.log_level),
            log_path: path("log-path"),
            ansi_colors: section.optional("ansi-colors"),
            observation_path: path("observation-path"),
            observation_permissions: section
                .checked("observation-permissions", check_mode)
                .unwrap_or(default.observation_permissions),
            metrics_exporter_listen: section
                .optional("metrics-exporter-listen")
                .map_or(default.metrics_exporter_listen, ListenAddress::get),
            log_path_metrics_exporter: path("log-path-metrics-exporter"),
        }
    }
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "wrong type; write a file mode without quotes, for instance 0o666"
)]
enum FileMode {
    Number(i64),
}

fn check_mode(FileMode::Number(mode): FileMode) -> Result<u32, String> {
    u32::try_from(mode)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| "no file mode; write it in octal with `0o`, for instance 0o666".to_owned())
}
