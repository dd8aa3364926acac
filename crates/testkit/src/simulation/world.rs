//! The run itself: takes one event after the other from the queue.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nts_pool_ke::effort::Effort;
use nts_pool_ke::fleet::{Action, Class, Event, Fleet, SourceKey, State};
use nts_pool_ke::selection::{Family, Location, Offer, Snapshot, SourceIndex, Supported};
use rand::rngs::StdRng;

use super::exchange::{Exchange, Stage};
use super::queue::Queue;
use super::report::Report;
use super::scenario::Scenario;
use super::shares::Shares;
use super::source::Step;
use super::view::View;
use super::witness::Witness;

/// Tables are made anew at most this often.
const REBUILD_PAUSE: Duration = Duration::from_millis(250);
/// A check has to be over by then.
const CHECK_LIMIT: Duration = Duration::from_secs(2);

/// Something that happens at a certain time.
pub(super) enum Happening {
    /// A user comes; the next one will be planned then.
    UserComes,
    /// An exchange goes on.
    Continues(Box<Exchange>, Stage),
    /// A check ends that began then.
    CheckEnds(SourceIndex, Step, Instant),
    /// A fault begins.
    FaultBegins(SourceIndex),
    /// A fault ends.
    FaultEnds(SourceIndex),
}

/// A run.
pub(super) struct World<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) start: Instant,
    pub(super) now: Instant,
    pub(super) rng: StdRng,
    pub(super) queue: Queue<Happening>,
    pub(super) users_left: u64,
    /// Users who came and were not told yet what came of it.
    pub(super) in_progress: u64,
    pub(super) names: Vec<String>,
    pub(super) locations: Vec<Location>,
    pub(super) offers: [Offer; 2],
    pub(super) supported: [Supported; 2],
    pub(super) fleet: Fleet,
    pub(super) keys: Vec<SourceKey>,
    pub(super) index_of: HashMap<SourceKey, SourceIndex>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) effort: Effort,
    pub(super) witness: Witness,
    pub(super) rebuilt: Instant,
    pub(super) rebuild: bool,
    pub(super) view: View,
    pub(super) shares: Shares,
    pub(super) report: Report,
}

impl World<'_> {
    pub(super) fn run(mut self) -> Report {
        self.plan_faults();
        // The node has time to get ready before the first user.
        self.queue
            .enter(self.start + Duration::from_secs(5), Happening::UserComes);
        while let Some((at, happening)) = self.queue.next() {
            self.pass_time(at);
            match happening {
                Happening::UserComes => self.user_comes(),
                Happening::Continues(exchange, stage) => self.go_on_with(exchange, stage),
                Happening::CheckEnds(source, step, began) => self.check_ends(source, step, began),
                Happening::FaultBegins(source) => self.fault_begins(source),
                Happening::FaultEnds(source) => self.fault_ends(source),
            }
            if self.is_over() {
                break;
            }
        }
        self.settle_shares();
        self.report.keys_sent = self.witness.users;
        self.report.keys_repeated = self.witness.again;
        self.report.keys_betrayed = self.witness.betrayed;
        self.report.share_distance = self.shares.distance();
        self.report.worst_share = self.shares.worst_beyond_chance(4.0);
        self.report
    }

    fn is_over(&self) -> bool {
        self.users_left == 0 && self.in_progress == 0
    }

    fn plan_faults(&mut self) {
        let sources = (0..).map(SourceIndex::new).zip(&self.scenario.sources);
        for (source, script) in sources {
            for spell in &script.spells {
                self.queue
                    .enter(self.start + spell.from, Happening::FaultBegins(source));
                self.queue
                    .enter(self.start + spell.until, Happening::FaultEnds(source));
            }
        }
    }

    /// Does what is due on the way to `at`.
    fn pass_time(&mut self, at: Instant) {
        loop {
            let timer = self.fleet.next_timer();
            let rebuild = self.rebuild.then_some(self.rebuilt + REBUILD_PAUSE);
            let Some(next) = timer
                .into_iter()
                .chain(rebuild)
                .min()
                .filter(|it| *it <= at)
            else {
                break;
            };
            self.now = self.now.max(next);
            if timer.is_some_and(|timer| timer <= self.now) {
                let actions = self.fleet.handle_timer(self.now, &mut self.rng);
                self.carry_out(actions);
            }
            if rebuild.is_some_and(|rebuild| rebuild <= self.now) {
                self.rebuild();
            }
        }
        self.now = at;
    }

    /// Tells the fleet what a source did, and carries out what follows.
    pub(super) fn event(&mut self, source: SourceIndex, event: Event) {
        if let Some(failing) = event.is_failure()
            && failing != self.view.failing[source.get()]
        {
            self.settle_shares();
            self.view.failing[source.get()] = failing;
        }
        let key = self.keys[source.get()];
        let actions = self.fleet.handle_event(key, event, self.now, &mut self.rng);
        self.carry_out(actions);
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Check(key) => self.begin_check(self.index_of[&key]),
                Action::Changed(key) => self.note_change(self.index_of[&key]),
                Action::PanicBegan => self.report.panics += 1,
                Action::PanicEnded => {}
            }
        }
        self.view.panic = self.fleet.is_in_panic();
    }

    fn note_change(&mut self, source: SourceIndex) {
        let at = source.get();
        let key = self.keys[at];
        self.rebuild = true;
        self.settle_shares();
        let view = &mut self.view;
        view.admitted[at] = self.fleet.standing(key).admitted;
        let state = self.fleet.state(key).expect("it is known");
        if state == State::Ejected && view.state[at] != State::Ejected {
            match view.sources[at].script().spells.is_empty() {
                true => self.report.innocent_ejections += 1,
                false => self.report.ejections += 1,
            }
        }
        view.state[at] = state;
        if view.admitted[at] {
            if let Some(since) = view.well_since[at].take() {
                self.report.readmission.note(self.now - since);
            }
        } else if let Some(since) = view.ill_since[at].take() {
            self.report.detection.note(self.now - since);
        }
        let out = view.admitted.iter().filter(|admitted| !**admitted).count();
        self.report.most_out = self.report.most_out.max(out);
        if out == 0
            && let Some(ended) = self.outage_ended()
            && self.report.all_admitted_after.is_none()
        {
            self.report.all_admitted_after = Some(self.now - ended);
        }
    }

    /// When the outage was over, if it is.
    pub(super) fn outage_ended(&self) -> Option<Instant> {
        let ended = self.start + self.scenario.outage_until?;
        (ended <= self.now).then_some(ended)
    }

    fn rebuild(&mut self) {
        self.settle_shares();
        self.rebuild = false;
        self.rebuilt = self.now;
        let old = &self.snapshot;
        let (roster, names) = (Arc::clone(old.roster()), Arc::clone(old.names()));
        let standing = |source: SourceIndex| self.fleet.standing(self.keys[source.get()]);
        let snapshot = Snapshot::new(roster, names, self.scenario.policy, standing);
        self.snapshot = Arc::new(snapshot);
    }

    fn settle_shares(&mut self) {
        let view = &self.view;
        let serves = |source: SourceIndex, family| {
            let script = &self.scenario.sources[source.get()];
            let of_family = match family {
                Family::V4 => script.v4,
                Family::V6 => script.v6,
            };
            let at = source.get();
            of_family && view.admitted[at] && !view.failing[at]
        };
        self.shares.settle(&self.snapshot, &self.locations, serves);
    }

    fn begin_check(&mut self, source: SourceIndex) {
        self.report.checks += 1;
        let until = self.now + CHECK_LIMIT;
        let step = self.view.sources[source.get()].open(self.now, until, true, &mut self.rng);
        self.queue
            .enter(step.ends, Happening::CheckEnds(source, step, self.now));
    }

    fn check_ends(&mut self, index: SourceIndex, step: Step, began: Instant) {
        let source = &mut self.view.sources[index.get()];
        let event = match step.reaction.class() {
            None => {
                source.supported =
                    Some(self.supported[usize::from(source.script().has_17)].clone());
                source.renew(began);
                Event::CheckPassed
            }
            Some(class) => {
                if matches!(class, Class::Identity | Class::Auth | Class::Protocol) {
                    source.drop_kept();
                }
                Event::CheckFailed(class)
            }
        };
        self.event(index, event);
    }

    fn fault_begins(&mut self, source: SourceIndex) {
        let view = &mut self.view;
        view.well_since[source.get()] = None;
        if view.admitted[source.get()] {
            view.ill_since[source.get()] = Some(self.now);
        }
    }

    fn fault_ends(&mut self, source: SourceIndex) {
        let view = &mut self.view;
        view.ill_since[source.get()] = None;
        if !view.admitted[source.get()] {
            view.well_since[source.get()] = Some(self.now);
        }
    }
}
