//! All sources of a pool together, how a user's candidates are drawn from them, and the one task
//! that has done what their health asks for.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use crate::config::SourceConfig;
use crate::directory::Directory;
use crate::fleet::HealthPolicy;
use crate::selection::{Live, Offer, RosterError, SelectionPolicy, SourceIndex};
use crate::source::{Place, Source};
use crate::upstream::Means;

/// All sources of a pool.
pub(crate) struct Sources {
    all: Vec<Arc<Source>>,
    directory: Arc<Directory>,
    attempts: usize,
}

impl Sources {
    /// The sources of a pool that starts.
    ///
    /// # Errors
    /// If they cannot be told apart, or there is too much of something.
    pub(crate) fn new(
        configs: Vec<SourceConfig>,
        means: &Arc<Means>,
        selection: SelectionPolicy,
        health: HealthPolicy,
    ) -> Result<Self, RosterError> {
        let health = HealthPolicy {
            check_interval: means.policy.info_interval,
            ..health
        };
        let directory = Arc::new(Directory::new(&configs, selection, health)?);
        let all = (0..).map(SourceIndex::new).zip(configs);
        let all = all.map(|(index, config)| {
            let place = Place {
                index,
                directory: Arc::clone(&directory),
            };
            Arc::new(Source::new(config, Arc::clone(means), place))
        });
        Ok(Self {
            all: all.collect(),
            directory,
            attempts: means.policy.attempts,
        })
    }

    /// All of them, in the order of the configuration.
    pub(crate) fn all(&self) -> &[Arc<Source>] {
        &self.all
    }

    /// The source of that position, if it is one of these.
    pub(crate) fn get(&self, index: SourceIndex) -> Option<&Arc<Source>> {
        self.all.get(index.get())
    }

    /// How they stand.
    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// How many of them are tried for one user.
    pub(crate) fn attempts(&self) -> usize {
        self.attempts
    }

    /// Has sources checked when it is time and makes new tables, for ever. Dropping the future ends
    /// it.
    pub(crate) async fn tend(self: Arc<Self>) {
        loop {
            let (to_check, next) = self.directory.pass_time();
            for source in to_check {
                if let Some(source) = self.get(source) {
                    source.board.check_is_due();
                }
            }
            let wait = async {
                match next {
                    Some(at) => sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wait => {}
                () = self.directory.news() => {}
            }
        }
    }
}

/// What the draw of one user's candidates may ask of every source.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    /// All sources.
    pub(crate) sources: &'a Sources,
    /// What the user offers.
    pub(crate) offer: &'a Offer,
    /// Whether only those count that can be asked at once: a slot is free, and the last check did
    /// not leave the pool without any knowledge.
    pub(crate) at_once: bool,
    /// When this is asked.
    pub(crate) now: Instant,
}

impl Live for View<'_> {
    fn admits(&self, source: SourceIndex) -> bool {
        self.sources.directory.admits(source)
    }

    fn can_serve(&self, source: SourceIndex) -> bool {
        let Some(source) = self.sources.get(source) else {
            return false;
        };
        let known = source.board.known(self.now);
        let matches = known.is_none_or(|known| self.offer.matches(&known.supported));
        let at_once = || source.slots.is_free() && !source.board.is_unready(self.now);
        matches && (!self.at_once || at_once())
    }
}
