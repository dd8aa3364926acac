//! What one exchange says about the difference between two clocks (RFC 5905 §8).

use crate::ntp::header::{LeapIndicator, ReferenceId};
use crate::time::{MonotonicTime, NtpDuration, NtpShort, NtpTimestamp};

/// The least delay that is reported, 2^-18 s (3.8 µs): below it, the difference of the clocks'
/// granularity is measured.
const LEAST_DELAY_EXPONENT: i8 = -18;

/// One measurement of a source's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measurement {
    /// How far the source's clock is ahead of the local one.
    pub offset: NtpDuration,
    /// Round-trip delay, at least 2^-18 s.
    pub delay: NtpDuration,
    /// Local time in the middle of the exchange.
    pub time: NtpTimestamp,
    /// When the answer arrived.
    pub monotonic: MonotonicTime,
    /// Leap second announcement.
    pub leap: LeapIndicator,
    /// The source's stratum, 1–15.
    pub stratum: u8,
    /// Precision of the source's clock, log2 of seconds.
    pub precision: i8,
    /// The source's delay to its reference clock.
    pub root_delay: NtpShort,
    /// The source's bound on its own error.
    pub root_dispersion: NtpShort,
    /// What the source is synchronised to.
    pub reference_id: ReferenceId,
    /// Whether the answer was protected by NTS.
    pub authenticated: bool,
}

/// The four timestamps of an exchange (RFC 5905 figure 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exchange {
    /// T1: the request left, local clock.
    pub sent: NtpTimestamp,
    /// T2: the request arrived, source's clock.
    pub server_received: NtpTimestamp,
    /// T3: the answer left, source's clock.
    pub server_sent: NtpTimestamp,
    /// T4: the answer arrived, local clock.
    pub received: NtpTimestamp,
}

impl Exchange {
    /// `((T2 − T1) + (T3 − T4)) / 2`.
    pub(super) fn offset(&self) -> NtpDuration {
        (self.server_received - self.sent).mean(self.server_sent - self.received)
    }

    /// `(T4 − T1) − (T3 − T2)`, which may come out negative.
    pub(super) fn raw_delay(&self) -> NtpDuration {
        (self.received - self.sent) - self.processing()
    }

    /// The raw delay, raised to the least one that is reported.
    pub(super) fn delay(&self) -> NtpDuration {
        self.raw_delay()
            .max(NtpDuration::from_log2_seconds(LEAST_DELAY_EXPONENT))
    }

    /// `T3 − T2`: how long the source took.
    pub(super) fn processing(&self) -> NtpDuration {
        self.server_sent - self.server_received
    }

    /// The local time in the middle of the exchange.
    pub(super) fn middle(&self) -> NtpTimestamp {
        self.sent + (self.received - self.sent).mean(NtpDuration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exchange(t1: u64, t2: u64, t3: u64, t4: u64) -> Exchange {
        Exchange {
            sent: NtpTimestamp::from_bits(t1),
            server_received: NtpTimestamp::from_bits(t2),
            server_sent: NtpTimestamp::from_bits(t3),
            received: NtpTimestamp::from_bits(t4),
        }
    }

    const SECOND: u64 = 1 << 32;

    #[test]
    fn a_slow_clock_and_a_symmetric_path() {
        // Sent at 10 s, 2 s there, 1 s work, 2 s back, source 100 s ahead.
        let e = exchange(10 * SECOND, 112 * SECOND, 113 * SECOND, 15 * SECOND);
        assert_eq!(e.offset().to_bits(), 100 << 32);
        assert_eq!(e.delay().to_bits(), 4 << 32);
        assert_eq!(e.processing(), NtpDuration::SECOND);
        assert_eq!(e.middle().to_bits(), 12 * SECOND + SECOND / 2);
    }

    #[test]
    fn asymmetry_moves_the_offset_by_half() {
        let e = exchange(10 * SECOND, 14 * SECOND, 14 * SECOND, 14 * SECOND);
        assert_eq!(e.offset().to_bits(), 2 << 32);
        assert_eq!(e.delay().to_bits(), 4 << 32);
    }

    #[test]
    fn across_the_era_boundary() {
        let e = exchange(0u64.wrapping_sub(SECOND), SECOND / 2, SECOND / 2, SECOND);
        assert_eq!(e.offset().to_bits(), 1 << 31);
        assert_eq!(e.delay().to_bits(), 2 << 32);
        assert_eq!(e.middle().to_bits(), 0);
    }

    #[test]
    fn small_and_negative_delays_are_raised() {
        let e = exchange(SECOND, SECOND, SECOND + 9, SECOND);
        assert_eq!(e.raw_delay().to_bits(), -9);
        assert_eq!(e.delay().to_bits(), 1 << 14);
    }

    proptest! {
        /// With a true offset and two legs the formulas give back what they were made from.
        #[test]
        fn formulas_invert_the_model(
            start: u64,
            offset in -(1_i64 << 60)..(1 << 60),
            leg in 0_u64..(1 << 40),
            work in 0_u64..(1 << 32),
        ) {
            let t2 = start.wrapping_add(leg).wrapping_add_signed(offset);
            let t3 = t2.wrapping_add(work);
            let t4 = t3.wrapping_add_signed(-offset).wrapping_add(leg);
            let e = exchange(start, t2, t3, t4);
            prop_assert_eq!(e.offset().to_bits(), offset);
            prop_assert_eq!(e.raw_delay().to_bits(), (2 * leg).cast_signed());
        }

        #[test]
        fn nothing_overflows(t1: u64, t2: u64, t3: u64, t4: u64) {
            let e = exchange(t1, t2, t3, t4);
            let _ = (e.offset(), e.raw_delay(), e.processing(), e.middle());
            prop_assert!(e.delay().to_bits() >= 1 << 14);
        }
    }
}
