//! What holds for all sources at this moment: how each stands, under which names users know it,
//! and the tables that users' sources are drawn from.
//!
//! The one place where the pure rules of `fleet` and `selection` meet the running pool. Events come
//! in here from exchanges and checks; whether a source is admitted changes at once, the tables a
//! moment later. Locks are held for moments, never while anything waits. Nothing here connects:
//! `sources` has done what is left to do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use nts_proto::ke::name::NtpServerName;
use tokio::sync::Notify;

use crate::config::SourceConfig;
use crate::fleet::{Action, Arrival, Event, Fleet, HealthPolicy, Place, SourceKey, State};
use crate::names::{KnownNames, TooManyNames};
use crate::selection::{
    Entry, Groups, NameIndex, Roster, RosterError, SelectionPolicy, Snapshot, SourceIndex,
};

/// Tables are made anew at most this often, unless users would get nothing meanwhile.
const REBUILD_PAUSE: Duration = Duration::from_millis(250);

/// All sources as users may be sent to them.
pub(crate) struct Directory {
    labels: Box<[String]>,
    keys: Box<[SourceKey]>,
    indices: HashMap<SourceKey, SourceIndex>,
    policy: SelectionPolicy,
    admitted: Box<[AtomicBool]>,
    snapshot: ArcSwap<Snapshot>,
    ledger: Mutex<Ledger>,
    /// There is something to do, or sooner than before.
    news: Notify,
}

/// What changes under the lock.
struct Ledger {
    fleet: Fleet,
    /// By position: what was last told of the source's state.
    states: Vec<State>,
    /// By position: the names that users may deny.
    names: Vec<KnownNames>,
    /// Whether users for whom nobody is left get somebody who is not admitted.
    panic: bool,
    /// Sources whose check is due and not begun.
    to_check: Vec<SourceIndex>,
    /// Whether the tables are behind.
    stale: bool,
    rebuilt: Instant,
}

impl Directory {
    /// The sources of a pool that starts: nothing is known of any, and all may be picked.
    ///
    /// # Errors
    /// If there are too many sources, one has too much weight, or two have the same id.
    pub(crate) fn new(
        sources: &[SourceConfig],
        selection: SelectionPolicy,
        health: HealthPolicy,
    ) -> Result<Self, RosterError> {
        let now = now();
        let roster = Roster::new(sources.iter().map(entry).collect(), Groups::default())?;
        let mut fleet = Fleet::new(health);
        let keys: Box<[_]> = roster
            .sources()
            .map(|_| fleet.add(Arrival::AtStart, now))
            .collect();
        let place = |source: SourceIndex| Place {
            source: keys[source.get()],
            weight: roster.weight(source),
            levels: roster.levels_of(source).into(),
        };
        fleet.place(roster.sources().map(place).collect(), now, &mut rand::rng());
        let ledger = Ledger {
            states: keys.iter().map(|key| state(&fleet, *key)).collect(),
            names: sources
                .iter()
                .map(|source| KnownNames::new(source.domain(), &source.ntp_names))
                .collect(),
            panic: fleet.is_in_panic(),
            fleet,
            to_check: Vec::new(),
            stale: false,
            rebuilt: now,
        };
        let roster = Arc::new(roster);
        let snapshot = ledger.fold(&roster, selection, &keys);
        Ok(Self {
            labels: sources.iter().map(SourceConfig::id).collect(),
            indices: keys.iter().copied().zip(roster.sources()).collect(),
            admitted: admitted(&ledger.fleet, &keys),
            keys,
            policy: selection,
            snapshot: ArcSwap::from_pointee(snapshot),
            ledger: Mutex::new(ledger),
            news: Notify::new(),
        })
    }

    /// The present tables; an exchange takes them once.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Whether health lets users be sent to the source.
    pub(crate) fn admits(&self, source: SourceIndex) -> bool {
        let admitted = self.admitted.get(source.get());
        admitted.is_some_and(|admitted| admitted.load(Ordering::Relaxed))
    }

    /// What is thought of the source.
    pub(crate) fn state(&self, source: SourceIndex) -> State {
        state(&self.lock().fleet, self.keys[source.get()])
    }

    /// Whether most sources fail at once, or nobody is in service.
    pub(crate) fn is_in_panic(&self) -> bool {
        self.lock().panic
    }

    /// Whether there is a source that works.
    pub(crate) fn is_ready(&self) -> bool {
        let ledger = self.lock();
        self.keys.iter().any(|key| {
            let works = matches!(state(&ledger.fleet, *key), State::Healthy | State::Ramp);
            works && ledger.fleet.standing(*key).admitted
        })
    }

    /// Takes note of what a source did.
    pub(crate) fn report(&self, source: SourceIndex, event: Event) {
        let now = now();
        let mut ledger = self.lock();
        let before = ledger.due(now);
        let key = self.keys[source.get()];
        let actions = ledger.fleet.handle_event(key, event, now, &mut rand::rng());
        self.carry_out(&mut ledger, actions, now);
        let sooner = ledger.due(now) != before;
        drop(ledger);
        if sooner {
            self.news.notify_one();
        }
    }

    /// Replaces the names that a source itself lists.
    pub(crate) fn set_listed_names(&self, source: SourceIndex, names: &[NtpServerName]) {
        let mut ledger = self.lock();
        if ledger.names[source.get()].set_listed(names) {
            self.rebuild(&mut ledger, now());
        }
    }

    /// Remembers a name that a source put into an answer, so that whoever gets the answer can deny
    /// it.
    ///
    /// # Errors
    /// If the source has too many names to be denied.
    pub(crate) fn note_name(
        &self,
        source: SourceIndex,
        name: &NtpServerName,
    ) -> Result<(), TooManyNames> {
        let now = now();
        let mut ledger = self.lock();
        // Sources have few names, which cost little each.
        if ledger.names[source.get()].note_seen(name, now)? {
            self.rebuild(&mut ledger, now);
        }
        Ok(())
    }

    /// Waits until there is something to do earlier than [`Directory::pass_time`] said.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    /// Does what is due. Gives the sources that have to be checked now, each of which has to be
    /// reported on, and when to call again.
    pub(crate) fn pass_time(&self) -> (Vec<SourceIndex>, Option<Instant>) {
        let now = now();
        let mut ledger = self.lock();
        let actions = ledger.fleet.handle_timer(now, &mut rand::rng());
        self.carry_out(&mut ledger, actions, now);
        if ledger.rebuild_at().is_some_and(|at| at <= now) {
            self.rebuild(&mut ledger, now);
        }
        let to_check = std::mem::take(&mut ledger.to_check);
        (to_check, ledger.due(now))
    }

    fn carry_out(&self, ledger: &mut Ledger, actions: Vec<Action>, now: Instant) {
        for action in actions {
            match action {
                Action::Check(key) => ledger.to_check.extend(self.indices.get(&key)),
                Action::Changed(key) => {
                    if let Some(source) = self.indices.get(&key) {
                        self.note_change(ledger, *source);
                    }
                }
                Action::PanicBegan => tracing::warn!(
                    "most time sources began to fail at once: this machine's network may be at \
                     fault, so none is ejected"
                ),
                Action::PanicEnded => tracing::info!("time sources do not all fail any more"),
            }
        }
        let panic = ledger.fleet.is_in_panic();
        if panic != ledger.panic {
            ledger.panic = panic;
            match panic {
                true => tracing::warn!("users may get a time source that fails: better than none"),
                false => tracing::info!("users get only time sources that work"),
            }
            self.rebuild(ledger, now);
        }
    }

    fn note_change(&self, ledger: &mut Ledger, source: SourceIndex) {
        let (at, key) = (source.get(), self.keys[source.get()]);
        let standing = ledger.fleet.standing(key);
        self.admitted[at].store(standing.admitted, Ordering::Relaxed);
        ledger.stale = true;
        let state = state(&ledger.fleet, key);
        let before = std::mem::replace(&mut ledger.states[at], state);
        let source = self.labels[at].as_str();
        match (before, state) {
            (State::Ejected | State::Probing, State::Ejected | State::Probing) => {}
            (_, State::Ejected) => tracing::warn!(
                source,
                "time source ejected: no user is sent there until it passes checks"
            ),
            (State::Ejected | State::Probing, _) => {
                tracing::info!(source, state = state.label(), "time source is back");
            }
            (before, state) if before != state => {
                tracing::debug!(source, state = state.label(), "time source");
            }
            _ => {}
        }
    }

    fn rebuild(&self, ledger: &mut Ledger, now: Instant) {
        ledger.stale = false;
        ledger.rebuilt = now;
        let roster = Arc::clone(self.snapshot.load().roster());
        let snapshot = ledger.fold(&roster, self.policy, &self.keys);
        self.snapshot.store(Arc::new(snapshot));
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// Makes tables of how everybody stands.
    fn fold(&self, roster: &Arc<Roster>, policy: SelectionPolicy, keys: &[SourceKey]) -> Snapshot {
        let names = roster.sources().zip(&self.names);
        let names =
            names.flat_map(|(source, names)| names.all().map(move |name| (source, name.as_str())));
        let names = Arc::new(NameIndex::new(names));
        let standing = |source: SourceIndex| self.fleet.standing(keys[source.get()]);
        Snapshot::new(Arc::clone(roster), names, policy, self.panic, standing)
    }

    fn rebuild_at(&self) -> Option<Instant> {
        self.stale.then_some(self.rebuilt + REBUILD_PAUSE)
    }

    /// When there is something to do next.
    fn due(&self, now: Instant) -> Option<Instant> {
        let check = (!self.to_check.is_empty()).then_some(now);
        let dates = [check, self.rebuild_at(), self.fleet.next_timer()];
        dates.into_iter().flatten().min()
    }
}

fn entry(source: &SourceConfig) -> Entry {
    Entry {
        id: source.id(),
        weight: source.weight,
        on_probation: false,
        families: source.families,
        operator: source.operator.clone(),
        regions: source.regions.clone(),
    }
}

fn admitted(fleet: &Fleet, keys: &[SourceKey]) -> Box<[AtomicBool]> {
    keys.iter()
        .map(|key| AtomicBool::new(fleet.standing(*key).admitted))
        .collect()
}

/// All keys of a directory are known to its fleet.
fn state(fleet: &Fleet, source: SourceKey) -> State {
    fleet.state(source).unwrap_or(State::Unknown)
}

/// The time by which timers go; tests may change it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
