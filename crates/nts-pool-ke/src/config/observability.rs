//! `[observability]`: logs and metrics.

use std::net::SocketAddr;

use ipnet::IpNet;
use nts_service::config::{ListenAddress, Section};
use nts_service::listener::Listen;
use nts_service::telemetry::client_address::ClientAddress;
use nts_service::telemetry::logging::{Format, Level};

/// `[observability]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservabilityConfig {
    /// Least severe level that is logged.
    pub log_level: Level,
    /// What a log line looks like.
    pub log_format: Format,
    /// How much of a user's address stands in the log.
    pub log_client_address: ClientAddress,
    /// Where metrics are served, if anywhere.
    pub metrics_exporter_listen: Option<SocketAddr>,
    /// Who connects from there is no user but wants to know whether the pool works.
    pub monitor_prefixes: Vec<IpNet>,
}

/// Reads the section.
pub(super) fn read(section: &Section<'_>) -> ObservabilityConfig {
    ObservabilityConfig {
        log_level: section.or("log-level", Level::default()),
        log_format: section.or("log-format", Format::default()),
        log_client_address: section.or("log-client-address", ClientAddress::default()),
        metrics_exporter_listen: section
            .optional("metrics-exporter-listen")
            .map(ListenAddress::get),
        monitor_prefixes: super::limits::read_networks(section, "monitor-prefixes")
            .unwrap_or_default(),
    }
}

/// Reports metrics at an address where users connect.
pub(super) fn refuse_address_of_users(
    section: &Section<'_>,
    observability: &ObservabilityConfig,
    listen: &Listen,
) {
    let (Some(metrics), Listen::On(users)) = (observability.metrics_exporter_listen, listen) else {
        return;
    };
    // Port 0 is another port each time.
    if metrics.port() != 0 && users.contains(&metrics) {
        section.error(
            "metrics-exporter-listen",
            "users connect there (`listen`); write another port",
        );
    }
}
