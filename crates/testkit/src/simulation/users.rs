//! What users do, and what an exchange does for them, step by step.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nts_pool_ke::fleet::{Class, Event};
use nts_pool_ke::selection::{Denial, Family, Location, SourceIndex, Tier, User};
use rand::RngExt as _;

use super::exchange::{Exchange, Failure, MOST_CANDIDATES, Stage};
use super::fault::Reaction;
use super::scenario::COUNTRIES;
use super::shares::Kind;
use super::source::Step;
use super::view::{LiveFor, MOST_SLOTS, SLOTS};
use super::world::{Happening, World};

/// One in so many users denies a few sources.
const DENYING: u32 = 10;

impl World<'_> {
    /// A user comes, and the next one is planned.
    pub(super) fn user_comes(&mut self) {
        self.users_left -= 1;
        if self.users_left > 0 {
            let pause = -(1.0 - self.rng.random_range(0.0..1.0_f64)).ln();
            let pause = Duration::from_secs_f64(pause / self.scenario.users_per_second);
            self.queue.enter(self.now + pause, Happening::UserComes);
        }
        let handshake = Duration::from_millis(self.rng.random_range(20..150));
        let exchange = Box::new(Exchange {
            came: self.now,
            family: if self.rng.random_bool(0.7) {
                Family::V4
            } else {
                Family::V6
            },
            country: self
                .rng
                .random_bool(0.8)
                .then(|| self.rng.random_range(0..COUNTRIES.len())),
            only_17: self.rng.random_bool(0.03),
            denial: self.some_denial(),
            tried: Vec::new(),
            stage: Stage::Arriving,
            keys_sent_to: None,
            retried: false,
        });
        let step = Step {
            reaction: Reaction::Good,
            ends: self.now + handshake,
        };
        self.queue
            .enter(step.ends, Happening::StepEnds(exchange, step));
    }

    fn some_denial(&mut self) -> Denial {
        if self.rng.random_range(0..DENYING) > 0 {
            return Denial::default();
        }
        let count = self.rng.random_range(1..4);
        let names: Vec<_> = (0..count)
            .map(|_| self.rng.random_range(0..self.names.len()))
            .collect();
        let names = names.into_iter().map(|at| self.names[at].as_str());
        self.snapshot.names().deny(names, self.snapshot.roster())
    }

    /// Goes on with an exchange.
    pub(super) fn step_ends(&mut self, mut exchange: Box<Exchange>, step: Step) {
        match exchange.stage {
            Stage::Arriving => self.try_next(exchange),
            Stage::Opening { source, since } => match class(step.reaction) {
                None => {
                    let source_state = &mut self.view.sources[source.get()];
                    source_state.note_round_trip((self.now - since) / 2);
                    let has_17 = usize::from(source_state.script().has_17);
                    source_state
                        .supported
                        .get_or_insert_with(|| self.supported[has_17].clone());
                    self.send_keys(exchange, source, since, false);
                }
                Some(class) if exchange.keys_sent_to.is_some() => {
                    self.fail_after_keys(&exchange, source, class);
                }
                Some(class) => {
                    self.view.sources[source.get()].note_round_trip(self.now - since);
                    self.let_go(source);
                    let class = blamed(step.reaction, class, self.now - since);
                    self.event(source, Event::FailedBeforeKeys(class));
                    exchange.tried.push(source);
                    self.try_next(exchange);
                }
            },
            Stage::Asking {
                source,
                since,
                opened,
                reused,
            } => match class(step.reaction) {
                None => self.serve(&exchange, source, since, opened),
                Some(Class::Reach)
                    if reused
                        && !exchange.retried
                        && step.reaction != Reaction::Nothing
                        && self.can_retry(&exchange, source) =>
                {
                    exchange.retried = true;
                    self.open(exchange, source, None);
                }
                Some(class) => {
                    let class = blamed(step.reaction, class, self.now - since);
                    self.fail_after_keys(&exchange, source, class);
                }
            },
        }
    }

    fn try_next(&mut self, mut exchange: Box<Exchange>) {
        if exchange.tried.len() == MOST_CANDIDATES || self.now >= exchange.answer_by() {
            return self.fail(&exchange, Failure::BeforeKeys);
        }
        let location = exchange
            .country
            .map_or(Location::default(), |at| self.locations[at]);
        let user = User {
            family: exchange.family,
            location,
            label: None,
            denial: &exchange.denial,
        };
        let snapshot = Arc::clone(&self.snapshot);
        let mut choice = snapshot.choose(user);
        for source in &exchange.tried {
            choice.exclude(*source);
        }
        let offer = &self.offers[usize::from(exchange.only_17)];
        let live = |most_in_flight| LiveFor {
            view: &self.view,
            offer,
            most_in_flight,
        };
        // If nobody has a slot, the sources' own limit is what counts.
        let (some, more) = (live(SLOTS), live(MOST_SLOTS));
        let pick = choice.next(&some, &mut self.rng);
        let Some(pick) = pick.or_else(|| choice.next(&more, &mut self.rng)) else {
            let failure = match exchange.tried.is_empty() {
                true => Failure::NoSource,
                false => Failure::BeforeKeys,
            };
            return self.fail(&exchange, failure);
        };
        let left = choice.best_left(&more);
        if !exchange.tried.is_empty() {
            self.report.failovers += 1;
        } else if exchange.is_plain() && pick.tier < Tier::Panic {
            let kind = Kind {
                family: exchange.family,
                country: exchange.country,
            };
            self.shares.note(kind, pick.source);
        }
        let source = &mut self.view.sources[pick.source.get()];
        source.in_flight += 1;
        let smoothed = source.smoothed;
        let (kept, closed) = source.take_kept(self.now);
        for _ in 0..closed {
            self.event(pick.source, Event::KeptConnectionClosed);
        }
        match kept {
            Some(opened) => self.send_keys(exchange, pick.source, opened, true),
            None => {
                let until = exchange.trial_until(self.now, pick.tier, left, smoothed);
                exchange.stage = Stage::Arriving;
                self.open(exchange, pick.source, Some(until));
            }
        }
    }

    /// Opens a connection; without a limit of its own up to the end of the exchange.
    fn open(&mut self, mut exchange: Box<Exchange>, index: SourceIndex, until: Option<Instant>) {
        let source = &self.view.sources[index.get()];
        let until = until.unwrap_or(exchange.answer_by());
        let step = source.open(self.now, until, source.supported.is_none());
        exchange.stage = Stage::Opening {
            source: index,
            since: self.now,
        };
        self.queue
            .enter(step.ends, Happening::StepEnds(exchange, step));
    }

    fn send_keys(
        &mut self,
        mut exchange: Box<Exchange>,
        source: SourceIndex,
        opened: Instant,
        reused: bool,
    ) {
        match exchange.keys_sent_to.replace(source) {
            None => self.report.keys_sent += 1,
            Some(first) => self.report.keys_sent_twice += u64::from(first != source),
        }
        let until = exchange.answer_by();
        let step = self.view.sources[source.get()].send_keys(self.now, until);
        exchange.stage = Stage::Asking {
            source,
            since: self.now,
            opened,
            reused,
        };
        self.queue
            .enter(step.ends, Happening::StepEnds(exchange, step));
    }

    fn can_retry(&self, exchange: &Exchange, source: SourceIndex) -> bool {
        let smoothed = self.view.sources[source.get()].smoothed;
        self.now + smoothed.unwrap_or_default() * 3 <= exchange.answer_by()
    }

    fn serve(&mut self, exchange: &Exchange, index: SourceIndex, since: Instant, opened: Instant) {
        let source = &mut self.view.sources[index.get()];
        source.note_round_trip(self.now - since);
        source.keep(opened);
        self.let_go(index);
        self.event(index, Event::Served);
        self.report.served += 1;
        self.report.exchange_times.note(self.now - exchange.came);
    }

    fn fail_after_keys(&mut self, exchange: &Exchange, index: SourceIndex, class: Class) {
        let source = &mut self.view.sources[index.get()];
        source.drop_kept();
        self.let_go(index);
        self.event(index, Event::FailedAfterKeys(class));
        self.fail(exchange, Failure::AfterKeys);
    }

    fn fail(&mut self, exchange: &Exchange, failure: Failure) {
        match failure {
            Failure::NoSource => self.report.no_source += 1,
            Failure::BeforeKeys => self.report.before_keys += 1,
            Failure::AfterKeys => self.report.after_keys += 1,
        }
        if let Some(ended) = self.outage_ended()
            && exchange.came >= ended
        {
            self.report.last_failure_after = Some(exchange.came - ended);
        }
    }

    fn let_go(&mut self, source: SourceIndex) {
        self.view.sources[source.get()].in_flight -= 1;
    }
}

/// What a step failed of.
pub(super) fn class(reaction: Reaction) -> Option<Class> {
    match reaction {
        Reaction::Good => None,
        Reaction::Fails(class) => Some(class),
        Reaction::Nothing => Some(Class::Reach),
    }
}

/// Silence counts only if it was long enough.
fn blamed(reaction: Reaction, class: Class, given: Duration) -> Class {
    match reaction {
        Reaction::Nothing if !Exchange::is_fair(given) => Class::Local,
        _ => class,
    }
}
