//! What follows from what a source did.

use std::time::Instant;

use rand::CryptoRng;

use super::blame::{Blame, Class};
use super::evidence::Stage;
use super::member::{Check, Phase};
use super::schedule::jittered;
use super::turn::Turn;
use super::{Action, Event, Fleet, SourceKey};

impl Fleet {
    /// Takes note of what a source did, and gives what has to be done about it.
    ///
    /// Events of sources that are not known any more are ignored.
    pub fn handle_event(
        &mut self,
        source: SourceKey,
        event: Event,
        now: Instant,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Vec<Action> {
        let mut turn = Turn::new(now, rng);
        match event {
            Event::Served => self.succeeded(source, true, &mut turn),
            Event::CheckPassed => {
                self.succeeded(source, false, &mut turn);
                self.plan_check_after_pass(source, &mut turn);
            }
            Event::CheckFailed(class) => {
                self.failed(source, Stage::Check, class, &mut turn);
                self.plan_check_after_failure(source, &mut turn);
            }
            Event::FailedBeforeKeys(class) => {
                self.failed(source, Stage::BeforeKeys, class, &mut turn);
            }
            Event::FailedAfterKeys(class) => {
                self.failed(source, Stage::AfterKeys, class, &mut turn);
            }
            Event::Overtaken | Event::KeptConnectionClosed => self.want_check(source, now),
        }
        self.book(source);
        turn.actions
    }

    fn succeeded(
        &mut self,
        source: SourceKey,
        cookies: bool,
        turn: &mut Turn<'_, impl CryptoRng + ?Sized>,
    ) {
        let Some(member) = self.members.get_mut(&source) else {
            return;
        };
        let window = self.policy.ratio_window;
        let failing_since = member.evidence.succeeded(cookies, turn.now, window);
        if member.phase == Phase::Drained {
            return;
        }
        if let Some(since) = failing_since {
            self.outage.stopped_failing(since);
        }
        let proved = match &mut member.phase {
            Phase::Unknown => {
                member.welcome(turn.now);
                turn.must(Action::Changed(source));
                false
            }
            Phase::Probing { passed } if !cookies => {
                *passed += 1;
                *passed >= self.policy.probes
            }
            // There is nobody else, and it does work.
            Phase::Probing { .. } | Phase::Ejected { .. } => {
                cookies && self.guard.in_service() == 0
            }
            _ => {
                if failing_since.is_some() && self.outage.panic().is_some() {
                    turn.must(Action::Changed(source));
                }
                false
            }
        };
        if proved {
            member.readmit(turn.now);
            self.guard.begin_service();
            turn.must(Action::Changed(source));
        }
    }

    fn failed(
        &mut self,
        source: SourceKey,
        stage: Stage,
        class: Class,
        turn: &mut Turn<'_, impl CryptoRng + ?Sized>,
    ) {
        let blame = class.blame();
        let Some(member) = self.members.get_mut(&source) else {
            return;
        };
        if blame == Blame::None {
            return;
        }
        let window = self.policy.ratio_window;
        let first = member.evidence.failed(stage, blame, turn.now, window);
        if member.phase == Phase::Drained {
            return;
        }
        let in_service = member.is_in_service();
        if first {
            self.outage.began_failing(source, turn.now);
            if self.everything_fails(turn.now) {
                self.begin_panic(turn);
            } else if in_service && self.outage.panic().is_some() {
                turn.must(Action::Changed(source));
            }
        }
        if in_service {
            self.judge(source, turn);
        } else if stage == Stage::Check {
            self.reject(source, turn);
        }
        if stage != Stage::Check {
            self.want_check(source, turn.now);
        }
    }

    /// Takes a source out of service, if there is reason to and it may be done.
    ///
    /// On users' word alone it may be done only within limits; but a source that is in its ramp
    /// was out a moment ago, so it can go again.
    pub(super) fn judge(
        &mut self,
        source: SourceKey,
        turn: &mut Turn<'_, impl CryptoRng + ?Sized>,
    ) {
        let Some(member) = self.members.get_mut(&source) else {
            return;
        };
        if self.outage.panic().is_some() || !member.deserves_ejection(&self.policy) {
            return;
        }
        if !member.evidence.has_failed_check() {
            let counts_already = member.charged || !member.is_established();
            if !self.guard.can_spare(self.policy.keep_sources)
                || !(counts_already || self.guard.may_charge(member.weight))
            {
                return;
            }
            if !member.charged {
                member.charged = true;
                self.guard.charge(member.weight);
            }
        }
        member.eject(&self.policy, turn.now, turn.rng);
        self.guard.end_service();
        turn.must(Action::Changed(source));
    }

    /// A source that had to prove itself did not.
    fn reject(&mut self, source: SourceKey, turn: &mut Turn<'_, impl CryptoRng + ?Sized>) {
        let panic = self.outage.panic().is_some();
        if let Some(member) = self.members.get_mut(&source)
            && matches!(member.phase, Phase::Probing { .. })
        {
            member.reject(panic, &self.policy, turn.now, turn.rng);
            turn.must(Action::Changed(source));
        }
    }

    fn want_check(&mut self, source: SourceKey, now: Instant) {
        if let Some(member) = self.members.get_mut(&source)
            && member.is_in_service()
        {
            member.want_check(&self.policy, now);
        }
    }

    fn plan_check_after_pass(
        &mut self,
        source: SourceKey,
        turn: &mut Turn<'_, impl CryptoRng + ?Sized>,
    ) {
        let Some(member) = self.members.get_mut(&source) else {
            return;
        };
        let pause = match (member.check, member.phase) {
            (_, Phase::Probing { .. }) => self.policy.probe_pause(turn.rng),
            (Check::Running { again: true }, _) => self.policy.check_pause,
            _ => jittered(self.policy.check_interval, turn.rng),
        };
        member.check = Check::Due(turn.now + pause);
    }

    fn plan_check_after_failure(
        &mut self,
        source: SourceKey,
        turn: &mut Turn<'_, impl CryptoRng + ?Sized>,
    ) {
        let in_panic = self.outage.panic().map(|_| self.panic_check_pause());
        let Some(member) = self.members.get_mut(&source) else {
            return;
        };
        let pause = match (member.phase, in_panic) {
            (Phase::Drained, _) => jittered(self.policy.check_interval, turn.rng),
            (_, Some(pause)) => jittered(pause, turn.rng),
            (_, None) => self.policy.probe_pause(turn.rng),
        };
        member.check = Check::Due(turn.now + pause);
    }
}
