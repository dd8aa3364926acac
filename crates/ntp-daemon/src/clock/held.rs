//! A clock that this process holds beside the system's, and that nobody else sees: what `-x` and
//! `control-clock = false` keep.
//!
//! What never happens here: a write to the system's clock.

use nts_proto::time::NtpDuration;

use super::control::{ClockError, Quality, SteerableClock};
use super::{ClockMap, reading};

/// The system's clock, put right by an offset and a frequency.
#[derive(Debug, Default)]
pub(crate) struct HeldClock {
    map: ClockMap,
}

impl SteerableClock for HeldClock {
    fn frequency(&self) -> f64 {
        self.map.rate()
    }

    fn set_frequency(&mut self, frequency: f64) -> Result<f64, ClockError> {
        self.map = self.map.with_rate(frequency, reading::now());
        Ok(frequency)
    }

    fn step(&mut self, offset: NtpDuration) -> Result<(), ClockError> {
        self.map = self.map.stepped(offset);
        Ok(())
    }

    fn announce(&mut self, _: Quality) -> Result<(), ClockError> {
        Ok(())
    }

    fn map(&self) -> ClockMap {
        self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_system_clock_put_right() {
        let mut clock = HeldClock::default();
        assert_eq!(clock.map(), ClockMap::IDENTITY);
        clock.step(NtpDuration::from_bits(-(100 << 32))).unwrap();
        assert_eq!(clock.set_frequency(50e-6), Ok(50e-6));
        assert_eq!(clock.frequency(), 50e-6);
        let system = reading::now();
        let behind = system.since(clock.map().apply(system)).as_seconds_f64();
        assert!((behind - 100.0).abs() < 0.001, "{behind}");
    }
}
