//! One entry of a list of sources.

use std::path::PathBuf;
use std::str::FromStr;

use nts_proto::ke::name::NtpServerName;
use nts_proto::ke::token::AuthenticationToken;
use nts_service::config::{
    Address, Host, Located, Place, Port, Problem, Problems, Section, read_secret_file,
};
use rustls_pki_types::ServerName;
use zeroize::Zeroizing;

use super::sources::{Context, Tokens};
use super::upstream::read_max_concurrency;
use crate::selection::{Entry, Families, Groups, MAX_WEIGHT, Region};
use crate::upstream::Dialect;

pub(crate) const DEFAULT_PORT: u16 = 4460;
/// A token of so many letters and digits reaches 128 bits.
const SHORTEST_GOOD_TOKEN: usize = 22;
const LONGEST_ID: usize = 255;
const LITERAL: &str = "auth-token";
const FILE: &str = "auth-token-path";
/// Names that a source may put into its answers, besides its domain.
const MOST_NTP_NAMES: usize = 64;

/// A time source as it was configured.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    id: Option<String>,
    domain: Domain,
    port: u16,
    /// Share of the picks, from 0 (never picked, but kept ready) to [`MAX_WEIGHT`].
    pub weight: u32,
    /// The token by which the source knows this pool.
    pub auth_token: Option<AuthenticationToken>,
    /// The file that the token came from, if it came from one.
    pub auth_token_path: Option<Located<PathBuf>>,
    /// Which token it is of those that follow from the pool's secret, if it is one of them.
    pub token_generation: Option<u32>,
    /// Which record numbers the source understands.
    pub dialect: Dialect,
    /// Names of its time servers besides [`SourceConfig::domain`].
    pub ntp_names: Vec<NtpServerName>,
    /// The families whose users are sent there.
    pub families: Families,
    /// Where it serves in particular; users of other regions get it only when nobody else is left.
    pub regions: Vec<Region>,
    /// Who runs it; `None`: nobody who runs another.
    pub operator: Option<String>,
    /// Exchanges with it at the same time; `None`: as many as with any source.
    pub max_concurrency: Option<usize>,
    /// Whether it may have an address of a private network; `None`: what is said for all.
    pub allow_private: Option<bool>,
    /// Whether it is asked over the family of the user's address, because its servers for IPv4 and
    /// IPv6 do not know each other's cookies.
    pub match_family: bool,
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
            id: None,
            domain,
            port,
            weight: 1,
            auth_token: None,
            auth_token_path: None,
            token_generation: None,
            dialect: Dialect::default(),
            ntp_names: Vec::new(),
            families: Families::BOTH,
            regions: Vec::new(),
            operator: None,
            max_concurrency: None,
            allow_private: None,
            match_family: false,
        }
    }

    /// What logs and metrics call it, and what it keeps when all else about it changes:
    /// `domain:port`, unless the configuration says otherwise.
    pub fn id(&self) -> String {
        match &self.id {
            Some(id) => id.clone(),
            None => format!("{}:{}", self.domain(), self.port),
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

    /// Reads the file again that its token came from, if it came from one; false after a problem was
    /// reported.
    pub(super) fn read_token_again(&mut self, problems: &Problems) -> bool {
        let Some(file) = &self.auth_token_path else {
            return true;
        };
        let token = token_in(file, problems);
        let read = token.is_some();
        self.auth_token = token.or(self.auth_token.take());
        read
    }

    /// Whether this is the same source as `other`: the same id, at the same place, with the same
    /// token. Then what is known of one is true of the other.
    pub(crate) fn is_same_source(&self, other: &Self) -> bool {
        let same_token = match (&self.auth_token, &other.auth_token) {
            (Some(ours), Some(theirs)) => ours.matches(theirs),
            (None, None) => true,
            _ => false,
        };
        let place = |it: &Self| (it.id(), it.domain().canonical(), it.port());
        same_token && place(self) == place(other)
    }

    /// Whether there is no other way to its address, and it may name the same servers, as `other`,
    /// the same source.
    pub(crate) fn connects_like(&self, other: &Self) -> bool {
        self.allow_private == other.allow_private && self.ntp_names == other.ntp_names
    }

    /// Whether `other`, the same source, differs in nothing.
    pub(crate) fn is_just_like(&self, other: &Self) -> bool {
        let asked = |it: &Self| (it.dialect, it.max_concurrency, it.match_family);
        let token_file = |it: &Self| it.auth_token_path.as_ref().map(|file| file.to_path_buf());
        self.domain() == other.domain()
            && self.connects_like(other)
            && asked(self) == asked(other)
            && token_file(self) == token_file(other)
            && self.token_generation == other.token_generation
            && self.entry() == other.entry()
    }

    /// What selection is told of it.
    pub(crate) fn entry(&self) -> Entry {
        Entry {
            id: self.id(),
            weight: self.weight,
            on_probation: false,
            families: self.families,
            operator: self.operator.clone(),
            regions: self.regions.clone(),
        }
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

/// Reads one entry; `None` after a problem was reported.
pub(super) fn read(section: &Section<'_>, context: Context<'_>) -> Option<SourceConfig> {
    let id = read_id(section);
    let domain = read_domain(section);
    let port = match section.has("port") {
        true => section.optional::<Port>("port"),
        false => Port::new(DEFAULT_PORT),
    };
    let weight = section.number("weight", 1, 0..=MAX_WEIGHT, "");
    let dialect = section.or("dialect", Dialect::default());
    let ntp_names = read_ntp_names(section);
    let families = read_families(section);
    let regions = read_regions(section, context.groups);
    let operator = read_operator(section);
    let max_concurrency = read_max_concurrency(section);
    let allow_private = read_allow_private(section, context);
    let match_family = section.or("match-family", false);
    let (auth_token, auth_token_path) = match context.is_signed {
        true => refuse_token(section),
        false => read_token(section),
    };
    let token_generation = read_token_generation(section, context);
    let has_token = auth_token.is_some() || token_generation.is_some();
    if has_token && dialect == Dialect::DraftMtls {
        section.warning(
            "dialect",
            "the token is not used: this dialect proves itself by client certificate only; \
             take the token out, or write \"draft-token\"",
        );
    }
    let mut source = SourceConfig {
        id,
        weight,
        auth_token,
        auth_token_path,
        token_generation,
        dialect,
        ntp_names,
        families,
        regions,
        operator,
        max_concurrency,
        allow_private,
        match_family,
        ..SourceConfig::at(domain?, port?.get())
    };
    if let (Tokens::From(secret), Some(generation)) = (context.tokens, token_generation) {
        source.auth_token = Some(secret.token(&source.id(), source.domain(), generation));
    }
    Some(source)
}

/// The key by which `section` calls what we call `ours`: lists of the first NTS pool say `theirs`.
fn spelling(section: &Section<'_>, ours: &'static str, theirs: &'static str) -> &'static str {
    if section.has(theirs) && section.has(ours) {
        let message = format!("means the same as `{ours}`; take one of them out");
        section.error(theirs, message);
    }
    present(section, ours, theirs)
}

fn present(section: &Section<'_>, ours: &'static str, theirs: &'static str) -> &'static str {
    match section.has(theirs) && !section.has(ours) {
        true => theirs,
        false => ours,
    }
}

/// The key of the id in `section`.
pub(super) fn id_key(section: &Section<'_>) -> &'static str {
    present(section, "id", "uuid")
}

fn read_id(section: &Section<'_>) -> Option<String> {
    section.checked(spelling(section, "id", "uuid"), |id: String| {
        let fits = (1..=LONGEST_ID).contains(&id.len());
        match fits && id.bytes().all(|octet| octet.is_ascii_graphic()) {
            true => Ok(id),
            false => Err(format!(
                "no id; write 1 to {LONGEST_ID} ASCII letters, digits or signs without blanks"
            )),
        }
    })
}

fn read_families(section: &Section<'_>) -> Families {
    let (v4, v6) = (
        spelling(section, "ipv4", "ipv4-capable"),
        spelling(section, "ipv6", "ipv6-capable"),
    );
    let families = Families {
        v4: section.or(v4, true),
        v6: section.or(v6, true),
    };
    if !families.v4 && !families.v6 {
        section.warning(
            v6,
            "neither for IPv4 nor for IPv6, so this source is never used; set one of them to true",
        );
    }
    families
}

fn read_regions(section: &Section<'_>, groups: &Groups) -> Vec<Region> {
    const KEY: &str = "regions";
    let mut regions = Vec::new();
    for text in section.list::<String>(KEY).unwrap_or_default() {
        match Region::parse(&text, groups) {
            Ok(region) => regions.push(region),
            Err(error) => section.error(KEY, error.to_string()),
        }
    }
    regions
}

fn read_operator(section: &Section<'_>) -> Option<String> {
    section.checked("operator", |name: String| {
        match (1..=LONGEST_ID).contains(&name.len()) && !name.chars().any(char::is_control) {
            true => Ok(name),
            false => Err(format!("no name; write 1 to {LONGEST_ID} characters")),
        }
    })
}

fn read_ntp_names(section: &Section<'_>) -> Vec<NtpServerName> {
    const KEY: &str = "ntp-names";
    let names = section.list::<Host>(KEY).unwrap_or_default();
    if names.len() > MOST_NTP_NAMES {
        section.error(
            KEY,
            format!("too many names; write at most {MOST_NTP_NAMES}"),
        );
    }
    let names = names.iter().map(|name| name.to_string().parse());
    // A host is a name that users can be given.
    names.filter_map(Result::ok).collect()
}

fn read_domain(section: &Section<'_>) -> Option<Domain> {
    const KEY: &str = "domain";
    let text = section.required::<String>(KEY)?;
    let domain = text
        .parse::<Domain>()
        .map_err(|message| match port_in(&text) {
            Some(port) => format!("a port does not belong here; write it as `port = {port}`"),
            None => message,
        });
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

/// The port in what should be a host alone.
fn port_in(text: &str) -> Option<Port> {
    text.parse::<Address>().ok()?.port()
}

/// The token itself or a file that holds it.
fn read_token(section: &Section<'_>) -> (Option<AuthenticationToken>, Option<Located<PathBuf>>) {
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
        (Some(literal), None) => {
            let report = |problem: &dyn Fn(Place) -> Problem| {
                section.problems().push(problem(section.place(LITERAL)));
            };
            (token(literal.expose().as_bytes(), report), None)
        }
        (None, Some(file)) => (token_in(&file, section.problems()), Some(file)),
        (None, None) => (None, None),
    }
}

/// There is none in a signed list, and no file of this machine is named there.
fn refuse_token(section: &Section<'_>) -> (Option<AuthenticationToken>, Option<Located<PathBuf>>) {
    for key in [LITERAL, FILE] {
        section.refuse(
            key,
            "has no place in a signed list; write `token-generation`, and give pools the secret",
        );
    }
    (None, None)
}

/// Whoever signs lists may deny private addresses, but not allow them: those are in the pool's network.
fn read_allow_private(section: &Section<'_>, context: Context<'_>) -> Option<bool> {
    const KEY: &str = "allow-private";
    let allow = section.optional::<bool>(KEY)?;
    if allow && context.is_signed {
        section.warning(
            KEY,
            "of no effect in a signed list: whether there may be private addresses is up to the pool \
             (`deny-private-addresses`); take it out",
        );
        return None;
    }
    Some(allow)
}

/// Which of the derived tokens it has.
fn read_token_generation(section: &Section<'_>, context: Context<'_>) -> Option<u32> {
    const GENERATION: &str = "token-generation";
    let generation = section.optional::<u32>(GENERATION)?;
    if section.has(LITERAL) || section.has(FILE) {
        let message = "the token is given as well; take one of the two out";
        section.error(GENERATION, message);
        return None;
    }
    if matches!(context.tokens, Tokens::None) {
        let other_cure = match context.is_signed {
            true => "",
            false => ", or give the source an `auth-token-path`",
        };
        section.error(
            GENERATION,
            format!(
                "there is no secret to derive the token from; see to `token-secret-path` in \
                 `[nts-pool-ke-server]`{other_cure}"
            ),
        );
        return None;
    }
    Some(generation)
}

/// The token in a file; `None` after a problem was reported.
pub(crate) fn token_in(
    file: &Located<PathBuf>,
    problems: &Problems,
) -> Option<AuthenticationToken> {
    let octets: Zeroizing<Vec<u8>> = read_secret_file(file, problems)?;
    let path = toml::Value::String(file.display().to_string()).to_string();
    // An editor's line break at the end is no part of the token.
    token(octets.trim_ascii(), |problem| {
        problems.push(problem(file.place().clone()).with_value(path.clone()));
    })
}

/// Hands what is wrong with the token to `report`, as something that needs a place.
fn token(octets: &[u8], report: impl Fn(&dyn Fn(Place) -> Problem)) -> Option<AuthenticationToken> {
    const CURE: &str = "make one with `openssl rand -hex 32`";
    let token = match AuthenticationToken::new(octets) {
        Ok(token) => token,
        Err(error) => {
            report(&|place| Problem::error(place, format!("{error}; {CURE}")));
            return None;
        }
    };
    if octets.iter().any(u8::is_ascii_control) {
        const MESSAGE: &str = "the token has a line break or another control character in it, \
                               which is hardly meant; write one token on one line";
        report(&|place| Problem::warning(place, MESSAGE));
    }
    let length = token.length();
    if length < SHORTEST_GOOD_TOKEN {
        let message = format!("a token of {length} characters can be guessed; {CURE}");
        report(&|place| Problem::warning(place, message.clone()));
    }
    Some(token)
}
