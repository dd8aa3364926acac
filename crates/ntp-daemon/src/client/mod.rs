//! The client: sources, their key exchanges and their measurements.
//!
//! One spawner per `[[source]]` knows how many remotes it owes and finds them; one task per remote
//! drives a [`nts_proto::association`]. Decisions are pure and stand in files of their own; what
//! this module does itself is start and stop the tasks.
//!
//! What never happens here: touching the clock. The client measures, and tells the clock's keeper.

mod board;
mod connect;
mod cookies;
mod key_exchange;
mod net;
mod nursery;
mod row;
mod source;
mod spawner;
#[cfg(test)]
mod tests;
mod words;

use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub use board::Board;

use crate::clock::Keeper;
use crate::config::{SourceConfig, SourceMode};
use cookies::CookieStore;
use spawner::{Base, Common, KeyedSpawner, PlainSpawner};

/// Number of a source, never used twice in one run of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct SourceId(u64);

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Time that tasks get to end.
const END_LIMIT: Duration = Duration::from_millis(300);

/// The running client. Dropping it stops all its tasks.
#[derive(Debug)]
pub struct Client {
    board: Arc<Board>,
    cookies: Option<Arc<CookieStore>>,
    spawners: JoinSet<()>,
    /// Ends when all tasks have ended, as each holds the other side.
    ended: mpsc::Receiver<Infallible>,
}

impl Client {
    /// Starts one spawner per source; `keeper` gets what is measured. Must be called inside a Tokio
    /// runtime.
    #[must_use]
    pub fn spawn(sources: &[SourceConfig], keeper: &Arc<Keeper>) -> Self {
        Self::spawn_with(sources, keeper, None)
    }

    /// The same, beginning with the NTS cookies that the last run left in the file `cookies`.
    #[must_use]
    pub fn spawn_with(
        sources: &[SourceConfig],
        keeper: &Arc<Keeper>,
        cookies: Option<&Path>,
    ) -> Self {
        let board = Arc::new(Board::default());
        let cookies = cookies.map(|path| Arc::new(CookieStore::open(path)));
        let (alive, ended) = mpsc::channel(1);
        let common = Arc::new(Common::new(
            Arc::clone(&board),
            Arc::clone(keeper),
            cookies.clone(),
            alive,
        ));
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
            cookies,
            spawners,
            ended,
        }
    }

    /// Ends all tasks, and keeps unused NTS cookies for the next run.
    pub async fn stop(mut self) {
        if let Some(cookies) = &self.cookies {
            cookies.begin_to_leave();
        }
        self.spawners.shutdown().await;
        if tokio::time::timeout(END_LIMIT, self.ended.recv())
            .await
            .is_err()
        {
            tracing::debug!("some sources have not ended in time");
        }
        if let Some(cookies) = &self.cookies {
            cookies.save();
        }
    }

    /// What the client knows, for reports.
    #[must_use]
    pub fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }
}
