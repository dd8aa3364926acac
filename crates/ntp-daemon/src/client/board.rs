//! The board: what the client's tasks know, written by them and read by the observer.
//!
//! Each task writes its own rows; a reader gets copies. What never happens here: a decision, or a
//! lock held while waiting.

use crate::observe::state::{ConfiguredSourceState, SourceState};

/// The rows of all configured sources and of all remotes.
#[derive(Debug, Default)]
pub struct Board {}

impl Board {
    /// One row per remote, sorted by name, then id.
    #[must_use]
    pub fn sources(&self) -> Vec<SourceState> {
        Vec::new()
    }

    /// One row per `[[source]]`, in the order of the configuration.
    #[must_use]
    pub fn configured_sources(&self) -> Vec<ConfiguredSourceState> {
        Vec::new()
    }
}
