//! The list of sources: inline in the configuration, or in a file of its own.
//!
//! Both have the same keys, as have signed lists. An inline list without a source to pick is a mistake;
//! the others may come to that, since other programs write them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use nts_service::config::{Located, Problems, Section, load_part};

use super::derived_token::TokenSecret;
use super::source::{self, SourceConfig};
use crate::selection::{Groups, MAX_SOURCES, MAX_WEIGHT};
use crate::snapshot::Document;

pub(super) const SERVERS: &str = "key-exchange-servers";
const FILE: &str = "key-exchange-servers-path";

/// What the entries of a list may refer to.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Groups of countries that sources may be listed for.
    pub groups: &'a Groups,
    /// Where derived tokens come from.
    pub tokens: Tokens<'a>,
    /// Whether it is a signed list, which holds no tokens and names no files.
    pub is_signed: bool,
}

/// Where derived tokens come from.
#[derive(Clone, Copy, Debug)]
pub enum Tokens<'a> {
    /// There is no secret to derive them from.
    None,
    /// From this one.
    From(&'a TokenSecret),
    /// From one that is not here: the list is only looked at.
    Elsewhere,
}

impl<'a> Tokens<'a> {
    /// From this secret, if there is one.
    pub fn of(secret: Option<&'a TokenSecret>) -> Self {
        secret.map_or(Self::None, Self::From)
    }
}

/// What the configuration says about sources.
#[derive(Clone, Debug, Default)]
pub struct SourceList {
    /// The sources to choose from. Only a list from a file can be empty.
    pub sources: Vec<SourceConfig>,
    /// The file that they came from, if they came from one.
    pub file: Option<Located<PathBuf>>,
    /// The signed list that they came from, if they came from one.
    pub signed: Option<Arc<Document>>,
    /// Whether that file or list may take most sources away at once while the pool runs.
    pub allow_mass_removal: bool,
}

impl SourceList {
    /// Reads the list from a file of its own. `None` after a problem was reported.
    pub fn load(file: Located<PathBuf>, context: Context<'_>, problems: &Problems) -> Option<Self> {
        let mut list = load_part(&file, SERVERS, problems, |root| {
            read_list(root, SERVERS, context)
        })?;
        list.file = Some(file);
        Some(list)
    }

    /// Reads again the files that these sources' tokens came from. `None` after a problem was
    /// reported.
    pub fn with_tokens_read_again(mut self, problems: &Problems) -> Option<Self> {
        let read = self
            .sources
            .iter_mut()
            .map(|it| it.read_token_again(problems));
        let read: Vec<_> = read.collect();
        read.into_iter().all(|read| read).then_some(self)
    }
}

impl From<Vec<SourceConfig>> for SourceList {
    fn from(sources: Vec<SourceConfig>) -> Self {
        Self {
            sources,
            ..Self::default()
        }
    }
}

/// Refuses what would be a second list beside that of a registry.
pub(super) fn refuse(server: &Section<'_>) {
    for key in [SERVERS, FILE] {
        server.refuse(
            key,
            "`[snapshot]` gives the list of sources; take one of the two out",
        );
    }
}

/// Reads the list. `None` after a problem was reported.
pub(super) fn read(server: &Section<'_>, context: Context<'_>) -> Option<SourceList> {
    match (server.has(SERVERS), server.path(FILE)) {
        (true, Some(_)) => {
            let message = format!("both `{SERVERS}` and `{FILE}`; take one of them out");
            server.error(FILE, message);
            read_inline(server, context).map(SourceList::from)
        }
        (false, Some(file)) => SourceList::load(file, context, server.problems()),
        (true, None) => read_inline(server, context).map(SourceList::from),
        (false, None) => {
            // After a bad path there is nothing more to say.
            if !server.has(FILE) {
                server.required::<String>(SERVERS);
            }
            None
        }
    }
}

fn read_inline(server: &Section<'_>, context: Context<'_>) -> Option<Vec<SourceConfig>> {
    if server.is_empty_list(SERVERS) {
        server.error(
            SERVERS,
            "no time source; add at least one like `{ domain = \"nts.example.org\", port = 4460 }`",
        );
        return None;
    }
    let entries = read_entries(server, SERVERS, context)?;
    if entries.complete && entries.enabled.is_empty() {
        server.error(SERVERS, "no source is enabled; enable at least one");
    } else if entries.complete && !entries.can_be_picked() {
        server.error(
            SERVERS,
            format!(
                "every source has weight 0, so none could be picked; \
                 give at least one a weight from 1 to {MAX_WEIGHT}"
            ),
        );
    }
    Some(entries.enabled)
}

/// Reads the list at `key` of what is a list and nothing else; `None` after a problem was reported.
pub(super) fn read_list(
    root: &Section<'_>,
    key: &'static str,
    context: Context<'_>,
) -> Option<SourceList> {
    let allow_mass_removal = root.or("allow-mass-removal", false);
    if !root.has(key) {
        root.required::<String>(key);
        return None;
    }
    let entries = read_entries(root, key, context)?;
    if entries.complete && !entries.can_be_picked() {
        root.problems().warning(
            &root.here(),
            "no source in this list can be picked, so every user will be refused; add sources, or \
             give them weight",
        );
    }
    Some(SourceList {
        sources: entries.enabled,
        allow_mass_removal,
        ..SourceList::default()
    })
}

/// The entries of a list.
struct Entries {
    /// Whether it is a list and all of it could be read.
    complete: bool,
    /// Those that are to be used.
    enabled: Vec<SourceConfig>,
}

impl Entries {
    fn can_be_picked(&self) -> bool {
        self.enabled.iter().any(|source| source.weight > 0)
    }
}

fn read_entries(list: &Section<'_>, key: &'static str, context: Context<'_>) -> Option<Entries> {
    if list.list_length(key) > MAX_SOURCES {
        let message = format!("more than {MAX_SOURCES} sources; divide them over several pools");
        list.error(key, message);
        return None;
    }
    let (mut addresses, mut ids) = (HashMap::new(), HashMap::new());
    let sections = list.sections(key);
    let is_list = list.is_empty_list(key) || !sections.is_empty();
    let mut entries = Entries {
        complete: is_list && sections.len() == list.list_length(key),
        enabled: Vec::new(),
    };
    for (index, section) in sections.into_iter().enumerate() {
        let enabled = section.or("enabled", true);
        let Some(source) = source::read(&section, context) else {
            entries.complete = false;
            continue;
        };
        let number = index + 1;
        let address = (source.domain().canonical(), source.port());
        if let Some(first) = addresses.insert(address, number) {
            section.error(
                "domain",
                format!("the same domain and port as entry {first}; take one of them out"),
            );
        } else if let Some(first) = ids.insert(source.id(), number) {
            section.error(
                source::id_key(&section),
                format!("the same id as entry {first}; give one of them another"),
            );
        }
        if enabled {
            entries.enabled.push(source);
        }
    }
    Some(entries)
}
