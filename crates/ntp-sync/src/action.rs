//! What the shell has to do with the clock, and what it may tell people.

use std::fmt;

use nts_proto::ntp::header::LeapIndicator;
use nts_proto::time::NtpDuration;

use crate::snapshot::Unsynchronized;
use crate::source_id::SourceId;

/// Something to be done, in the order given.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Set the clock's frequency to this, s/s above its own (the kernel's `freq` × 10⁶ in ppm).
    SetFrequency(f64),
    /// Step the clock by this; positive is ahead. Tell all associations
    /// ([`handle_clock_step`](nts_proto::association::Association::handle_clock_step)).
    Step(NtpDuration),
    /// Have the kernel insert or delete a second at the end of this UTC day, or not any more.
    SetLeap(LeapIndicator),
    /// Tell the kernel how good the clock is.
    SetStatus(ClockStatus),
    /// Leave the clock alone and exit: a step is needed that the configuration forbids. Nothing
    /// follows, now or later.
    Panic(Panic),
    /// Nothing has to be done.
    Report(Report),
}

/// How good the clock is, as the kernel tells other programs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockStatus {
    /// Whether it is synchronised.
    pub synchronized: bool,
    /// Standard deviation of its error, s.
    pub estimated_error: f64,
    /// Bound of its error (the root distance), s.
    pub maximum_error: f64,
}

/// What people may want to read in the log. Said once, when it begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Report {
    /// The clock is synchronised, for the first time or again.
    Synchronized,
    /// The clock is not synchronised any more.
    Unsynchronized(Unsynchronized),
    /// The sources do not agree; the clock is left to itself.
    NoConsensus {
        /// Sources that agree with each other.
        agreeing: usize,
        /// Sources that could be used.
        usable: usize,
        /// Sources that must agree.
        needed: usize,
    },
    /// The sources agree again.
    Consensus {
        /// Sources that agree with each other.
        agreeing: usize,
    },
    /// The frequency is at its limit: the clock cannot be kept right.
    FrequencyLimit {
        /// What the frequency would have to be, s/s.
        wanted: f64,
    },
    /// The frequency is within its limits again.
    FrequencyWithinLimit,
    /// Something else moved the clock, by so many seconds (positive is ahead); or the machine
    /// slept. All filters start anew.
    ClockMoved {
        /// s
        by: f64,
    },
    /// A source's clock jumped against ours, by more than `step-threshold`.
    SourceJumped {
        /// The source.
        source: SourceId,
        /// By how much, s; positive is ahead.
        by: f64,
    },
}

/// A step that the configuration forbids.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Panic {
    /// Which limit forbids it.
    pub reason: PanicReason,
    /// The step that would be needed, s; positive is ahead.
    pub step: f64,
}

/// A limit of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PanicReason {
    /// `startup-step-panic-threshold`.
    StartupStep,
    /// `single-step-panic-threshold`.
    SingleStep,
    /// `accumulated-step-panic-threshold`.
    AccumulatedSteps,
}

impl PanicReason {
    /// The key of the configuration that sets the limit.
    pub const fn key(self) -> &'static str {
        match self {
            Self::StartupStep => "startup-step-panic-threshold",
            Self::SingleStep => "single-step-panic-threshold",
            Self::AccumulatedSteps => "accumulated-step-panic-threshold",
        }
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.reason.key();
        write!(
            f,
            "the clock would have to be stepped by {:+.6} s, which {key} forbids",
            self.step
        )
    }
}

impl std::error::Error for Panic {}
