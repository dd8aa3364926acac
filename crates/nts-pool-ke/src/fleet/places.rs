//! Which sources there are, where they serve, and how they stand.

use std::collections::BTreeMap;
use std::time::Instant;

use rand::CryptoRng;

use super::evidence::Evidence;
use super::guard::Guard;
use super::member::{Check, Member, Phase, State};
use super::schedule::within;
use super::{Action, Arrival, Fleet, Place, SourceKey};
use crate::selection::Standing;

impl Fleet {
    /// Makes a source known. It takes part once [`Fleet::place`] gives it a place.
    pub fn add(&mut self, arrival: Arrival, now: Instant) -> SourceKey {
        let key = SourceKey(self.next_key);
        self.next_key += 1;
        let member = Member::new(arrival, &self.policy, now);
        self.members.insert(key, member);
        key
    }

    /// Says where all sources serve. Those that have no place any more are forgotten; all others
    /// stay as they are, so that a changed configuration does not make anybody healthy.
    ///
    /// `places` of sources that were never added are ignored.
    pub fn place(
        &mut self,
        places: Vec<Place>,
        now: Instant,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Vec<Action> {
        let spread = self.policy.time_for_checks(places.len());
        let mut former = std::mem::take(&mut self.members);
        let mut actions = Vec::new();
        for place in places {
            let Some(mut member) = former.remove(&place.source) else {
                continue;
            };
            member.weight = place.weight;
            if (member.phase == Phase::Drained) != (member.weight == 0) {
                self.leave_outage(&member);
                member.evidence = Evidence::new(now);
                member.set_drained(member.weight == 0);
                actions.push(Action::Changed(place.source));
            }
            if member.checked.is_none() {
                member.check = Check::Due(now + within(spread, rng));
            }
            self.members.insert(place.source, member);
        }
        for (source, member) in former {
            self.leave_outage(&member);
            self.agenda.book(source, member.booked, None);
        }
        self.take_stock();
        actions
    }

    fn leave_outage(&mut self, member: &Member) {
        if member.phase != Phase::Drained
            && let Some(since) = member.evidence.failing_since()
        {
            self.outage.stopped_failing(since);
        }
    }

    /// Counts everything anew.
    fn take_stock(&mut self) {
        self.guard = Guard::default();
        for member in self.members.values() {
            if member.phase == Phase::Drained {
                continue;
            }
            self.guard.enter(member.weight);
            if member.is_in_service() {
                self.guard.begin_service();
            }
            if member.charged {
                self.guard.charge(member.weight);
            }
        }
        let sources: Vec<_> = self.members.keys().copied().collect();
        for source in sources {
            self.book(source);
        }
    }

    /// How selection has to treat a source.
    pub fn standing(&self, source: SourceKey) -> Standing {
        let panic = self.outage.panic().is_some();
        let member = self.members.get(&source);
        member.map_or(Standing::OUT, |member| member.standing(panic))
    }

    /// What is thought of a source; `None` for one that is not known.
    pub fn state(&self, source: SourceKey) -> Option<State> {
        self.members.get(&source).map(Member::state)
    }

    /// Whether most sources fail at once, so that nobody is ejected.
    pub fn everything_is_failing(&self) -> bool {
        self.outage.panic().is_some()
    }

    /// Whether users for whom nobody is left get a source that is not admitted: while everything
    /// fails, and when nobody is in service.
    pub fn is_in_panic(&self) -> bool {
        self.everything_is_failing() || self.guard.in_service() == 0
    }

    /// How many sources are in each state.
    pub fn census(&self) -> BTreeMap<State, usize> {
        let mut census = BTreeMap::new();
        for member in self.members.values() {
            *census.entry(member.state()).or_default() += 1;
        }
        census
    }
}
