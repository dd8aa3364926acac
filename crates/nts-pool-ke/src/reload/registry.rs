//! Signed lists of sources: those that the registry gives, and the copy of the last one on the disk.
//!
//! A list goes the way of every other: the same reading, the same guard. It is kept on the disk once
//! it is in use, never before, and never goes back to an older one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use nts_service::config::{Place, Problem};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet};

use super::Reloader;
use super::guard::Removal;
use super::part::Part;
use crate::age;
use crate::config::{Catalogue, Config, SnapshotConfig};
use crate::defect::Defect;
use crate::pool::Pool;
use crate::snapshot::follow::{Follower, Offer, Plan, Standing, Verdict};
use crate::snapshot::{Document, Registry, Rejection};

/// A list that is not taken, and why.
#[derive(Debug)]
struct Refusal(Verdict, Vec<Problem>);

/// What was found in a list: what it says, and warnings; `None` if it is the one in use.
type Found = Result<Option<(Catalogue, Vec<Problem>)>, Refusal>;

/// A list that is being looked at. That takes a while if it is long, so a thread of its own does it.
#[derive(Debug, Default)]
pub(super) struct Judging {
    work: JoinSet<Found>,
    /// Whom to tell what became of the list.
    told: Option<oneshot::Sender<Verdict>>,
}

/// What came of that.
#[derive(Debug)]
pub(super) struct Finding {
    found: Result<Found, JoinError>,
    told: Option<oneshot::Sender<Verdict>>,
}

impl Judging {
    fn begin(offer: Offer, former: Config) -> Self {
        let Offer {
            octets,
            asked,
            verdict,
        } = offer;
        let mut work = JoinSet::new();
        work.spawn_blocking(move || consider(octets, asked, &former));
        Self {
            work,
            told: Some(verdict),
        }
    }

    /// Waits for what comes of it; for ever if nothing is looked at. Cancel safe.
    pub(super) async fn finding(&mut self) -> Finding {
        match self.work.join_next().await {
            Some(found) => Finding {
                found,
                told: self.told.take(),
            },
            None => std::future::pending().await,
        }
    }
}

impl Reloader {
    /// Has a list looked at that the registry gives.
    pub(super) fn look_at(&mut self, offer: Offer, pool: &Pool) {
        self.judging = Judging::begin(offer, pool.config());
    }

    /// Takes in a list that was looked at, if it is good.
    pub(super) async fn take_list_in(&mut self, finding: Finding, pool: &mut Pool) {
        let verdict = self.verdict(finding.found, pool).await;
        if let Verdict::TakenIn | Verdict::Unchanged = verdict {
            let config = pool.config();
            if verdict == Verdict::TakenIn {
                self.shelf.keep(&config);
                tell(&config);
            }
            if self.tally.healed(Part::Snapshot) && verdict == Verdict::Unchanged {
                tracing::info!("the registry of sources gives the list in use again");
            }
        }
        if let Some(told) = finding.told {
            // Nobody waits for it if the pool ends.
            let _ = told.send(verdict);
        }
    }

    async fn verdict(&mut self, found: Result<Found, JoinError>, pool: &mut Pool) -> Verdict {
        // Files may have been taken in since the list came, but none that says anything of sources.
        let former = pool.config();
        let found = found.unwrap_or_else(|_| {
            let problem = Problem::error(Place::file(&self.file), Defect.to_string());
            Err(Refusal(Verdict::Unusable, vec![problem]))
        });
        let refusal = match found {
            Ok(None) => return Verdict::Unchanged,
            Ok(Some((catalogue, warnings))) => {
                self.tally.warn(warnings);
                let mut config = former.clone();
                config.take(catalogue);
                match self.apply(config, &former, pool).await {
                    Ok(()) => return Verdict::TakenIn,
                    Err(problem) => Refusal(Verdict::Unusable, vec![problem]),
                }
            }
            Err(refusal) => refusal,
        };
        let Refusal(verdict, problems) = refusal;
        self.tally.refused_again(Part::Snapshot, &problems);
        verdict
    }
}

/// Looks at a list with which a pool is to go on that goes by `former`.
fn consider(octets: Vec<u8>, asked: bool, former: &Config) -> Found {
    let Some(snapshot) = &former.snapshot else {
        return Ok(None);
    };
    let last = former.sources.signed.as_deref();
    if last.is_some_and(|last| last.octets() == octets) {
        return Ok(None);
    }
    let name = PathBuf::from(snapshot.url.to_string());
    let document = Document::open(octets, &snapshot.trust);
    let document = document.and_then(|document| match last {
        Some(last) => document.may_follow(last).map(|()| document),
        None => Ok(document),
    });
    let document = document.map_err(|rejection| rejected(&rejection, &name))?;
    let (catalogue, warnings) = Catalogue::of_document(&Arc::new(document), &name, former.tokens())
        .map_err(|problems| Refusal(Verdict::Unusable, problems))?;
    match Removal::forbidden(&former.sources, &catalogue.sources) {
        Some(removal) if !asked => {
            let problem = removal.problem(&catalogue.sources, &name);
            Err(Refusal(Verdict::MassRemoval, vec![problem]))
        }
        _ => Ok(Some((catalogue, warnings))),
    }
}

fn rejected(rejection: &Rejection, name: &Path) -> Refusal {
    let problem = Problem::error(Place::file(name), rejection.to_string());
    Refusal(Verdict::Rejected(rejection.label()), vec![problem])
}

/// After `config` was read anew: sees to it that the list in use is not replaced by an older one from
/// the disk, or by none.
///
/// # Errors
/// If the list in use is no good with the rest of `config`.
pub(super) fn keep_list(
    config: &mut Config,
    former: &Config,
    warnings: &mut Vec<Problem>,
) -> Result<(), Vec<Problem>> {
    let Some(snapshot) = &config.snapshot else {
        return Ok(());
    };
    let place = snapshot.cache.place().clone();
    let copy = config.sources.signed.as_deref();
    let message = match in_use(snapshot, former) {
        Some(list) if copy.is_none_or(|copy| copy.may_follow(&list).is_err()) => {
            let name = PathBuf::from(snapshot.url.to_string());
            let (catalogue, _) = Catalogue::of_document(&list, &name, config.tokens())?;
            config.take(catalogue);
            "this copy is not that of the list in use, which stays and is stored anew"
        }
        None if copy.is_none() => {
            config.keep_list_of(former);
            config.sources.file = None;
            config.sources.signed = None;
            "there is no signed list that could be taken; the sources in use stay until the \
             registry gives one"
        }
        _ => return Ok(()),
    };
    warnings.retain(|warning| *warning.place() != place);
    warnings.push(Problem::warning(place, message));
    Ok(())
}

/// The list in use, if it can be believed under `snapshot`.
fn in_use(snapshot: &SnapshotConfig, former: &Config) -> Option<Arc<Document>> {
    let document = former.sources.signed.as_ref()?;
    let again = Document::open(document.octets().to_vec(), &snapshot.trust);
    again.is_ok().then(|| Arc::clone(document))
}

/// Says which signed list is in use, if one is.
pub(super) fn tell(config: &Config) {
    if let Some(list) = &config.sources.signed {
        let header = list.header();
        let (pool, serial) = (&header.pool, header.serial);
        let age = age::shown(header.age(SystemTime::now()));
        tracing::info!(%pool, serial, %age, "signed list of sources in use");
    }
}

/// Asks the registry of `config`, if it has one.
pub(super) fn follow(config: &Config, asked: bool, standing: &Arc<Standing>) -> Option<Follower> {
    let Some(snapshot) = &config.snapshot else {
        standing.forget();
        return None;
    };
    let plan = Plan {
        registry: Registry::new(snapshot.url.clone(), snapshot.authorities.as_ref()),
        token: snapshot.token.clone(),
        interval: snapshot.interval,
    };
    Some(Follower::start(plan, asked, Arc::clone(standing)))
}
