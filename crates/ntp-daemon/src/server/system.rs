//! What the servers say about the daemon's clock, shared by all of them.
//!
//! The discipline of the clock publishes here; as long as there is none, `local-stratum` decides.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use nts_proto::ntp::header::ReferenceId;
use nts_proto::server::SystemState;
use nts_proto::time::NtpTimestamp;
use nts_service::shutdown::Shutdown;

use crate::clock::{ClockMap, reading};
use crate::config::SynchronizationConfig;

/// What is served: the clock, and what is said about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Served {
    /// What every reply says about the clock.
    pub system: SystemState,
    /// The clock whose time is given, as the kernel's stamps of receipt are too.
    pub clock: ClockMap,
}

/// The present state: written by whoever keeps the clock, loaded for each request.
pub type SharedSystemState = Arc<ArcSwap<Served>>;

/// The stratum in the configuration that means "not synchronised".
const UNSYNCHRONIZED: u8 = 16;

/// Reference id of a local clock that is no primary server.
const LOCAL_CLOCK: Ipv4Addr = Ipv4Addr::new(127, 127, 1, 1);

/// Reference id of a primary server whose configuration names none.
const UNNAMED: [u8; 4] = *b"XNON";

/// How often the time of the last update of a clock that something else keeps is renewed.
const REFRESH: Duration = Duration::from_secs(16);

/// The system's clock as something else keeps it: of `local-stratum`, or not synchronised.
#[must_use]
pub(crate) fn without_discipline(config: &SynchronizationConfig) -> Served {
    Served {
        system: local_clock(config, reading::now(), reading::precision()),
        clock: ClockMap::IDENTITY,
    }
}

/// What is said at `now` of a clock that no source keeps.
pub(crate) fn local_clock(
    config: &SynchronizationConfig,
    now: NtpTimestamp,
    precision: i8,
) -> SystemState {
    if config.local_stratum >= UNSYNCHRONIZED {
        return SystemState::unsynchronized(precision);
    }
    let reference_id = match config.reference_id {
        Some(id) => ReferenceId::from_bytes(id.0),
        None if config.local_stratum == 1 => ReferenceId::from_bytes(UNNAMED),
        None => ReferenceId::from_ipv4(LOCAL_CLOCK),
    };
    SystemState::local_clock(config.local_stratum, reference_id, precision, now)
}

/// Renews the reference time of a clock that something else keeps, until `shutdown`.
pub(crate) async fn refresh(system: SharedSystemState, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(REFRESH) => {}
            () = shutdown.requested() => return,
        }
        let mut served = **system.load();
        if !served.system.reference.is_zero() {
            served.system.reference = served.clock.apply(reading::now());
            system.store(Arc::new(served));
        }
    }
}

#[cfg(test)]
mod tests {
    use nts_proto::ntp::header::LeapIndicator;

    use super::*;

    fn state(stratum: u8, id: Option<[u8; 4]>) -> SystemState {
        without_discipline(&SynchronizationConfig {
            local_stratum: stratum,
            reference_id: id.map(crate::config::ReferenceId),
            ..SynchronizationConfig::default()
        })
        .system
    }

    #[test]
    fn stratum_16_is_not_synchronised() {
        let state = state(16, Some(*b"GPS\0"));
        assert_eq!(state.leap, LeapIndicator::Unsynchronized);
        assert_eq!(
            (state.stratum, state.reference_id.to_bytes()),
            (0, *b"INIT")
        );
        assert!(state.reference.is_zero());
    }

    #[test]
    fn a_local_stratum_is_served_as_synchronised() {
        for (stratum, id, shown) in [
            (1, None, *b"XNON"),
            (1, Some(*b"GPS\0"), *b"GPS\0"),
            (10, None, [127, 127, 1, 1]),
            (15, Some(*b"PTP\0"), *b"PTP\0"),
        ] {
            let state = state(stratum, id);
            assert_eq!(state.leap, LeapIndicator::NoWarning);
            assert_eq!(
                (state.stratum, state.reference_id.to_bytes()),
                (stratum, shown)
            );
            assert!(state.root_dispersion.to_bits() > 0);
            assert!(!state.reference.is_zero());
        }
    }
}
