//! Asking the registry for ever: when, and what is counted and logged about it.
//!
//! A list that comes is offered to whoever takes lists in, and his verdict is waited for.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::header::HeaderValue;
use nts_service::config::{Located, Problems};
use nts_service::telemetry::metrics::{Counter, Kind, Registry as Metrics};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::document::Rejection;
use super::fetch::{Answer, Registry, Token};
use crate::defect::for_ever;

/// After a failure the registry is asked again so soon, then after ever longer pauses.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest pause after failures, in intervals.
const LONGEST_RETRY: u32 = 4;

/// Whom to ask, and how often.
#[derive(Clone)]
pub(crate) struct Plan {
    /// Who is asked.
    pub(crate) registry: Registry,
    /// What makes the registry answer, if it wants that; read again each time.
    pub(crate) token: Option<Located<PathBuf>>,
    /// From one question to the next, give or take a half.
    pub(crate) interval: Duration,
}

/// A list that came from the registry.
#[derive(Debug)]
pub(crate) struct Offer {
    /// What it published.
    pub(crate) octets: Vec<u8>,
    /// Whether the operator wants it now.
    pub(crate) asked: bool,
    /// What became of it.
    pub(crate) verdict: oneshot::Sender<Verdict>,
}

/// What became of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is in use from now on.
    TakenIn,
    /// It is in use already.
    Unchanged,
    /// It is not to be believed, with the label of the [`Rejection`].
    Rejected(&'static str),
    /// It can be believed, but there is something wrong with the sources in it.
    Unusable,
    /// It takes most sources away.
    MassRemoval,
}

impl Verdict {
    fn label(self) -> &'static str {
        match self {
            Self::TakenIn => "taken_in",
            Self::Unchanged => "unchanged",
            Self::Rejected(label) => label,
            Self::Unusable => "unusable",
            Self::MassRemoval => "mass_removal",
        }
    }

    fn is_in_use(self) -> bool {
        matches!(self, Self::TakenIn | Self::Unchanged)
    }
}

/// No answer that could be looked at.
const UNREACHABLE: &str = "unreachable";

/// What is known of a registry, shown in metrics. There is one for each pool.
pub(crate) struct Standing {
    fetches: BTreeMap<&'static str, Counter>,
    /// `None`: there is no registry.
    asked: Mutex<Option<Asked>>,
}

/// A registry that is asked.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// When it last said what is in use, or began to be asked.
    confirmed: Instant,
    /// From one question to the next.
    interval: Duration,
}

impl Standing {
    /// Of no registry yet.
    pub(crate) fn new(metrics: &Metrics) -> Arc<Self> {
        let labels = [
            Verdict::TakenIn.label(),
            Verdict::Unchanged.label(),
            Verdict::Unusable.label(),
            Verdict::MassRemoval.label(),
            UNREACHABLE,
        ];
        let counter = |outcome| {
            let help = "Questions to the registry of sources, by what came of them.";
            let name = "nts_pool_ke_snapshot_fetches_total";
            (
                outcome,
                metrics.counter(name, help, &[("outcome", outcome)]),
            )
        };
        let standing = Arc::new(Self {
            fetches: labels
                .into_iter()
                .chain(Rejection::LABELS)
                .map(counter)
                .collect(),
            asked: Mutex::default(),
        });
        let shown = Arc::clone(&standing);
        metrics.collect(move |page| {
            let asked = *shown.asked();
            let name = "nts_pool_ke_snapshot_unconfirmed_seconds";
            let help = "Since the registry of sources last said that the list in use is the last.";
            page.family(name, Kind::Gauge, help);
            if let Some(asked) = asked {
                page.sample(name, &[], asked.confirmed.elapsed().as_secs_f64());
            }
            let name = "nts_pool_ke_snapshot_interval_seconds";
            let help =
                "From one question to the registry of sources to the next, give or take a half.";
            page.family(name, Kind::Gauge, help);
            if let Some(asked) = asked {
                page.sample(name, &[], asked.interval.as_secs_f64());
            }
        });
        standing
    }

    /// There is no registry any more.
    pub(crate) fn forget(&self) {
        *self.asked() = None;
    }

    /// There is one, which is asked so often.
    fn begin(&self, interval: Duration) {
        let mut asked = self.asked();
        let confirmed = asked.map_or_else(Instant::now, |asked| asked.confirmed);
        *asked = Some(Asked {
            confirmed,
            interval,
        });
    }

    /// It says that the list in use is the last.
    fn confirm(&self) {
        if let Some(asked) = &mut *self.asked() {
            asked.confirmed = Instant::now();
        }
    }

    fn count(&self, outcome: &str) {
        if let Some(counter) = self.fetches.get(outcome) {
            counter.increment();
        }
    }

    fn asked(&self) -> MutexGuard<'_, Option<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Standing({:?})", *self.asked())
    }
}

/// The task that asks. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Follower {
    offers: mpsc::Receiver<Offer>,
    _task: JoinSet<()>,
}

impl Follower {
    /// Begins to ask, at once. The first list that comes is what the operator wants if he has `asked`.
    pub(crate) fn start(plan: Plan, asked: bool, standing: Arc<Standing>) -> Self {
        standing.begin(plan.interval);
        let (sender, offers) = mpsc::channel(1);
        let asked = Arc::new(AtomicBool::new(asked));
        let mut task = JoinSet::new();
        task.spawn(for_ever(move || {
            let asking = Asking {
                plan: plan.clone(),
                offers: sender.clone(),
                standing: Arc::clone(&standing),
                tag: None,
                failures: 0,
                said: None,
                asked: Arc::clone(&asked),
            };
            asking.go_on()
        }));
        Self {
            offers,
            _task: task,
        }
    }

    /// Waits for a list; for ever if there is no follower. Cancel safe.
    pub(crate) async fn offer(follower: Option<&mut Self>) -> Offer {
        let offer = match follower {
            Some(follower) => follower.offers.recv().await,
            None => None,
        };
        match offer {
            Some(offer) => offer,
            None => std::future::pending().await,
        }
    }
}

/// The asking itself.
struct Asking {
    plan: Plan,
    offers: mpsc::Sender<Offer>,
    standing: Arc<Standing>,
    /// That of the list in use.
    tag: Option<HeaderValue>,
    /// Questions in a row without an answer.
    failures: u32,
    /// The last failure that was logged.
    said: Option<String>,
    /// Whether the operator wants the next list; it outlives a defect of this task, so that he does not
    /// want one more after it.
    asked: Arc<AtomicBool>,
}

impl Asking {
    async fn go_on(mut self) {
        loop {
            match self.ask().await {
                Ok(answer) => {
                    self.answered();
                    let outcome = match answer {
                        Answer::Unchanged => Some(Verdict::Unchanged),
                        Answer::List { octets, tag } => self.offer(octets, tag).await,
                    };
                    // Nobody is there any more.
                    let Some(verdict) = outcome else { return };
                    self.standing.count(verdict.label());
                    if verdict.is_in_use() {
                        self.standing.confirm();
                    }
                }
                Err(cause) => self.failed(cause),
            }
            let pause = pause(self.plan.interval, self.failures);
            // Many nodes must not come at once.
            sleep(pause.mul_f64(rand::random_range(0.5..1.5))).await;
        }
    }

    async fn ask(&self) -> Result<Answer, String> {
        let token = match &self.plan.token {
            Some(file) => Some(token(file)?),
            None => None,
        };
        let answer = self.plan.registry.get(self.tag.as_ref(), token.as_ref());
        answer.await.map_err(|error| error.to_string())
    }

    /// The verdict; `None` if nobody takes lists in any more.
    async fn offer(&mut self, octets: Vec<u8>, tag: Option<HeaderValue>) -> Option<Verdict> {
        let (verdict, told) = oneshot::channel();
        let offer = Offer {
            octets,
            asked: self.asked.swap(false, Ordering::Relaxed),
            verdict,
        };
        self.offers.send(offer).await.ok()?;
        let verdict = told.await.ok()?;
        // What is not in use is asked for again.
        self.tag = tag.filter(|_| verdict.is_in_use());
        Some(verdict)
    }

    fn answered(&mut self) {
        self.failures = 0;
        if self.said.take().is_some() {
            tracing::info!(registry = %self.plan.registry.url, "the registry of sources answers again");
        }
    }

    fn failed(&mut self, cause: String) {
        self.failures = self.failures.saturating_add(1);
        self.standing.count(UNREACHABLE);
        if self.said.as_ref() != Some(&cause) {
            tracing::warn!(
                registry = %self.plan.registry.url,
                "the registry of sources gives no list: {cause}"
            );
            self.said = Some(cause);
        }
    }
}

/// How long to wait after so many failures in a row, give or take a half.
fn pause(interval: Duration, failures: u32) -> Duration {
    match failures {
        0 => interval,
        many => {
            let doubled = 1_u32.checked_shl(many - 1).unwrap_or(u32::MAX);
            let pause = FIRST_RETRY.min(interval).saturating_mul(doubled);
            pause.min(interval * LONGEST_RETRY)
        }
    }
}

fn token(file: &Located<PathBuf>) -> Result<Token, String> {
    let problems = Problems::new();
    // Warnings were said when the configuration was read.
    Token::load(file, &problems).ok_or_else(|| problems.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_tried_again_soon_and_then_less_and_less() {
        let pauses = |interval, failures: [u32; 6]| {
            failures.map(|it| pause(Duration::from_secs(interval), it).as_secs())
        };
        assert_eq!(pauses(30, [0, 1, 2, 6, 8, 100]), [30, 1, 2, 32, 120, 120]);
        assert_eq!(pauses(1, [0, 1, 2, 3, 4, 33]), [1, 1, 2, 4, 4, 4]);
    }

    #[test]
    fn every_outcome_has_its_series() {
        let metrics = Metrics::new();
        let standing = Standing::new(&metrics);
        let verdicts = [
            Verdict::TakenIn,
            Verdict::Unchanged,
            Verdict::Unusable,
            Verdict::MassRemoval,
        ];
        let rejected = Rejection::LABELS.map(Verdict::Rejected);
        for verdict in verdicts.into_iter().chain(rejected) {
            standing.count(verdict.label());
        }
        standing.count(UNREACHABLE);
        let page = metrics.render();
        let counts = page.lines().filter(|line| line.ends_with("} 1"));
        assert_eq!(counts.count(), 10, "{page}");
        // Without a registry there is nothing to be confirmed.
        assert!(!page.contains("\nnts_pool_ke_snapshot_unconfirmed_seconds "));
        assert!(!page.contains("\nnts_pool_ke_snapshot_interval_seconds "));
        standing.begin(Duration::from_secs(3600));
        let page = metrics.render();
        assert!(
            page.contains("\nnts_pool_ke_snapshot_interval_seconds 3600\n"),
            "{page}"
        );
    }
}
