//! The system's clock, steered through the kernel's interface (`adjtimex`, RFC 5905 appendix and
//! its Linux form).
//!
//! This is the one file that can move the clock of the machine, and no test can make a
//! [`KernelClock`].

use std::time::Duration;

use clock_steering::unix::{Error, UnixClock};
use clock_steering::{Clock, TimeOffset};
use nts_proto::ntp::header::LeapIndicator;
use nts_proto::time::NtpDuration;

use super::ClockMap;
use super::control::{ClockError, Quality, SteerableClock};

/// The library takes and gives parts per million, whatever its documentation says.
const PPM: f64 = 1e6;

/// The system's clock, under the control of this process alone.
#[derive(Debug)]
pub(crate) struct KernelClock {
    clock: UnixClock,
    /// s/s
    frequency: f64,
}

impl KernelClock {
    /// Takes over: the kernel's own control loops are switched off, the clock counts as not
    /// synchronised until it is said to be, and goes on with the frequency that it has.
    ///
    /// # Errors
    /// [`ClockError::NotPermitted`] without the capability; then nothing has changed.
    pub(crate) fn take_over() -> Result<Self, ClockError> {
        // No test may move the clock of its machine.
        if cfg!(test) {
            return Err(ClockError::NotPermitted);
        }
        let clock = UnixClock::CLOCK_REALTIME;
        let failed = explain("take over");
        clock.disable_kernel_ntp_algorithm().map_err(&failed)?;
        let frequency = clock.get_frequency().map_err(&failed)? / PPM;
        let mut taken = Self { clock, frequency };
        taken.announce(Quality::UNKNOWN)?;
        Ok(taken)
    }

    /// The clock as it is, for a single step: whatever steers it goes on to do so.
    ///
    /// # Errors
    /// In tests only.
    pub(crate) fn untouched() -> Result<Self, ClockError> {
        if cfg!(test) {
            return Err(ClockError::NotPermitted);
        }
        Ok(Self {
            clock: UnixClock::CLOCK_REALTIME,
            frequency: 0.0,
        })
    }
}

impl SteerableClock for KernelClock {
    fn frequency(&self) -> f64 {
        self.frequency
    }

    fn set_frequency(&mut self, frequency: f64) -> Result<f64, ClockError> {
        let failed = explain("steer");
        self.clock.set_frequency(frequency * PPM).map_err(&failed)?;
        self.frequency = self.clock.get_frequency().map_err(&failed)? / PPM;
        Ok(self.frequency)
    }

    fn step(&mut self, offset: NtpDuration) -> Result<(), ClockError> {
        let stepped = self.clock.step_clock(time_offset(offset));
        stepped.map(|_| ()).map_err(explain("set"))
    }

    fn announce(&mut self, quality: Quality) -> Result<(), ClockError> {
        let failed = explain("set the status of");
        self.clock
            .error_estimate_update(quality.estimated_error, quality.maximum_error)
            .map_err(&failed)?;
        self.clock
            .set_leap_seconds(leap(quality.leap))
            .map_err(&failed)
    }

    fn map(&self) -> ClockMap {
        ClockMap::IDENTITY
    }
}

impl Quality {
    /// Nothing is known: the kernel's own bound for that is 16 s.
    pub(crate) const UNKNOWN: Self = Self {
        leap: LeapIndicator::Unsynchronized,
        estimated_error: Duration::from_secs(16),
        maximum_error: Duration::from_secs(16),
    };
}

fn explain(action: &'static str) -> impl Fn(Error) -> ClockError {
    move |error| match error {
        Error::NoPermission | Error::NoAccess => ClockError::NotPermitted,
        error => ClockError::Failed {
            action,
            why: error.to_string(),
        },
    }
}

/// Whole seconds, rounded down, and the nanoseconds from there on.
fn time_offset(offset: NtpDuration) -> TimeOffset {
    let (bits, fraction) = (offset.to_bits(), offset.to_bits() & 0xffff_ffff);
    let nanos = (fraction.cast_unsigned() * 1_000_000_000) >> 32;
    TimeOffset {
        seconds: bits >> 32,
        nanos: u32::try_from(nanos).unwrap_or_default(),
    }
}

fn leap(leap: LeapIndicator) -> clock_steering::LeapIndicator {
    match leap {
        LeapIndicator::NoWarning => clock_steering::LeapIndicator::NoWarning,
        LeapIndicator::Leap61 => clock_steering::LeapIndicator::Leap61,
        LeapIndicator::Leap59 => clock_steering::LeapIndicator::Leap59,
        LeapIndicator::Unsynchronized => clock_steering::LeapIndicator::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_whole_seconds_rounded_down_and_the_rest() {
        for (seconds, whole, nanos) in [
            (0.0, 0, 0),
            (1.5, 1, 500_000_000),
            (-0.25, -1, 750_000_000),
            (-2.0, -2, 0),
            (86_400.001, 86_400, 1_000_000),
        ] {
            let offset = time_offset(NtpDuration::from_seconds_f64(seconds));
            assert_eq!(offset.seconds, whole, "{seconds}");
            assert!(offset.nanos.abs_diff(nanos) <= 1, "{seconds}: {offset:?}");
        }
    }

    #[test]
    fn tests_do_not_get_it() {
        for clock in [KernelClock::take_over(), KernelClock::untouched()] {
            assert_eq!(clock.unwrap_err(), ClockError::NotPermitted);
        }
    }

    #[test]
    fn a_missing_capability_is_named_with_both_cures() {
        let text = explain("take over")(Error::NoPermission).to_string();
        for part in ["CAP_SYS_TIME", "--no-clock-control", "AmbientCapabilities"] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(
            explain("steer")(Error::Invalid).to_string(),
            "cannot steer the system's clock: Invalid operation requested"
        );
    }
}
