//! The configuration of the pool: one TOML file in, one [`Config`] out, or all that is wrong.
//!
//! A [`Config`] cannot hold an invalid value: names are names, certificates and keys are loaded
//! and belong together. Nothing here listens or connects.

mod effective;
mod health;
mod limits;
mod selection;
mod source;
mod sources;
#[cfg(test)]
mod tests;
mod upstream;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nts_service::config::{self, ListenAddress, Loaded, Located, Problems, Section};
use nts_service::telemetry::logging::{Format, Level};
use nts_service::tls::{Identity, TrustAnchors, TrustMode};

use crate::fleet::HealthPolicy;
use crate::selection::{Geo, SelectionPolicy};

pub use limits::LimitsConfig;
pub use source::{MAX_WEIGHT, SourceConfig};
pub use sources::{MAX_SOURCES, SourceList};
pub use upstream::{NamePolicy, UpstreamConfig};

const DEFAULT_TIMEOUT: Duration = Duration::from_millis(1000);
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Everything that the pool needs to run.
#[derive(Debug)]
pub struct Config {
    /// Where users connect to. Only a file may not say port 0, "any port": a library user may.
    pub listen: Vec<SocketAddr>,
    /// The sources to choose from.
    pub sources: SourceList,
    /// How a user's source is chosen.
    pub selection: SelectionPolicy,
    /// When a source is ejected, and what brings it back. Its `check_interval` is not read: that of
    /// `upstream` holds.
    pub health: HealthPolicy,
    /// Where users are, if that matters.
    pub geo: Option<GeoDatabase>,
    /// How sources are dealt with.
    pub upstream: UpstreamConfig,
    /// What users may take.
    pub limits: LimitsConfig,
    /// The time of one user's exchange, from accepting to the last octet.
    pub key_exchange_timeout: Duration,
    /// Certificates and keys.
    pub tls: TlsConfig,
    /// Logs and metrics.
    pub observability: ObservabilityConfig,
}

/// Whom the pool trusts, and what it shows of itself.
#[derive(Debug)]
pub struct TlsConfig {
    /// What users see.
    pub identity: Identity,
    /// What sources see, if they ask.
    pub upstream_identity: Identity,
    /// Who vouches for sources.
    pub trust: TrustAnchors,
    /// Where all that was read from.
    pub files: TlsFiles,
}

/// The files behind a [`TlsConfig`]; all empty if it did not come from files.
#[derive(Debug, Default)]
pub struct TlsFiles {
    /// How the authority file and the system's authorities go together.
    pub certificate_authority_mode: TrustMode,
    /// Certificate authorities for sources.
    pub certificate_authority: Option<PathBuf>,
    /// The chain that users see.
    pub certificate_chain: PathBuf,
    /// Its key.
    pub private_key: PathBuf,
    /// Chain and key that sources see, if they are others than those for users.
    pub upstream: Option<(PathBuf, PathBuf)>,
}

/// A geo database and where it was read from.
#[derive(Debug)]
pub struct GeoDatabase {
    /// The file.
    pub file: PathBuf,
    /// Its content.
    pub geo: Geo,
}

/// `[observability]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservabilityConfig {
    /// Least severe level that is logged.
    pub log_level: Level,
    /// What a log line looks like.
    pub log_format: Format,
    /// Where metrics are served, if anywhere.
    pub metrics_exporter_listen: Option<SocketAddr>,
}

impl Config {
    /// Reads a configuration file and all files it names. Relative paths count from the working
    /// directory.
    ///
    /// # Errors
    /// All problems at once.
    pub fn load(path: impl AsRef<Path>) -> Result<Loaded<Self>, Problems> {
        config::load(path, read)
    }

    /// The same for a text that is already here; `name` stands for the file in problems.
    ///
    /// # Errors
    /// All problems at once.
    pub fn parse(name: impl AsRef<Path>, text: &str) -> Result<Loaded<Self>, Problems> {
        config::parse(name, text, read)
    }
}

fn read(root: &Section<'_>) -> Option<Config> {
    let observability = root.section("observability");
    let observability = observability.map(|section| read_observability(&section));
    let upstream = root.section("upstream");
    let upstream = upstream.map(|section| upstream::read(&section));
    let limits = root.section("limits");
    let limits = limits.map(|section| limits::read(&section));
    let selection = root.section("selection");
    let selection = selection.map(|section| selection::read(&section));
    let health = root.section("health");
    let health = health.map(|section| health::read(&section));
    let server = root.required_section("nts-pool-ke-server")?;
    let listen = read_listen(&server);
    let tls = read_tls(&server);
    let sources = sources::read(&server);
    let geo = read_geo(&server);
    let key_exchange_timeout = server.milliseconds(
        "key-exchange-timeout-ms",
        DEFAULT_TIMEOUT,
        SHORTEST_TIMEOUT..=LONGEST_TIMEOUT,
    );
    Some(Config {
        listen: listen?,
        sources: sources?,
        selection: selection.unwrap_or_default(),
        health: health.unwrap_or_default(),
        geo,
        upstream: upstream.unwrap_or_default(),
        limits: limits.unwrap_or_default(),
        key_exchange_timeout,
        tls: tls?,
        observability: observability.unwrap_or_default(),
    })
}

fn read_observability(section: &Section<'_>) -> ObservabilityConfig {
    ObservabilityConfig {
        log_level: section.or("log-level", Level::default()),
        log_format: section.or("log-format", Format::default()),
        metrics_exporter_listen: section
            .optional("metrics-exporter-listen")
            .map(ListenAddress::get),
    }
}

fn read_geo(server: &Section<'_>) -> Option<GeoDatabase> {
    const KEY: &str = "geo-database-path";
    let file = server.path(KEY)?;
    let content = config::read_file(&file, server.problems())?;
    match Geo::new(content) {
        Ok(geo) => Some(GeoDatabase {
            file: file.into_inner(),
            geo,
        }),
        Err(error) => {
            server.error(KEY, format!("{error}; fetch the database again"));
            None
        }
    }
}

fn read_listen(server: &Section<'_>) -> Option<Vec<SocketAddr>> {
    const KEY: &str = "listen";
    if !server.has(KEY) {
        server.required::<String>(KEY);
        return None;
    }
    if server.is_empty_list(KEY) {
        server.error(
            KEY,
            "an empty list; write at least one address like `0.0.0.0:4460`",
        );
    }
    let addresses = server.one_or_many::<ListenAddress>(KEY)?;
    let mut seen = HashSet::new();
    for address in &addresses {
        if !seen.insert(address.get()) {
            let message = format!("{} stands there twice; take one of them out", **address);
            server.problems().error(address.place(), message);
        }
    }
    Some(addresses.iter().map(|address| address.get()).collect())
}

fn read_tls(server: &Section<'_>) -> Option<TlsConfig> {
    let problems = server.problems();
    let front = read_identity(server, "certificate-chain-path", "private-key-path", true);
    let upstream = read_identity(
        server,
        "upstream-certificate-chain-path",
        "upstream-private-key-path",
        false,
    );
    let mode = server.or("certificate-authority-mode", TrustMode::default());
    const AUTHORITY: &str = "certificate-authority-path";
    let authority = match mode {
        TrustMode::System => {
            server.refuse(
                AUTHORITY,
                "not read with `certificate-authority-mode = \"system\"`; take it out, or write \
                 \"system-and-file\"",
            );
            None
        }
        TrustMode::Only | TrustMode::SystemAndFile => Some(server.required_path(AUTHORITY)),
    };
    let place = server.place("certificate-authority-mode");
    let trust = match &authority {
        Some(None) => None,
        Some(Some(file)) => TrustAnchors::load(mode, Some(file), &place, problems),
        None => TrustAnchors::load(mode, None, &place, problems),
    };
    let front = front?;
    let (upstream_identity, upstream_files) = match upstream {
        Some(upstream) => (upstream.identity?, Some((upstream.chain, upstream.key))),
        None => (front.identity.clone()?, None),
    };
    Some(TlsConfig {
        identity: front.identity?,
        upstream_identity,
        trust: trust?,
        files: TlsFiles {
            certificate_authority_mode: mode,
            certificate_authority: authority.flatten().map(Located::into_inner),
            certificate_chain: front.chain,
            private_key: front.key,
            upstream: upstream_files,
        },
    })
}

/// A chain and a key that were named, and what they hold if they are good.
struct IdentityFiles {
    chain: PathBuf,
    key: PathBuf,
    identity: Option<Identity>,
}

/// Reports that the key `there` needs the key `missing`.
fn half(server: &Section<'_>, there: &'static str, missing: &str) -> Option<IdentityFiles> {
    let message = format!("does nothing without `{missing}`; write both or none");
    server.refuse(there, message);
    None
}

/// `None` if neither key of the configuration is there, or after the problem was reported.
fn read_identity(
    server: &Section<'_>,
    chain_key: &'static str,
    key_key: &'static str,
    required: bool,
) -> Option<IdentityFiles> {
    match (server.has(chain_key), server.has(key_key)) {
        _ if required => {}
        (true, true) => {}
        (false, false) => return None,
        (true, false) => return half(server, chain_key, key_key),
        (false, true) => return half(server, key_key, chain_key),
    }
    let chain = server.required_path(chain_key);
    let key = server.required_path(key_key);
    let (chain, key) = (chain?, key?);
    Some(IdentityFiles {
        identity: Identity::load(&chain, &key, server.problems()),
        chain: chain.into_inner(),
        key: key.into_inner(),
    })
}
