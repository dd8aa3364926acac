//! The effective configuration as `--check` prints it: every key with its value, defaults filled
//! in, secrets left out.

use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use nts_service::telemetry::logging::Format;
use nts_service::tls::{self, CertificateFacts, Identity, TrustMode};

use crate::age;
use crate::fleet::HealthPolicy;
use crate::selection::{AllDenied, Families, Group, Groups, SelectionPolicy};

use super::overview::Overview;
use super::{Config, ObservabilityConfig, Pair, SourceConfig, TlsConfig, TlsFiles, UpstreamConfig};

/// TOML, except that secrets stand as `<redacted>`.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[nts-pool-ke-server]")?;
        writeln!(f, "listen = {}", self.listen)?;
        if let Some(files) = &self.tls.files {
            write_tls(f, &self.tls, files)?;
        }
        let timeout = self.key_exchange_timeout.as_millis();
        writeln!(f, "key-exchange-timeout-ms = {timeout}")?;
        if let Some(database) = &self.geo {
            writeln!(f, "geo-database-path = {}", path(&database.file))?;
        }
        if let Some(secret) = &self.token_secret {
            writeln!(f, "token-secret-path = {}", path(secret.file()))?;
        }
        if let Some(file) = &self.sources.file {
            writeln!(f, "# from key-exchange-servers-path = {}:", path(file))?;
        }
        if let Some(list) = &self.sources.signed {
            let header = list.header();
            writeln!(
                f,
                "# from the signed list for {}, serial {}, made on {} ({} ago):",
                quoted(&header.pool),
                header.serial,
                tls::date(header.issued),
                age::shown(header.age(SystemTime::now()))
            )?;
        }
        writeln!(f, "key-exchange-servers = [")?;
        for source in &self.sources.sources {
            writeln!(f, "    {},", source.shown(&self.groups))?;
        }
        writeln!(f, "]")?;
        writeln!(f, "{}", Overview::of(self))?;
        if let Some(snapshot) = &self.snapshot {
            snapshot.fmt(f)?;
        }
        write_selection(f, &self.selection)?;
        for group in self.groups.all() {
            write_group(f, group)?;
        }
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

fn write_tls(f: &mut fmt::Formatter<'_>, tls: &TlsConfig, files: &TlsFiles) -> fmt::Result {
    let mode = match *files.authorities.mode {
        TrustMode::Only => "only",
        TrustMode::System => "system",
        TrustMode::SystemAndFile => "system-and-file",
    };
    writeln!(f, "certificate-authority-mode = {}", quoted(mode))?;
    if let Some(file) = &files.authorities.file {
        writeln!(f, "certificate-authority-path = {}", path(file))?;
    }
    let Pair { chain, key } = &files.front;
    writeln!(f, "certificate-chain-path = {}", path(chain))?;
    write_chain(f, &tls.identity)?;
    writeln!(f, "private-key-path = {}", path(key))?;
    let Pair { chain, key } = files.upstream();
    writeln!(f, "upstream-certificate-chain-path = {}", path(chain))?;
    write_chain(f, &tls.upstream_identity)?;
    writeln!(f, "upstream-private-key-path = {}", path(key))
}

/// What is in a chain, in comments.
fn write_chain(f: &mut fmt::Formatter<'_>, identity: &Identity) -> fmt::Result {
    for (number, certificate) in identity.chain().into_iter().enumerate() {
        let CertificateFacts {
            subject, issuer, ..
        } = &certificate;
        write!(f, "# {}: {subject}, issued by {issuer}", number + 1)?;
        if number == 0 {
            write!(f, ", for {}", certificate.names.join(" "))?;
        }
        let end = tls::date(certificate.not_after);
        writeln!(f, ", good until {end}")?;
    }
    Ok(())
}

impl SourceConfig {
    /// The entry that it would be read from, under these groups.
    pub(super) fn shown<'a>(&'a self, groups: &'a Groups) -> impl fmt::Display + use<'a> {
        Shown(self, groups)
    }
}

/// A source and the groups that it may be listed for.
struct Shown<'a>(&'a SourceConfig, &'a Groups);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(source, groups) = *self;
        write!(
            f,
            "{{ id = {}, domain = {}, port = {}",
            quoted(source.id()),
            quoted(source.domain()),
            source.port()
        )?;
        write!(f, ", weight = {}", source.weight)?;
        match (&source.auth_token_path, &source.auth_token) {
            _ if source.token_generation.is_some() => {}
            (Some(file), _) => write!(f, ", auth-token-path = {}", path(file))?,
            (None, Some(_)) => write!(f, ", auth-token = {}", quoted("<redacted>"))?,
            (None, None) => {}
        }
        if let Some(generation) = source.token_generation {
            write!(f, ", token-generation = {generation}")?;
        }
        write!(f, ", dialect = {}", quoted(source.dialect.as_str()))?;
        let Families { v4, v6 } = source.families;
        write!(f, ", ipv4 = {v4}, ipv6 = {v6}")?;
        if !source.ntp_names.is_empty() {
            let names: Vec<_> = source.ntp_names.iter().map(quoted).collect();
            write!(f, ", ntp-names = [{}]", names.join(", "))?;
        }
        if !source.regions.is_empty() {
            let regions = source.regions.iter();
            let regions: Vec<_> = regions.map(|it| quoted(it.spelling(groups))).collect();
            write!(f, ", regions = [{}]", regions.join(", "))?;
        }
        if let Some(operator) = &source.operator {
            write!(f, ", operator = {}", quoted(operator))?;
        }
        if let Some(limit) = source.max_concurrency {
            write!(f, ", max-concurrency = {limit}")?;
        }
        if let Some(allow) = source.allow_private {
            write!(f, ", allow-private = {allow}")?;
        }
        if source.match_family {
            f.write_str(", match-family = true")?;
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

fn write_group(f: &mut fmt::Formatter<'_>, group: &Group) -> fmt::Result {
    let countries: Vec<_> = group.countries.iter().map(|it| quoted(it.code())).collect();
    writeln!(f, "[[selection.groups]]")?;
    writeln!(f, "name = {}", quoted(&group.name))?;
    writeln!(f, "countries = [{}]\n", countries.join(", "))
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
    let pause = policy.probe_pause_min.as_secs();
    writeln!(f, "probe-pause-min-s = {pause}")?;
    let pause = policy.probe_pause_max.as_secs();
    writeln!(f, "probe-pause-max-s = {pause}")?;
    writeln!(f, "ramp-s = {}", policy.ramp.as_secs())?;
    writeln!(
        f,
        "ramp-after-hard-s = {}",
        policy.ramp_after_hard.as_secs()
    )?;
    writeln!(f, "keep-sources = {}", policy.keep_sources)?;
    writeln!(f, "outage-at-least = {}", policy.outage_at_least)?;
    writeln!(f, "outage-window-s = {}", policy.outage_window.as_secs())?;
    writeln!(f, "outage-max-s = {}", policy.outage_max.as_secs())?;
    writeln!(f, "checks-per-second = {}\n", policy.checks_per_second)
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

pub(super) fn path(path: &Path) -> String {
    quoted(path.display())
}

pub(super) fn quoted(value: impl fmt::Display) -> String {
    toml::Value::String(value.to_string()).to_string()
}
