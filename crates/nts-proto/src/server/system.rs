//! What a server says about its own clock in every reply.

use crate::ntp::header::{KissCode, LeapIndicator, ReferenceId};
use crate::time::{NtpDuration, NtpShort, NtpTimestamp};

/// The system variables of RFC 5905 §9.1 as far as they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemState {
    /// Leap second announcement.
    pub leap: LeapIndicator,
    /// Stratum as it is sent; 0 where the clock is not synchronised (RFC 5905 §7.3).
    pub stratum: u8,
    /// Precision of the clock, log2 of seconds.
    pub precision: i8,
    /// Round-trip delay to the reference clock.
    pub root_delay: NtpShort,
    /// Bound on the clock's error at present. It grows by 15 ppm between updates; the caller
    /// refreshes it.
    pub root_dispersion: NtpShort,
    /// What the clock is synchronised to.
    pub reference_id: ReferenceId,
    /// When the clock was last set or corrected.
    pub reference: NtpTimestamp,
}

impl SystemState {
    /// A server that has never been synchronised: leap 3, stratum 0, reference ID `INIT`.
    pub fn unsynchronized(precision: i8) -> Self {
        Self {
            leap: LeapIndicator::Unsynchronized,
            stratum: 0,
            precision,
            root_delay: NtpShort::ZERO,
            root_dispersion: NtpShort::ZERO,
            reference_id: KissCode::Init.into(),
            reference: NtpTimestamp::ZERO,
        }
    }

    /// A server whose clock something else keeps right, as of `now`. The dispersion is that of
    /// the clock's precision.
    pub fn local_clock(
        stratum: u8,
        reference_id: ReferenceId,
        precision: i8,
        now: NtpTimestamp,
    ) -> Self {
        Self {
            leap: LeapIndicator::NoWarning,
            stratum,
            precision,
            root_delay: NtpShort::ZERO,
            root_dispersion: NtpShort::from_duration_rounded_up(NtpDuration::from_log2_seconds(
                precision,
            )),
            reference_id,
            reference: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_synchronized() {
        let state = SystemState::unsynchronized(-20);
        assert_eq!(state.leap, LeapIndicator::Unsynchronized);
        assert_eq!(state.stratum, 0);
        assert_eq!(state.reference_id.to_bytes(), *b"INIT");
        assert_eq!(state.precision, -20);
    }

    #[test]
    fn local_clock_has_the_dispersion_of_its_precision() {
        let id = ReferenceId::from_bytes(*b"GPS\0");
        let now = NtpTimestamp::from_bits(7);
        let state = SystemState::local_clock(1, id, -10, now);
        assert_eq!(state.leap, LeapIndicator::NoWarning);
        assert_eq!((state.stratum, state.reference_id), (1, id));
        assert_eq!(state.root_dispersion.to_bits(), 64);
        assert_eq!(state.reference, now);
        let finer = SystemState::local_clock(1, id, -25, now);
        assert_eq!(finer.root_dispersion.to_bits(), 1);
    }
}
