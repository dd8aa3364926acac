//! What a running pool cannot change.

use crate::config::Config;

/// The keys that differ and take effect only at the next start.
pub(super) fn needed(former: &Config, config: &Config) -> Vec<&'static str> {
    let (before, after) = (&former.observability, &config.observability);
    let differ = [
        ("listen", former.listen != config.listen),
        (
            "metrics-exporter-listen",
            before.metrics_exporter_listen != after.metrics_exporter_listen,
        ),
        ("log-format", before.log_format != after.log_format),
    ];
    let differ = differ.into_iter().filter(|(_, differs)| *differs);
    differ.map(|(key, _)| key).collect()
}
