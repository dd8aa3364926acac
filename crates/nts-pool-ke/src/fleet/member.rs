//! One source's state, and what leads from one to the next.

use std::time::{Duration, Instant};

use rand::CryptoRng;

use super::Arrival;
use super::evidence::Evidence;
use super::policy::HealthPolicy;
use crate::selection::Standing;

/// What a node thinks of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Nothing is known yet.
    Unknown,
    /// It works.
    Healthy,
    /// It failed too often, and is left alone for a time.
    Ejected,
    /// It has to pass checks.
    Probing,
    /// It gets users little by little.
    Ramp,
    /// The configuration wants no user to be sent there.
    Drained,
}

impl State {
    /// The number in metrics.
    pub fn number(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Healthy => 1,
            Self::Ejected => 2,
            Self::Probing => 3,
            Self::Ramp => 4,
            Self::Drained => 5,
        }
    }

    /// The name in logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Ejected => "ejected",
            Self::Probing => "probing",
            Self::Ramp => "ramp",
            Self::Drained => "drained",
        }
    }
}

/// A state with what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Unknown,
    Healthy { since: Instant },
    Ejected { until: Instant },
    Probing { passed: u32 },
    Ramp { since: Instant, tenths: u8 },
    Drained,
}

/// A source's way out of service, so that it can be taken back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ejection {
    pub(super) at: Instant,
    from: Phase,
}

/// When a source is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    Due(Instant),
    /// One is under way; whether another is wanted right after.
    Running {
        again: bool,
    },
}

/// A source.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) weight: u32,
    pub(super) phase: Phase,
    pub(super) evidence: Evidence,
    pub(super) check: Check,
    /// When the last check began.
    pub(super) checked: Option<Instant>,
    /// Under which time it stands in the agenda.
    pub(super) booked: Option<Instant>,
    pub(super) ejection: Option<Ejection>,
    /// Users' word alone took it out, and it is not healthy again.
    pub(super) charged: bool,
    /// Ejections that are not forgiven yet.
    strikes: u32,
    arrival: Arrival,
    /// How long its next or present ramp is.
    ramp: Duration,
}

impl Member {
    /// A source that is in no level yet; its first check is due at once.
    pub(super) fn new(arrival: Arrival, policy: &HealthPolicy, now: Instant) -> Self {
        Self {
            weight: 0,
            phase: Phase::Unknown,
            evidence: Evidence::new(now),
            check: Check::Due(now),
            checked: None,
            booked: None,
            ejection: None,
            charged: false,
            strikes: 0,
            arrival,
            ramp: policy.ramp,
        }
    }

    pub(super) fn state(&self) -> State {
        match self.phase {
            Phase::Unknown => State::Unknown,
            Phase::Healthy { .. } => State::Healthy,
            Phase::Ejected { .. } => State::Ejected,
            Phase::Probing { .. } => State::Probing,
            Phase::Ramp { .. } => State::Ramp,
            Phase::Drained => State::Drained,
        }
    }

    /// Whether users may be sent there, unless it is passed over in a panic.
    pub(super) fn is_in_service(&self) -> bool {
        match self.phase {
            Phase::Unknown | Phase::Healthy { .. } | Phase::Ramp { .. } => true,
            Phase::Ejected { .. } | Phase::Probing { .. } | Phase::Drained => false,
        }
    }

    /// Whether it fails, and has to be passed over while everything does.
    pub(super) fn is_failing(&self) -> bool {
        self.evidence.failing_since().is_some()
    }

    pub(super) fn standing(&self, panic: bool) -> Standing {
        let tenths = match self.phase {
            Phase::Ramp { tenths, .. } => tenths,
            Phase::Unknown if self.arrival == Arrival::Later => 1,
            _ => Standing::HEALTHY.tenths,
        };
        match self.is_in_service() && !(panic && self.is_failing()) {
            true => Standing {
                admitted: true,
                tenths,
            },
            false => Standing::OUT,
        }
    }

    /// Whether the evidence is too much for the state it is in.
    pub(super) fn deserves_ejection(&self, policy: &HealthPolicy) -> bool {
        match self.phase {
            Phase::Unknown => self.evidence.failures() >= policy.unknown_failures,
            Phase::Healthy { .. } => self.evidence.is_too_much(policy),
            Phase::Ramp { .. } => self.evidence.failures() > 0,
            Phase::Ejected { .. } | Phase::Probing { .. } | Phase::Drained => false,
        }
    }

    /// The configuration wants it out of service, or back.
    pub(super) fn set_drained(&mut self, drained: bool) {
        match (drained, self.phase) {
            (true, _) => {
                self.phase = Phase::Drained;
                self.ejection = None;
                self.charged = false;
                self.arrival = Arrival::Later;
            }
            (false, Phase::Drained) => self.phase = Phase::Unknown,
            (false, _) => {}
        }
    }

    /// It answered for the first time.
    pub(super) fn welcome(&mut self, now: Instant) {
        self.phase = match self.arrival {
            Arrival::AtStart => Phase::Healthy { since: now },
            Arrival::Later => Phase::Ramp {
                since: now,
                tenths: 1,
            },
        };
        // Whatever happens to it from now on, it is no newcomer.
        self.arrival = Arrival::Later;
    }

    /// Takes it out of service.
    pub(super) fn eject(
        &mut self,
        policy: &HealthPolicy,
        now: Instant,
        rng: &mut (impl CryptoRng + ?Sized),
    ) {
        self.ejection = Some(Ejection {
            at: now,
            from: self.phase,
        });
        self.forgive(policy, now);
        self.ramp = match self.evidence.hard_failures() {
            0 => policy.ramp,
            _ => policy.ramp_after_hard,
        };
        self.strikes = self.strikes.saturating_add(1);
        self.hold(policy, now, rng);
    }

    /// It failed to prove itself: it is left alone for longer than before, unless everything fails.
    pub(super) fn reject(
        &mut self,
        panic: bool,
        policy: &HealthPolicy,
        now: Instant,
        rng: &mut (impl CryptoRng + ?Sized),
    ) {
        self.strikes = self.strikes.saturating_add(u32::from(!panic));
        self.hold(policy, now, rng);
    }

    fn hold(&mut self, policy: &HealthPolicy, now: Instant, rng: &mut (impl CryptoRng + ?Sized)) {
        let until = now + policy.hold_for(self.strikes, rng);
        self.phase = Phase::Ejected { until };
    }

    /// One ejection is forgotten for each time of good health.
    fn forgive(&mut self, policy: &HealthPolicy, now: Instant) {
        let Phase::Healthy { since } = self.phase else {
            return;
        };
        let healthy = now.saturating_duration_since(since).as_secs();
        let forgiven = healthy / policy.forgive_after.as_secs().max(1);
        let forgiven = u32::try_from(forgiven).unwrap_or(u32::MAX);
        self.strikes = self.strikes.saturating_sub(forgiven);
    }

    /// It proved itself.
    pub(super) fn readmit(&mut self, now: Instant) {
        self.ejection = None;
        self.evidence.forget_failures(now);
        self.phase = Phase::Ramp {
            since: now,
            tenths: 1,
        };
    }

    /// An ejection that late was a mistake: everything failed. Gives whether there was one.
    pub(super) fn take_back_ejection(&mut self, since: impl Fn(Instant) -> bool) -> bool {
        let Some(ejection) = self.ejection.take_if(|ejection| since(ejection.at)) else {
            return false;
        };
        self.phase = ejection.from;
        self.strikes = self.strikes.saturating_sub(1);
        true
    }

    /// Whether it has all of its users, as far as it is admitted.
    pub(super) fn is_established(&self) -> bool {
        matches!(self.phase, Phase::Unknown | Phase::Healthy { .. })
    }

    /// Goes on to whatever time alone leads to. Gives whether anything changed.
    pub(super) fn pass_time(&mut self, now: Instant) -> bool {
        let before = self.phase;
        if let Phase::Ejected { until } = self.phase
            && until <= now
        {
            self.phase = Phase::Probing { passed: 0 };
            if let Check::Due(at) = &mut self.check {
                *at = now;
            }
        }
        while let Phase::Ramp { since, tenths } = self.phase
            && self.next_step(since, tenths) <= now
        {
            self.phase = match tenths {
                10.. => Phase::Healthy { since: now },
                tenths => Phase::Ramp {
                    since,
                    tenths: tenths + 1,
                },
            };
        }
        self.phase != before
    }

    fn next_step(&self, since: Instant, tenths: u8) -> Instant {
        since + self.ramp * u32::from(tenths) / 10
    }

    /// When to look at it next. One that was ejected is left alone until its time is over.
    pub(super) fn appointment(&self) -> Option<Instant> {
        let check = match self.check {
            Check::Due(at) => Some(at),
            Check::Running { .. } => None,
        };
        match self.phase {
            Phase::Ejected { until } => Some(until),
            Phase::Ramp { since, tenths } => {
                let step = self.next_step(since, tenths);
                Some(check.map_or(step, |check| check.min(step)))
            }
            _ => check,
        }
    }

    /// Has it checked soon, but not right after the last check.
    pub(super) fn want_check(&mut self, policy: &HealthPolicy, now: Instant) {
        let earliest = self
            .checked
            .map_or(now, |last| now.max(last + policy.check_pause));
        self.check = match self.check {
            Check::Due(at) => Check::Due(at.min(earliest)),
            Check::Running { .. } => Check::Running { again: true },
        };
    }
}
