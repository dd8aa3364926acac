//! What happened in one exchange, for those who count. The exchange writes, nobody in it reads.

use std::sync::Arc;
use std::time::Duration;

use crate::selection::{LevelKind, Pick, Tier};
use crate::source::Source;
use crate::upstream::{Class, Stage};

/// What one exchange did on its way.
#[derive(Default)]
pub(crate) struct Report {
    /// The tier of each source that was picked and from how far it came, in order.
    pub(crate) picks: Vec<(Tier, LevelKind)>,
    /// How far it came with each source that failed before keys, in order.
    pub(crate) before_keys: Vec<Stage>,
    /// How often a second source was got ready because the first took long.
    pub(crate) hedges: u64,
    /// Whether no other source was tried because too many exchanges did that already.
    pub(crate) failover_refused: bool,
    /// Each source that was asked, and how it failed, if it did.
    pub(crate) asked: Vec<(Arc<Source>, Result<(), Class>)>,
    /// How the repetition of a Fixed Key Request to the same source went, if there was one.
    pub(crate) same_source_retry: Option<bool>,
    /// How long each phase took that was reached.
    pub(crate) phases: Phases,
}

/// How long the phases of one exchange took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Phases {
    /// TLS handshake with the user.
    pub(crate) tls: Option<Duration>,
    /// Reading the user's request.
    pub(crate) request: Option<Duration>,
    /// Choosing a source and getting ready to send the keys.
    pub(crate) before_keys: Option<Duration>,
    /// From sending the keys to the source's answer.
    pub(crate) after_keys: Option<Duration>,
}

impl Report {
    /// A source was tried.
    pub(super) fn note_pick(&mut self, pick: &Pick) {
        self.picks.push((pick.tier, pick.level));
    }

    /// How far it came with each source that was replaced by another.
    pub(crate) fn failovers(&self) -> &[Stage] {
        let replaced = self.picks.len().saturating_sub(1);
        self.before_keys.get(..replaced).unwrap_or_default()
    }

    /// The source that was asked last.
    pub(crate) fn last_source(&self) -> Option<&Arc<Source>> {
        self.asked.last().map(|(source, _)| source)
    }
}

impl Phases {
    /// The names of the phases in metrics, in order; the whole exchange is the last.
    pub(crate) const LABELS: [&'static str; 5] = ["tls", "request", "pre_key", "post_key", "total"];

    /// The durations in the order of [`Phases::LABELS`].
    pub(crate) fn in_order(&self, total: Duration) -> [Option<Duration>; 5] {
        [
            self.tls,
            self.request,
            self.before_keys,
            self.after_keys,
            Some(total),
        ]
    }
}
