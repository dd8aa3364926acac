//! From readings of the system's clock to those of the clock that the daemon keeps. Pure.

use nts_proto::time::{NtpDuration, NtpTimestamp};

/// What the daemon's clock shows when the system's clock shows a given time: two straight lines
/// that meet where the frequency was changed last, so that a stamp from just before the change is
/// read as it was meant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockMap {
    /// System time of the last change of frequency.
    base: NtpTimestamp,
    /// What is added at `base`.
    offset: NtpDuration,
    /// How much faster than the system's clock it ran before `base`, s/s.
    rate_before: f64,
    /// How much faster it runs since, s/s.
    rate: f64,
}

impl Default for ClockMap {
    fn default() -> Self {
        Self::IDENTITY
    }
}

impl ClockMap {
    /// The daemon's clock is the system's.
    pub const IDENTITY: Self = Self {
        base: NtpTimestamp::ZERO,
        offset: NtpDuration::ZERO,
        rate_before: 0.0,
        rate: 0.0,
    };

    /// What the daemon's clock shows when the system's shows `system`.
    #[must_use]
    pub fn apply(&self, system: NtpTimestamp) -> NtpTimestamp {
        if *self == Self::IDENTITY {
            return system;
        }
        let since = system.since(self.base);
        let rate = if since < NtpDuration::ZERO {
            self.rate_before
        } else {
            self.rate
        };
        let gained = NtpDuration::from_seconds_f64(since.as_seconds_f64() * rate);
        system + (self.offset + gained)
    }

    /// How much faster than the system's clock it runs, s/s.
    #[must_use]
    pub const fn rate(&self) -> f64 {
        self.rate
    }

    /// The clock that runs at `rate` from the system time `now` on, without a jump.
    #[must_use]
    pub fn with_rate(&self, rate: f64, now: NtpTimestamp) -> Self {
        Self {
            base: now,
            offset: self.apply(now).since(now),
            rate_before: self.rate,
            rate,
        }
    }

    /// The clock that is ahead of this one by `offset` at all times.
    #[must_use]
    pub fn stepped(&self, offset: NtpDuration) -> Self {
        Self {
            offset: self.offset + offset,
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: f64) -> NtpTimestamp {
        NtpTimestamp::from_unix(1_800_000_000, 0) + NtpDuration::from_seconds_f64(seconds)
    }

    fn ahead(map: &ClockMap, seconds: f64) -> f64 {
        map.apply(at(seconds)).since(at(seconds)).as_seconds_f64()
    }

    #[test]
    fn without_a_change_it_is_the_system_clock() {
        let map = ClockMap::default();
        assert_eq!(map.apply(NtpTimestamp::from_bits(7)).to_bits(), 7);
        assert_eq!(
            map.apply(NtpTimestamp::from_bits(u64::MAX)).to_bits(),
            u64::MAX
        );
    }

    #[test]
    fn a_rate_gains_time_and_a_stamp_from_before_it_does_not() {
        let map = ClockMap::IDENTITY
            .stepped(NtpDuration::from_seconds_f64(2.0))
            .with_rate(100e-6, at(0.0));
        assert_eq!(ahead(&map, -10.0), 2.0);
        assert_eq!(ahead(&map, 0.0), 2.0);
        assert!((ahead(&map, 10_000.0) - 3.0).abs() < 1e-9);
        assert_eq!(map.rate(), 100e-6);
    }

    #[test]
    fn a_change_of_rate_is_no_jump() {
        let map = ClockMap::IDENTITY
            .with_rate(100e-6, at(0.0))
            .with_rate(-50e-6, at(1000.0));
        assert!((ahead(&map, 999.0) - 0.0999).abs() < 1e-9);
        assert!((ahead(&map, 1000.0) - 0.1).abs() < 1e-9);
        assert!((ahead(&map, 1200.0) - 0.09).abs() < 1e-9);
    }

    #[test]
    fn the_end_of_the_era_is_no_end() {
        let before = NtpTimestamp::from_bits(0u64.wrapping_sub(1 << 32));
        let map = ClockMap::IDENTITY.with_rate(1e-3, before);
        let after = NtpTimestamp::from_bits(999 << 32);
        let gained = map.apply(after).since(after).as_seconds_f64();
        assert!((gained - 1.0).abs() < 1e-9, "{gained}");
    }

    proptest! {
        /// However often the rate is changed, the clock never runs backwards.
        #[test]
        fn time_goes_on(changes in prop::collection::vec((0.0..1000.0, -500e-6..500e-6), 1..20)) {
            let (mut map, mut now) = (ClockMap::IDENTITY, 0.0);
            for (pause, rate) in changes {
                let before = map.apply(at(now));
                now += pause;
                let reached = map.apply(at(now));
                prop_assert!(reached.since(before) >= NtpDuration::ZERO);
                map = map.with_rate(rate, at(now));
                prop_assert_eq!(map.apply(at(now)), reached);
            }
        }
    }
}
