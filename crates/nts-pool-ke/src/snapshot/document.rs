//! One signed list: octets in, and out comes a list that is signed by whom it should be, for this
//! pool, in a form that is known. Pure.
//!
//! ```text
//! nts-pool-snapshot ed25519 SIGNATURE⏎        base64 of 64 octets
//! {"issued":…,"pool":…,"schema":1,"serial":…,"sources":[…]}
//! ```
//!
//! What is signed are all octets after the first line: canonical JSON, without a line break at its
//! end. The signature is checked before anything is parsed.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::BASE64;
use serde_json::{Map, Value};

use super::MAX_LENGTH;
use super::canonical::{self, LARGEST, NotCanonical};
use super::signature::{PublicKey, SIGNATURE_LENGTH, SigningKey};

const MARK: &str = "nts-pool-snapshot ed25519 ";
/// The only form of the list so far.
const SCHEMA: u64 = 1;
const LONGEST_POOL: usize = 255;

/// Whose lists are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// One of these must have signed it.
    pub keys: Vec<PublicKey>,
    /// The pool that it must be for; `None`: any.
    pub pool: Option<String>,
}

/// What a list says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The pool that it is for.
    pub pool: String,
    /// The how manieth list it is: the next one has a greater number.
    pub serial: u64,
    /// When it was made, by the clock of who made it.
    pub issued: SystemTime,
}

/// A list that is signed, and in a form that is known. What stands in it about sources has not been
/// looked at yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    octets: String,
    header: Header,
}

/// Why a list is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Nobody publishes so much.
    #[error("it is longer than 64 MiB")]
    TooLong,
    /// There is no signature in it.
    #[error(
        "it is no signed list: that begins with a line `nts-pool-snapshot ed25519 …`, as \
         `nts-pool-ke snapshot sign` writes it"
    )]
    Unsigned,
    /// Signed by somebody else, or changed since.
    #[error(
        "its signature is not one of `public-key`: it was changed or cut off on its way, or signed \
         with another key, which `public-key` would have to name too"
    )]
    Signature,
    /// Signed, but not what the format asks for.
    #[error("it is properly signed, but {0}")]
    NotCanonical(#[from] NotCanonical),
    /// Signed, but not what the format asks for.
    #[error("it is properly signed, but {0}")]
    Malformed(String),
    /// Another program's, or that of a later version.
    #[error(
        "it is properly signed, but of schema {0}, and this program knows schema {SCHEMA}; update it"
    )]
    Schema(Value),
    /// Signed by the right key for another pool.
    #[error(
        "it is properly signed, but for the pool `{found}`, not for `{wanted}`; ask for the list of \
         that one, or write the other name as `pool`"
    )]
    Pool {
        /// The pool that it is for.
        found: String,
        /// The one that was wanted, or is in use.
        wanted: String,
    },
    /// An old list in the place of a newer one, or two lists of one number.
    #[error(
        "it is properly signed, but its serial is {found}, after {last}: an old list, or two of the \
         same number; the next one needs a greater serial"
    )]
    RolledBack {
        /// Its serial.
        found: u64,
        /// That of the last one.
        last: u64,
    },
}

impl Rejection {
    /// All labels.
    pub(crate) const LABELS: [&str; 5] = [
        "malformed",
        "signature",
        "schema",
        "other_pool",
        "rolled_back",
    ];

    /// A short name of the kind, fit for a metrics label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::TooLong | Self::Unsigned | Self::NotCanonical(_) | Self::Malformed(_) => {
                "malformed"
            }
            Self::Signature => "signature",
            Self::Schema(_) => "schema",
            Self::Pool { .. } => "other_pool",
            Self::RolledBack { .. } => "rolled_back",
        }
    }
}

impl Document {
    /// Takes what was published, if it is signed by one of the keys of `trust` for its pool.
    ///
    /// # Errors
    /// [`Rejection`]; never [`Rejection::RolledBack`], which [`Document::may_follow`] is about.
    pub fn open(octets: Vec<u8>, trust: &Trust) -> Result<Self, Rejection> {
        if octets.len() > MAX_LENGTH {
            return Err(Rejection::TooLong);
        }
        let (signature, signed) = split(&octets).ok_or(Rejection::Unsigned)?;
        if !trust
            .keys
            .iter()
            .any(|key| key.verifies(signed, &signature))
        {
            return Err(Rejection::Signature);
        }
        let octets = String::from_utf8(octets)
            .map_err(|_| Rejection::Malformed("it is no text in UTF-8".to_owned()))?;
        let header = Header::read(&canonical::parse(text(&octets))?)?;
        match &trust.pool {
            Some(wanted) if *wanted != header.pool => Err(Rejection::Pool {
                found: header.pool,
                wanted: wanted.clone(),
            }),
            _ => Ok(Self { octets, header }),
        }
    }

    /// Whether it is for the pool of `last`, and newer, or the very same list.
    ///
    /// # Errors
    /// [`Rejection::Pool`], [`Rejection::RolledBack`].
    pub fn may_follow(&self, last: &Self) -> Result<(), Rejection> {
        if self.header.pool != last.header.pool {
            return Err(Rejection::Pool {
                found: self.header.pool.clone(),
                wanted: last.header.pool.clone(),
            });
        }
        let (found, last_serial) = (self.header.serial, last.header.serial);
        match found > last_serial || self.text() == last.text() {
            true => Ok(()),
            false => Err(Rejection::RolledBack {
                found,
                last: last_serial,
            }),
        }
    }

    /// What it says about itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The list: JSON.
    pub fn text(&self) -> &str {
        text(&self.octets)
    }

    /// All of it, as it was published.
    pub fn octets(&self) -> &[u8] {
        self.octets.as_bytes()
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Document").field(&self.header).finish()
    }
}

impl Header {
    /// The keys of a list that are about itself.
    pub(crate) const KEYS: [&str; 4] = ["issued", "pool", "schema", "serial"];

    /// How old the list is by the clock that shows `now`; 0 if that is behind the registry's.
    pub fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.issued).unwrap_or_default()
    }

    /// When it was made, in seconds since 1970.
    pub fn issued_at(&self) -> u64 {
        let since = self.issued.duration_since(UNIX_EPOCH);
        since.unwrap_or_default().as_secs()
    }

    fn read(list: &Value) -> Result<Self, Rejection> {
        let list = list.as_object();
        let list = list.ok_or_else(|| Rejection::Malformed("it is no JSON object".to_owned()))?;
        match list.get("schema") {
            Some(schema) if *schema == SCHEMA => {}
            schema => return Err(Rejection::Schema(schema.cloned().unwrap_or_default())),
        }
        let wrong = |key: &str, right: &str| {
            Rejection::Malformed(format!(
                "`{key}` is missing or wrong; {right} belongs there"
            ))
        };
        let number = |key| list.get(key).and_then(Value::as_u64);
        let pool = list.get("pool").and_then(Value::as_str);
        let pool = pool.filter(|name| is_pool(name));
        let issued = number("issued").map(Duration::from_secs);
        Ok(Self {
            pool: pool
                .ok_or_else(|| wrong("pool", "the name of a pool"))?
                .to_owned(),
            serial: number("serial").ok_or_else(|| wrong("serial", "a whole number"))?,
            issued: issued
                .and_then(|since| UNIX_EPOCH.checked_add(since))
                .ok_or_else(|| wrong("issued", "the time in seconds since 1970"))?,
        })
    }
}

/// Whether a pool can be called so.
pub(crate) fn is_pool(name: &str) -> bool {
    (1..=LONGEST_POOL).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// Signs a list: `entries` with a header before them.
///
/// # Errors
/// What cannot be written as canonical JSON, or would be [rejected](Rejection).
pub fn sign(
    header: &Header,
    mut entries: Map<String, Value>,
    key: &SigningKey,
) -> Result<Document, Rejection> {
    if header.serial > LARGEST {
        return Err(NotCanonical::Number(header.serial.to_string()).into());
    }
    entries.insert("issued".to_owned(), header.issued_at().into());
    entries.insert("pool".to_owned(), header.pool.as_str().into());
    entries.insert("schema".to_owned(), SCHEMA.into());
    entries.insert("serial".to_owned(), header.serial.into());
    let text = canonical::write(&Value::Object(entries))?;
    let trust = Trust {
        keys: vec![key.public()],
        pool: None,
    };
    Document::open(with_signature(&text, key).into_bytes(), &trust)
}

/// A text with its signature before it, whether or not it is a list that anybody would take.
pub fn with_signature(text: &str, key: &SigningKey) -> String {
    let signature = BASE64.encode(&key.sign(text.as_bytes()));
    format!("{MARK}{signature}\n{text}")
}

/// The signature, and what it is of.
fn split(octets: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let rest = octets.strip_prefix(MARK.as_bytes())?;
    let end = rest.iter().position(|octet| *octet == b'\n')?;
    let (signature, signed) = rest.split_at(end);
    let signature = BASE64.decode(signature).ok()?;
    (signature.len() == SIGNATURE_LENGTH).then_some((signature, &signed[1..]))
}

/// What comes after the first line.
fn text(octets: &str) -> &str {
    octets.split_once('\n').map_or("", |(_, text)| text)
}

#[cfg(test)]
mod tests;
