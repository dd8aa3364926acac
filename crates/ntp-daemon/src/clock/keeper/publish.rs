//! What is known of the clock, as the servers say it. Pure.

use ntp_sync::snapshot::{Synchronized, SystemSnapshot};
use nts_proto::server::SystemState;
use nts_proto::time::{NtpDuration, NtpShort, NtpTimestamp};

use crate::clock::ClockMap;
use crate::config::SynchronizationConfig;
use crate::server::{Served, system};

/// Greatest stratum that can be served as synchronised.
const GREATEST_STRATUM: u8 = 15;

/// What is served: of a synchronised clock what its sources make of it, else what is said of a
/// clock without sources. `now` is the time by the clock.
pub(super) fn served(
    snapshot: &SystemSnapshot,
    clock: ClockMap,
    now: NtpTimestamp,
    config: &SynchronizationConfig,
    precision: i8,
) -> Served {
    let system = match &snapshot.synchronization {
        Ok(synchronized) if synchronized.stratum <= GREATEST_STRATUM => {
            by_sources(synchronized, precision)
        }
        _ => system::local_clock(config, now, precision),
    };
    Served { system, clock }
}

fn by_sources(synchronized: &Synchronized, precision: i8) -> SystemState {
    let short =
        |seconds| NtpShort::from_duration_rounded_up(NtpDuration::from_seconds_f64(seconds));
    SystemState {
        leap: synchronized.leap,
        stratum: synchronized.stratum,
        precision,
        root_delay: short(synchronized.root_delay),
        root_dispersion: short(synchronized.root_dispersion),
        reference_id: synchronized.reference_id,
        reference: synchronized.reference,
    }
}

#[cfg(test)]
mod tests {
    use ntp_sync::snapshot::Unsynchronized;
    use nts_proto::ntp::header::{LeapIndicator, ReferenceId};

    use super::*;

    fn snapshot(synchronization: Result<Synchronized, Unsynchronized>) -> SystemSnapshot {
        SystemSnapshot {
            now: nts_proto::time::MonotonicTime::default(),
            synchronization,
            estimate: None,
            frequency: 0.0,
            clock_frequency: 0.0,
            accumulated_steps: 0.0,
            steps: 0,
            sources: Vec::new(),
        }
    }

    fn synchronized(stratum: u8) -> Synchronized {
        Synchronized {
            stratum,
            leap: LeapIndicator::Leap61,
            reference_id: ReferenceId::from_bytes([192, 0, 2, 1]),
            reference: NtpTimestamp::from_bits(5),
            root_delay: 0.25,
            root_dispersion: 1e-9,
        }
    }

    fn of(synchronization: Result<Synchronized, Unsynchronized>, local_stratum: u8) -> SystemState {
        let config = SynchronizationConfig {
            local_stratum,
            ..SynchronizationConfig::default()
        };
        let now = NtpTimestamp::from_bits(7);
        let served = served(
            &snapshot(synchronization),
            ClockMap::IDENTITY,
            now,
            &config,
            -20,
        );
        served.system
    }

    #[test]
    fn a_synchronised_clock_is_served_as_its_sources_make_it() {
        let system = of(Ok(synchronized(3)), 16);
        assert_eq!((system.stratum, system.leap), (3, LeapIndicator::Leap61));
        assert_eq!(system.reference_id.to_bytes(), [192, 0, 2, 1]);
        assert_eq!(system.reference.to_bits(), 5);
        assert_eq!(system.root_delay.to_bits(), 1 << 14);
        assert_eq!(system.root_dispersion.to_bits(), 1, "rounded up");
    }

    #[test]
    fn what_no_source_keeps_is_unsynchronised_or_of_the_local_stratum() {
        for synchronization in [Err(Unsynchronized::RootDistance), Ok(synchronized(16))] {
            let system = of(synchronization, 16);
            assert_eq!(
                (system.stratum, system.leap),
                (0, LeapIndicator::Unsynchronized)
            );
            assert_eq!(system.reference_id.to_bytes(), *b"INIT");
            let system = of(synchronization, 10);
            assert_eq!(
                (system.stratum, system.leap),
                (10, LeapIndicator::NoWarning)
            );
            assert_eq!(system.reference.to_bits(), 7);
        }
    }
}
