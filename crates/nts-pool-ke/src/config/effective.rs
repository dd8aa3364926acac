//! The effective configuration as `--check` prints it: every key with its value, defaults filled
//! in, secrets left out.

use std::fmt;
use std::path::Path;

use nts_service::telemetry::logging::Format;
use nts_service::tls::TrustMode;

use crate::fleet::HealthPolicy;
use crate::selection::{AllDenied, Families, Groups, SelectionPolicy};

use super::{Config, ObservabilityConfig, Pair, SourceConfig, TlsFiles, UpstreamConfig};

/// TOML, except that secrets stand as `<redacted>`.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[nts-pool-ke-server]")?;
        writeln!(f, "listen = {}", self.listen)?;
        if let Some(files) = &self.tls.files {
            files.fmt(f)?;
        }
        let timeout = self.key_exchange_timeout.as_millis();
        writeln!(f, "key-exchange-timeout-ms = {timeout}")?;
        if let Some(database) = &self.geo {
            writeln!(f, "geo-database-path = {}", path(&database.file))?;
        }
        if let Some(file) = &self.sources.file {
            writeln!(f, "# from key-exchange-servers-path = {}:", path(file))?;
        }
        writeln!(f, "key-exchange-servers = [")?;
        for source in &self.sources.sources {
            writeln!(f, "    {source},")?;
        }
        writeln!(f, "]\n")?;
        write_selection(f, &self.selection)?;
        write_health(f, &self.health)?;
        self.upstream.fmt(f)?;
        self.limits.show(f, self.key_exchange_timeout)?;
        if let Some(proxy_protocol) = &self.proxy_protocol {
            writeln!(f, "{proxy_protocol}")?;
        }
        writeln!(f, "{}", self.shutdown)?;
        self.observability.fmt(f)
    }
}

impl fmt::Display for TlsFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match *self.authorities.mode {
            TrustMode::Only => "only",
            TrustMode::System => "system",
            TrustMode::SystemAndFile => "system-and-file",
        };
        writeln!(f, "certificate-authority-mode = {}", quoted(mode))?;
        if let Some(file) = &self.authorities.file {
            writeln!(f, "certificate-authority-path = {}", path(file))?;
        }
        let Pair { chain, key } = &self.front;
        writeln!(f, "certificate-chain-path = {}", path(chain))?;
        writeln!(f, "private-key-path = {}", path(key))?;
        let Pair { chain, key } = self.upstream();
        writeln!(f, "upstream-certificate-chain-path = {}", path(chain))?;
        writeln!(f, "upstream-private-key-path = {}", path(key))
    }
}

impl fmt::Display for SourceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{{ id = {}, domain = {}, port = {}",
            quoted(self.id()),
            quoted(self.domain()),
            self.port()
        )?;
        write!(f, ", weight = {}", self.weight)?;
        match (&self.auth_token_path, &self.auth_token) {
            (Some(file), _) => write!(f, ", auth-token-path = {}", path(file))?,
            (None, Some(_)) => write!(f, ", auth-token = {}", quoted("<redacted>"))?,
            (None, None) => {}
        }
        write!(f, ", dialect = {}", quoted(self.dialect.as_str()))?;
        let Families { v4, v6 } = self.families;
        write!(f, ", ipv4 = {v4}, ipv6 = {v6}")?;
        if !self.ntp_names.is_empty() {
            let names: Vec<_> = self.ntp_names.iter().map(quoted).collect();
            write!(f, ", ntp-names = [{}]", names.join(", "))?;
        }
        if !self.regions.is_empty() {
            let groups = Groups::default();
            let regions = self.regions.iter();
            let regions: Vec<_> = regions.map(|it| quoted(it.spelling(&groups))).collect();
            write!(f, ", regions = [{}]", regions.join(", "))?;
        }
        if let Some(operator) = &self.operator {
            write!(f, ", operator = {}", quoted(operator))?;
        }
        if let Some(limit) = self.max_concurrency {
            write!(f, ", max-concurrency = {limit}")?;
        }
        if let Some(allow) = self.allow_private {
            write!(f, ", allow-private = {allow}")?;
        }
        f.write_str(" }")
    }
}

fn write_selection(f: &mut fmt::Formatter<'_>, policy: &SelectionPolicy) -> fmt::Result {
    let diversity = match policy.operator_diversity {
        true => "operator",
        false => "none",
    };
    let all_denied = match policy.all_denied {
        AllDenied::Serve => "serve",
        AllDenied::Error => "error",
    };
    writeln!(f, "[selection]")?;
    writeln!(f, "local-min-sources = {}", policy.local_min_sources)?;
    writeln!(f, "local-min-operators = {}", policy.local_min_operators)?;
    writeln!(f, "wide-min-sources = {}", policy.wide_min_sources)?;
    let share = policy.operator_share_max.fraction();
    writeln!(f, "operator-share-max = {share:?}")?;
    writeln!(f, "diversity = {}", quoted(diversity))?;
    writeln!(f, "all-denied = {}\n", quoted(all_denied))
}

fn write_health(f: &mut fmt::Formatter<'_>, policy: &HealthPolicy) -> fmt::Result {
    writeln!(f, "[health]")?;
    writeln!(f, "failures = {}", policy.failures)?;
    writeln!(f, "hard-failures = {}", policy.hard_failures)?;
    writeln!(f, "unknown-failures = {}", policy.unknown_failures)?;
    writeln!(f, "ratio-at-least = {}", policy.ratio_at_least)?;
    writeln!(f, "ratio-window-s = {}", policy.ratio_window.as_secs())?;
    writeln!(f, "hold-s = {}", policy.hold.as_secs())?;
    writeln!(f, "hold-max-s = {}", policy.hold_max.as_secs())?;
    writeln!(f, "forgive-after-s = {}", policy.forgive_after.as_secs())?;
    writeln!(f, "probes = {}", policy.probes)?;
    writeln!(f, "ramp-s = {}", policy.ramp.as_secs())?;
    writeln!(
        f,
        "ramp-after-hard-s = {}",
        policy.ramp_after_hard.as_secs()
    )?;
    writeln!(f, "keep-sources = {}\n", policy.keep_sources)
}

impl fmt::Display for UpstreamConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[upstream]")?;
        writeln!(f, "attempts = {}", self.attempts)?;
        writeln!(f, "source-concurrency = {}", self.source_concurrency)?;
        writeln!(f, "idle-per-source = {}", self.idle_per_source)?;
        writeln!(f, "idle-timeout-s = {}", self.idle_timeout.as_secs())?;
        writeln!(f, "max-age-s = {}", self.max_age.as_secs())?;
        writeln!(f, "info-interval-s = {}", self.info_interval.as_secs())?;
        writeln!(f, "same-source-retry = {}", self.same_source_retry)?;
        let deny = self.deny_private_addresses;
        writeln!(f, "deny-private-addresses = {deny}")?;
        let names = self.name_policy.as_str();
        writeln!(f, "name-policy = {}\n", quoted(names))
    }
}

impl fmt::Display for ObservabilityConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = match self.log_format {
            Format::Text => "text",
            Format::Json => "json",
        };
        writeln!(f, "[observability]")?;
        writeln!(f, "log-level = {}", quoted(self.log_level.name()))?;
        writeln!(f, "log-format = {}", quoted(format))?;
        let client = self.log_client_address.name();
        writeln!(f, "log-client-address = {}", quoted(client))?;
        let monitors: Vec<_> = self.monitor_prefixes.iter().map(quoted).collect();
        writeln!(f, "monitor-prefixes = [{}]", monitors.join(", "))?;
        match &self.metrics_exporter_listen {
            Some(address) => writeln!(f, "metrics-exporter-listen = {}", quoted(address)),
            None => writeln!(f, "# metrics-exporter-listen: off"),
        }
    }
}

fn path(path: &Path) -> String {
    quoted(path.display())
}

fn quoted(value: impl fmt::Display) -> String {
    toml::Value::String(value.to_string()).to_string()
}
