//! The client: sources, their key exchanges and their measurements.
//!
//! One spawner per `[[source]]` knows how many remotes it owes and finds them; one task per remote
//! drives a [`nts_proto::association`]. Decisions are pure and stand in files of their own; what
//! this module does itself is start and stop the tasks.
//!
//! What never happens here: touching the clock. The client measures, and tells the clock's keeper.

mod board;
mod connect;
mod key_exchange;
mod net;
mod nursery;
mod row;
mod source;
mod spawner;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use tokio::task::JoinSet;

pub use board::Board;

use crate::clock::Keeper;
use crate::config::{SourceConfig, SourceMode};
use spawner::{Base, Common, KeyedSpawner, PlainSpawner};

/// Number of a source, never used twice in one run of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct SourceId(u64);

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The running client. Dropping it stops all its tasks.
#[derive(Debug)]
pub struct Client {
    board: Arc<Board>,
    _spawners: JoinSet<()>,
}

impl Client {
    /// Starts one spawner per source; `keeper` gets what is measured. Must be called inside a Tokio
    /// runtime.
    #[must_use]
    pub fn spawn(sources: &[SourceConfig], keeper: &Arc<Keeper>) -> Self {
        let board = Arc::new(Board::default());
        let common = Arc::new(Common::new(Arc::clone(&board), Arc::clone(keeper)));
        let mut spawners = JoinSet::new();
        for (index, config) in sources.iter().enumerate() {
            let base = Base::new(Arc::clone(&common), index, config);
            let remote = config.address.clone();
            match &config.mode {
                SourceMode::Server => spawners.spawn(PlainSpawner::single(base, remote).run()),
                SourceMode::Pool { count, ignore } => {
                    spawners.spawn(PlainSpawner::pool(base, remote, *count, ignore.clone()).run())
                }
                SourceMode::Nts { trust } => {
                    spawners.spawn(KeyedSpawner::new(base, remote, trust, None).run())
                }
                SourceMode::NtsPool { count, trust } => {
                    spawners.spawn(KeyedSpawner::new(base, remote, trust, Some(*count)).run())
                }
            };
        }
        Self {
            board,
            _spawners: spawners,
        }
    }

    /// What the client knows, for reports.
    #[must_use]
    pub fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }
}
