//! Readings of the system clock.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::time::TimeSpec;
use nts_proto::time::NtpTimestamp;

/// Readings that are compared to find the precision.
const READINGS: usize = 100;
/// The finest precision that is claimed, log2 seconds: about a nanosecond.
const FINEST: i8 = -30;
/// The coarsest precision that is claimed, log2 seconds: about 4 ms, a slow kernel tick.
const COARSEST: i8 = -8;

/// The time now.
pub(crate) fn now() -> NtpTimestamp {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => timestamp(
            since.as_secs().try_into().unwrap_or(i64::MAX),
            since.subsec_nanos(),
        ),
        // Before 1970 the clock is not set at all.
        Err(_) => NtpTimestamp::from_unix(0, 0),
    }
}

/// A time that the kernel gave.
pub(crate) fn from_kernel(time: TimeSpec) -> NtpTimestamp {
    timestamp(time.tv_sec(), time.tv_nsec().try_into().unwrap_or(0))
}

fn timestamp(seconds: i64, nanoseconds: u32) -> NtpTimestamp {
    NtpTimestamp::from_unix(seconds, nanoseconds)
}

/// The precision of the clock, log2 seconds: the least step between two readings (RFC 5905 §7.3).
pub(crate) fn precision() -> i8 {
    let mut least = u64::MAX;
    let mut last = now();
    for _ in 0..READINGS {
        let reading = now();
        let step = reading.since(last).to_bits().unsigned_abs();
        if step > 0 {
            least = least.min(step);
        }
        last = reading;
    }
    exponent(least)
}

/// The smallest exponent whose power of two is no less than `step` units of 2^-32 s.
fn exponent(step: u64) -> i8 {
    let bits = step
        .max(1)
        .checked_next_power_of_two()
        .map_or(64, u64::trailing_zeros);
    i8::try_from(bits).map_or(COARSEST, |bits| (bits - 32).clamp(FINEST, COARSEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_is_that_of_the_least_step() {
        assert_eq!(exponent(1 << 12), -20);
        assert_eq!(exponent((1 << 12) + 1), -19);
        assert_eq!(exponent(1), FINEST);
        assert_eq!(exponent(u64::MAX), COARSEST);
        assert!((FINEST..=COARSEST).contains(&precision()));
    }

    #[test]
    fn kernel_and_library_agree() {
        let time = TimeSpec::new(1_700_000_000, 250_000_000);
        assert_eq!(
            from_kernel(time),
            NtpTimestamp::from_unix(1_700_000_000, 250_000_000)
        );
    }
}
