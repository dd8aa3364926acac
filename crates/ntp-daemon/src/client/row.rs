//! One remote's row on the board: its measurements in a filter, and what is to be said about it.

use std::net::SocketAddr;

use ntp_sync::filter::SampleFilter;
use nts_proto::association::{Measurement, Status};
use nts_proto::time::NtpDuration;

use super::SourceId;
use crate::observe::state::{SourceCondition, SourceMode, SourceState};
use crate::observe::timestamp;

/// What does not change while a source runs.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// The configured source's address.
    pub(super) name: String,
    /// Its mode.
    pub(super) mode: SourceMode,
    /// Name of the remote.
    pub(super) remote_name: String,
    /// Address of the remote.
    pub(super) address: SocketAddr,
}

/// What is known about a remote.
#[derive(Debug)]
pub(super) struct Row {
    facts: Facts,
    filter: SampleFilter,
    /// The epoch of the clock at the last measurement.
    epoch: u64,
    last: Option<Measurement>,
    unusable: bool,
    error: Option<String>,
}

impl Row {
    pub(super) fn new(facts: Facts) -> Self {
        Self {
            facts,
            filter: SampleFilter::default(),
            epoch: 0,
            last: None,
            unusable: false,
            error: None,
        }
    }

    /// Takes a measurement: all is well. What was measured before a step of the clock tells
    /// nothing any more.
    pub(super) fn add(&mut self, measurement: &Measurement, epoch: u64) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.filter = SampleFilter::default();
        }
        self.filter.add(measurement);
        self.last = Some(*measurement);
        self.unusable = false;
        self.error = None;
    }

    /// Notes an answer that gives no time to use.
    pub(super) fn set_unusable(&mut self, why: &str) {
        self.unusable = true;
        self.error = Some(why.to_owned());
    }

    /// Notes what went wrong.
    pub(super) fn set_error(&mut self, error: impl Into<String>) {
        self.error = Some(error.into());
    }

    /// The row as it is shown.
    pub(super) fn state(&self, status: Status, id: SourceId) -> SourceState {
        let estimate = self.filter.estimate();
        let last = self.last.as_ref();
        let seconds = NtpDuration::as_seconds_f64;
        SourceState {
            offset: estimate.map(|it| seconds(it.offset)),
            uncertainty: estimate.map(|it| seconds(it.uncertainty)),
            delay: estimate.map(|it| seconds(it.delay)),
            remote_delay: last.map(|it| seconds(it.root_delay.into())),
            remote_uncertainty: last.map(|it| seconds(it.root_dispersion.into())),
            last_update: last.map(|it| timestamp(it.time)),
            unanswered_polls: status.reach.unanswered_polls(),
            poll_interval: status.poll,
            nts_cookies: status.cookies,
            name: self.facts.name.clone(),
            address: self.facts.address,
            id: id.0,
            mode: self.facts.mode,
            remote_name: self.facts.remote_name.clone(),
            state: self.condition(status),
            authenticated: last.is_some_and(|it| it.authenticated),
            stratum: last.map(|it| it.stratum),
            reference_id: last.map(|it| u32::from_be_bytes(it.reference_id.to_bytes())),
            reach: status.reach.bits(),
            jitter: estimate.map(|it| seconds(it.jitter)),
            next_poll_seconds: None,
            last_error: self.error.clone(),
        }
    }

    fn condition(&self, status: Status) -> SourceCondition {
        match (status.reach.is_reachable(), self.last.is_some()) {
            (true, _) if self.unusable => SourceCondition::Unusable,
            (true, true) => SourceCondition::Reachable,
            (false, true) => SourceCondition::Unreachable,
            (_, false) => SourceCondition::Starting,
        }
    }
}

#[cfg(test)]
mod tests {
    use nts_proto::association::{Association, AssociationConfig};
    use nts_proto::time::{MonotonicTime, NtpTimestamp};

    use super::*;

    fn row() -> Row {
        Row::new(Facts {
            name: "ntp.test:123".into(),
            mode: SourceMode::Server,
            remote_name: "ntp.test".into(),
            address: "192.0.2.1:123".parse().unwrap(),
        })
    }

    /// The status of an association whose first request went out.
    fn asked() -> Status {
        let start = MonotonicTime::default();
        let mut association = Association::plain(AssociationConfig::default(), start);
        let _ = association.handle_timer(start, &mut rand::rng());
        association.handle_sent(NtpTimestamp::ZERO);
        association.status()
    }

    #[test]
    fn before_the_first_answer_nothing_is_known() {
        let state = row().state(asked(), SourceId(7));
        assert_eq!(
            (state.id, state.state, state.reach),
            (7, SourceCondition::Starting, 0)
        );
        assert_eq!(
            (state.offset, state.uncertainty, state.delay),
            (None, None, None)
        );
        assert_eq!((state.stratum, state.last_update), (None, None));
        assert!(!state.authenticated);
        assert_eq!(state.unanswered_polls, 8);
    }

    #[test]
    fn what_went_wrong_is_shown() {
        let mut row = row();
        row.set_error("cannot send");
        let state = row.state(asked(), SourceId(7));
        assert_eq!(state.last_error.as_deref(), Some("cannot send"));
    }
}
