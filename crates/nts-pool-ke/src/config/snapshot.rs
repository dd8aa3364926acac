//! `[snapshot]`: sources that a registry lists, in a signed list.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use nts_service::config::{Located, Problems, Section, read_file};
use nts_service::tls::{TrustAnchors, TrustMode};

use super::catalogue::Catalogue;
use super::sources::Tokens;
use crate::snapshot::{DiskCopy, PublicKey, Token, Trust, Url, cache, is_pool};

const KEYS: &str = "public-key";
const KEY_FILE: &str = "public-key-path";
const AUTHORITIES: &str = "certificate-authority-path";
const DEFAULT_INTERVAL: u64 = 30;
const LONGEST_INTERVAL: u64 = 86_400;

/// `[snapshot]`.
#[derive(Clone, Debug)]
pub struct SnapshotConfig {
    /// Where the list is published.
    pub url: Url,
    /// Whose lists are taken.
    pub trust: Trust,
    /// The token that the registry wants to see.
    pub token: Option<Located<PathBuf>>,
    /// The copy on the disk.
    pub cache: Located<PathBuf>,
    /// What was in it when the configuration was read.
    pub disk_copy: DiskCopy,
    /// From one question to the next, give or take a half.
    pub interval: Duration,
    /// Who vouches for the registry's certificate, which it needs with `https`.
    pub authorities: Option<TrustAnchors>,
    /// The file that those came from, if they are not the system's.
    pub authorities_file: Option<Located<PathBuf>>,
}

impl SnapshotConfig {
    /// What is on the disk, with the state of the copy; warnings about what is not to be used.
    pub(super) fn read_copy(
        &mut self,
        tokens: Tokens<'_>,
        problems: &Problems,
    ) -> Option<Catalogue> {
        let loaded = cache::load(&self.cache, &self.trust, problems);
        let document = match loaded {
            Ok(document) => Arc::new(document),
            Err(state) => {
                self.disk_copy = state;
                return None;
            }
        };
        let loaded = Catalogue::of_document(&document, &self.cache, tokens);
        let (catalogue, faults) = match loaded {
            Ok((catalogue, warnings)) => (Some(catalogue), warnings),
            Err(faults) => (None, faults),
        };
        for fault in faults {
            problems.warning(fault.place(), fault.message());
        }
        self.disk_copy = match catalogue {
            Some(_) => DiskCopy::Good,
            None => DiskCopy::Refused,
        };
        catalogue
    }
}

/// Reads the section. `None` after a problem was reported.
pub(super) fn read(section: &Section<'_>) -> Option<SnapshotConfig> {
    let url = section.required::<String>("url").and_then(|text| {
        let url = Url::from_str(&text);
        // Without the URL, in which there may be a password or a key.
        let place = section.place("url");
        url.map_err(|message| section.problems().error(&place, message))
            .ok()
    });
    let keys = read_keys(section);
    let pool = section.checked("pool", |name: String| match is_pool(&name) {
        true => Ok(name),
        false => Err("no name of a pool; write what stands in its lists as `pool`".to_owned()),
    });
    let token = section.path("token-path");
    if let Some(file) = &token {
        Token::load(file, section.problems());
    }
    let cache = section.required_path("cache-path");
    let interval = section.number(
        "interval-s",
        DEFAULT_INTERVAL,
        1..=LONGEST_INTERVAL,
        "seconds",
    );
    let authorities_file = section.path(AUTHORITIES);
    let url = url?;
    let authorities = match url.is_https() {
        true => Some(load_authorities(section, authorities_file.as_ref())?),
        false => {
            section.refuse(AUTHORITIES, "not read with an `http` URL; take it out");
            None
        }
    };
    Some(SnapshotConfig {
        url,
        trust: Trust { keys: keys?, pool },
        token,
        cache: cache?,
        disk_copy: DiskCopy::Missing,
        interval: Duration::from_secs(interval),
        authorities,
        authorities_file,
    })
}

fn load_authorities(
    section: &Section<'_>,
    file: Option<&Located<PathBuf>>,
) -> Option<TrustAnchors> {
    let mode = match file {
        Some(_) => TrustMode::Only,
        None => TrustMode::System,
    };
    TrustAnchors::load(mode, file, &section.place(AUTHORITIES), section.problems())
}

/// The keys, of which there is at least one.
fn read_keys(section: &Section<'_>) -> Option<Vec<PublicKey>> {
    let problems = section.problems();
    let mut keys = Vec::new();
    let texts = section.one_or_many::<String>(KEYS).unwrap_or_default();
    for text in &texts {
        match PublicKey::from_base64(text) {
            Ok(key) => keys.push(key),
            Err(message) => problems.error(text.place(), message),
        }
    }
    if let Some(file) = section.path(KEY_FILE) {
        match PublicKey::from_pem(&read_file(&file, problems)?) {
            Ok(key) => keys.push(key),
            Err(message) => section.error(KEY_FILE, message),
        }
    }
    if !section.has(KEY_FILE) && texts.is_empty() {
        match section.is_empty_list(KEYS) {
            true => section.error(KEYS, "no key, so no list could be taken; write one"),
            false => drop(section.required::<String>(KEYS)),
        }
    }
    (!keys.is_empty()).then_some(keys)
}

/// The section as it could be written, without the query of the URL.
impl fmt::Display for SnapshotConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use super::effective::{path, quoted};
        let keys: Vec<_> = self.trust.keys.iter().map(quoted).collect();
        writeln!(f, "[snapshot]")?;
        writeln!(f, "url = {}", quoted(&self.url))?;
        writeln!(f, "public-key = [{}]", keys.join(", "))?;
        if let Some(pool) = &self.trust.pool {
            writeln!(f, "pool = {}", quoted(pool))?;
        }
        if let Some(token) = &self.token {
            writeln!(f, "token-path = {}", path(token))?;
        }
        writeln!(f, "cache-path = {}", path(&self.cache))?;
        writeln!(f, "interval-s = {}", self.interval.as_secs())?;
        match &self.authorities_file {
            Some(file) => writeln!(f, "certificate-authority-path = {}\n", path(file)),
            None => writeln!(f),
        }
    }
}
