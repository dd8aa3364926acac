//! The board: what the client's tasks know, written by them and read by the observer.
//!
//! Each task writes its own row; a reader gets copies. What never happens here: a decision, or a
//! lock held while waiting.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::SourceId;
use crate::observe::state::{ConfiguredSourceState, SourceState};

/// The rows of all configured sources and of all remotes.
#[derive(Debug, Default)]
pub struct Board {
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    configured: BTreeMap<usize, (ConfiguredSourceState, Option<Instant>)>,
    sources: BTreeMap<SourceId, (SourceState, Option<Instant>)>,
}

impl Board {
    /// One row per remote, sorted by name, then id.
    #[must_use]
    pub fn sources(&self) -> Vec<SourceState> {
        let now = Instant::now();
        let mut sources: Vec<SourceState> = self
            .rows()
            .sources
            .values()
            .map(|(row, next)| SourceState {
                next_poll_seconds: seconds_until(*next, now),
                ..row.clone()
            })
            .collect();
        sources.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        sources
    }

    /// One row per `[[source]]`, in the order of the configuration.
    #[must_use]
    pub fn configured_sources(&self) -> Vec<ConfiguredSourceState> {
        let now = Instant::now();
        self.rows()
            .configured
            .values()
            .map(|(row, next)| ConfiguredSourceState {
                next_try_seconds: seconds_until(*next, now),
                ..row.clone()
            })
            .collect()
    }

    /// Puts up the row of the `index`-th `[[source]]`; `next_try` is when it tries again.
    pub(super) fn put_configured(
        &self,
        index: usize,
        row: ConfiguredSourceState,
        next_try: Option<Instant>,
    ) {
        self.rows().configured.insert(index, (row, next_try));
    }

    /// A place for the row of a remote.
    pub(super) fn place(self: &Arc<Self>, id: SourceId) -> Place {
        Place {
            board: Arc::clone(self),
            id,
        }
    }

    /// The rows are replaced whole, so a panic while they were locked has left nothing half done.
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one remote's row. Dropping it takes the row down, so that no row outlives the task
/// that writes it.
#[derive(Debug)]
pub(super) struct Place {
    board: Arc<Board>,
    id: SourceId,
}

impl Place {
    /// Puts up the row; `next_poll` is when the remote is asked next.
    pub(super) fn put(&self, row: SourceState, next_poll: Option<Instant>) {
        self.board.rows().sources.insert(self.id, (row, next_poll));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.board.rows().sources.remove(&self.id);
    }
}

fn seconds_until(time: Option<Instant>, now: Instant) -> Option<f64> {
    time.map(|time| time.saturating_duration_since(now).as_secs_f64())
}
