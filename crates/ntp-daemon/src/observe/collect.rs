//! Collects the state document from all parts of the daemon.
//!
//! What never happens here: waiting. Everything is read as it stands at the moment.

use std::sync::Arc;
use std::time::Instant;

use nts_proto::ntp::header;
use nts_proto::server::SystemState as Served;
use nts_proto::time::{NtpDuration, NtpTimestamp};

use super::Snapshot;
use super::state::{
    KeServerState, LeapIndicator, ObservableState, ProgramState, ServerState, SystemState,
    Timestamp,
};
use crate::client::Client;
use crate::clock::reading;
use crate::config::SynchronizationConfig;
use crate::time_source::TimeSource;

/// What the build does not tell.
const UNKNOWN: &str = "unknown";

/// Makes the function that tells the state of a daemon which has been running since `started`.
pub fn snapshot(
    started: Instant,
    synchronization: &SynchronizationConfig,
    time_source: &TimeSource,
    client: &Client,
) -> Snapshot {
    let served = Arc::clone(time_source.system());
    let servers: Vec<_> = time_source.servers().iter().map(|it| it.watch()).collect();
    let ke_servers: Vec<_> = time_source
        .ke_servers()
        .iter()
        .map(|it| it.watch())
        .collect();
    let board = client.board();
    let steps_threshold = synchronization
        .accumulated_step_panic_threshold
        .map(|threshold| threshold.as_secs_f64());
    Arc::new(move || {
        let served = served.load();
        let now = served.clock.apply(reading::now());
        ObservableState {
            program: program(started, now),
            system: system(&served.system, steps_threshold, now),
            sources: board.sources(),
            configured_sources: board.configured_sources(),
            servers: servers
                .iter()
                .map(|watch| watch())
                .map(|(address, stats)| ServerState {
                    address,
                    stats: stats.into(),
                })
                .collect(),
            nts_ke_servers: ke_servers
                .iter()
                .map(|watch| watch())
                .map(|(address, stats)| KeServerState {
                    address,
                    stats: stats.into(),
                })
                .collect(),
        }
    })
}

fn program(started: Instant, now: NtpTimestamp) -> ProgramState {
    ProgramState {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        build_commit: UNKNOWN.to_owned(),
        build_commit_date: UNKNOWN.to_owned(),
        uptime_seconds: started.elapsed().as_secs_f64(),
        now: timestamp(now),
    }
}

fn system(served: &Served, steps_threshold: Option<f64>, now: NtpTimestamp) -> SystemState {
    let dispersion = NtpDuration::from(served.root_dispersion).as_seconds_f64();
    SystemState {
        // On the wire 0 stands for "not synchronised" (RFC 5905 §7.3), for people 16 does.
        stratum: if served.stratum == 0 {
            16
        } else {
            served.stratum
        },
        reference_id: u32::from_be_bytes(served.reference_id.to_bytes()),
        accumulated_steps_threshold: steps_threshold,
        precision: NtpDuration::from_log2_seconds(served.precision).as_seconds_f64(),
        root_delay: NtpDuration::from(served.root_delay).as_seconds_f64(),
        root_variance_base_time: timestamp(now),
        root_variance_base: dispersion * dispersion,
        root_variance_linear: 0.0,
        root_variance_quadratic: 0.0,
        root_variance_cubic: 0.0,
        leap_indicator: leap(served.leap),
        accumulated_steps: 0.0,
        clock_control: false,
    }
}

fn leap(leap: header::LeapIndicator) -> LeapIndicator {
    match leap {
        header::LeapIndicator::NoWarning => LeapIndicator::NoWarning,
        header::LeapIndicator::Leap61 => LeapIndicator::Leap61,
        header::LeapIndicator::Leap59 => LeapIndicator::Leap59,
        header::LeapIndicator::Unsynchronized => LeapIndicator::Unsynchronized,
    }
}

/// A time as the document has it.
pub(crate) fn timestamp(time: NtpTimestamp) -> Timestamp {
    Timestamp {
        timestamp: time.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use nts_proto::ntp::header::ReferenceId;

    use super::*;

    #[test]
    fn a_clock_that_is_not_synchronised_has_stratum_16_for_people() {
        let served = Served::unsynchronized(-20);
        let state = system(&served, Some(5.0), NtpTimestamp::from_bits(7));
        assert_eq!(state.stratum, 16);
        assert_eq!(state.reference_id, u32::from_be_bytes(*b"INIT"));
        assert_eq!(state.leap_indicator, LeapIndicator::Unsynchronized);
        assert_eq!(state.accumulated_steps_threshold, Some(5.0));
        assert!(!state.clock_control);
    }

    #[test]
    fn the_dispersion_is_the_root_of_the_variance() {
        let id = ReferenceId::from_bytes(*b"GPS\0");
        let now = NtpTimestamp::from_bits(7);
        let state = system(&Served::local_clock(1, id, -10, now), None, now);
        assert_eq!(state.stratum, 1);
        assert_eq!(state.leap_indicator, LeapIndicator::NoWarning);
        assert_eq!(state.precision, 1.0 / 1024.0);
        assert!((state.root_dispersion(timestamp(now)) - 1.0 / 1024.0).abs() < 1e-9);
    }
}
