//! The text of a configuration file while it is read.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use super::problem::{Place, Problems};

/// The text of a file and where its lines begin.
pub(super) struct SourceFile<'t> {
    path: PathBuf,
    text: &'t str,
    line_starts: Vec<usize>,
    /// Until that has been said.
    others_can_read: Cell<bool>,
}

impl<'t> SourceFile<'t> {
    pub(super) fn new(path: &Path, text: &'t str, others_can_read: bool) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0)
            .chain(breaks.map(|(at, _)| at + 1))
            .collect();
        Self {
            path: path.to_owned(),
            text,
            line_starts,
            others_can_read: Cell::new(others_can_read),
        }
    }

    /// The line, counted from 1, that holds the octet at `offset`.
    fn line(&self, offset: usize) -> usize {
        self.line_starts
            .partition_point(|start| *start <= offset)
            .max(1)
    }

    /// The place of the octet at `offset`.
    pub(super) fn place(&self, offset: usize) -> Place {
        Place::file(&self.path).at_line(self.line(offset))
    }

    /// The text as written at `span`.
    pub(super) fn text(&self, span: std::ops::Range<usize>) -> &'t str {
        self.text.get(span).unwrap_or_default()
    }

    /// The whole text.
    pub(super) fn whole(&self) -> &'t str {
        self.text
    }

    /// Says once that others can read the secret at `place`, if they can.
    pub(super) fn warn_if_others_can_read(&self, place: &Place, problems: &Problems) {
        if self.others_can_read.take() {
            let message = format!(
                "this file holds a secret and every user of this machine can read it; run \
                 `chmod o-r '{}'`",
                self.path.display()
            );
            problems.warning(place, message);
        }
    }
}
