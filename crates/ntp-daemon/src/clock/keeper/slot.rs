//! The end of the keeper that a source holds: its measurements go in, its poll interval comes out.

use std::sync::Arc;

use ntp_sync::SourceId;
use ntp_sync::snapshot::Verdict;
use nts_proto::association::{Measurement, UnusableReason};

use super::{Keeper, State};
use crate::clock::timebase::Timebase;

/// The place of one source. Dropping it has the source forgotten.
#[derive(Debug)]
pub(crate) struct SourceSlot {
    keeper: Arc<Keeper>,
    id: SourceId,
}

/// What came of a measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    /// The poll interval that the source should have, log2 seconds.
    pub(crate) poll: Option<i8>,
    /// Whether it contradicts the sources that are used.
    pub(crate) falseticker: bool,
}

impl SourceSlot {
    pub(super) fn new(keeper: Arc<Keeper>, id: SourceId) -> Self {
        Self { keeper, id }
    }

    /// The keeper.
    pub(crate) fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    /// Takes a measurement whose exchange began in `epoch` (see [`Keeper::epoch`]). If the clock was
    /// stepped since, it counts for nothing.
    pub(crate) fn measure(&self, epoch: u64, measurement: &Measurement) -> Measured {
        let mut state = self.keeper.lock();
        if epoch == self.keeper.epoch() {
            let actions = state.controller.handle_measurement(self.id, measurement);
            self.keeper.carry_out(&mut state, actions);
            self.keeper.changed.notify_one();
        }
        let falseticker = state.note_verdicts(self.id, self.keeper.timebase);
        Measured {
            poll: state.controller.poll_wish(self.id),
            falseticker,
        }
    }

    /// Notes an answer that gave no time to use.
    pub(crate) fn unusable(&self, reason: UnusableReason) {
        self.keeper
            .lock()
            .controller
            .handle_unusable(self.id, reason);
    }
}

impl Drop for SourceSlot {
    fn drop(&mut self) {
        let mut state = self.keeper.lock();
        state.controller.remove_source(self.id);
        state.reporter.forget(self.id);
    }
}

impl State {
    /// Has the log tell of sources that fell out; gives whether `id` is out.
    fn note_verdicts(&mut self, id: SourceId, timebase: Timebase) -> bool {
        let snapshot = self.controller.snapshot(timebase.now());
        self.reporter.verdicts(&snapshot);
        snapshot
            .sources
            .iter()
            .any(|source| source.id == id && source.verdict == Verdict::Falseticker)
    }
}
