//! The time formats of NTP (RFC 5905 §6) and the monotonic time that callers hand in.
//!
//! NTP's clock counts modulo 2^32 seconds, so a timestamp alone has no order: only differences
//! mean something, and they are right for times within 68 years of each other. Nothing here
//! reads a clock, and nothing here panics or wraps where it could give a wrong sign.

use std::ops::{Add, Neg, Sub};
use std::time::Duration;

/// Seconds from 1900-01-01 to 1970-01-01, both 00:00 UTC.
const UNIX_OFFSET: i64 = 2_208_988_800;

/// A point in time: 32 bits of seconds since 1900 (modulo 2^32) and 32 bits of fraction
/// (RFC 5905 §6, "timestamp format"). All-zero means "unknown".
///
/// There is deliberately no order on timestamps; see [`NtpTimestamp::since`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct NtpTimestamp(u64);

impl NtpTimestamp {
    /// "Unknown" (RFC 5905 §6).
    pub const ZERO: Self = Self(0);

    /// Takes the 64 bits of the wire.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64 bits of the wire.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Whether this is the value that stands for "unknown".
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Takes a Unix time: `seconds` since 1970 (any era) and `nanoseconds` within the second,
    /// which are capped at the end of that second.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "NTP seconds are modulo 2^32 by definition"
    )]
    pub const fn from_unix(seconds: i64, nanoseconds: u32) -> Self {
        let seconds = seconds.wrapping_add(UNIX_OFFSET) as u32;
        let nanoseconds = if nanoseconds > 999_999_999 {
            999_999_999
        } else {
            nanoseconds
        };
        let fraction = ((nanoseconds as u64) << 32).div_ceil(1_000_000_000);
        Self(((seconds as u64) << 32) | fraction)
    }

    /// Unix seconds and nanoseconds, in the era that lies nearest to `near` (Unix seconds).
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "a difference of seconds modulo 2^32, read as signed, is the nearest one; a
                  32-bit fraction of 10^9 fits in 32 bits"
    )]
    pub const fn to_unix(self, near: i64) -> (i64, u32) {
        let pivot = near.wrapping_add(UNIX_OFFSET) as u32;
        let difference = ((self.0 >> 32) as u32).wrapping_sub(pivot) as i32;
        let nanoseconds = ((self.0 & 0xffff_ffff) * 1_000_000_000) >> 32;
        (near.wrapping_add(difference as i64), nanoseconds as u32)
    }

    /// How much later `self` is than `earlier`; negative when it is not.
    ///
    /// Right whenever the two lie within 68 years of each other, whatever their eras.
    #[allow(
        clippy::cast_possible_wrap,
        reason = "the difference modulo 2^64, read as signed"
    )]
    pub const fn since(self, earlier: Self) -> NtpDuration {
        NtpDuration(self.0.wrapping_sub(earlier.0) as i64)
    }
}

impl Sub for NtpTimestamp {
    type Output = NtpDuration;

    fn sub(self, earlier: Self) -> NtpDuration {
        self.since(earlier)
    }
}

impl Add<NtpDuration> for NtpTimestamp {
    type Output = Self;

    fn add(self, duration: NtpDuration) -> Self {
        Self(self.0.wrapping_add_signed(duration.0))
    }
}

impl Sub<NtpDuration> for NtpTimestamp {
    type Output = Self;

    fn sub(self, duration: NtpDuration) -> Self {
        Self(self.0.wrapping_sub(duration.0.cast_unsigned()))
    }
}

/// A signed span of time in units of 2^-32 s, up to ±68 years. Arithmetic saturates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NtpDuration(i64);

impl NtpDuration {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// One second.
    pub const SECOND: Self = Self(1 << 32);
    /// The longest span.
    pub const MAX: Self = Self(i64::MAX);
    /// The longest negative span.
    pub const MIN: Self = Self(i64::MIN);

    /// Takes a number of 2^-32 s.
    pub const fn from_bits(bits: i64) -> Self {
        Self(bits)
    }

    /// The number of 2^-32 s.
    pub const fn to_bits(self) -> i64 {
        self.0
    }

    /// Takes seconds. Out of range saturates; not-a-number is zero.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the cast saturates, as wanted"
    )]
    pub fn from_seconds_f64(seconds: f64) -> Self {
        Self((seconds * 4_294_967_296.0).round() as i64)
    }

    /// The span in seconds, to the precision of an `f64`.
    pub fn as_seconds_f64(self) -> f64 {
        self.0 as f64 / 4_294_967_296.0
    }

    /// 2 to the power of `exponent` seconds, the unit of NTP's poll and precision fields;
    /// saturates at both ends (0 below 2^-32 s).
    pub const fn from_log2_seconds(exponent: i8) -> Self {
        match exponent {
            31..=i8::MAX => Self::MAX,
            i8::MIN..=-33 => Self::ZERO,
            exponent => Self(1 << (exponent + 32)),
        }
    }

    /// The span without its sign.
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }

    /// The mean of two spans, rounded towards zero, without overflow.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a mean lies between its arguments"
    )]
    pub const fn mean(self, other: Self) -> Self {
        Self(((self.0 as i128 + other.0 as i128) / 2) as i64)
    }
}

impl From<Duration> for NtpDuration {
    /// Saturates at [`NtpDuration::MAX`].
    fn from(duration: Duration) -> Self {
        let fraction = (u64::from(duration.subsec_nanos()) << 32) / 1_000_000_000;
        let bits = (u128::from(duration.as_secs()) << 32) | u128::from(fraction);
        Self(i64::try_from(bits).unwrap_or(i64::MAX))
    }
}

impl Add for NtpDuration {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for NtpDuration {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for NtpDuration {
    type Output = Self;

    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

/// An unsigned span of time in units of 2^-16 s (RFC 5905 §6, "short format"), used for root
/// delay and root dispersion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NtpShort(u32);

impl NtpShort {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest span, just under 18.2 hours.
    pub const MAX: Self = Self(u32::MAX);

    /// Takes the 32 bits of the wire.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The 32 bits of the wire.
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// Rounds **up** to a multiple of 2^-16 s, as a bound on an error must; negative spans give
    /// zero, too long ones [`NtpShort::MAX`].
    pub fn from_duration_rounded_up(duration: NtpDuration) -> Self {
        let bits = duration.0.max(0).cast_unsigned().div_ceil(1 << 16);
        Self(u32::try_from(bits).unwrap_or(u32::MAX))
    }
}

impl From<NtpShort> for NtpDuration {
    fn from(short: NtpShort) -> Self {
        Self(i64::from(short.0) << 16)
    }
}

/// A reading of a clock that never goes back and that nobody steps, counted from any fixed
/// moment (for instance the start of the program). The caller reads it; this crate only compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MonotonicTime(Duration);

impl MonotonicTime {
    /// Takes the time since the caller's fixed moment.
    pub const fn from_duration(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// The time since the caller's fixed moment.
    pub const fn as_duration(self) -> Duration {
        self.0
    }

    /// How much later `self` is than `earlier`; zero when it is not.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for MonotonicTime {
    type Output = Self;

    /// Saturates.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2036-02-07 06:28:16 UTC, when era 1 begins.
    const ERA_1: i64 = (1 << 32) - UNIX_OFFSET;

    #[test]
    fn unix_epoch() {
        let epoch = NtpTimestamp::from_unix(0, 0);
        assert_eq!(epoch.to_bits(), 0x83aa_7e80_0000_0000);
        assert_eq!(
            NtpTimestamp::from_unix(0, 500_000_000).to_bits(),
            0x83aa_7e80_8000_0000
        );
        assert_eq!(epoch.to_unix(0), (0, 0));
    }

    #[test]
    fn nanoseconds_stay_within_their_second() {
        let last = NtpTimestamp::from_unix(10, 999_999_999);
        assert_eq!(last, NtpTimestamp::from_unix(10, u32::MAX));
        assert!(last.since(NtpTimestamp::from_unix(11, 0)) < NtpDuration::ZERO);
        assert_eq!(last.to_unix(0), (10, 999_999_999));
    }

    #[test]
    fn differences_work_across_the_era() {
        let before = NtpTimestamp::from_unix(ERA_1 - 1, 750_000_000);
        let after = NtpTimestamp::from_unix(ERA_1, 250_000_000);
        assert_eq!(after.to_bits(), 0x0000_0000_4000_0000);
        assert_eq!((after - before).to_bits(), 1 << 31);
        assert_eq!((before - after).to_bits(), -(1 << 31));
        assert_eq!(before + (after - before), after);
        assert_eq!(after - (after - before), before);
        assert_eq!(before.to_unix(ERA_1 + 5), (ERA_1 - 1, 750_000_000));
        assert_eq!(after.to_unix(ERA_1 - 5), (ERA_1, 250_000_000));
    }

    #[test]
    fn durations_saturate() {
        assert_eq!(NtpDuration::MAX + NtpDuration::SECOND, NtpDuration::MAX);
        assert_eq!(NtpDuration::MIN - NtpDuration::SECOND, NtpDuration::MIN);
        assert_eq!(-NtpDuration::MIN, NtpDuration::MAX);
        assert_eq!(NtpDuration::MIN.abs(), NtpDuration::MAX);
        assert_eq!(
            NtpDuration::MAX.mean(NtpDuration::MAX - NtpDuration::from_bits(2)),
            NtpDuration::MAX - NtpDuration::from_bits(1)
        );
        assert_eq!(NtpDuration::from(Duration::MAX), NtpDuration::MAX);
        assert_eq!(
            NtpDuration::from(Duration::from_millis(1500)).to_bits(),
            3 << 31
        );
    }

    #[test]
    fn seconds_as_floats() {
        assert_eq!(NtpDuration::from_seconds_f64(-1.5).to_bits(), -(3 << 31));
        assert_eq!(NtpDuration::from_seconds_f64(f64::NAN), NtpDuration::ZERO);
        assert_eq!(
            NtpDuration::from_seconds_f64(f64::INFINITY),
            NtpDuration::MAX
        );
        assert_eq!(NtpDuration::from_seconds_f64(-1e300), NtpDuration::MIN);
        assert_eq!(NtpDuration::from_bits(-(3 << 31)).as_seconds_f64(), -1.5);
    }

    #[test]
    fn powers_of_two() {
        assert_eq!(NtpDuration::from_log2_seconds(0), NtpDuration::SECOND);
        assert_eq!(NtpDuration::from_log2_seconds(-32).to_bits(), 1);
        assert_eq!(NtpDuration::from_log2_seconds(-33), NtpDuration::ZERO);
        assert_eq!(NtpDuration::from_log2_seconds(30).to_bits(), 1 << 62);
        assert_eq!(NtpDuration::from_log2_seconds(31), NtpDuration::MAX);
        for exponent in i8::MIN..=i8::MAX {
            assert!(NtpDuration::from_log2_seconds(exponent) >= NtpDuration::ZERO);
        }
    }

    #[test]
    fn the_short_format_rounds_up() {
        let short = |bits| NtpShort::from_duration_rounded_up(NtpDuration::from_bits(bits));
        assert_eq!(short(0), NtpShort::ZERO);
        assert_eq!(short(1).to_bits(), 1);
        assert_eq!(short(1 << 16).to_bits(), 1);
        assert_eq!(short((1 << 16) + 1).to_bits(), 2);
        assert_eq!(short(-1), NtpShort::ZERO);
        assert_eq!(short(i64::MAX), NtpShort::MAX);
        assert_eq!(
            NtpDuration::from(NtpShort::from_bits(0x1_8000)).to_bits(),
            3 << 31
        );
    }

    #[test]
    fn monotonic_time() {
        let start = MonotonicTime::default();
        let later = start + Duration::from_secs(3);
        assert_eq!(later.saturating_since(start), Duration::from_secs(3));
        assert_eq!(start.saturating_since(later), Duration::ZERO);
        assert_eq!(later + Duration::MAX, MonotonicTime(Duration::MAX));
    }

    proptest! {
        #[test]
        fn unix_round_trip(
            seconds in -60_000_000_000_i64..60_000_000_000,
            nanoseconds in 0_u32..1_000_000_000,
            away in -2_000_000_000_i64..2_000_000_000,
        ) {
            let timestamp = NtpTimestamp::from_unix(seconds, nanoseconds);
            prop_assert_eq!(timestamp.to_unix(seconds + away), (seconds, nanoseconds));
        }

        #[test]
        fn adding_a_difference_leads_back(a: u64, b: u64) {
            let (a, b) = (NtpTimestamp::from_bits(a), NtpTimestamp::from_bits(b));
            prop_assert_eq!(b + (a - b), a);
            prop_assert_eq!(a - (a - b), b);
        }
    }
}
