//! Sources, and how they are chosen: what goes together in a signed list, which is read as a file of
//! sources is.
//!
//! A signed list holds no token, and names no file of this machine: who signs lists for many pools
//! has no business with either.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nts_service::config::{Located, Problem, Problems, Section, load_part, read_json};

use super::sources::{self, Context, SourceList, Tokens};
use super::{Config, groups, selection};
use crate::selection::{Groups, SelectionPolicy};
use crate::snapshot::{Document, Header};

const SOURCES: &str = "sources";

/// Sources, and what is said about all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalogue {
    /// The sources.
    pub(crate) sources: SourceList,
    /// The groups of countries that sources may be listed for.
    pub(super) groups: Groups,
    /// How a user's source is chosen.
    pub(super) selection: SelectionPolicy,
}

impl Catalogue {
    /// Reads a signed list, with warnings; `name` stands for it in problems.
    ///
    /// # Errors
    /// All problems, if any of them is an error.
    pub(crate) fn of_document(
        document: &Arc<Document>,
        name: &Path,
        tokens: Tokens<'_>,
    ) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let problems = Problems::new();
        let catalogue = read_json(name, document.text(), SOURCES, &problems, |root| {
            // It has been looked at.
            for key in Header::KEYS {
                root.has(key);
            }
            read(root, SOURCES, tokens)
        });
        match catalogue.filter(|_| !problems.has_errors()) {
            Some(mut catalogue) => {
                catalogue.sources.signed = Some(Arc::clone(document));
                Ok((catalogue, problems.into_vec()))
            }
            None => Err(problems.into_vec()),
        }
    }

    /// Whether a signed list can be made of this file of sources. `None` after a problem was reported.
    pub(crate) fn check_file(file: &Located<PathBuf>, problems: &Problems) -> Option<()> {
        let catalogue = load_part(file, sources::SERVERS, problems, |root| {
            read(root, sources::SERVERS, Tokens::Elsewhere)
        });
        catalogue.filter(|_| !problems.has_errors()).map(drop)
    }
}

impl Config {
    /// Goes by these sources.
    pub(crate) fn take(&mut self, list: Catalogue) {
        self.sources = list.sources;
        self.groups = list.groups;
        self.selection = list.selection;
    }

    /// Goes by the sources of `former`, however it came by them.
    pub(crate) fn keep_list_of(&mut self, former: &Self) {
        self.sources = former.sources.clone();
        self.groups = former.groups.clone();
        self.selection = former.selection;
    }
}

/// Reads what can be signed, with the sources at `key`.
fn read(root: &Section<'_>, key: &'static str, tokens: Tokens<'_>) -> Option<Catalogue> {
    let groups = groups::read(root, "regions");
    let selection = root.section("policy");
    let selection = selection.map(|section| selection::read(&section));
    let context = Context {
        groups: &groups,
        tokens,
        is_signed: true,
    };
    Some(Catalogue {
        sources: sources::read_list(root, key, context)?,
        groups,
        selection: selection.unwrap_or_default(),
    })
}
