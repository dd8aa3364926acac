//! One entry of `key-exchange-servers`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::str::FromStr;

use nts_proto::ke::name::NtpServerName;
use nts_proto::ke::token::AuthenticationToken;
use nts_service::config::{Host, Port, Section, read_secret_file};
use rustls_pki_types::ServerName;
use zeroize::Zeroizing;

use crate::upstream::Dialect;

/// The largest weight of a source.
pub const MAX_WEIGHT: u32 = 1000;

const SERVERS: &str = "key-exchange-servers";
const DEFAULT_PORT: u16 = 4460;
/// A token of so many letters and digits reaches 128 bits.
const SHORTEST_GOOD_TOKEN: usize = 22;

/// A time source as it was configured.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    domain: Domain,
    port: u16,
    /// Share of the picks, from 0 (never picked, but kept ready) to [`MAX_WEIGHT`].
    pub weight: u32,
    /// The token by which the source knows this pool.
    pub auth_token: Option<AuthenticationToken>,
    /// The file that the token came from, if it came from one.
    pub auth_token_path: Option<PathBuf>,
    /// Which record numbers the source understands.
    pub dialect: Dialect,
}

impl SourceConfig {
    /// A source of weight 1 without a token.
    ///
    /// # Errors
    /// If `domain` is neither a DNS name nor an IP address, in words for a person.
    pub fn new(domain: &str, port: u16) -> Result<Self, String> {
        Ok(Self::at(domain.parse()?, port))
    }

    fn at(domain: Domain, port: u16) -> Self {
        Self {
            domain,
            port,
            weight: 1,
            auth_token: None,
            auth_token_path: None,
            dialect: Dialect::default(),
        }
    }

    /// The name that users are given, unless the source names another.
    pub fn domain(&self) -> &NtpServerName {
        &self.domain.name
    }

    /// The name that the source's certificate must be good for; `None` if no certificate can be.
    pub fn server_name(&self) -> Option<&ServerName<'static>> {
        self.domain.server_name.as_ref()
    }

    /// The TCP port of its NTS-KE server.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// A `domain`: a host, or a name that ends in a number like the `nts.server.1` of examples.
///
/// RFC 1123 §2.1 lets such a name be, so it is no reason not to start. To TLS libraries it is too
/// much like an IPv4 address, so a source of that name cannot be verified and is never used.
#[derive(Clone, Debug)]
struct Domain {
    name: NtpServerName,
    server_name: Option<ServerName<'static>>,
}

impl FromStr for Domain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (text, server_name) = match text.parse::<Host>() {
            Ok(host) => (host.to_string(), Some(host.server_name().clone())),
            Err(_) if ends_in_a_number(text) => (text.to_owned(), None),
            Err(error) => return Err(error),
        };
        let name = text.parse().map_err(|error| format!("{error}"))?;
        Ok(Self { name, server_name })
    }
}

/// Whether only the last label, a number, keeps `text` from being a name as TLS knows it.
fn ends_in_a_number(text: &str) -> bool {
    let Some((front, last)) = text.rsplit_once('.') else {
        return false;
    };
    let number = !last.is_empty() && last.bytes().all(|octet| octet.is_ascii_digit());
    let front_is_name = front.parse::<Host>().is_ok_and(|host| host.ip().is_none());
    number && text.len() <= 253 && last.len() <= 63 && front_is_name && !front.ends_with('.')
}

/// Reads the list. `None` after a problem was reported.
pub(super) fn read_all(server: &Section<'_>) -> Option<Vec<SourceConfig>> {
    if !server.has(SERVERS) {
        server.required::<String>(SERVERS);
        return None;
    }
    if server.is_empty_list(SERVERS) {
        server.error(
            SERVERS,
            "no time source; add at least one like `{ domain = \"nts.example.org\", port = 4460 }`",
        );
        return None;
    }
    let mut seen = HashMap::new();
    let mut sources = Vec::new();
    for (index, section) in server.sections(SERVERS).into_iter().enumerate() {
        let Some(source) = read_one(&section) else {
            continue;
        };
        let address = (source.domain().canonical(), source.port);
        if let Some(first) = seen.insert(address, index + 1) {
            section.error(
                "domain",
                format!("the same domain and port as entry {first}; take one of them out"),
            );
        }
        sources.push(source);
    }
    if !sources.is_empty() && sources.iter().all(|source| source.weight == 0) {
        server.error(
            SERVERS,
            format!(
                "every source has weight 0, so none could be picked; \
                 give at least one a weight from 1 to {MAX_WEIGHT}"
            ),
        );
    }
    Some(sources)
}

fn read_one(section: &Section<'_>) -> Option<SourceConfig> {
    let domain = read_domain(section);
    let port = match section.has("port") {
        true => section.optional::<Port>("port"),
        false => Port::new(DEFAULT_PORT),
    };
    let weight = section.number("weight", 1, 0..=MAX_WEIGHT, "");
    let dialect = section.or("dialect", Dialect::default());
    let (auth_token, auth_token_path) = read_token(section);
    if auth_token.is_some() && dialect == Dialect::DraftMtls {
        section.warning(
            "dialect",
            "the token is not used: this dialect proves itself by client certificate only; \
             take the token out, or write \"draft-token\"",
        );
    }
    Some(SourceConfig {
        weight,
        auth_token,
        auth_token_path,
        dialect,
        ..SourceConfig::at(domain?, port?.get())
    })
}

fn read_domain(section: &Section<'_>) -> Option<Domain> {
    const KEY: &str = "domain";
    let text = section.required::<String>(KEY)?;
    let domain = text.parse::<Domain>();
    let domain = domain.map_err(|message| section.error(KEY, message)).ok()?;
    if domain.server_name.is_none() {
        section.warning(
            KEY,
            "no certificate can be checked against a name that ends in a number, so this source \
             is never used; write the real name of the source",
        );
    }
    Some(domain)
}

/// The token itself or a file that holds it.
fn read_token(section: &Section<'_>) -> (Option<AuthenticationToken>, Option<PathBuf>) {
    const LITERAL: &str = "auth-token";
    const FILE: &str = "auth-token-path";
    let literal = section.secret(LITERAL);
    let file = section.path(FILE);
    match (literal, file) {
        (Some(_), Some(_)) => {
            section.error(
                FILE,
                format!("both `{LITERAL}` and `{FILE}`; take one of them out"),
            );
            (None, None)
        }
        (Some(literal), None) => (token(section, LITERAL, literal.expose().as_bytes()), None),
        (None, Some(file)) => {
            let octets = read_secret_file(&file, section.problems());
            let token = octets.and_then(|octets: Zeroizing<Vec<u8>>| {
                // An editor's line break at the end is no part of the token.
                token(section, FILE, octets.trim_ascii())
            });
            (token, Some(file.into_inner()))
        }
        (None, None) => (None, None),
    }
}

fn token(section: &Section<'_>, key: &'static str, octets: &[u8]) -> Option<AuthenticationToken> {
    const CURE: &str = "make one with `openssl rand -hex 32`";
    match AuthenticationToken::new(octets) {
        Ok(token) => {
            if token.length() < SHORTEST_GOOD_TOKEN {
                section.warning(
                    key,
                    format!(
                        "a token of {} characters can be guessed; {CURE}",
                        token.length()
                    ),
                );
            }
            Some(token)
        }
        Err(error) => {
            section.error(key, format!("{error}; {CURE}"));
            None
        }
    }
}
