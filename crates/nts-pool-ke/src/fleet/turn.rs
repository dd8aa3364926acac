//! What one call into the fleet brings along, and what comes of it.

use std::time::Instant;

use super::Action;

/// One call: its time, its randomness, and what the caller will have to do.
pub(super) struct Turn<'a, R: ?Sized> {
    pub(super) now: Instant,
    pub(super) rng: &'a mut R,
    pub(super) actions: Vec<Action>,
}

impl<'a, R: ?Sized> Turn<'a, R> {
    pub(super) fn new(now: Instant, rng: &'a mut R) -> Self {
        Self {
            now,
            rng,
            actions: Vec::new(),
        }
    }

    pub(super) fn must(&mut self, action: Action) {
        self.actions.push(action);
    }
}
