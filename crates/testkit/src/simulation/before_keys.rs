//! What an exchange does before keys: it tries sources as the pool's own rule has it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nts_pool_ke::fleet::{Class, Event};
use nts_pool_ke::key_rule::{Attempt, BeforeKeys, Budget};
use nts_pool_ke::selection::{SourceIndex, Tier};

use super::exchange::{Exchange, Failure, Opening, Pending, Stage};
use super::fault::Reaction;
use super::shares::Kind;
use super::view::LiveFor;
use super::world::{Happening, World};

/// What begins with a source that is tried.
enum Begun {
    /// A connection was kept, which was opened then.
    Kept(Instant),
    /// A connection is being opened.
    Pending(Pending),
}

impl World<'_> {
    /// Tries the first source.
    pub(super) fn try_first(&mut self, exchange: Box<Exchange>, mut rule: BeforeKeys) {
        let Some(attempt) = self.next_attempt(&exchange, &mut rule) else {
            return self.fail(&exchange, Failure::NoSource);
        };
        if self.report.measures_shares && exchange.is_plain() && attempt.pick.tier < Tier::Panic {
            let kind = Kind {
                family: exchange.family,
                country: exchange.country,
            };
            self.shares.note(kind, attempt.pick.source);
        }
        self.go_on(exchange, rule, attempt);
    }

    /// Tries another source after one that failed, or that had nothing to offer.
    fn try_another(&mut self, exchange: Box<Exchange>, mut rule: BeforeKeys, failed: bool) {
        let in_time = self.now < exchange.answer_by();
        let allowed = in_time && (!failed || self.effort.may_fail_over(self.now));
        let attempt = allowed.then(|| self.next_attempt(&exchange, &mut rule));
        let Some(attempt) = attempt.flatten() else {
            return self.fail(&exchange, Failure::BeforeKeys);
        };
        self.report.failovers += u64::from(failed);
        self.go_on(exchange, rule, attempt);
    }

    fn go_on(&mut self, exchange: Box<Exchange>, rule: BeforeKeys, attempt: Attempt) {
        match self.begin(&exchange, attempt) {
            Begun::Kept(opened) => {
                let source = attempt.pick.source;
                self.send_keys(exchange, rule.commit(source, true), opened);
            }
            Begun::Pending(pending) => self.wait(
                exchange,
                Opening {
                    rule,
                    pending: vec![pending],
                    may_hedge: true,
                },
            ),
        }
    }

    fn next_attempt(&mut self, exchange: &Exchange, rule: &mut BeforeKeys) -> Option<Attempt> {
        let [at_once, sooner_or_later] = [true, false].map(|at_once| LiveFor {
            view: &self.view,
            offer: &self.offers[usize::from(exchange.only_17)],
            at_once,
        });
        rule.next(&at_once, &sooner_or_later, &mut self.rng)
    }

    /// Another source to get ready beside the one that is being tried.
    fn beside(&mut self, exchange: &Exchange, opening: &mut Opening) -> Option<Attempt> {
        let first = opening.pending.first()?.attempt;
        let at_once = LiveFor {
            view: &self.view,
            offer: &self.offers[usize::from(exchange.only_17)],
            at_once: true,
        };
        opening.rule.beside(&first, &at_once, &mut self.rng)
    }

    fn begin(&mut self, exchange: &Exchange, attempt: Attempt) -> Begun {
        let index = attempt.pick.source;
        let source = &mut self.view.sources[index.get()];
        source.in_flight += 1;
        let smoothed = source.smoothed;
        let (kept, closed) = source.take_kept(self.now, &mut self.rng);
        for _ in 0..closed {
            self.event(index, Event::KeptConnectionClosed);
        }
        if let Some(opened) = kept {
            return Begun::Kept(opened);
        }
        let until = attempt.until(&exchange.budget, self.now.into(), smoothed);
        let source = &self.view.sources[index.get()];
        let question = source.supported.is_none();
        let step = source.open(self.now, until.into_std(), question, &mut self.rng);
        Begun::Pending(Pending {
            attempt,
            since: self.now,
            step,
        })
    }

    /// Waits for the first connection, or for the time to open another one beside it.
    fn wait(&mut self, exchange: Box<Exchange>, opening: Opening) {
        let first = opening
            .pending
            .iter()
            .map(|pending| pending.step.ends)
            .min();
        let first = first.unwrap_or(self.now);
        let since = opening.pending.iter().map(|pending| pending.since).min();
        let hedge = since.map(|since| since + self.effort.hedge_after());
        let hedge = hedge.filter(|at| opening.may_hedge && *at < first);
        let at = hedge.unwrap_or(first).max(self.now);
        self.queue
            .enter(at, Happening::Continues(exchange, Stage::Opening(opening)));
    }

    /// A connection is open, or is not to be had, or takes long.
    pub(super) fn opening_goes_on(&mut self, exchange: Box<Exchange>, mut opening: Opening) {
        let mut pending = opening.pending.iter();
        let ended = pending.position(|pending| pending.step.ends <= self.now);
        let Some(ended) = ended else {
            return self.hedge(exchange, opening);
        };
        let pending = opening.pending.remove(ended);
        let source = pending.attempt.pick.source;
        match pending.step.reaction {
            Reaction::Good => {
                self.note_ready(source, pending.since);
                self.abandon(&opening.pending);
                self.send_keys(exchange, opening.rule.commit(source, false), pending.since);
            }
            reaction => {
                self.let_go(source);
                match reaction {
                    Reaction::HasNothing => opening.rule.mismatched(),
                    _ => self.note_failure(&pending, &mut opening.rule),
                }
                match opening.pending.is_empty() {
                    false => self.wait(exchange, opening),
                    true => {
                        let failed = reaction != Reaction::HasNothing;
                        self.try_another(exchange, opening.rule, failed);
                    }
                }
            }
        }
    }

    /// Gets another source ready beside one that takes long.
    fn hedge(&mut self, exchange: Box<Exchange>, mut opening: Opening) {
        opening.may_hedge = false;
        let allowed = self.effort.may_hedge(self.now);
        let attempt = allowed.then(|| self.beside(&exchange, &mut opening));
        let Some(attempt) = attempt.flatten() else {
            return self.wait(exchange, opening);
        };
        self.report.hedges += 1;
        match self.begin(&exchange, attempt) {
            Begun::Kept(opened) => {
                self.abandon(&opening.pending);
                let rule = opening.rule.commit(attempt.pick.source, true);
                self.send_keys(exchange, rule, opened);
            }
            Begun::Pending(pending) => {
                opening.pending.push(pending);
                self.wait(exchange, opening);
            }
        }
    }

    /// Nobody waits for these any more.
    fn abandon(&mut self, pending: &[Pending]) {
        for pending in pending {
            let source = pending.attempt.pick.source;
            self.let_go(source);
            self.event(source, Event::Overtaken);
        }
    }

    fn note_failure(&mut self, pending: &Pending, rule: &mut BeforeKeys) {
        let (source, reaction) = (pending.attempt.pick.source, pending.step.reaction);
        rule.failed(&pending.attempt, reaction.is_slowness());
        self.note_outcome(source, reaction, self.now - pending.since);
    }

    fn note_outcome(&mut self, index: SourceIndex, reaction: Reaction, given: Duration) {
        let source = &mut self.view.sources[index.get()];
        let smoothed = source.smoothed;
        let Some(class) = reaction.class().filter(|_| reaction != Reaction::Full) else {
            return;
        };
        let class = match reaction {
            Reaction::Nothing if !Budget::is_fair(given, smoothed) => Class::Local,
            _ => class,
        };
        if reaction == Reaction::Nothing {
            source.note_round_trip(given);
        }
        self.event(index, Event::FailedBeforeKeys(class));
    }

    fn note_ready(&mut self, index: SourceIndex, since: Instant) {
        self.effort.note_ready(self.now - since);
        let source = &mut self.view.sources[index.get()];
        source.note_round_trip((self.now - since) / 2);
        let has_17 = usize::from(source.script().has_17);
        let supported = &self.supported[has_17];
        source.supported.get_or_insert_with(|| supported.clone());
    }

    /// Makes the choice of a user's candidates.
    pub(super) fn choose(&self, user: nts_pool_ke::selection::User) -> BeforeKeys {
        let snapshot = Arc::clone(&self.snapshot);
        BeforeKeys::new(snapshot.choose(user), super::scenario::ATTEMPTS)
    }
}
