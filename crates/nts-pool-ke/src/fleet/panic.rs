//! While everything fails: nobody is ejected, and everybody is asked again and again, so that all
//! are back as soon as the network is.

use std::time::{Duration, Instant};

use rand::CryptoRng;

use super::member::{Check, Member};
use super::outage::Panic;
use super::schedule::within;
use super::turn::Turn;
use super::{Action, Fleet, SourceKey};

impl Fleet {
    /// Whether everything fails, and this is news.
    pub(super) fn everything_fails(&mut self, now: Instant) -> bool {
        let members = &self.members;
        let failing_since = |source| {
            members
                .get(&source)
                .and_then(|it: &Member| it.evidence.failing_since())
        };
        self.outage.panic().is_none()
            && self
                .outage
                .is_general(self.guard.sources(), now, failing_since)
    }

    /// Takes back what was done before it was clear that everything fails.
    pub(super) fn begin_panic(&mut self, turn: &mut Turn<'_, impl CryptoRng + ?Sized>) {
        turn.must(Action::PanicBegan);
        let lately = 2 * self.policy.outage_window;
        let mut affected = Vec::new();
        for (source, member) in &mut self.members {
            let taken_back = member.take_back_ejection(|at| turn.now <= at + lately);
            if taken_back {
                self.guard.begin_service();
            }
            if member.charged && member.is_established() {
                member.charged = false;
                self.guard.discharge(member.weight);
            }
            if taken_back || member.is_in_service() && member.is_failing() {
                affected.push(*source);
            }
        }
        self.outage.set_panic(Some(Panic {
            working_since: None,
            calm_since: None,
            look: turn.now + self.policy.panic_check_pause,
        }));
        let spread = self.pause_for(affected.len());
        for source in affected {
            turn.must(Action::Changed(source));
            if let Some(member) = self.members.get_mut(&source)
                && matches!(member.check, Check::Due(_))
            {
                member.check = Check::Due(turn.now + within(spread, turn.rng));
            }
            self.book(source);
        }
    }

    /// Looks whether it is over.
    pub(super) fn look_at_panic(&mut self, turn: &mut Turn<'_, impl CryptoRng + ?Sized>) {
        let Some(mut panic) = self
            .outage
            .panic()
            .copied()
            .filter(|it| it.look <= turn.now)
        else {
            return;
        };
        let failing = self.failing().len();
        let since = |holds: bool, since: Option<Instant>| holds.then(|| since.unwrap_or(turn.now));
        let for_long = |since: Option<Instant>, time| since.is_some_and(|it| it + time <= turn.now);
        panic.working_since = since(failing < self.guard.in_service(), panic.working_since);
        panic.calm_since = since(4 * failing <= self.guard.in_service(), panic.calm_since);
        panic.look = turn.now + self.policy.panic_check_pause;
        let calm = for_long(panic.calm_since, self.policy.calm);
        let long = for_long(panic.working_since, self.policy.outage_max);
        self.outage.set_panic(Some(panic));
        if calm || long {
            self.end_panic(turn);
        }
    }

    /// Whoever still fails is judged like anybody; nobody else is held to account for what
    /// happened.
    fn end_panic(&mut self, turn: &mut Turn<'_, impl CryptoRng + ?Sized>) {
        self.outage.set_panic(None);
        turn.must(Action::PanicEnded);
        for member in self.members.values_mut().filter(|it| !it.is_failing()) {
            member.evidence.forget_failures(turn.now);
        }
        for source in self.failing() {
            turn.must(Action::Changed(source));
            self.judge(source, turn);
            self.book(source);
        }
    }

    /// Between checks of a source that fails, while everything does.
    pub(super) fn panic_check_pause(&self) -> Duration {
        self.pause_for(self.guard.in_service())
    }

    fn pause_for(&self, sources: usize) -> Duration {
        let needed = self.policy.time_for_checks(sources);
        self.policy.panic_check_pause.max(needed)
    }

    /// Who is in service and fails.
    fn failing(&self) -> Vec<SourceKey> {
        let failing = |(_, member): &(_, &Member)| member.is_in_service() && member.is_failing();
        self.members
            .iter()
            .filter(failing)
            .map(|(source, _)| *source)
            .collect()
    }
}
