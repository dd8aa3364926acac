//! The health of all time sources, as this node sees it: who may be sent users, who has to prove
//! himself first, and when it is rather this node that is ill.
//!
//! Pure: events, the time and randomness are arguments, and what has to be done is returned. There
//! is no clock, no task, no lock and no log in here, so that days of it run in a test in a moment.
//!
//! | file | job |
//! | --- | --- |
//! | `blame`, `policy` | whose fault a failure is; the constants |
//! | `evidence` | what was seen of one source |
//! | `member` | one source's state and what leads from one to the next |
//! | `guard` | how much may be out of service on users' word alone |
//! | `outage` | whether everything fails at once |
//! | `events`, `timers`, `panic`, `places`, `turn` | what follows from what happens |
//! | `agenda`, `schedule` | who wants to be looked at when |
//!
//! # States
//!
//! ```text
//!                    check or cookies                  proved twice
//!  Unknown ──────────────────────────▶ Healthy    ┌──────────────────▶ Ramp ──time──▶ Healthy
//!     │  (Ramp, if it came later)         │       │                     │
//!     │ 2 failures      3 failures, 2 hard│    Probing ◀──hold over──┐  │ 1 failure
//!     └───────────────────────────────────┴──────────┴─failure──▶ Ejected ◀┘
//! ```
//!
//! Users never test a source that was ejected: it has to pass key-free checks, and then gets users
//! little by little. While everything fails at once nobody is ejected. Sources that failed then are
//! merely passed over until they do anything right, and are what users get when nothing else is
//! left.

mod agenda;
mod blame;
mod events;
mod evidence;
mod guard;
mod member;
mod outage;
mod panic;
mod places;
mod policy;
mod schedule;
#[cfg(test)]
mod tests;
mod timers;
mod turn;

use std::collections::BTreeMap;

use agenda::Agenda;
use guard::Guard;
use member::Member;
use outage::Outage;

pub use blame::{Blame, Class};
pub use member::State;
pub use policy::HealthPolicy;

/// A source for as long as the node knows it; never given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceKey(u64);

/// When a source became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// When the node started: it gets all of its weight at once.
    AtStart,
    /// Later: it gets users little by little.
    Later,
}

/// With which weight a source serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The source.
    pub source: SourceKey,
    /// Its configured weight; 0 takes it out of service.
    pub weight: u32,
}

/// What a source did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It passed a key-free check that an [`Action::Check`] asked for.
    CheckPassed,
    /// It failed such a check.
    CheckFailed(Class),
    /// It made cookies for a user.
    Served,
    /// It failed a user before it had keys, so that another source could be tried.
    FailedBeforeKeys(Class),
    /// It failed a user who then got nothing.
    FailedAfterKeys(Class),
    /// It took so long that another source was ready before it. That says nothing about it, but is a
    /// reason to look.
    Overtaken,
    /// It had closed a connection that was kept for later. That says nothing about it: it may have
    /// restarted. What happens on the fresh connection is an event of its own.
    KeptConnectionClosed,
}

impl Event {
    /// Whether the source failed, or did something right; `None` if this says neither.
    pub fn is_failure(self) -> Option<bool> {
        match self {
            Self::CheckPassed | Self::Served => Some(false),
            Self::CheckFailed(class)
            | Self::FailedBeforeKeys(class)
            | Self::FailedAfterKeys(class) => (class.blame() != Blame::None).then_some(true),
            Self::Overtaken | Self::KeptConnectionClosed => None,
        }
    }
}

/// What the caller has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Check this source without keys, now, and report [`Event::CheckPassed`] or
    /// [`Event::CheckFailed`] in any case; until then no other check is asked for.
    Check(SourceKey),
    /// The source's state or standing changed.
    Changed(SourceKey),
    /// Most sources fail at once. Nobody is ejected until this has ended.
    PanicBegan,
    /// It has ended.
    PanicEnded,
}

/// The health of all sources.
#[derive(Debug)]
pub struct Fleet {
    policy: HealthPolicy,
    members: BTreeMap<SourceKey, Member>,
    next_key: u64,
    guard: Guard,
    outage: Outage,
    agenda: Agenda,
}

impl Fleet {
    /// A fleet without sources.
    pub fn new(policy: HealthPolicy) -> Self {
        Self {
            outage: Outage::new(&policy),
            policy,
            members: BTreeMap::new(),
            next_key: 0,
            guard: Guard::default(),
            agenda: Agenda::default(),
        }
    }

    /// Goes by other constants from now on. What has begun under the present ones, a ramp or an
    /// ejection, ends as it would have.
    pub fn set_policy(&mut self, policy: HealthPolicy) {
        self.outage.set_policy(&policy);
        self.policy = policy;
    }
}
