//! The rule about users' keys, as two types (protocol §3.6): before any key has left the pool
//! sources may be tried one after the other; afterwards there is one, and no way to name another.
//!
//! ```text
//! BeforeKeys    draws one source after the other
//!     | commit  consumes it
//!     v
//! AfterKeys     has one source; may repeat its request to that one, once
//! ```
//!
//! Pure: what is known of sources, the time and randomness are arguments. Nothing here connects:
//! `exchange` carries it out, and the simulation in `testkit` drives it a million times.

use std::time::Duration;

use rand::CryptoRng;
use tokio::time::Instant;

pub use crate::budget::Budget;
use crate::selection::{Choice, Live, Pick, SourceIndex};

/// How much time a source gets to be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Patience {
    /// There are others as good.
    Short,
    /// There are only others that failed lately.
    Long,
    /// There is no other.
    Last,
}

/// A source that is to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which one, and how it was chosen.
    pub pick: Pick,
    /// How much time it gets.
    pub patience: Patience,
}

/// No key has left the pool, so any source may be tried.
#[derive(Debug)]
pub struct BeforeKeys {
    choice: Choice,
    attempts_left: usize,
    /// These were given little time, and were not ready or had no free slot within it.
    slow: Vec<SourceIndex>,
}

impl BeforeKeys {
    /// So many attempts with what `choice` yields.
    pub fn new(choice: Choice, attempts: usize) -> Self {
        Self {
            choice,
            attempts_left: attempts,
            slow: Vec::new(),
        }
    }

    /// The next source to try, and how much time it deserves in view of the others. `None` if no
    /// source is left, or as many were tried as may be.
    ///
    /// A source that cannot be asked `at_once` is tried only when all are so; those that were slow
    /// get a second chance when no other is left at all.
    pub fn next(
        &mut self,
        at_once: &impl Live,
        sooner_or_later: &impl Live,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Option<Attempt> {
        let attempts_left = self.attempts_left.checked_sub(1)?;
        let (pick, left) = loop {
            if let Some(pick) = self.choice.next(at_once, rng) {
                break (pick, self.choice.best_left(at_once));
            }
            if let Some(pick) = self.choice.next(sooner_or_later, rng) {
                break (pick, self.choice.best_left(sooner_or_later));
            }
            if !self.readmit_slow() {
                return None;
            }
        };
        self.attempts_left = attempts_left;
        let patience = match left {
            _ if attempts_left == 0 => Patience::Last,
            Some(left) if left <= pick.tier => Patience::Short,
            Some(_) => Patience::Long,
            None if self.choice.best_left(sooner_or_later).is_some() => Patience::Long,
            None => Patience::Last,
        };
        Some(Attempt { pick, patience })
    }

    /// Another source to get ready beside `first`, which takes long: one that can be asked at once,
    /// and is as good and as near.
    pub fn beside(
        &mut self,
        first: &Attempt,
        at_once: &impl Live,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Option<Attempt> {
        let attempt = self.next(at_once, at_once, rng)?;
        let (one, other) = (first.pick, attempt.pick);
        if other.tier <= one.tier && other.level <= one.level {
            return Some(attempt);
        }
        self.choice.readmit(other.source);
        self.attempts_left += 1;
        None
    }

    fn readmit_slow(&mut self) -> bool {
        let slow = std::mem::take(&mut self.slow);
        for source in &slow {
            self.choice.readmit(*source);
        }
        !slow.is_empty()
    }

    /// That source failed; `slow` if all that was seen is that it was not ready in its time.
    pub fn failed(&mut self, attempt: &Attempt, slow: bool) {
        if attempt.patience == Patience::Short && slow {
            self.slow.push(attempt.pick.source);
        }
    }

    /// The last source has nothing in common with the user, which was found out only now: that was
    /// no attempt.
    pub fn mismatched(&mut self) {
        self.attempts_left += 1;
    }

    /// The point of no return: the keys go to `source`. `may_repeat` if the request may be sent to
    /// it once more, because it goes over a kept connection and the policy allows it.
    pub fn commit<S>(self, source: S, may_repeat: bool) -> AfterKeys<S> {
        AfterKeys { source, may_repeat }
    }
}

impl Attempt {
    /// Until when the source may take to be ready; `round_trip` is the smoothed round-trip time to
    /// it, when it is known.
    pub fn until(&self, budget: &Budget, now: Instant, round_trip: Option<Duration>) -> Instant {
        match self.patience {
            Patience::Short => budget.trial_until(now, round_trip),
            Patience::Long => budget.trial_until(now, None),
            Patience::Last => budget.last_trial_until(now),
        }
    }
}

/// The keys belong to one source.
#[derive(Debug)]
pub struct AfterKeys<S> {
    source: S,
    may_repeat: bool,
}

impl<S> AfterKeys<S> {
    /// The only source that may have the keys.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// The connection ended before a single octet of an answer. Gives the source if the request is
    /// to be sent to it once more, over a fresh connection; there is no third time.
    pub fn repeat(self, budget: &Budget, now: Instant, round_trip: Option<Duration>) -> Option<S> {
        (self.may_repeat && budget.allows_retry(now, round_trip)).then_some(self.source)
    }
}

#[cfg(test)]
mod tests;
