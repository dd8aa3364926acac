//! `[limits]`: what users may take of the pool.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use nts_proto::ke::request::MAX_DENIED;
use nts_service::config::Section;
use nts_service::files;
use nts_service::listener::{PrefixLimits, first_byte_limit};

/// `[limits]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Connections of users at the same time; if not given, what open files allow.
    pub max_connections: Option<usize>,
    /// What one network may do.
    pub prefixes: PrefixLimits,
    /// How long a connection may be silent at first; if not given, half of an exchange's time, but
    /// at most 2 s.
    pub first_byte_timeout: Option<Duration>,
    /// How long a TLS handshake may take; if not given, as long as the exchange.
    pub handshake_timeout: Option<Duration>,
    /// How long a request may take, from the end of the handshake on; if not given, as long as the
    /// exchange.
    pub request_timeout: Option<Duration>,
    /// The longest request, in octets.
    pub max_request: usize,
    /// How many denied names of a request count; further ones are ignored.
    pub max_denied: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_connections: None,
            prefixes: PrefixLimits::default(),
            first_byte_timeout: None,
            handshake_timeout: None,
            request_timeout: None,
            max_request: *REQUEST.end(),
            max_denied: MAX_DENIED,
        }
    }
}

/// What open files allow, but not more than this.
const MOST_BY_DEFAULT: usize = 16_384;
const CONNECTIONS: RangeInclusive<usize> = 1..=1_000_000;
const PER_PREFIX: RangeInclusive<u32> = 1..=1_000_000;
/// From what RFC 8915 §4 demands to what fits into one TLS record.
const REQUEST: RangeInclusive<usize> = 1024..=16_384;
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);

impl LimitsConfig {
    /// Connections at the same time where `open_files` files may be open.
    pub fn connections(&self, open_files: u64) -> usize {
        self.max_connections
            .unwrap_or_else(|| files::share_of_users(open_files).min(MOST_BY_DEFAULT))
    }

    /// How long a connection may be silent at first, in an exchange of `budget`.
    pub fn first_byte(&self, budget: Duration) -> Duration {
        self.first_byte_timeout
            .unwrap_or_else(|| first_byte_limit(budget))
            .min(budget)
    }

    /// How long a TLS handshake may take, in an exchange of `budget`.
    pub fn handshake(&self, budget: Duration) -> Duration {
        self.handshake_timeout.unwrap_or(budget).min(budget)
    }

    /// How long a request may take, in an exchange of `budget`.
    pub fn request(&self, budget: Duration) -> Duration {
        self.request_timeout.unwrap_or(budget).min(budget)
    }

    /// Writes the section as it is in effect where an exchange has `budget`.
    pub(super) fn show(&self, f: &mut fmt::Formatter<'_>, budget: Duration) -> fmt::Result {
        writeln!(f, "[limits]")?;
        match self.max_connections {
            Some(connections) => writeln!(f, "max-connections = {connections}")?,
            None => writeln!(
                f,
                "# max-connections: 60 % of the open files, at most {MOST_BY_DEFAULT}"
            )?,
        }
        let prefixes = &self.prefixes;
        writeln!(f, "prefix-rate = {}", prefixes.rate)?;
        writeln!(f, "prefix-burst = {}", prefixes.burst)?;
        writeln!(f, "prefix-concurrency = {}", prefixes.concurrency)?;
        let exempt: Vec<_> = prefixes
            .exempt
            .iter()
            .map(|it| format!("\"{it}\""))
            .collect();
        writeln!(f, "exempt-prefixes = [{}]", exempt.join(", "))?;
        for (key, time) in [
            ("first-byte-timeout-ms", self.first_byte(budget)),
            ("handshake-timeout-ms", self.handshake(budget)),
            ("request-timeout-ms", self.request(budget)),
        ] {
            writeln!(f, "{key} = {}", time.as_millis())?;
        }
        writeln!(f, "max-request-bytes = {}", self.max_request)?;
        writeln!(f, "max-denied = {}", self.max_denied)?;
        writeln!(f)
    }
}

/// Reads the section.
pub(super) fn read(section: &Section<'_>) -> LimitsConfig {
    let default = PrefixLimits::default();
    let number = |key, default| section.number(key, default, PER_PREFIX, "");
    LimitsConfig {
        max_connections: {
            const KEY: &str = "max-connections";
            let connections = section.number(KEY, MOST_BY_DEFAULT, CONNECTIONS, "");
            section.has(KEY).then_some(connections)
        },
        prefixes: PrefixLimits {
            rate: number("prefix-rate", default.rate),
            burst: number("prefix-burst", default.burst),
            concurrency: number("prefix-concurrency", default.concurrency),
            exempt: read_networks(section, "exempt-prefixes").unwrap_or(default.exempt),
        },
        first_byte_timeout: timeout(section, "first-byte-timeout-ms"),
        handshake_timeout: timeout(section, "handshake-timeout-ms"),
        request_timeout: timeout(section, "request-timeout-ms"),
        max_request: section.number("max-request-bytes", *REQUEST.end(), REQUEST, "octets"),
        max_denied: section.number("max-denied", MAX_DENIED, 0..=MAX_DENIED, "names"),
    }
}

fn timeout(section: &Section<'_>, key: &'static str) -> Option<Duration> {
    let time = section.milliseconds(key, *TIMEOUT.end(), TIMEOUT);
    section.has(key).then_some(time)
}

/// The networks that a key lists; `None` if it is not there.
pub(super) fn read_networks<T: std::str::FromStr>(
    section: &Section<'_>,
    key: &'static str,
) -> Option<Vec<T>> {
    let texts = section.list::<String>(key)?;
    let parse = |text: &nts_service::config::Located<String>| {
        let network = text.parse();
        if network.is_err() {
            section.problems().error(
                text.place(),
                "no network; write an address and a length like `192.0.2.0/24` or \
                 `2001:db8::/32`",
            );
        }
        network.ok()
    };
    Some(texts.iter().filter_map(parse).collect())
}
