//! One user's exchange: what is known of it between two steps.

use std::time::{Duration, Instant};

use nts_pool_ke::selection::{Denial, Family, SourceIndex, Tier};

/// The whole time of an exchange.
const BUDGET: Duration = Duration::from_millis(1000);
/// What is kept back to still send an Error record.
const RESERVE: Duration = Duration::from_millis(50);
/// A candidate gets at least this much, unless less is left.
const SHORTEST_TRIAL: Duration = Duration::from_millis(100);
/// So many sources are tried.
pub(super) const MOST_CANDIDATES: usize = 3;

/// A user's exchange.
pub(super) struct Exchange {
    pub(super) came: Instant,
    pub(super) family: Family,
    /// Position in the scenario's list of countries, if he is in one of them.
    pub(super) country: Option<usize>,
    /// He offers AEAD 17 alone.
    pub(super) only_17: bool,
    pub(super) denial: Denial,
    pub(super) tried: Vec<SourceIndex>,
    pub(super) stage: Stage,
    /// To whom keys were sent.
    pub(super) keys_sent_to: Option<SourceIndex>,
    pub(super) retried: bool,
}

/// What is going on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    /// The user's own handshake.
    Arriving,
    /// A connection is being opened.
    Opening { source: SourceIndex, since: Instant },
    /// The source has the keys.
    Asking {
        source: SourceIndex,
        since: Instant,
        opened: Instant,
        reused: bool,
    },
}

/// Why a user got nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Failure {
    /// Nobody was eligible.
    NoSource,
    /// Every candidate failed before keys.
    BeforeKeys,
    /// The source that had the keys failed.
    AfterKeys,
}

impl Exchange {
    pub(super) fn answer_by(&self) -> Instant {
        self.came + BUDGET - RESERVE
    }

    /// Whether the user is one of those by whom shares are measured.
    pub(super) fn is_plain(&self) -> bool {
        self.denial.is_empty() && !self.only_17
    }

    /// Until when a candidate may be tried, whom another one of tier `left` could replace.
    pub(super) fn trial_until(
        &self,
        now: Instant,
        tier: Tier,
        left: Option<Tier>,
        smoothed: Option<Duration>,
    ) -> Instant {
        let remaining = self.answer_by().saturating_duration_since(now);
        let share = remaining * 2 / 5;
        let last = self.tried.len() + 1 >= MOST_CANDIDATES;
        now + match left.filter(|_| !last) {
            None => remaining * 4 / 5,
            Some(left) if left > tier => share,
            Some(_) => smoothed
                .map_or(share, |time| time * 4)
                .max(SHORTEST_TRIAL)
                .min(share),
        }
    }

    /// Whether the source is to blame for silence of that length.
    pub(super) fn is_fair(given: Duration) -> bool {
        given >= SHORTEST_TRIAL
    }
}
