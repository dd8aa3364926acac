//! What was seen of one source since it last did something right.

use std::time::{Duration, Instant};

use super::blame::Blame;
use super::policy::HealthPolicy;

/// Failures in a row at one stage.
#[derive(Clone, Copy, Debug, Default)]
struct Streak {
    failures: u32,
    hard: u32,
}

impl Streak {
    fn add(&mut self, blame: Blame) {
        self.failures = self.failures.saturating_add(1);
        self.hard = self.hard.saturating_add(u32::from(blame == Blame::Hard));
    }
}

/// At which stage something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// In a key-free check.
    Check,
    /// In an exchange, before keys were sent.
    BeforeKeys,
    /// In an exchange, after keys were sent.
    AfterKeys,
}

/// What was seen of one source.
///
/// A success takes back only what it disproves: a check says nothing about a source that answers
/// questions but makes no cookies.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    before_keys: Streak,
    after_keys: Streak,
    check_failed: bool,
    failing_since: Option<Instant>,
    recent: Recent,
}

impl Evidence {
    /// Nothing was seen yet.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            before_keys: Streak::default(),
            after_keys: Streak::default(),
            check_failed: false,
            failing_since: None,
            recent: Recent::new(now),
        }
    }

    /// Takes note of a failure. Gives whether it is the first since a success.
    pub(super) fn failed(
        &mut self,
        stage: Stage,
        blame: Blame,
        now: Instant,
        window: Duration,
    ) -> bool {
        match stage {
            Stage::Check | Stage::BeforeKeys => self.before_keys.add(blame),
            Stage::AfterKeys => self.after_keys.add(blame),
        }
        self.check_failed |= stage == Stage::Check;
        self.recent.add(false, now, window);
        let first = self.failing_since.is_none();
        self.failing_since.get_or_insert(now);
        first
    }

    /// Takes note of a key-free check that was passed, or of cookies. Gives since when the source
    /// had been failing.
    pub(super) fn succeeded(
        &mut self,
        cookies: bool,
        now: Instant,
        window: Duration,
    ) -> Option<Instant> {
        self.before_keys = Streak::default();
        if cookies {
            self.after_keys = Streak::default();
        }
        self.check_failed = false;
        self.recent.add(true, now, window);
        self.failing_since.take()
    }

    /// Since when it has done nothing right.
    pub(super) fn failing_since(&self) -> Option<Instant> {
        self.failing_since
    }

    /// Whether a key-free check is among what failed: then it is not users' evidence alone.
    pub(super) fn has_failed_check(&self) -> bool {
        self.check_failed
    }

    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.before_keys
            .failures
            .saturating_add(self.after_keys.failures)
    }

    /// Hard failures in a row.
    pub(super) fn hard_failures(&self) -> u32 {
        self.before_keys.hard.saturating_add(self.after_keys.hard)
    }

    /// Whether that is too much for a healthy source.
    pub(super) fn is_too_much(&self, policy: &HealthPolicy) -> bool {
        self.failures() >= policy.failures
            || self.hard_failures() >= policy.hard_failures
            || self.recent.is_mostly_failures(policy.ratio_at_least)
    }

    /// Forgets everything but since when it is failing.
    pub(super) fn forget_failures(&mut self, now: Instant) {
        *self = Self {
            failing_since: self.failing_since,
            ..Self::new(now)
        };
    }
}

/// Successes and failures of the last half to whole window.
#[derive(Clone, Debug)]
struct Recent {
    began: Instant,
    present: Counts,
    before: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    all: u32,
    failed: u32,
}

impl Recent {
    fn new(now: Instant) -> Self {
        Self {
            began: now,
            present: Counts::default(),
            before: Counts::default(),
        }
    }

    fn add(&mut self, success: bool, now: Instant, window: Duration) {
        let age = now.saturating_duration_since(self.began);
        if age >= window {
            *self = Self::new(now);
        } else if age >= window / 2 {
            self.before = std::mem::take(&mut self.present);
            self.began = now;
        }
        self.present.all = self.present.all.saturating_add(1);
        self.present.failed = self.present.failed.saturating_add(u32::from(!success));
    }

    fn is_mostly_failures(&self, at_least: u32) -> bool {
        let all = self.present.all.saturating_add(self.before.all);
        let failed = self.present.failed.saturating_add(self.before.failed);
        all >= at_least && failed > all / 2
    }
}
