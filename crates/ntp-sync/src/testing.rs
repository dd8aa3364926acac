//! Help for tests: measurements from few numbers.

use std::time::Duration;

use nts_proto::association::Measurement;
use nts_proto::ntp::header::{LeapIndicator, ReferenceId};
use nts_proto::time::{MonotonicTime, NtpDuration, NtpShort, NtpTimestamp};

/// Local time at monotonic time zero, Unix seconds: noon of a day on which no month ends.
const NOON: i64 = 1_780_315_200;

pub(crate) fn at(seconds: f64) -> MonotonicTime {
    MonotonicTime::from_duration(Duration::from_secs_f64(seconds))
}

/// A measurement of a good server whose answer arrived at `seconds`.
pub(crate) fn measurement(seconds: f64, offset: f64, delay: f64) -> Measurement {
    let middle = NtpDuration::from_seconds_f64(seconds - delay / 2.0);
    Measurement {
        offset: NtpDuration::from_seconds_f64(offset),
        delay: NtpDuration::from_seconds_f64(delay),
        time: NtpTimestamp::from_unix(NOON, 0) + middle,
        monotonic: at(seconds),
        leap: LeapIndicator::NoWarning,
        stratum: 1,
        precision: -30,
        root_delay: NtpShort::ZERO,
        root_dispersion: NtpShort::ZERO,
        reference_id: ReferenceId::from_bytes(*b"GPS\0"),
        authenticated: false,
    }
}
