//! `ntp.toml`: every key of the file becomes a value that cannot be invalid.
//!
//! A [`Config`] is complete: defaults are filled in, limits are checked, and the certificates,
//! keys and tokens that the file names have been read, so that everything that is wrong is found
//! at once, at start or by `ntp-ctl validate`. What never happens here: opening sockets, writing
//! files, or acting on any setting.

mod algorithm;
mod checks;
mod ke_server;
mod keyset;
mod notices;
mod observability;
mod server;
mod source;
mod storage;
mod synchronization;
#[cfg(test)]
mod tests;
mod thresholds;

use std::path::Path;

use nts_service::config::{Located, Problems, Section};

pub use ke_server::{IdentityFiles, KeAuthorization, KeServerConfig};
pub use keyset::KeysetConfig;
pub use notices::Notice;
pub use observability::ObservabilityConfig;
pub use server::{AcceptedVersions, FilterAction, FilterList, RateKiss, ServerConfig};
pub use source::{PollLimits, RemoteAddress, SourceConfig, SourceMode};
pub use synchronization::{ReferenceId, SynchronizationConfig};

use notices::Notices;

/// Where the configuration is looked for when no `-c` names it.
pub const DEFAULT_PATH: &str = "/etc/ntpd-rs/ntp.toml";

/// Port of NTP, which clients use that are told none.
const NTP_PORT: u16 = 123;

/// The build feature that everything about NTS pools needs.
const POOL_FEATURE: &str = "unstable_nts-pool";

/// Everything a configuration file says, checked and with its defaults filled in.
#[derive(Debug, Default)]
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

/// A configuration that can be used, and what a person should know about it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is likely a mistake; `ntp-ctl validate` fails on it.
    pub warnings: Problems,
    /// Settings that are right but have no effect in this version, to be said once at start.
    pub notices: Vec<Notice>,
}

/// Reads and checks the file at `path`, with every file it names.
///
/// A relative path counts from the working directory, in the file too.
///
/// # Errors
/// All problems at once, if one of them is an error.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    finish(nts_service::config::load(path, read))
}

/// The same as [`load`] for a text; `name` stands for the file in problems.
///
/// # Errors
/// As [`load`].
pub fn parse(name: &str, text: &str) -> Result<Loaded, Problems> {
    finish(nts_service::config::parse(name, text, read))
}

/// Reads `[observability]` alone: for programs that look at a daemon whose keys and certificates
/// they may not read.
///
/// # Errors
/// If the file cannot be read, or this section of it is wrong.
pub fn load_observability(path: &Path) -> Result<ObservabilityConfig, Problems> {
    let read = |root: &Section<'_>| {
        for other in [
            "source",
            "source-defaults",
            "server",
            "nts-ke-server",
            "keyset",
        ] {
            root.has(other);
        }
        root.has("synchronization");
        root.has("clock");
        Some(ObservabilityConfig::read(root))
    };
    nts_service::config::load(path, read).map(|loaded| loaded.value)
}

type ReadConfig = (Config, Vec<Notice>);

fn finish(
    loaded: Result<nts_service::config::Loaded<ReadConfig>, Problems>,
) -> Result<Loaded, Problems> {
    let nts_service::config::Loaded {
        value: (config, notices),
        warnings,
    } = loaded?;
    Ok(Loaded {
        config,
        warnings,
        notices,
    })
}

fn read(root: &Section<'_>) -> Option<ReadConfig> {
    let notices = Notices::default();
    let sources = source::read_all(root, &notices);
    let servers = server::read_all(root);
    let ke_servers = ke_server::read_all(root);
    let keyset = KeysetConfig::read(root);
    let synchronization = SynchronizationConfig::read(root);
    let observability = ObservabilityConfig::read(root);
    read_clock(root, &notices);
    // What was left out as wrong would be missed there.
    if !root.problems().has_errors() {
        checks::cross_check(root, &sources, &servers, &ke_servers, &synchronization);
    }
    let config = Config {
        sources,
        servers,
        ke_servers: ke_servers.into_iter().map(Located::into_inner).collect(),
        keyset,
        synchronization,
        observability,
    };
    Some((config, notices.into_list()))
}

/// `[clock]`: only the choice of timestamps is known, and the server takes the kernel's anyway.
fn read_clock(root: &Section<'_>, notices: &Notices) {
    let Some(section) = root.section("clock") else {
        return;
    };
    for key in ["clock", "interface"] {
        section.refuse(key, "hardware clocks are not supported; take this key out");
    }
    section.checked("timestamp-mode", |mode: String| match mode.as_str() {
        "software" | "kernel-recv" | "kernel-all" => Ok(()),
        "hardware" => Err("hardware timestamps are not supported; write \"kernel-all\"".to_owned()),
        _ => Err("no such mode; write \"software\", \"kernel-recv\" or \"kernel-all\"".to_owned()),
    });
    if section.has("timestamp-mode") {
        notices.no_effect(
            &section,
            "timestamp-mode",
            "timestamps are taken as well as the kernel can",
        );
    }
}
