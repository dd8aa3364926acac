//! Taking in what operators change while the pool runs: files that are watched, and everything at
//! once when they say so.
//!
//! | file | job |
//! | --- | --- |
//! | `part` | what can be loaded on its own, and from which files |
//! | `guard` | no reload takes most sources away by mistake |
//! | `registry` | signed lists of sources, from the registry or the disk |
//! | `shelf` | the signed list in use on the disk |
//! | `restart` | what a running pool cannot change |
//! | `tally` | what is counted and logged |
//!
//! A part is taken in whole or not at all: what is no good is counted, said once with file, key and
//! cause, and tried again, and what was loaded before stays. Loading is the same as at the start.
//! Nothing here decides what becomes of an exchange that runs.

mod guard;
mod part;
mod registry;
mod restart;
mod shelf;
mod tally;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nts_service::config::{Problem, Problems};
use nts_service::watch::{FileWatch, Timing};
use tokio::time::{Instant, sleep_until};

use crate::config::{Config, ObservabilityConfig};
use crate::pool::Pool;
use crate::snapshot::follow::{Follower, Offer, Standing};
use guard::Removal;
use part::Part;
use registry::{Finding, Judging};
use shelf::Shelf;
use tally::Tally;

/// What was no good is tried again after so many times the interval of looks: the fault may lie in a
/// file that was not there to be watched.
const RETRY_INTERVALS: u32 = 12;

/// What is done for one pool; see the module.
#[derive(Debug)]
pub struct Reloader {
    file: PathBuf,
    watch: FileWatch,
    /// What could not be taken in.
    failed: BTreeSet<Part>,
    retry_at: Instant,
    retry_pause: Duration,
    tally: Tally,
    /// Asks the registry of sources, if there is one.
    follower: Option<Follower>,
    standing: Arc<Standing>,
    /// A list from there.
    judging: Judging,
    shelf: Shelf,
}

/// Something that may have to be taken in.
#[derive(Debug)]
pub struct Due(Change);

#[derive(Debug)]
enum Change {
    /// These files have changed, or it is time to try again.
    Files(Vec<PathBuf>),
    /// The registry gives a list of sources.
    List(Offer),
    /// That was looked at.
    Judged(Box<Finding>),
}

impl Reloader {
    /// For a pool that was started with the configuration in `file`. Watches what that names.
    pub async fn new(file: impl AsRef<Path>, pool: &Pool) -> Self {
        Self::with_timing(file, pool, Timing::default()).await
    }

    /// The same, with another timing.
    pub async fn with_timing(file: impl AsRef<Path>, pool: &Pool, timing: Timing) -> Self {
        let retry_pause = timing.interval * RETRY_INTERVALS;
        let config = pool.config();
        let files = part::files(&config);
        registry::tell(&config);
        let standing = Standing::new(pool.registry());
        Self {
            file: file.as_ref().to_owned(),
            watch: FileWatch::with_timing(files, timing).await,
            failed: BTreeSet::new(),
            retry_at: Instant::now() + retry_pause,
            retry_pause,
            tally: Tally::new(pool.registry()),
            follower: registry::follow(&config, false, &standing),
            standing,
            judging: Judging::default(),
            shelf: Shelf::new(retry_pause),
        }
    }

    /// Reads the configuration and all that it names again, as the operator wants it now. Gives what
    /// it says about log and metrics, if it is good: levels are up to the caller.
    ///
    /// If anything is wrong with it nothing changes, except that a geo database which is no good
    /// does not keep the rest from being taken in. A registry of sources is asked at once, and what it
    /// then gives is what the operator wants.
    pub async fn reload(&mut self, pool: &mut Pool) -> Option<ObservabilityConfig> {
        let loaded = match Config::load(&self.file) {
            Ok(loaded) => loaded,
            Err(problems) => {
                self.tally.refused(Part::Config, &problems.into_vec());
                self.failed.insert(Part::Config);
                return None;
            }
        };
        let (mut config, former) = (loaded.value, pool.config());
        let mut warnings = loaded.warnings.into_vec();
        if let Err(problems) = registry::keep_list(&mut config, &former, &mut warnings) {
            self.tally.refused(Part::Config, &problems);
            self.failed.insert(Part::Config);
            return None;
        }
        self.failed.clear();
        self.tally.forget();
        if let Some(problems) = keep_geo(&mut config, &former, &mut warnings) {
            self.tally.refused(Part::Geo, &problems);
            self.failed.insert(Part::Geo);
        }
        self.tally.warn(warnings);
        for key in restart::needed(&former, &config) {
            tracing::warn!("`{key}` has changed, which takes effect at the next start");
        }
        if let Err(problem) = self.apply(config, &former, pool).await {
            self.tally.refused(Part::Sources, &[problem]);
            return None;
        }
        let config = pool.config();
        self.shelf.keep(&config);
        // What is looked at for the follower of before is asked for anew.
        self.judging = Judging::default();
        self.follower = registry::follow(&config, true, &self.standing);
        Some(config.observability)
    }

    /// Waits until there is something to take in. Cancel safe.
    pub async fn due(&mut self) -> Due {
        let retry = self.failed.iter().any(|part| *part != Part::Config);
        Due(tokio::select! {
            changed = self.watch.changed() => Change::Files(changed),
            () = sleep_until(self.retry_at), if retry => Change::Files(Vec::new()),
            offer = Follower::offer(self.follower.as_mut()) => Change::List(offer),
            finding = self.judging.finding() => Change::Judged(Box::new(finding)),
        })
    }

    /// Takes it in: of the parts that have changed, those that are good.
    pub async fn take_in(&mut self, due: Due, pool: &mut Pool) {
        match due.0 {
            Change::Files(changed) => self.take_files_in(&changed, pool).await,
            Change::List(offer) => self.look_at(offer, pool),
            Change::Judged(finding) => self.take_list_in(*finding, pool).await,
        }
    }

    async fn take_files_in(&mut self, changed: &[PathBuf], pool: &mut Pool) {
        let former = pool.config();
        let mut config = former.clone();
        let changed = part::affected(&former, changed);
        let failed = self.failed.iter().filter(|part| **part != Part::Config);
        let parts: BTreeSet<_> = changed.iter().chain(failed).copied().collect();
        let mut good = BTreeSet::new();
        for part in parts {
            match self.load(part, &mut config, &former) {
                Ok(warnings) => {
                    self.tally.warn(warnings);
                    self.failed.remove(&part);
                    good.insert(part);
                }
                Err(problems) => {
                    match changed.contains(&part) {
                        true => self.tally.refused(part, &problems),
                        false => self.tally.refused_again(part, &problems),
                    }
                    self.failed.insert(part);
                }
            }
        }
        self.retry_at = Instant::now() + self.retry_pause;
        if good.is_empty() {
            return;
        }
        match self.apply(config, &former, pool).await {
            Ok(()) => self.tally.taken_in(&good),
            Err(problem) => self.tally.refused(Part::Sources, &[problem]),
        }
    }

    /// Loads one part into `config`; gives warnings, or why `config` is as before.
    fn load(
        &self,
        part: Part,
        config: &mut Config,
        former: &Config,
    ) -> Result<Vec<Problem>, Vec<Problem>> {
        let problems = Problems::new();
        let mut loaded = config.clone();
        if !part.load(&mut loaded, &problems) {
            return Err(problems.into_vec());
        }
        let (before, after) = (&former.sources, &loaded.sources);
        if let Some(removal) = Removal::forbidden(before, after) {
            let file = after.file.as_ref().map_or(&self.file, |file| &**file);
            return Err(vec![removal.problem(after, file)]);
        }
        *config = loaded;
        Ok(problems.into_vec())
    }

    /// Has the pool go by `config`, or says why it cannot.
    async fn apply(
        &mut self,
        config: Config,
        former: &Config,
        pool: &mut Pool,
    ) -> Result<(), Problem> {
        let files = part::files(&config);
        let change = guard::Change::between(&former.sources, &config.sources);
        if let Err(error) = pool.reload(config) {
            let place = nts_service::config::Place::file(&self.file);
            return Err(Problem::error(place, error.to_string()));
        }
        self.watch.watch_instead(files).await;
        tracing::info!(%change, "configuration taken in");
        Ok(())
    }
}

/// Puts the geo database of before into `config` if its own is no good. Gives why it is not, taken
/// out of the `warnings`.
fn keep_geo(
    config: &mut Config,
    former: &Config,
    warnings: &mut Vec<Problem>,
) -> Option<Vec<Problem>> {
    let database = config.geo.as_mut().filter(|it| it.geo.is_none())?;
    database.geo = former.geo.as_ref().and_then(|it| it.geo.clone());
    let here = database.file.place();
    Some(warnings.extract_if(.., |it| it.place() == here).collect())
}
