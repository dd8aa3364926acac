//! Who wants to be looked at when.

use std::collections::BTreeSet;
use std::time::Instant;

use super::SourceKey;

/// Everybody's next appointment, the earliest first.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    appointments: BTreeSet<(Instant, SourceKey)>,
}

impl Agenda {
    /// Moves a source's appointment from `old` to `new`.
    pub(super) fn book(&mut self, source: SourceKey, old: Option<Instant>, new: Option<Instant>) {
        if old == new {
            return;
        }
        if let Some(old) = old {
            self.appointments.remove(&(old, source));
        }
        self.appointments.extend(new.map(|new| (new, source)));
    }

    /// The earliest appointment.
    pub(super) fn next(&self) -> Option<Instant> {
        self.appointments.first().map(|(at, _)| *at)
    }

    /// A source whose appointment has come.
    pub(super) fn due(&self, now: Instant) -> Option<SourceKey> {
        let (at, source) = self.appointments.first()?;
        (*at <= now).then_some(*source)
    }
}
