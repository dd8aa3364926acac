//! What users do, and what an exchange does for them once a source has their keys.

use std::time::{Duration, Instant};

use nts_pool_ke::fleet::{Class, Event};
use nts_pool_ke::key_rule::AfterKeys;
use nts_pool_ke::selection::{Denial, Family, Location, SourceIndex, User};
use rand::RngExt as _;

use super::exchange::{Asking, Exchange, Failure, Stage};
use super::fault::Reaction;
use super::scenario::COUNTRIES;
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
        let family = if self.rng.random_bool(0.7) {
            Family::V4
        } else {
            Family::V6
        };
        let in_some = self.rng.random_bool(0.8);
        let country = in_some.then(|| self.rng.random_range(0..COUNTRIES.len()));
        let only_17 = self.rng.random_bool(0.03);
        let denial = self.some_denial();
        let exchange = Box::new(Exchange {
            number: self.witness.user_came(),
            came: self.now,
            budget: Exchange::budget(self.now),
            family,
            country,
            only_17,
            denies: !denial.is_empty(),
        });
        self.effort.user_came(self.now);
        self.in_progress += 1;
        self.queue.enter(
            self.now + handshake,
            Happening::Continues(exchange, Stage::Arriving(denial)),
        );
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
    pub(super) fn go_on_with(&mut self, exchange: Box<Exchange>, stage: Stage) {
        match stage {
            Stage::Arriving(denial) => {
                let country = exchange.country;
                let location = country.map_or(Location::default(), |at| self.locations[at]);
                let rule = self.choose(User {
                    family: exchange.family,
                    location,
                    label: None,
                    denial,
                });
                self.try_first(exchange, rule);
            }
            Stage::Opening(opening) => self.opening_goes_on(exchange, opening),
            Stage::Asking(rule, asking) => match asking.step.reaction {
                Reaction::Closes => self.closed(exchange, rule, asking.since),
                _ => self.answered(&exchange, *rule.source(), asking),
            },
            Stage::Reopening(source, since, step) => match step.reaction {
                Reaction::Good => {
                    let asking = self.ask(&exchange, source, since);
                    let at = asking.step.ends;
                    let stage = Stage::AskingAgain(source, asking);
                    self.queue.enter(at, Happening::Continues(exchange, stage));
                }
                reaction => self.fail_after_keys(&exchange, source, reaction, since),
            },
            Stage::AskingAgain(source, asking) => self.answered(&exchange, source, asking),
        }
    }

    /// From here on there is one source.
    pub(super) fn send_keys(
        &mut self,
        exchange: Box<Exchange>,
        rule: AfterKeys<SourceIndex>,
        opened: Instant,
    ) {
        let asking = self.ask(&exchange, *rule.source(), opened);
        let at = asking.step.ends;
        let stage = Stage::Asking(rule, asking);
        self.queue.enter(at, Happening::Continues(exchange, stage));
    }

    /// The source sees the keys.
    fn ask(&mut self, exchange: &Exchange, source: SourceIndex, opened: Instant) -> Asking {
        self.witness.saw(source, exchange.number);
        let until = exchange.answer_by();
        let step = self.view.sources[source.get()].send_keys(self.now, until, &mut self.rng);
        Asking {
            since: self.now,
            opened,
            step,
        }
    }

    /// The connection ended without an octet.
    fn closed(&mut self, exchange: Box<Exchange>, rule: AfterKeys<SourceIndex>, since: Instant) {
        let source = *rule.source();
        let smoothed = self.view.sources[source.get()].smoothed;
        let Some(same) = rule.repeat(&exchange.budget, self.now.into(), smoothed) else {
            return self.fail_after_keys(&exchange, source, Reaction::Closes, since);
        };
        self.event(same, Event::KeptConnectionClosed);
        let until = exchange.answer_by();
        let state = &self.view.sources[same.get()];
        let step = state.open(self.now, until, false, &mut self.rng);
        let stage = Stage::Reopening(same, self.now, step);
        self.queue
            .enter(step.ends, Happening::Continues(exchange, stage));
    }

    fn answered(&mut self, exchange: &Exchange, index: SourceIndex, asking: Asking) {
        let reaction = asking.step.reaction;
        if reaction != Reaction::Good {
            return self.fail_after_keys(exchange, index, reaction, asking.since);
        }
        let source = &mut self.view.sources[index.get()];
        source.note_round_trip(self.now - asking.since);
        source.keep(asking.opened, &mut self.rng);
        self.let_go(index);
        self.event(index, Event::Served);
        self.report.served += 1;
        self.report.exchange_times.note(self.now - exchange.came);
        self.in_progress -= 1;
    }

    fn fail_after_keys(
        &mut self,
        exchange: &Exchange,
        index: SourceIndex,
        reaction: Reaction,
        since: Instant,
    ) {
        let source = &mut self.view.sources[index.get()];
        source.drop_kept();
        source.supported = None;
        self.let_go(index);
        let fair = exchange.budget.is_fair_after_keys(self.now - since);
        let class = match reaction {
            Reaction::Nothing if !fair => Class::Local,
            reaction => reaction.class().unwrap_or(Class::Local),
        };
        self.event(index, Event::FailedAfterKeys(class));
        self.fail(exchange, Failure::AfterKeys);
    }

    pub(super) fn fail(&mut self, exchange: &Exchange, failure: Failure) {
        match failure {
            Failure::NoSource => self.report.no_source += 1,
            Failure::BeforeKeys => self.report.before_keys += 1,
            Failure::AfterKeys => self.report.after_keys += 1,
        }
        self.in_progress -= 1;
        if let Some(ended) = self.outage_ended()
            && exchange.came >= ended
        {
            self.report.last_failure_after = Some(exchange.came - ended);
        }
    }

    pub(super) fn let_go(&mut self, source: SourceIndex) {
        self.view.sources[source.get()].in_flight -= 1;
    }
}
