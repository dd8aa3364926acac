//! The configuration of the pool: one TOML file in, one [`Config`] out, or all that is wrong.
//!
//! A [`Config`] cannot hold an invalid value: names are names, certificates and keys are loaded
//! and belong together. Nothing here listens or connects.

mod catalogue;
mod derived_token;
mod effective;
mod geo;
mod groups;
mod health;
mod limits;
mod observability;
mod overview;
mod selection;
mod snapshot;
mod source;
mod sources;
#[cfg(test)]
mod tests;
mod tls;
mod upstream;

use std::path::Path;
use std::time::Duration;

use nts_service::config::{self, Loaded, Problems, Section};
use nts_service::drain::Drain;
use nts_service::listener::Listen;
use nts_service::proxy_protocol::{self, ProxyProtocol};

use crate::fleet::HealthPolicy;
use crate::selection::{Groups, SelectionPolicy};

pub(crate) use catalogue::Catalogue;
pub use derived_token::TokenSecret;
pub use geo::GeoDatabase;
pub use limits::LimitsConfig;
pub use observability::ObservabilityConfig;
pub use snapshot::SnapshotConfig;
pub use source::SourceConfig;
pub(crate) use source::{DEFAULT_PORT, token_in};
pub use sources::{Context, SourceList, Tokens};
pub use tls::{Authorities, Pair, TlsConfig, TlsFiles};
pub use upstream::{NamePolicy, UpstreamConfig};

const DEFAULT_TIMEOUT: Duration = Duration::from_millis(1000);
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Everything that the pool needs to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where users connect to. Only a file may not say port 0, "any port": a library user may.
    pub listen: Listen,
    /// The sources to choose from.
    pub sources: SourceList,
    /// The registry that gives that list, if one does.
    pub snapshot: Option<SnapshotConfig>,
    /// What tokens of sources are derived from.
    pub token_secret: Option<TokenSecret>,
    /// How a user's source is chosen.
    pub selection: SelectionPolicy,
    /// The groups of countries that sources may be listed for.
    pub groups: Groups,
    /// When a source is ejected, and what brings it back. Its `check_interval` is not read: that of
    /// `upstream` holds.
    pub health: HealthPolicy,
    /// Where users are, if that matters.
    pub geo: Option<GeoDatabase>,
    /// How sources are dealt with.
    pub upstream: UpstreamConfig,
    /// What users may take.
    pub limits: LimitsConfig,
    /// Which balancers users come through; `None`: they come by themselves.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// How much time the pool's end takes.
    pub shutdown: Drain,
    /// The time of one user's exchange, from accepting to the last octet.
    pub key_exchange_timeout: Duration,
    /// Certificates and keys.
    pub tls: TlsConfig,
    /// Logs and metrics.
    pub observability: ObservabilityConfig,
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

    /// What the entries of its list of sources may refer to.
    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            groups: &self.groups,
            tokens: self.tokens(),
            is_signed: false,
        }
    }

    /// Where derived tokens come from.
    pub(crate) fn tokens(&self) -> Tokens<'_> {
        Tokens::of(self.token_secret.as_ref())
    }

    /// The same for a text that is already here; `name` stands for the file in problems.
    ///
    /// # Errors
    /// All problems at once.
    pub fn parse(name: impl AsRef<Path>, text: &str) -> Result<Loaded<Self>, Problems> {
        config::parse(name, text, read)
    }
}

/// Reads `[observability]` alone, so that nobody needs to be able to read keys who asks where a pool
/// shows its state.
///
/// # Errors
/// All problems at once.
pub fn load_observability(path: &Path) -> Result<ObservabilityConfig, Problems> {
    let read_part = |root: &Section<'_>| {
        for other in OTHER_SECTIONS {
            root.has(other);
        }
        let section = root.section("observability");
        Some(section.map_or_else(Default::default, |it| observability::read(&it)))
    };
    config::load(path, read_part).map(|loaded| loaded.value)
}

/// All sections but `[observability]`.
const OTHER_SECTIONS: [&str; 8] = [
    "snapshot",
    "nts-pool-ke-server",
    "upstream",
    "limits",
    "proxy-protocol",
    "shutdown",
    "selection",
    "health",
];

fn read(root: &Section<'_>) -> Option<Config> {
    let observability_section = root.section("observability");
    let observability = observability_section.as_ref().map(observability::read);
    let mut lists = Lists::read(root);
    let default = match &lists {
        Lists::Signed(_) => UpstreamConfig::for_sources_of_a_registry(),
        Lists::Own { .. } => UpstreamConfig::default(),
    };
    let upstream = root.section("upstream");
    let upstream = upstream.map(|section| upstream::read(&section, &default));
    let limits = root.section("limits");
    let limits = limits.map(|section| limits::read(&section));
    let proxy_protocol = root.section("proxy-protocol");
    let proxy_protocol = proxy_protocol.and_then(|section| proxy_protocol::read(&section));
    let shutdown = root.section("shutdown");
    let shutdown = shutdown.map(|section| Drain::read(&section));
    let health = root.section("health");
    let health = health.map(|section| health::read(&section));
    let server = root.required_section("nts-pool-ke-server")?;
    let listen = Listen::read(&server, "listen");
    if let (Some(section), Some(read), Some(listen)) =
        (&observability_section, &observability, &listen)
    {
        observability::refuse_address_of_users(section, read, listen);
    }
    let tls = tls::read(&server);
    let token_secret = derived_token::read(&server);
    let tokens = Tokens::of(token_secret.as_ref());
    let sources = lists.sources(&server, tokens);
    let geo = geo::read(&server);
    let key_exchange_timeout = server.milliseconds(
        "key-exchange-timeout-ms",
        DEFAULT_TIMEOUT,
        SHORTEST_TIMEOUT..=LONGEST_TIMEOUT,
    );
    let mut config = Config {
        listen: listen?,
        sources: SourceList::default(),
        snapshot: None,
        token_secret,
        selection: SelectionPolicy::default(),
        groups: Groups::default(),
        health: health.unwrap_or_default(),
        geo,
        upstream: upstream.unwrap_or(default),
        limits: limits.unwrap_or_default(),
        proxy_protocol,
        shutdown: shutdown.unwrap_or_default(),
        key_exchange_timeout,
        tls: tls?,
        observability: observability.unwrap_or_default(),
    };
    config.take(sources?);
    if let Lists::Signed(snapshot) = lists {
        config.snapshot = Some(*snapshot?);
    }
    Some(config)
}

/// Where the list of sources comes from, and what is said about all of them.
enum Lists {
    /// From this configuration.
    Own {
        groups: Groups,
        selection: SelectionPolicy,
    },
    /// From a registry; `None` after a problem was reported.
    Signed(Option<Box<SnapshotConfig>>),
}

impl Lists {
    fn read(root: &Section<'_>) -> Self {
        if let Some(section) = root.section("snapshot") {
            let message = "with `[snapshot]` the signed list says how sources are chosen; take this \
                           section out, and put it into the list as `policy` and `regions`";
            root.refuse("selection", message);
            return Self::Signed(snapshot::read(&section).map(Box::new));
        }
        let section = root.section("selection");
        let groups = section.as_ref().map(|it| groups::read(it, "groups"));
        Self::Own {
            groups: groups.unwrap_or_default(),
            selection: section.map(|it| selection::read(&it)).unwrap_or_default(),
        }
    }

    /// The list itself. `None` after a problem was reported.
    fn sources(&mut self, server: &Section<'_>, tokens: Tokens<'_>) -> Option<Catalogue> {
        match self {
            Self::Own { groups, selection } => {
                let context = Context {
                    groups,
                    tokens,
                    is_signed: false,
                };
                let sources = sources::read(server, context)?;
                Some(Catalogue {
                    sources,
                    groups: std::mem::take(groups),
                    selection: *selection,
                })
            }
            Self::Signed(snapshot) => {
                sources::refuse(server);
                let copy = snapshot.as_mut()?.read_copy(tokens, server.problems());
                Some(copy.unwrap_or_default())
            }
        }
    }
}
