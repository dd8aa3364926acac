//! What follows from what a source did.

use std::time::Instant;

use rand::CryptoRng;

use super::blame::Blame;
use super::evidence::Stage;
use super::member::{Check, Phase};
use super::schedule::jittered;
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
        let mut actions = Vec::new();
        if !self.members.contains_key(&source) {
            return actions;
        }
        match event {
            Event::Served => self.succeeded(source, true, now, &mut actions),
            Event::CheckPassed => {
                self.succeeded(source, false, now, &mut actions);
                self.plan_check_after_pass(source, now, rng);
            }
            Event::CheckFailed(class) => {
                self.failed(source, Stage::Check, class.blame(), now, rng, &mut actions);
                self.plan_check_after_failure(source, now, rng);
            }
            Event::FailedBeforeKeys(class) => {
                self.failed(
                    source,
                    Stage::BeforeKeys,
                    class.blame(),
                    now,
                    rng,
                    &mut actions,
                );
                self.want_check(source, class.blame(), now);
            }
            Event::FailedAfterKeys(class) => {
                self.failed(
                    source,
                    Stage::AfterKeys,
                    class.blame(),
                    now,
                    rng,
                    &mut actions,
                );
                self.want_check(source, class.blame(), now);
            }
            Event::KeptConnectionClosed => self.want_check(source, Blame::Soft, now),
        }
        self.book(source);
        actions
    }

    fn succeeded(
        &mut self,
        source: SourceKey,
        cookies: bool,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(member) = self.members.get_mut(&source) else {
            return;
        };
        let window = self.policy.ratio_window;
        let failing_since = member.evidence.succeeded(cookies, now, window);
        if member.phase == Phase::Drained {
            return;
        }
        if let Some(since) = failing_since {
            self.outage.stopped_failing(since);
        }
        let proved = match &mut member.phase {
            Phase::Unknown => {
                member.welcome(now);
                actions.push(Action::Changed(source));
                false
            }
            Phase::Probing { passed } if !cookies => {
                *passed += 1;
                *passed >= self.policy.probes
            }
            // There is nobody else, and it does work.
            Phase::Probing { .. } | Phase::Ejected { .. } => cookies && self.in_service == 0,
            _ => {
                if failing_since.is_some() && self.outage.panic().is_some() {
                    actions.push(Action::Changed(source));
                }
                false
            }
        };
        if proved {
            member.readmit(now);
            self.guard.begin_service(&member.levels);
            self.in_service += 1;
            actions.push(Action::Changed(source));
        }
    }

    fn failed(
        &mut self,
        source: SourceKey,
        stage: Stage,
        blame: Blame,
        now: Instant,
        rng: &mut (impl CryptoRng + ?Sized),
        actions: &mut Vec<Action>,
    ) {
        let Some(member) = self.members.get_mut(&source) else {
            return;
        };
        if blame == Blame::None {
            return;
        }
        let window = self.policy.ratio_window;
        let first = member.evidence.failed(stage, blame, now, window);
        if member.phase == Phase::Drained {
            return;
        }
        let in_service = member.is_in_service();
        if first {
            self.outage.began_failing(source, now);
            if self.everything_fails(now) {
                self.begin_panic(now, rng, actions);
            } else if in_service && self.outage.panic().is_some() {
                actions.push(Action::Changed(source));
            }
        }
        if in_service {
            self.judge(source, now, rng, actions);
        } else if stage == Stage::Check {
            self.reject(source, now, rng, actions);
        }
    }

    /// Takes a source out of service, if there is reason to and it may be done.
    ///
    /// On users' word alone it may be done only within limits; but a source that is in its ramp
    /// was out a moment ago, so it can go again.
    pub(super) fn judge(
        &mut self,
        source: SourceKey,
        now: Instant,
        rng: &mut (impl CryptoRng + ?Sized),
        actions: &mut Vec<Action>,
    ) {
        let policy = &self.policy;
        let Some(member) = self.members.get_mut(&source) else {
            return;
        };
        if self.outage.panic().is_some() || !member.deserves_ejection(policy) {
            return;
        }
        let on_users_word = !member.evidence.has_failed_check();
        let charge = on_users_word && !member.charged;
        if on_users_word && !self.guard.can_spare(&member.levels, policy.keep_sources) {
            return;
        }
        if charge
            && member.is_established()
            && !self.guard.may_charge(&member.levels, member.weight)
        {
            return;
        }
        if charge {
            member.charged = true;
            self.guard.charge(&member.levels, member.weight);
        }
        member.eject(policy, now, rng);
        self.guard.end_service(&member.levels);
        self.in_service = self.in_service.saturating_sub(1);
        actions.push(Action::Changed(source));
    }

    /// A source that had to prove itself did not.
    fn reject(
        &mut self,
        source: SourceKey,
        now: Instant,
        rng: &mut (impl CryptoRng + ?Sized),
        actions: &mut Vec<Action>,
    ) {
        let panic = self.outage.panic().is_some();
        if let Some(member) = self.members.get_mut(&source)
            && matches!(member.phase, Phase::Probing { .. })
        {
            member.reject(panic, &self.policy, now, rng);
            actions.push(Action::Changed(source));
        }
    }

    fn want_check(&mut self, source: SourceKey, blame: Blame, now: Instant) {
        if let Some(member) = self.members.get_mut(&source)
            && blame != Blame::None
            && member.is_in_service()
        {
            member.want_check(&self.policy, now);
        }
    }

    fn plan_check_after_pass(
        &mut self,
        source: SourceKey,
        now: Instant,
        rng: &mut (impl CryptoRng + ?Sized),
    ) {
        let Some(member) = self.members.get_mut(&source) else {
            return;
        };
        let pause = match (member.check, member.phase) {
            (_, Phase::Probing { .. }) => self.policy.probe_pause(rng),
            (Check::Running { again: true }, _) => self.policy.check_pause,
            _ => jittered(self.policy.check_interval, rng),
        };
        member.check = Check::Due(now + pause);
    }

    fn plan_check_after_failure(
        &mut self,
        source: SourceKey,
        now: Instant,
        rng: &mut (impl CryptoRng + ?Sized),
    ) {
        let panic = self
            .outage
            .panic()
            .is_some()
            .then(|| self.panic_check_pause());
        let Some(member) = self.members.get_mut(&source) else {
            return;
        };
        let pause = match (member.phase, panic) {
            (Phase::Drained, _) => jittered(self.policy.check_interval, rng),
            (_, Some(pause)) => jittered(pause, rng),
            (_, None) => self.policy.probe_pause(rng),
        };
        member.check = Check::Due(now + pause);
    }
}
