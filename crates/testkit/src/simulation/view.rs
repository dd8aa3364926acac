//! What an exchange may ask of every source at once, without waiting.

use std::time::Instant;

use nts_pool_ke::fleet::State;
use nts_pool_ke::selection::{Live, Offer, SourceIndex};

use super::scenario::Scenario;
use super::source::Source;

/// So many exchanges are under way with one source, as long as another one has less.
const SLOTS: usize = 8;
/// So many are never exceeded, since sources have their limits.
const MOST_SLOTS: usize = 48;

/// All sources, and what the node makes of them.
pub(super) struct View {
    pub(super) sources: Vec<Source>,
    pub(super) admitted: Vec<bool>,
    pub(super) state: Vec<State>,
    pub(super) panic: bool,
    /// Whether the last thing that a source did was to fail.
    pub(super) failing: Vec<bool>,
    /// Since when a source is ill and not found to be.
    pub(super) ill_since: Vec<Option<Instant>>,
    /// Since when a source is well and not admitted again.
    pub(super) well_since: Vec<Option<Instant>>,
}

impl View {
    /// Everybody is new.
    pub(super) fn new(scenario: &Scenario, start: Instant) -> Self {
        let sources = scenario.sources.iter().cloned();
        let count = scenario.sources.len();
        Self {
            sources: sources.map(|script| Source::new(script, start)).collect(),
            admitted: vec![true; count],
            state: vec![State::Unknown; count],
            panic: false,
            failing: vec![false; count],
            ill_since: vec![None; count],
            well_since: vec![None; count],
        }
    }
}

/// The view of an exchange for a user with this offer.
pub(super) struct LiveFor<'a> {
    pub(super) view: &'a View,
    pub(super) offer: &'a Offer,
    /// Whether only those count that can be asked at once: their slots are not all taken, and they
    /// did not fail just now.
    pub(super) at_once: bool,
}

impl Live for LiveFor<'_> {
    fn admits(&self, source: SourceIndex) -> bool {
        self.view.admitted[source.get()]
    }

    fn can_serve(&self, source: SourceIndex) -> bool {
        let failing = self.view.failing[source.get()];
        let source = &self.view.sources[source.get()];
        let supported = source.supported.as_ref();
        // If nobody has a slot, the sources' own limit is what counts.
        let ready = match self.at_once {
            true => source.in_flight < SLOTS && !failing,
            false => source.in_flight < MOST_SLOTS,
        };
        ready && supported.is_none_or(|supported| self.offer.matches(supported))
    }

    fn is_in_panic(&self) -> bool {
        self.view.panic
    }
}
