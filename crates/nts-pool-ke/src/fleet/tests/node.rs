//! A node without sockets: a fleet, a clock that jumps, and sources that do as they are told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rand::{SeedableRng as _, rngs::StdRng};

use super::super::*;
use crate::selection::Standing;

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) struct Node {
    pub(super) fleet: Fleet,
    pub(super) now: Instant,
    pub(super) rng: StdRng,
    pub(super) sources: Vec<SourceKey>,
    /// What a check of a source finds; nothing here means that it is well.
    pub(super) ill: BTreeMap<SourceKey, Class>,
    /// Checks that were asked for, with their time.
    pub(super) checks: Vec<(Instant, SourceKey)>,
    pub(super) panics: Vec<Action>,
    /// Checks that wait for an answer; used only without `answering`.
    pub(super) open: BTreeSet<SourceKey>,
    pub(super) answering: bool,
    /// How everybody stood when he last changed.
    pub(super) told: BTreeMap<SourceKey, Standing>,
}

impl Node {
    /// A node that starts with `count` sources of weight 10.
    pub(super) fn new(count: usize) -> Self {
        let mut node = Self::empty(1);
        node.arrive(count, Arrival::AtStart);
        node
    }

    /// The same after everybody was found to be well.
    pub(super) fn healthy(count: usize) -> Self {
        let mut node = Self::new(count);
        node.run(seconds(3));
        assert!(
            node.sources
                .iter()
                .all(|it| node.state(*it) == State::Healthy)
        );
        node
    }

    pub(super) fn empty(seed: u64) -> Self {
        Self {
            fleet: Fleet::new(HealthPolicy::default()),
            // Not near the beginning of the machine's clock, before which there is no time.
            now: Instant::now() + seconds(100_000),
            rng: StdRng::seed_from_u64(seed),
            sources: Vec::new(),
            ill: BTreeMap::new(),
            checks: Vec::new(),
            panics: Vec::new(),
            open: BTreeSet::new(),
            answering: true,
            told: BTreeMap::new(),
        }
    }

    pub(super) fn arrive(&mut self, count: usize, arrival: Arrival) {
        for _ in 0..count {
            let key = self.fleet.add(arrival, self.now);
            self.sources.push(key);
        }
        self.place(|_| 10);
    }

    /// Places all sources, with the weights given.
    pub(super) fn place(&mut self, weight: impl Fn(SourceKey) -> u32) {
        let place = |source: &SourceKey| Place {
            source: *source,
            weight: weight(*source),
        };
        let places = self.sources.iter().map(place).collect();
        let actions = self.fleet.place(places, self.now, &mut self.rng);
        self.carry_out(actions);
        let standings = self
            .sources
            .iter()
            .map(|it| (*it, self.fleet.standing(*it)));
        self.told = standings.collect();
    }

    pub(super) fn event(&mut self, source: SourceKey, event: Event) {
        let actions = self
            .fleet
            .handle_event(source, event, self.now, &mut self.rng);
        self.carry_out(actions);
    }

    /// The same event from each of the sources.
    pub(super) fn events(&mut self, sources: &[SourceKey], event: Event) {
        for source in sources {
            self.event(*source, event);
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Check(source) => {
                    assert!(self.open.insert(source), "two checks at once");
                    self.checks.push((self.now, source));
                    if self.answering {
                        self.answer(source);
                    }
                }
                Action::PanicBegan | Action::PanicEnded => self.panics.push(action),
                Action::Changed(source) => {
                    self.told.insert(source, self.fleet.standing(source));
                }
            }
        }
    }

    /// Ends a check as the source's condition has it.
    pub(super) fn answer(&mut self, source: SourceKey) {
        assert!(self.open.remove(&source));
        let event = match self.ill.get(&source) {
            None => Event::CheckPassed,
            Some(class) => Event::CheckFailed(*class),
        };
        self.event(source, event);
    }

    /// Lets time pass, doing what is due when it is due.
    pub(super) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.fleet.next_timer().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            let actions = self.fleet.handle_timer(self.now, &mut self.rng);
            assert!(self.fleet.next_timer().is_none_or(|next| next > self.now));
            self.carry_out(actions);
        }
        self.now = until;
    }

    /// Lets time pass until `done`, for an hour at most. Gives how much it was, to 100 ms.
    pub(super) fn run_until(&mut self, done: impl Fn(&Self) -> bool) -> Duration {
        let began = self.now;
        while !done(self) {
            assert!(self.now < began + seconds(3600), "it never happens");
            self.run(Duration::from_millis(100));
        }
        self.now - began
    }

    pub(super) fn state(&self, source: SourceKey) -> State {
        self.fleet.state(source).unwrap()
    }

    pub(super) fn admits(&self, source: SourceKey) -> bool {
        self.fleet.standing(source).admitted
    }

    pub(super) fn admitted(&self) -> usize {
        self.sources.iter().filter(|it| self.admits(**it)).count()
    }

    pub(super) fn tenths(&self, source: SourceKey) -> u8 {
        self.fleet.standing(source).tenths
    }

    /// Makes a source fail its checks, and runs until it is out.
    pub(super) fn eject(&mut self, source: SourceKey, class: Class) {
        self.ill.insert(source, class);
        self.event(source, Event::FailedBeforeKeys(class));
        self.run_until(|node| node.state(source) == State::Ejected);
    }
}
