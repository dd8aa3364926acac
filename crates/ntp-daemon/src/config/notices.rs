//! Settings that are accepted but have no effect in this version, collected while reading.
//!
//! They are no warnings, as the configuration is right; but no key may silently do nothing, so
//! the daemon says each once at start.

use std::cell::RefCell;

use nts_service::config::{Problem, Section};

/// Why the keys of the clock have no effect.
const NO_DISCIPLINE: &str = "this version measures and does not steer the clock";

/// The notices so far, in the order of reading.
#[derive(Debug, Default)]
pub(super) struct Notices {
    list: RefCell<Vec<Problem>>,
}

impl Notices {
    /// Notes that `key`, if it is there, has no effect, and `why`.
    pub(super) fn no_effect(&self, section: &Section<'_>, key: &'static str, why: &str) {
        if section.has(key) {
            let message = format!("has no effect: {why}");
            self.list
                .borrow_mut()
                .push(Problem::warning(section.place(key), message));
        }
    }

    /// Notes that `key`, if it is there, has no effect because the clock is not steered.
    pub(super) fn needs_discipline(&self, section: &Section<'_>, key: &'static str) {
        self.no_effect(section, key, NO_DISCIPLINE);
    }

    /// All of them.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.list.into_inner()
    }
}
