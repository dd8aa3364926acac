//! A clock that runs wrong and can be steered.

use nts_proto::time::{MonotonicTime, NtpDuration, NtpTimestamp};
use rand::rngs::StdRng;
use std::time::Duration;

use super::noise::normal;

/// How a clock runs when nobody steers it.
#[derive(Debug, Clone, Copy)]
pub struct ClockModel {
    /// How far it is ahead at the start, s.
    pub offset: f64,
    /// How much too fast it runs at the start, s/s.
    pub frequency: f64,
    /// Standard deviation of what the frequency gains in a second, s/s.
    pub wander: f64,
    /// Least difference between two readings, s.
    pub resolution: f64,
    /// Whether the monotonic clock is not steered with it, as when the daemon keeps a clock of its
    /// own beside the machine's.
    pub apart: bool,
}

impl Default for ClockModel {
    /// 0.1 s ahead, 100 ppm too fast, as steady as a quartz at constant temperature, nanoseconds.
    fn default() -> Self {
        Self {
            offset: 0.1,
            frequency: 100e-6,
            wander: 1e-9,
            resolution: 1e-9,
            apart: false,
        }
    }
}

/// The steered clock. True time runs from zero, in seconds.
#[derive(Debug)]
pub(super) struct VirtualClock {
    /// What true time zero is called.
    epoch: NtpTimestamp,
    true_time: f64,
    /// Reading less UTC, s.
    error: f64,
    /// Monotonic reading less true time, s.
    monotonic_error: f64,
    /// The oscillator's own error, s/s.
    frequency: f64,
    wander: f64,
    resolution: f64,
    apart: bool,
    /// What it is steered by, s/s.
    steer: f64,
    /// True time of a positive leap second, s.
    leap_at: Option<f64>,
    /// The clock will insert it.
    leap_armed: bool,
}

impl VirtualClock {
    pub(super) fn new(model: &ClockModel, epoch: NtpTimestamp, leap_at: Option<f64>) -> Self {
        Self {
            epoch,
            true_time: 0.0,
            error: model.offset,
            monotonic_error: 0.0,
            frequency: model.frequency,
            wander: model.wander,
            resolution: model.resolution,
            apart: model.apart,
            steer: 0.0,
            leap_at,
            leap_armed: false,
        }
    }

    pub(super) fn true_time(&self) -> f64 {
        self.true_time
    }

    /// How far the clock is ahead of UTC, s.
    pub(super) fn error(&self) -> f64 {
        self.error
    }

    /// How much the steered clock runs too fast, s/s.
    pub(super) fn frequency_error(&self) -> f64 {
        (1.0 + self.frequency) * (1.0 + self.steer) - 1.0
    }

    fn monotonic_frequency_error(&self) -> f64 {
        if self.apart {
            self.frequency
        } else {
            self.frequency_error()
        }
    }

    /// Lets true time pass; `each_second` sees the clock at each full second.
    pub(super) fn advance(
        &mut self,
        to: f64,
        rng: &mut StdRng,
        mut each_second: impl FnMut(&Self),
    ) {
        loop {
            let second = self.true_time.floor() + 1.0;
            if second > to {
                self.run_to(to.max(self.true_time));
                return;
            }
            self.run_to(second);
            self.frequency += self.wander * normal(rng);
            each_second(self);
        }
    }

    fn run_to(&mut self, to: f64) {
        let passed = to - self.true_time;
        self.error += self.frequency_error() * passed;
        self.monotonic_error += self.monotonic_frequency_error() * passed;
        let leaps = self
            .leap_at
            .is_some_and(|leap| self.true_time < leap && leap <= to);
        if leaps && !self.leap_armed {
            self.error += 1.0;
        }
        self.true_time = to;
    }

    /// What UTC is called at this true time.
    pub(super) fn utc(&self, true_time: f64) -> NtpTimestamp {
        let leaps = self.leap_at.is_some_and(|leap| leap <= true_time);
        let seconds = true_time - if leaps { 1.0 } else { 0.0 };
        self.epoch + NtpDuration::from_seconds_f64(seconds)
    }

    /// What the clock shows.
    pub(super) fn now(&self) -> NtpTimestamp {
        let error = NtpDuration::from_seconds_f64(self.error);
        let resolution = NtpDuration::from_seconds_f64(self.resolution)
            .to_bits()
            .max(1);
        let since_epoch = (self.utc(self.true_time) + error - self.epoch).to_bits();
        let shown = since_epoch.div_euclid(resolution) * resolution;
        self.epoch + NtpDuration::from_bits(shown)
    }

    /// What the monotonic clock shows, which is never stepped.
    pub(super) fn monotonic(&self) -> MonotonicTime {
        let seconds = (self.true_time + self.monotonic_error).max(0.0);
        MonotonicTime::from_duration(Duration::from_secs_f64(seconds))
    }

    /// True time when the monotonic clock will have reached `time` at its present frequency.
    pub(super) fn when(&self, time: MonotonicTime) -> f64 {
        let wait = time.saturating_since(self.monotonic()).as_secs_f64();
        // A little later, lest rounding wakes somebody too early again and again.
        let margin = if wait > 0.0 { 1e-8 } else { 0.0 };
        self.true_time + wait / (1.0 + self.monotonic_frequency_error()) + margin
    }

    pub(super) fn set_frequency(&mut self, steer: f64) {
        self.steer = steer;
    }

    pub(super) fn step(&mut self, by: f64) {
        self.error += by;
    }

    /// The oscillator's error changes, as with a sudden draught.
    pub(super) fn jolt(&mut self, by: f64) {
        self.frequency += by;
    }

    pub(super) fn arm_leap(&mut self, armed: bool) {
        self.leap_armed = armed;
    }
}
