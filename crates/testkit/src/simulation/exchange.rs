//! One user's exchange: what is known of it between two steps.

use std::time::Instant;

use nts_pool_ke::key_rule::{AfterKeys, Attempt, BeforeKeys, Budget};
use nts_pool_ke::selection::{Denial, Family, SourceIndex};

use super::scenario::EXCHANGE_TIME;
use super::source::Step;

/// A user's exchange.
pub(super) struct Exchange {
    /// How many users came before him.
    pub(super) number: usize,
    pub(super) came: Instant,
    pub(super) budget: Budget,
    pub(super) family: Family,
    /// Position in the scenario's list of countries, if he is in one of them.
    pub(super) country: Option<usize>,
    /// He offers AEAD 17 alone.
    pub(super) only_17: bool,
    /// He denies sources.
    pub(super) denies: bool,
}

/// What is going on, with what the rule about keys allows from here on.
pub(super) enum Stage {
    /// The user's own handshake; he will deny these.
    Arriving(Denial),
    /// A connection is being opened, or two, and no key has left the pool.
    Opening(Opening),
    /// The source has the keys.
    Asking(AfterKeys<SourceIndex>, Asking),
    /// The source has the keys, but closed the connection; since then a fresh one is being opened
    /// to it.
    Reopening(SourceIndex, Instant, Step),
    /// The source was asked once more.
    AskingAgain(SourceIndex, Asking),
}

/// A request with keys that is under way.
#[derive(Clone, Copy)]
pub(super) struct Asking {
    pub(super) since: Instant,
    /// When the connection was opened.
    pub(super) opened: Instant,
    pub(super) step: Step,
}

/// The state before keys while connections are being opened.
pub(super) struct Opening {
    pub(super) rule: BeforeKeys,
    /// One or two.
    pub(super) pending: Vec<Pending>,
    /// Whether another one may be opened beside the first.
    pub(super) may_hedge: bool,
}

/// A connection that is being opened.
#[derive(Clone, Copy)]
pub(super) struct Pending {
    pub(super) attempt: Attempt,
    pub(super) since: Instant,
    pub(super) step: Step,
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
    /// The time that a user has who comes now.
    pub(super) fn budget(now: Instant) -> Budget {
        Budget::new((now + EXCHANGE_TIME).into(), EXCHANGE_TIME)
    }

    pub(super) fn answer_by(&self) -> Instant {
        self.budget.answer_by().into_std()
    }

    /// Whether the user is one of those by whom shares are measured.
    pub(super) fn is_plain(&self) -> bool {
        !self.denies && !self.only_17
    }
}
