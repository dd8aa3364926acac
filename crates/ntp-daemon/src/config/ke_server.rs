//! `[[nts-ke-server]]`: sockets that answer NTS key exchanges.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use nts_proto::ke::name::NtpServerName;
use nts_proto::ke::token::AuthenticationToken;
use nts_service::config::{Host, Located, Port, Section};
use nts_service::proxy_protocol::{self, ProxyProtocol};
use nts_service::tls::{Identity, load_certificate};
use rustls_pki_types::CertificateDer;

use super::POOL_FEATURE;
use super::server::read_listen;

/// `key-exchange-timeout-ms` when it is not set.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
/// Greatest `key-exchange-timeout-ms`.
const MAX_TIMEOUT: Duration = Duration::from_secs(600);
/// `concurrent-connections` when it is not set.
const DEFAULT_CONNECTIONS: usize = 512;
/// Greatest number of connections of either kind.
const MAX_CONNECTIONS: usize = 1_000_000;
/// Greatest `rate-limit-interval-ms`.
const MAX_RATE_INTERVAL: Duration = Duration::from_secs(86_400);
/// Characters that are needed for 128 bits of entropy with letters and digits.
const STRONG_TOKEN_LENGTH: usize = 22;

/// One `[[nts-ke-server]]`: a TCP socket that answers NTS key exchanges.
#[derive(Clone, Debug)]
pub struct KeServerConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// `certificate-chain-path` and `private-key-path`, read and checked.
    pub identity: Identity,
    /// The files of `identity`, which are watched; `None` where it does not come from files.
    pub identity_files: Option<IdentityFiles>,
    /// Which pools may ask what only pools may ask.
    pub authorization: KeAuthorization,
    /// Budget of one exchange, from accept on.
    pub key_exchange_timeout: Duration,
    /// Greatest number of connections of ordinary exchanges.
    pub concurrent_connections: usize,
    /// Greatest number of connections that pools keep alive.
    pub longlived_connections: usize,
    /// Time in which an address may connect once more; 0 is no limit.
    pub rate_limit_interval: Duration,
    /// Connections that an address may make at once.
    pub rate_limit_burst: u16,
    /// Port told to clients; without it they use 123.
    pub ntp_port: Option<u16>,
    /// Name or address told to clients; without it they use the address they asked.
    pub ntp_server: Option<NtpServerName>,
    /// Which balancers connections come through; `None`: they come by themselves.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// Where a certificate comes from.
#[derive(Clone, Debug)]
pub struct IdentityFiles {
    /// `certificate-chain-path`.
    pub chain: Located<PathBuf>,
    /// `private-key-path`.
    pub key: Located<PathBuf>,
}

/// How pools prove who they are. Empty lists, the default, authorise nobody.
#[derive(Clone, Debug, Default)]
pub struct KeAuthorization {
    /// `authorized-pool-server-certificates`: the very certificates that pools present.
    pub certificates: Vec<CertificateDer<'static>>,
    /// `accepted-pool-authentication-tokens`.
    pub tokens: Vec<AuthenticationToken>,
}

/// Reads all key exchange servers. A wrong one is reported and left out.
pub(super) fn read_all(root: &Section<'_>) -> Vec<Located<KeServerConfig>> {
    let mut taken = HashSet::new();
    let read_at = |section: &Section<'_>| {
        let listen = read_listen(section, &mut taken);
        Some(Located::new(read(section, listen)?, section.here()))
    };
    root.sections("nts-ke-server")
        .iter()
        .filter_map(read_at)
        .collect()
}

fn read(section: &Section<'_>, listen: Option<SocketAddr>) -> Option<KeServerConfig> {
    let identity = read_identity(section);
    let authorization = read_authorization(section);
    let least = Duration::from_millis(1);
    let key_exchange_timeout = section.milliseconds(
        "key-exchange-timeout-ms",
        DEFAULT_TIMEOUT,
        least..=MAX_TIMEOUT,
    );
    let range = 1..=MAX_CONNECTIONS;
    let concurrent_connections =
        section.number("concurrent-connections", DEFAULT_CONNECTIONS, range, "");
    let longlived_connections = section.number(
        "longlived-connections",
        concurrent_connections / 10,
        0..=MAX_CONNECTIONS,
        "",
    );
    let range = Duration::ZERO..=MAX_RATE_INTERVAL;
    let rate_limit_interval = section.milliseconds("rate-limit-interval-ms", Duration::ZERO, range);
    let rate_limit_burst = section.number("rate-limit-burst", 8, 1..=1000, "connections");
    let ntp_port = section.optional::<Port>("ntp-port").map(Port::get);
    let ntp_server = section.checked("ntp-server", check_server_name);
    let proxy_protocol = section.section("proxy-protocol");
    let proxy_protocol = proxy_protocol.and_then(|section| proxy_protocol::read(&section));
    check_versions(section);
    let (identity, identity_files) = identity?;
    Some(KeServerConfig {
        listen: listen?,
        identity,
        identity_files: Some(identity_files),
        authorization,
        key_exchange_timeout,
        concurrent_connections,
        longlived_connections,
        rate_limit_interval,
        rate_limit_burst,
        ntp_port,
        ntp_server,
        proxy_protocol,
    })
}

fn read_identity(section: &Section<'_>) -> Option<(Identity, IdentityFiles)> {
    let chain = section.required_path("certificate-chain-path");
    let key = section.required_path("private-key-path");
    let (chain, key) = (chain?, key?);
    let identity = Identity::load(&chain, &key, section.problems())?;
    Some((identity, IdentityFiles { chain, key }))
}

fn read_authorization(section: &Section<'_>) -> KeAuthorization {
    let (certificates, tokens) = (
        "authorized-pool-server-certificates",
        "accepted-pool-authentication-tokens",
    );
    if !cfg!(feature = "unstable_nts-pool") {
        section.needs_feature(certificates, POOL_FEATURE);
        section.needs_feature(tokens, POOL_FEATURE);
        return KeAuthorization::default();
    }
    let paths = section.list::<PathBuf>(certificates).unwrap_or_default();
    KeAuthorization {
        certificates: paths
            .iter()
            .filter_map(|path| load_certificate(path, section.problems()))
            .collect(),
        tokens: read_tokens(section, tokens),
    }
}

fn read_tokens(section: &Section<'_>, key: &'static str) -> Vec<AuthenticationToken> {
    let problems = section.problems();
    let secrets = section.secrets(key).unwrap_or_default();
    let mut tokens = Vec::with_capacity(secrets.len());
    for secret in &secrets {
        match AuthenticationToken::new(secret.expose()) {
            Ok(token) => tokens.push(token),
            Err(error) => {
                problems.error(secret.place(), format!("{error}; make another one"));
                continue;
            }
        }
        if secret.expose().len() < STRONG_TOKEN_LENGTH {
            let message = format!(
                "a token of fewer than {STRONG_TOKEN_LENGTH} characters can be guessed; \
                 make one with `openssl rand -hex 32`"
            );
            problems.warning(secret.place(), message);
        }
    }
    tokens
}

/// The name as clients look it up: a DNS name or an address, kept as it is written.
fn check_server_name(text: String) -> Result<NtpServerName, String> {
    text.parse::<Host>()?;
    text.parse::<NtpServerName>()
        .map_err(|error| error.to_string())
}

/// NTPv4 is what the cookies are for.
fn check_versions(section: &Section<'_>) {
    let key = "accept-ntp-versions";
    let Some(versions) = section.list::<i64>(key) else {
        return;
    };
    for version in &versions {
        match **version {
            4 => {}
            5 => section
                .problems()
                .error(version.place(), "NTPv5 is not supported; take 5 out"),
            _ => section
                .problems()
                .error(version.place(), "no such version; write 4"),
        }
    }
    if versions.is_empty() {
        section.error(
            key,
            "no request would be answered; write [4] or take this server out",
        );
    }
}
