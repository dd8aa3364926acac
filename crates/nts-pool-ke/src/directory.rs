//! What holds for all sources at this moment: how each stands, and under which names users know it.
//!
//! The one place where the pure rules of `fleet` and `selection` meet the running pool. Events come
//! in here from exchanges and checks; whether a source is admitted changes at once, the tables of
//! the present [`Roll`] a moment later. What is known of a source stays when the list of sources is
//! replaced. Locks are held for moments, never while anything waits. Nothing here connects:
//! `sources` has done what is left to do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nts_proto::ke::name::NtpServerName;
use tokio::sync::Notify;

use crate::config::SourceConfig;
use crate::fleet::{Action, Arrival, Event, Fleet, HealthPolicy, Place, SourceKey, State};
use crate::names::{KnownNames, TooManyNames};
use crate::roll::Roll;
use crate::selection::{
    Groups, NameIndex, Roster, RosterError, SelectionPolicy, SourceIndex, Standing,
};

/// Tables are made anew at most this often, unless a user is about to learn a new name: with
/// thousands of sources that takes milliseconds.
const REBUILD_PAUSE: Duration = Duration::from_millis(250);

/// All sources as users may be sent to them.
pub(crate) struct Directory {
    ledger: Mutex<Ledger>,
    /// There is something to do, or sooner than before.
    news: Notify,
}

/// A source that is to be listed.
pub(crate) struct Enrolment<'a> {
    /// What the configuration says about it.
    pub(crate) config: &'a SourceConfig,
    /// Its key if it is known already.
    pub(crate) known: Option<SourceKey>,
}

/// What changes under the lock.
struct Ledger {
    fleet: Fleet,
    records: HashMap<SourceKey, Record>,
    roll: Arc<Roll>,
    /// Whether users for whom nobody is left get somebody who is not admitted.
    panic: Arc<AtomicBool>,
    /// Sources whose check is due and not begun.
    to_check: Vec<SourceKey>,
    /// Whether the tables are behind.
    stale: bool,
    /// The names in the tables.
    index: Arc<NameIndex>,
    rebuilt: Instant,
}

/// What belongs to one source for as long as it is known.
struct Record {
    label: String,
    admitted: Arc<AtomicBool>,
    /// What was last told of its state.
    state: State,
    /// The names that users may deny.
    names: KnownNames,
    /// Whether they are in the tables.
    indexed: bool,
}

impl Directory {
    /// A directory without sources.
    pub(crate) fn new(health: HealthPolicy) -> Self {
        let now = now();
        let fleet = Fleet::new(health);
        Self {
            ledger: Mutex::new(Ledger {
                panic: Arc::new(AtomicBool::new(fleet.is_in_panic())),
                fleet,
                records: HashMap::new(),
                roll: Arc::default(),
                to_check: Vec::new(),
                stale: false,
                index: Arc::default(),
                rebuilt: now,
            }),
            news: Notify::new(),
        }
    }

    /// Replaces the list of sources, and the rules. Those that were known before keep what is known
    /// of them; those that are not in the list are forgotten. Gives the new roll.
    ///
    /// # Errors
    /// If there are too many sources, one has too much weight, or two have the same id; nothing has
    /// changed then.
    pub(crate) fn enrol(
        &self,
        sources: &[Enrolment<'_>],
        arrival: Arrival,
        groups: Groups,
        selection: SelectionPolicy,
        health: HealthPolicy,
    ) -> Result<Arc<Roll>, RosterError> {
        let entries = sources.iter().map(|it| it.config.entry()).collect();
        let roster = Roster::new(entries, groups)?;
        let now = now();
        let mut ledger = self.lock();
        ledger.fleet.set_policy(health);
        let keys = ledger.keep_records(sources, arrival, now);
        let place = |source: SourceIndex| Place {
            source: keys[source.get()],
            weight: roster.weight(source),
        };
        let places = roster.sources().map(place).collect();
        let actions = ledger.fleet.place(places, now, &mut rand::rng());
        let admitted = keys.iter().map(|key| ledger.admission(*key)).collect();
        let panic = Arc::clone(&ledger.panic);
        // Without messages: the rules are others now.
        panic.store(ledger.fleet.is_in_panic(), Ordering::Relaxed);
        ledger.roll = Arc::new(Roll::new(roster, keys, admitted, panic, selection));
        ledger.carry_out(actions);
        // The positions of the sources are others now.
        ledger.index_names();
        ledger.rebuild(now);
        let roll = Arc::clone(&ledger.roll);
        drop(ledger);
        self.news.notify_one();
        Ok(roll)
    }

    /// What is thought of the source; unknown for one that is not listed any more.
    pub(crate) fn state(&self, source: SourceKey) -> State {
        self.lock().state(source)
    }

    /// What is thought of all sources, and what they have of their weight.
    pub(crate) fn overview(&self) -> HashMap<SourceKey, (State, Standing)> {
        let ledger = self.lock();
        let keys = ledger.records.keys();
        keys.map(|key| (*key, (ledger.state(*key), ledger.fleet.standing(*key))))
            .collect()
    }

    /// Whether most sources fail at once, or nobody is in service.
    pub(crate) fn is_in_panic(&self) -> bool {
        self.lock().roll.is_in_panic()
    }

    /// Whether there is a source that works.
    pub(crate) fn is_ready(&self) -> bool {
        let ledger = self.lock();
        ledger.records.keys().any(|key| {
            let works = matches!(ledger.state(*key), State::Healthy | State::Ramp);
            works && ledger.fleet.standing(*key).admitted
        })
    }

    /// Takes note of what a source did. That of sources that are not listed any more is ignored.
    pub(crate) fn report(&self, source: SourceKey, event: Event) {
        let now = now();
        let mut ledger = self.lock();
        let before = ledger.due(now);
        let actions = ledger
            .fleet
            .handle_event(source, event, now, &mut rand::rng());
        ledger.carry_out(actions);
        let sooner = ledger.due(now) != before;
        drop(ledger);
        if sooner {
            self.news.notify_one();
        }
    }

    /// Replaces the names that a source itself lists. They are in the tables a moment later, or
    /// when an answer has one: at the start all sources list theirs.
    pub(crate) fn set_listed_names(&self, source: SourceKey, names: &[NtpServerName]) {
        let mut ledger = self.lock();
        let Some(record) = ledger.records.get_mut(&source) else {
            return;
        };
        if !record.names.set_listed(names) {
            return;
        }
        record.indexed = false;
        ledger.stale = true;
        drop(ledger);
        self.news.notify_one();
    }

    /// Remembers a name that a source put into an answer, so that whoever gets the answer can deny
    /// it.
    ///
    /// # Errors
    /// If the source has too many names to be denied.
    pub(crate) fn note_name(
        &self,
        source: SourceKey,
        name: &NtpServerName,
    ) -> Result<(), TooManyNames> {
        let now = now();
        let mut ledger = self.lock();
        // Nobody can be sent again to a source that is not listed any more.
        let Some(record) = ledger.records.get_mut(&source) else {
            return Ok(());
        };
        if record.names.note_seen(name, now)? {
            record.indexed = false;
        }
        // Sources have few names, which cost little each.
        if !record.indexed {
            ledger.rebuild(now);
        }
        Ok(())
    }

    /// Waits until there is something to do earlier than [`Directory::pass_time`] said.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    /// Does what is due. Gives the sources that have to be checked now, each of which has to be
    /// reported on, and when to call again.
    pub(crate) fn pass_time(&self) -> (Vec<SourceKey>, Option<Instant>) {
        let now = now();
        let mut ledger = self.lock();
        let actions = ledger.fleet.handle_timer(now, &mut rand::rng());
        ledger.carry_out(actions);
        if ledger.rebuild_at().is_some_and(|at| at <= now) {
            ledger.rebuild(now);
        }
        let to_check = std::mem::take(&mut ledger.to_check);
        (to_check, ledger.due(now))
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// Makes the records those of `sources`, in whose order it gives their keys.
    fn keep_records(
        &mut self,
        sources: &[Enrolment<'_>],
        arrival: Arrival,
        now: Instant,
    ) -> Box<[SourceKey]> {
        let mut former = std::mem::take(&mut self.records);
        let keys = sources.iter().map(|Enrolment { config, known }| {
            let kept = known.and_then(|key| Some((key, former.remove(&key)?)));
            let (key, record) = match kept {
                Some((key, mut record)) => {
                    record.names.configure(config.domain(), &config.ntp_names);
                    (key, record)
                }
                None => {
                    let key = self.fleet.add(arrival, now);
                    (key, Record::new(config, self.fleet.state(key)))
                }
            };
            self.records.insert(key, record);
            key
        });
        let keys = keys.collect();
        self.to_check.retain(|key| self.records.contains_key(key));
        keys
    }

    /// The flag that says whether health lets users be sent to the source.
    fn admission(&self, source: SourceKey) -> Arc<AtomicBool> {
        let admitted = self.fleet.standing(source).admitted;
        let record = self.records.get(&source);
        let flag = record.map(|record| Arc::clone(&record.admitted));
        let flag = flag.unwrap_or_default();
        flag.store(admitted, Ordering::Relaxed);
        flag
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Check(key) => self.to_check.push(key),
                Action::Changed(key) => self.note_change(key),
                Action::PanicBegan => tracing::warn!(
                    "most time sources began to fail at once: this machine's network may be at \
                     fault, so none is ejected"
                ),
                Action::PanicEnded => tracing::info!("time sources do not all fail any more"),
            }
        }
        let panic = self.fleet.is_in_panic();
        if self.panic.swap(panic, Ordering::Relaxed) != panic {
            match panic {
                true => tracing::warn!("users may get a time source that fails: better than none"),
                false => tracing::info!("users get only time sources that work"),
            }
        }
    }

    fn note_change(&mut self, source: SourceKey) {
        let admitted = self.fleet.standing(source).admitted;
        let state = self.state(source);
        let Some(record) = self.records.get_mut(&source) else {
            return;
        };
        self.stale = true;
        record.admitted.store(admitted, Ordering::Relaxed);
        let before = std::mem::replace(&mut record.state, state);
        let source = record.label.as_str();
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

    /// Makes tables of how everybody stands, with all names.
    fn rebuild(&mut self, now: Instant) {
        self.stale = false;
        self.rebuilt = now;
        if self.records.values().any(|record| !record.indexed) {
            self.index_names();
        }
        let standing = |key| self.fleet.standing(key);
        self.roll.fold(Arc::clone(&self.index), standing);
    }

    /// Makes the index of all names anew.
    fn index_names(&mut self) {
        let names = self.roll.sources().filter_map(|(source, key)| {
            let names = &self.records.get(&key)?.names;
            Some(names.all().map(move |name| (source, name.as_str())))
        });
        self.index = Arc::new(NameIndex::new(names.flatten()));
        for record in self.records.values_mut() {
            record.indexed = true;
        }
    }

    fn state(&self, source: SourceKey) -> State {
        self.fleet.state(source).unwrap_or(State::Unknown)
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

impl Record {
    fn new(config: &SourceConfig, state: Option<State>) -> Self {
        Self {
            label: config.id(),
            admitted: Arc::default(),
            state: state.unwrap_or(State::Unknown),
            names: KnownNames::new(config.domain(), &config.ntp_names),
            indexed: false,
        }
    }
}

/// The time by which timers go; tests may change it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
