//! Sources, and how they are chosen: what goes together in a signed list, which is read as a file of
//! sources is.
//!
//! A signed list holds no token, and names no file of this machine: who signs lists for many pools
//! has no business with either.

use std::path::Path;
use std::sync::Arc;

use nts_service::config::{Problem, Problems, Section, Severity, read_json};

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
    /// Reads a signed list; `name` stands for it in problems. It is no good if any of them is an error.
    pub(crate) fn read(
        document: &Arc<Document>,
        name: &Path,
        tokens: Tokens<'_>,
        problems: &Problems,
    ) -> Option<Self> {
        let mut list = read_json(name, document.text(), SOURCES, problems, |root| {
            read(root, tokens)
        })?;
        list.sources.signed = Some(Arc::clone(document));
        Some(list)
    }

    /// The same with the warnings.
    ///
    /// # Errors
    /// All problems, if any of them is an error.
    pub(crate) fn load(
        document: &Arc<Document>,
        name: &Path,
        tokens: Tokens<'_>,
    ) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let problems = Problems::new();
        let list = Self::read(document, name, tokens, &problems);
        let problems = problems.into_vec();
        let good = problems
            .iter()
            .all(|problem| problem.severity() == Severity::Warning);
        match list.filter(|_| good) {
            Some(list) => Ok((list, problems)),
            None => Err(problems),
        }
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

fn read(root: &Section<'_>, tokens: Tokens<'_>) -> Option<Catalogue> {
    // It has been looked at.
    for key in Header::KEYS {
        root.has(key);
    }
    let groups = groups::read(root, "regions");
    let selection = root.section("policy");
    let selection = selection.map(|section| selection::read(&section));
    let context = Context {
        groups: &groups,
        tokens,
        is_signed: true,
    };
    Some(Catalogue {
        sources: sources::read_list(root, SOURCES, context)?,
        groups,
        selection: selection.unwrap_or_default(),
    })
}
