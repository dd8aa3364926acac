//! Collects the state document from all parts of the daemon.
//!
//! What never happens here: waiting. Everything is read as it stands at the moment.

use std::sync::Arc;
use std::time::Instant;

use ntp_sync::SystemSnapshot;
use ntp_sync::snapshot::{RootVariance, SourceSnapshot, Verdict};
use nts_proto::ntp::header;
use nts_proto::server::SystemState as Served;
use nts_proto::time::{NtpDuration, NtpTimestamp};

use super::Snapshot;
use super::state::{
    ClockState, KeServerState, LeapIndicator, ObservableState, ProgramState, ServerState,
    SourceCondition, SourceState, SystemState, Timestamp,
};
use crate::client::{Board, Client};
use crate::clock::{Keeper, KeeperState, explain_unsynchronized, reading};
use crate::config::SynchronizationConfig;
use crate::time_source::TimeSource;

/// What the build does not tell.
const UNKNOWN: &str = "unknown";

/// Makes the function that tells the state of a daemon that has just started. Without sources there
/// is no clock to be kept, and no `keeper`.
pub fn snapshot(
    synchronization: &SynchronizationConfig,
    time_source: &TimeSource,
    keeper: Option<&Arc<Keeper>>,
    client: &Client,
) -> Snapshot {
    let served = Arc::clone(time_source.system());
    let servers: Vec<_> = time_source.servers().iter().map(|it| it.watch()).collect();
    let ke_servers: Vec<_> = time_source
        .ke_servers()
        .iter()
        .map(|it| it.watch())
        .collect();
    let has_servers = !servers.is_empty() || !ke_servers.is_empty();
    let keys = has_servers.then(|| Arc::clone(time_source.keys()));
    let board = client.board();
    let started = Instant::now();
    let keeper = keeper.map(Arc::clone);
    let steps_threshold = synchronization
        .accumulated_step_panic_threshold
        .map(|threshold| threshold.as_secs_f64());
    Arc::new(move || {
        let served = served.load();
        let now = served.clock.apply(reading::now());
        let kept = keeper.as_ref().map(|keeper| keeper.state());
        ObservableState {
            program: program(started, now),
            system: system(&served.system, steps_threshold, now, kept.as_ref()),
            sources: sources(&board, kept.as_ref()),
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
            cookie_keys: keys.as_ref().map(|keys| keys.status().into()),
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

fn system(
    served: &Served,
    steps_threshold: Option<f64>,
    now: NtpTimestamp,
    kept: Option<&KeeperState>,
) -> SystemState {
    let (base_time, variance) = variance(served, now, kept);
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
        root_variance_base_time: timestamp(base_time),
        root_variance_base: variance.base,
        root_variance_linear: variance.linear,
        root_variance_quadratic: variance.quadratic,
        root_variance_cubic: variance.cubic,
        leap_indicator: leap(served.leap),
        accumulated_steps: kept.map_or(0.0, |kept| kept.snapshot.accumulated_steps),
        clock_control: kept.is_some_and(|kept| kept.controls_system),
        clock: kept.map(clock),
    }
}

/// The error of a clock that is synchronised grows from its last update on; of others there is only
/// what is served now.
fn variance(
    served: &Served,
    now: NtpTimestamp,
    kept: Option<&KeeperState>,
) -> (NtpTimestamp, RootVariance) {
    match kept.map(|kept| &kept.snapshot) {
        Some(SystemSnapshot {
            synchronization: Ok(_),
            estimate: Some(estimate),
            ..
        }) => (estimate.time, estimate.root_variance),
        _ => {
            let dispersion = NtpDuration::from(served.root_dispersion).as_seconds_f64();
            let variance = RootVariance {
                base: dispersion * dispersion,
                linear: 0.0,
                quadratic: 0.0,
                cubic: 0.0,
            };
            (now, variance)
        }
    }
}

fn clock(kept: &KeeperState) -> ClockState {
    let snapshot = &kept.snapshot;
    let estimate = snapshot.estimate.as_ref();
    ClockState {
        synchronized: snapshot.synchronization.is_ok(),
        reason: snapshot
            .synchronization
            .err()
            .map(|reason| explain_unsynchronized(reason).to_owned()),
        offset: estimate.map(|it| it.offset),
        offset_uncertainty: estimate.map(|it| it.offset_deviation),
        frequency: snapshot.frequency,
        frequency_uncertainty: estimate.map(|it| it.frequency_deviation),
        slew: snapshot.clock_frequency - snapshot.frequency,
        steps: snapshot.steps,
        last_update: estimate.map(|it| timestamp(it.time)),
    }
}

/// What the sources say of themselves, and what the keeper of the clock thinks of them.
fn sources(board: &Board, kept: Option<&KeeperState>) -> Vec<SourceState> {
    let mut rows = board.sources();
    let judged = kept.map_or(&[][..], |kept| &kept.snapshot.sources);
    for row in &mut rows {
        if let Some(judged) = judged.iter().find(|judged| judged.id.0 == row.id) {
            judge(row, judged);
        }
    }
    rows
}

fn judge(row: &mut SourceState, judged: &SourceSnapshot) {
    if let Some(estimate) = &judged.estimate {
        row.offset = Some(estimate.offset);
        row.uncertainty = Some(estimate.radius);
        row.delay = Some(estimate.delay);
        row.jitter = Some(estimate.jitter);
    }
    if row.state != SourceCondition::Reachable {
        return;
    }
    row.state = match judged.verdict {
        Verdict::Best => SourceCondition::Best,
        Verdict::Selected => SourceCondition::Selected,
        Verdict::Falseticker => SourceCondition::Falseticker,
        Verdict::NoConsensus => SourceCondition::NoConsensus,
        Verdict::Starting { .. } => SourceCondition::Measuring,
        Verdict::Unusable(_) => SourceCondition::Unusable,
        Verdict::Stratum => SourceCondition::StratumTooHigh,
        Verdict::RootDistance => SourceCondition::TooFar,
        Verdict::Uncertain => SourceCondition::Uncertain,
    };
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
        let state = system(&served, Some(5.0), NtpTimestamp::from_bits(7), None);
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
        let state = system(&Served::local_clock(1, id, -10, now), None, now, None);
        assert_eq!(state.stratum, 1);
        assert_eq!(state.leap_indicator, LeapIndicator::NoWarning);
        assert_eq!(state.precision, 1.0 / 1024.0);
        assert!((state.root_dispersion(timestamp(now)) - 1.0 / 1024.0).abs() < 1e-9);
    }
}
