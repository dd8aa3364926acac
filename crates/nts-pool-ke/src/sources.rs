//! All sources of a pool together, how a user's candidates are drawn from them, and the one task
//! that has done what their health asks for.
//!
//! A list of sources never changes: a reload makes another one that shares with it whoever stays.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::time::{Instant, sleep_until};

use crate::config::SourceConfig;
use crate::directory::{Directory, Enrolment};
use crate::effort::Effort;
use crate::fleet::{Arrival, HealthPolicy, SourceKey};
use crate::roll::Roll;
use crate::selection::{Groups, Live, Offer, RosterError, SelectionPolicy, Snapshot, SourceIndex};
use crate::snapshot::Header;
use crate::source::{Place, Source};
use crate::upstream::Means;

/// The sources of one configuration.
pub(crate) struct Sources {
    all: Vec<Arc<Source>>,
    positions: HashMap<SourceKey, usize>,
    roll: Arc<Roll>,
    directory: Arc<Directory>,
    means: Arc<Means>,
    edition: Edition,
    /// The how manieth list since the start this is.
    number: u64,
    taken_in: Instant,
}

/// What a configuration says about all sources together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// How a user's source is chosen.
    pub(crate) selection: SelectionPolicy,
    /// The groups of countries that sources may be listed for.
    pub(crate) groups: Groups,
    /// When a source is ejected, and what brings it back; how often it is checked is up to `means`.
    pub(crate) health: HealthPolicy,
    /// Whose list it is.
    pub(crate) edition: Edition,
}

/// Whose list of sources it is.
#[derive(Clone, Debug, Default)]
pub(crate) enum Edition {
    /// That of this pool's operator.
    #[default]
    Own,
    /// That of a registry, with what it says about itself; `None`: there has been none yet.
    Signed(Option<Header>),
}

impl Sources {
    /// The sources of a pool that starts.
    ///
    /// # Errors
    /// If they cannot be told apart, or there is too much of something.
    pub(crate) fn new(
        configs: Vec<SourceConfig>,
        means: &Arc<Means>,
        rules: Rules,
    ) -> Result<Self, RosterError> {
        let directory = Arc::new(Directory::new(rules.health.clone()));
        Self::enrolled(configs, &[], Arrival::AtStart, directory, means, rules)
    }

    /// The sources that come after these. Whoever stays keeps what is known of him; these are of no
    /// more use for new exchanges.
    ///
    /// # Errors
    /// As [`Sources::new`]; nothing has changed then.
    pub(crate) fn succeeded_by(
        &self,
        configs: Vec<SourceConfig>,
        means: &Arc<Means>,
        rules: Rules,
    ) -> Result<Self, RosterError> {
        let directory = Arc::clone(&self.directory);
        // Nobody is spared by sparing all there is.
        let arrival = match self.all.is_empty() {
            true => Arrival::AtStart,
            false => Arrival::Later,
        };
        let next = Self::enrolled(configs, &self.all, arrival, directory, means, rules)?;
        Ok(Self {
            number: self.number + 1,
            ..next
        })
    }

    fn enrolled(
        configs: Vec<SourceConfig>,
        former: &[Arc<Source>],
        arrival: Arrival,
        directory: Arc<Directory>,
        means: &Arc<Means>,
        rules: Rules,
    ) -> Result<Self, RosterError> {
        let health = HealthPolicy {
            check_interval: means.policy.info_interval,
            ..rules.health
        };
        let by_id: HashMap<_, _> = former.iter().map(|it| (it.label(), it)).collect();
        let stays = |config: &SourceConfig| {
            let same = by_id.get(config.id().as_str()).copied();
            same.filter(|source| source.config().is_same_source(config))
        };
        let kept: Vec<_> = configs.iter().map(stays).collect();
        let enrolments: Vec<_> = std::iter::zip(&configs, &kept)
            .map(|(config, kept)| Enrolment {
                config,
                known: kept.map(|source| source.key()),
            })
            .collect();
        let roll = directory.enrol(&enrolments, arrival, rules.groups, rules.selection, health)?;
        let members = configs.into_iter().zip(kept).zip(roll.sources());
        let all = members.map(|((config, kept), (_, key))| match kept {
            Some(source) => renewed(source, config, means),
            None => {
                let directory = Arc::clone(&directory);
                let place = Place { key, directory };
                Arc::new(Source::new(config, Arc::clone(means), place))
            }
        });
        let all: Vec<_> = all.collect();
        Ok(Self {
            positions: std::iter::zip(all.iter().map(|it| it.key()), 0..).collect(),
            all,
            roll,
            directory,
            means: Arc::clone(means),
            edition: rules.edition,
            number: 1,
            taken_in: Instant::now(),
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

    /// The source of that key, if it is one of these.
    fn find(&self, key: SourceKey) -> Option<&Arc<Source>> {
        self.all.get(*self.positions.get(&key)?)
    }

    /// The present tables that users' sources are drawn from; an exchange takes them once.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.roll.snapshot()
    }

    /// How they stand.
    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// How they are dealt with.
    pub(crate) fn means(&self) -> &Arc<Means> {
        &self.means
    }

    /// What the registry says about the list, if it is one of a registry.
    pub(crate) fn signed(&self) -> Option<&Header> {
        match &self.edition {
            Edition::Own => None,
            Edition::Signed(header) => header.as_ref(),
        }
    }

    /// What the registry calls the list, 0 if it has given none; or the how manieth since the start it
    /// is.
    pub(crate) fn serial(&self) -> u64 {
        match &self.edition {
            Edition::Own => self.number,
            Edition::Signed(header) => header.as_ref().map_or(0, |header| header.serial),
        }
    }

    /// Since the registry made the list, going by this machine's clock, or since it was taken in.
    pub(crate) fn age(&self) -> Duration {
        match &self.edition {
            Edition::Signed(Some(header)) => header.age(SystemTime::now()),
            Edition::Own | Edition::Signed(None) => self.taken_in.elapsed(),
        }
    }

    /// Why nobody can be served when none of them works.
    pub(crate) fn trouble(&self) -> &'static str {
        match self.edition {
            Edition::Signed(None) if self.all.is_empty() => "the registry has given no list yet",
            Edition::Signed(_) | Edition::Own => "no time source works",
        }
    }

    /// What may be done beside trying one of them for each user.
    pub(crate) fn effort(&self) -> MutexGuard<'_, Effort> {
        self.means.node.effort()
    }

    /// How many of them are tried for one user.
    pub(crate) fn attempts(&self) -> usize {
        self.means.policy.attempts
    }
}

/// The same source as `config` and `means` want it, which may be the very same.
fn renewed(source: &Arc<Source>, config: SourceConfig, means: &Arc<Means>) -> Arc<Source> {
    let same_means = Arc::ptr_eq(source.means(), means);
    match same_means && source.config().is_just_like(&config) {
        true => Arc::clone(source),
        false => Arc::new(source.renewed(config, Arc::clone(means))),
    }
}

/// The sources that are in use now.
pub(crate) struct Present {
    sources: ArcSwap<Sources>,
    /// Held while sources are replaced, or looked for by what the directory calls them.
    replacing: Mutex<()>,
}

impl Present {
    /// These, until they are replaced.
    pub(crate) fn new(sources: Sources) -> Self {
        Self {
            sources: ArcSwap::from_pointee(sources),
            replacing: Mutex::default(),
        }
    }

    /// The sources that are in use now.
    pub(crate) fn get(&self) -> Arc<Sources> {
        self.sources.load_full()
    }

    /// Puts others in their place, which `succeed` makes of them.
    ///
    /// # Errors
    /// That of `succeed`; nothing has changed then.
    pub(crate) fn replace<E>(
        &self,
        succeed: impl FnOnce(&Sources) -> Result<Sources, E>,
    ) -> Result<Arc<Sources>, E> {
        let _replacing = self
            .replacing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let sources = Arc::new(succeed(&self.get())?);
        self.sources.store(Arc::clone(&sources));
        Ok(sources)
    }

    /// Has sources checked when it is time and makes new tables, for ever. Dropping the future ends
    /// it.
    pub(crate) async fn tend(self: Arc<Self>) {
        let directory = Arc::clone(&self.get().directory);
        loop {
            let next = self.pass_time(&directory);
            let wait = async {
                match next {
                    Some(at) => sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wait => {}
                () = directory.news() => {}
            }
        }
    }

    /// Does what is due; when to do so again.
    fn pass_time(&self, directory: &Directory) -> Option<std::time::Instant> {
        let _replacing = self
            .replacing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (to_check, next) = directory.pass_time();
        if !to_check.is_empty() {
            let sources = self.get();
            for source in to_check.into_iter().filter_map(|key| sources.find(key)) {
                source.board.check_is_due();
            }
        }
        next
    }
}

/// What the draw of one user's candidates may ask of every source.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    /// All sources.
    pub(crate) sources: &'a Sources,
    /// What the user offers.
    pub(crate) offer: &'a Offer,
    /// Whether only those count that can be asked at once: a slot is free, the last thing they did
    /// was not to fail, and the last check did not leave the pool without any knowledge.
    pub(crate) at_once: bool,
    /// When this is asked.
    pub(crate) now: Instant,
}

impl Live for View<'_> {
    fn admits(&self, source: SourceIndex) -> bool {
        self.sources.roll.admits(source)
    }

    fn can_serve(&self, source: SourceIndex) -> bool {
        let Some(source) = self.sources.get(source) else {
            return false;
        };
        let known = source.board.known(self.now);
        let matches = known.is_none_or(|known| self.offer.matches(&known.supported));
        let at_once =
            || source.slots.is_free() && !source.is_failing() && !source.board.is_unready(self.now);
        matches && (!self.at_once || at_once())
    }

    fn is_in_panic(&self) -> bool {
        self.sources.roll.is_in_panic()
    }
}

#[cfg(test)]
mod tests;
