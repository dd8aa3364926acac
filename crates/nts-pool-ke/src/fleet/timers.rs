//! What follows from time alone.

use std::time::Instant;

use rand::CryptoRng;

use super::member::{Check, Phase};
use super::turn::Turn;
use super::{Action, Fleet, SourceKey};

impl Fleet {
    /// When [`Fleet::handle_timer`] has to be called next; may change with every other call.
    pub fn next_timer(&self) -> Option<Instant> {
        let look = self.outage.panic().map(|panic| panic.look);
        look.into_iter().chain(self.agenda.next()).min()
    }

    /// Does what is due.
    pub fn handle_timer(
        &mut self,
        now: Instant,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Vec<Action> {
        let mut turn = Turn::new(now, rng);
        self.look_at_panic(&mut turn);
        while let Some(source) = self.agenda.due(now) {
            self.keep_appointment(source, &mut turn);
            self.book(source);
        }
        turn.actions
    }

    fn keep_appointment(
        &mut self,
        source: SourceKey,
        turn: &mut Turn<'_, impl CryptoRng + ?Sized>,
    ) {
        let Some(member) = self.members.get_mut(&source) else {
            return;
        };
        if member.pass_time(turn.now) {
            turn.must(Action::Changed(source));
        }
        if member.charged && member.is_established() {
            member.charged = false;
            self.guard.discharge(member.weight);
        }
        if let Check::Due(at) = member.check
            && at <= turn.now
            && !matches!(member.phase, Phase::Ejected { .. })
        {
            member.check = Check::Running { again: false };
            member.checked = Some(turn.now);
            turn.must(Action::Check(source));
        }
    }

    /// Makes a source's entry in the agenda what it should be.
    pub(super) fn book(&mut self, source: SourceKey) {
        if let Some(member) = self.members.get_mut(&source) {
            let appointment = member.appointment();
            self.agenda.book(source, member.booked, appointment);
            member.booked = appointment;
        }
    }
}
