//! One source: its condition over time, and the connections that the node has with it.

use std::time::{Duration, Instant};

use nts_pool_ke::selection::Supported;

use rand::{RngExt as _, rngs::StdRng};

use super::fault::{Fault, Reaction};
use super::scenario::ScriptedSource;

/// So many connections are kept per source.
const MOST_KEPT: usize = 2;
/// When TCP tries again to reach somebody who is silent.
const RETRANSMISSIONS: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(7),
];

/// A source and what the node has with it.
pub(super) struct Source {
    start: Instant,
    script: ScriptedSource,
    /// When each kept connection was opened; the newest last.
    kept: Vec<Instant>,
    pub(super) in_flight: usize,
    /// What the node knows of it; `None` before its first answer.
    pub(super) supported: Option<Supported>,
    /// The node's estimate.
    pub(super) smoothed: Option<Duration>,
}

/// How a step ends, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) reaction: Reaction,
    pub(super) ends: Instant,
}

impl Source {
    pub(super) fn new(script: ScriptedSource, start: Instant) -> Self {
        Self {
            start,
            script,
            kept: Vec::new(),
            in_flight: 0,
            supported: None,
            smoothed: None,
        }
    }

    pub(super) fn script(&self) -> &ScriptedSource {
        &self.script
    }

    /// What is wrong with it at this time.
    pub(super) fn fault(&self, now: Instant) -> Option<Fault> {
        let time = now.saturating_duration_since(self.start);
        let at = self
            .script
            .spells
            .partition_point(|spell| spell.until <= time);
        let spell = self.script.spells.get(at)?;
        (spell.from <= time).then_some(spell.fault)
    }

    /// Whether a connection of that age is still open. Faults that close connections did so even
    /// if they are over.
    fn is_open(&self, opened: Instant, now: Instant) -> bool {
        let opened = opened.saturating_duration_since(self.start);
        let now = now.saturating_duration_since(self.start);
        let mut since = self.script.spells.iter();
        !since.any(|spell| {
            spell.fault.closes_connections() && spell.from >= opened && spell.from <= now
        })
    }

    fn has_mishap(&self, rng: &mut StdRng) -> bool {
        self.script.mishaps > 0.0 && rng.random_bool(self.script.mishaps)
    }

    /// Takes a kept connection that is open. Gives it, and how many turned out to be closed.
    pub(super) fn take_kept(&mut self, now: Instant, rng: &mut StdRng) -> (Option<Instant>, usize) {
        let mut closed = 0;
        while let Some(opened) = self.kept.pop() {
            if self.is_open(opened, now) && !self.has_mishap(rng) {
                return (Some(opened), closed);
            }
            closed += 1;
        }
        (None, closed)
    }

    /// Keeps a connection for later, if it wants to.
    pub(super) fn keep(&mut self, opened: Instant, rng: &mut StdRng) {
        if self.kept.len() < MOST_KEPT && !self.has_mishap(rng) {
            self.kept.push(opened);
        }
    }

    /// Keeps a new connection, if need be instead of the oldest.
    pub(super) fn renew(&mut self, opened: Instant) {
        if self.kept.len() == MOST_KEPT {
            self.kept.remove(0);
        }
        self.kept.push(opened);
    }

    pub(super) fn drop_kept(&mut self) {
        self.kept.clear();
    }

    /// Opens a connection from `now`, with patience until then, and asks for capabilities if
    /// `question`.
    pub(super) fn open(
        &self,
        now: Instant,
        until: Instant,
        question: bool,
        rng: &mut StdRng,
    ) -> Step {
        let round_trip = self.script.round_trip;
        if self.has_mishap(rng) {
            let mishaps = Reaction::BEFORE_KEYS;
            return self.mishap(mishaps[rng.random_range(0..mishaps.len())], now, until);
        }
        let round_trips = if question { 3 } else { 2 };
        let fault = self.fault(now);
        let reaction = fault.map_or(Reaction::Good, |fault| match fault.on_opening() {
            Reaction::Good if question => fault.on_question(),
            reaction => reaction,
        });
        match reaction {
            Reaction::Good => Self::step(Reaction::Good, now + round_trip * round_trips, until),
            Reaction::Nothing if fault == Some(Fault::Blackholed) => {
                // It may come back in the meantime, which TCP finds out.
                let again = RETRANSMISSIONS
                    .into_iter()
                    .map(|after| now + after)
                    .find(|at| self.fault(*at).is_none());
                let ends = again.map(|at| at + round_trip * round_trips);
                match ends.filter(|ends| *ends <= until) {
                    Some(ends) => Self::step(Reaction::Good, ends, until),
                    None => Self::step(Reaction::Nothing, until, until),
                }
            }
            _ => self.mishap(reaction, now, until),
        }
    }

    fn mishap(&self, reaction: Reaction, now: Instant, until: Instant) -> Step {
        let ends = match reaction.is_slowness() {
            true => until,
            false => now + self.script.round_trip,
        };
        Self::step(reaction, ends, until)
    }

    /// Sends keys on an open connection.
    pub(super) fn send_keys(&self, now: Instant, until: Instant, rng: &mut StdRng) -> Step {
        if self.has_mishap(rng) {
            let mishaps = Reaction::AFTER_KEYS;
            return self.mishap(mishaps[rng.random_range(0..mishaps.len())], now, until);
        }
        let ends = now + self.script.round_trip;
        // What is wrong when they arrive.
        let arrival = now + self.script.round_trip / 2;
        match self.fault(arrival).map(Fault::on_keys) {
            None | Some(Reaction::Good) => Self::step(Reaction::Good, ends, until),
            Some(reaction) => self.mishap(reaction, now, until),
        }
    }

    fn step(reaction: Reaction, ends: Instant, until: Instant) -> Step {
        if ends > until {
            Step {
                reaction: Reaction::Nothing,
                ends: until,
            }
        } else {
            Step { reaction, ends }
        }
    }

    /// Takes a measured round trip into account, as TCP does.
    pub(super) fn note_round_trip(&mut self, sample: Duration) {
        self.smoothed = Some(match self.smoothed {
            None => sample,
            Some(old) => old - old / 8 + sample / 8,
        });
    }
}
