//! Settings that are right but have no effect in this version, collected while reading.
//!
//! They are no warnings, as nothing is wrong with the configuration; but no key may silently do
//! nothing, so the daemon says each once at start.

use std::cell::RefCell;
use std::fmt;

use nts_service::config::{Place, Section};

/// Keys of the file that have no effect for one and the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    reason: &'static str,
    /// Never empty.
    keys: Vec<Place>,
}

/// `REASON, so these keys have no effect: KEY (line N), KEY (line N)`.
impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, so these keys have no effect:", self.reason)?;
        for (index, place) in self.keys.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma} {}", place.key().unwrap_or_default())?;
            if let Some(line) = place.line() {
                write!(f, " (line {line})")?;
            }
        }
        Ok(())
    }
}

/// The notices so far, in the order of reading.
#[derive(Debug, Default)]
pub(super) struct Notices {
    list: RefCell<Vec<Notice>>,
}

impl Notices {
    /// Notes that `key`, if it is there, has no effect, and why.
    pub(super) fn no_effect(&self, section: &Section<'_>, key: &'static str, reason: &'static str) {
        if !section.has(key) {
            return;
        }
        let place = section.place(key);
        let mut list = self.list.borrow_mut();
        match list.iter_mut().find(|notice| notice.reason == reason) {
            Some(notice) => notice.keys.push(place),
            None => list.push(Notice {
                reason,
                keys: vec![place],
            }),
        }
    }

    /// All of them.
    pub(super) fn into_list(self) -> Vec<Notice> {
        self.list.into_inner()
    }
}
