//! What is done about an offset: the clock runs faster or slower for a while (a slew), or it is
//! set (a step), and its frequency follows what was learnt.

use std::time::Duration;

use nts_proto::time::MonotonicTime;

use crate::action::{Panic, PanicReason};
use crate::config::{Algorithm, Config, StepThreshold};
use crate::estimate::Estimate;

/// For how long an offset must be too great before the running clock is stepped.
const STEP_PATIENCE: Duration = Duration::from_secs(16);

/// What is to be done to the clock.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Correction {
    /// Step by so many seconds; positive is ahead.
    pub(crate) step: Option<f64>,
    /// From now on the clock runs `1 + frequency_change` times as fast.
    pub(crate) frequency_change: f64,
}

/// Standard deviations that an offset must have to be stepped away while the clock runs.
const STEP_CERTAINTY: f64 = 4.0;

/// A slew in progress.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Slew {
    /// By how much the clock runs faster for it, s/s.
    frequency: f64,
    end: MonotonicTime,
}

/// An offset that would be stepped away if it lasts.
#[derive(Debug, Clone, Copy, PartialEq)]
struct StepWish {
    since: MonotonicTime,
    ahead: bool,
}

/// What was done to the clock so far.
#[derive(Debug, Clone)]
pub(crate) struct Steering {
    /// Correction of the clock's own error, s/s.
    frequency: f64,
    slew: Option<Slew>,
    step_wish: Option<StepWish>,
    /// Whether the clock has been corrected, or was found to need no step.
    started: bool,
    /// Sum of all steps but the first, s.
    accumulated_steps: f64,
    steps: u64,
    /// What the frequency should be beyond its limit, s/s.
    beyond_limit: Option<f64>,
}

impl Steering {
    /// Takes over a clock that runs with this frequency correction, s/s.
    pub(crate) fn new(frequency: f64, config: &Config) -> Self {
        let limit = config.algorithm.maximum_frequency_steer;
        Self {
            frequency: frequency.clamp(-limit, limit),
            slew: None,
            step_wish: None,
            started: false,
            accumulated_steps: 0.0,
            steps: 0,
            beyond_limit: None,
        }
    }

    /// What the clock's frequency is to be set to, s/s.
    pub(crate) fn clock_frequency(&self) -> f64 {
        let slew = self.slew.map_or(0.0, |slew| slew.frequency);
        both(self.frequency, slew)
    }

    /// The part of it that corrects the clock's own error, s/s.
    pub(crate) fn frequency(&self) -> f64 {
        self.frequency
    }

    pub(crate) fn accumulated_steps(&self) -> f64 {
        self.accumulated_steps
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// What the frequency should have been, if that was beyond the limit.
    pub(crate) fn beyond_limit(&self) -> Option<f64> {
        self.beyond_limit
    }

    pub(crate) fn slew_end(&self) -> Option<MonotonicTime> {
        self.slew.map(|slew| slew.end)
    }

    /// Decides what is to be done about an estimate that holds `now`.
    ///
    /// # Errors
    /// [`Panic`] if the step that is needed is not allowed. Nothing has changed then.
    pub(crate) fn correct(
        &mut self,
        estimate: &Estimate,
        now: MonotonicTime,
        config: &Config,
    ) -> Result<Correction, Panic> {
        let algorithm = &config.algorithm;
        let old = self.clock_frequency();
        let slew = self.slew.map_or(0.0, |slew| slew.frequency);
        let frequency = both(estimate.frequency, slew);
        let correction = offset_to_correct(estimate, algorithm);
        if correction.is_none() {
            self.step_wish = None;
        }
        let step = correction
            .filter(|it| self.is_to_be_stepped(*it, estimate.deviation(), now, algorithm));
        if let Some(step) = step {
            self.check_step(step, config)?;
            self.note_step(step);
        }
        // A slew that was begun on a worse estimate, and has gone far enough.
        self.slew
            .take_if(|slew| slew.frequency * estimate.offset <= 0.0);
        let uncertainty = estimate.covariance.frequency.sqrt();
        self.follow_frequency(
            frequency_to_correct(frequency, uncertainty, algorithm),
            algorithm,
        );
        match correction {
            Some(offset) if step.is_none() && self.slew.is_none() => {
                self.start_slew(offset, now, algorithm);
            }
            _ => {}
        }
        self.started |= correction.is_some() || is_near(estimate, algorithm);
        Ok(Correction {
            step,
            frequency_change: change(old, self.clock_frequency()),
        })
    }

    /// Ends a slew whose time is over; gives the change of frequency.
    pub(crate) fn end_slew(&mut self, now: MonotonicTime) -> Option<f64> {
        let old = self.clock_frequency();
        self.slew.take_if(|slew| slew.end <= now)?;
        Some(change(old, self.clock_frequency()))
    }

    /// Ends a slew that has become pointless, and forgets what was to be stepped; gives the
    /// change of frequency.
    pub(crate) fn abandon(&mut self) -> f64 {
        let old = self.clock_frequency();
        self.slew = None;
        self.step_wish = None;
        change(old, self.clock_frequency())
    }

    /// Whether this offset is so great that the clock is to be stepped; a running clock only if
    /// it is beyond doubt, and for some time.
    fn is_to_be_stepped(
        &mut self,
        offset: f64,
        deviation: f64,
        now: MonotonicTime,
        algorithm: &Algorithm,
    ) -> bool {
        let doubt = if self.started {
            STEP_CERTAINTY * deviation
        } else {
            0.0
        };
        if offset.abs() <= algorithm.step_threshold.max(doubt) {
            self.step_wish = None;
            return false;
        }
        let ahead = offset > 0.0;
        let wish = match self.step_wish {
            Some(wish) if wish.ahead == ahead => wish,
            _ => StepWish { since: now, ahead },
        };
        self.step_wish = Some(wish);
        !self.started || now.saturating_since(wish.since) >= STEP_PATIENCE
    }

    fn check_step(&self, step: f64, config: &Config) -> Result<(), Panic> {
        let panic = |reason| Panic { reason, step };
        let (threshold, reason): (&StepThreshold, _) = if self.started {
            (&config.single_step_panic_threshold, PanicReason::SingleStep)
        } else {
            (
                &config.startup_step_panic_threshold,
                PanicReason::StartupStep,
            )
        };
        if !threshold.allows(step) {
            return Err(panic(reason));
        }
        match config.accumulated_step_panic_threshold {
            Some(limit)
                if self.started && self.accumulated_steps + step.abs() > limit.as_secs_f64() =>
            {
                Err(panic(PanicReason::AccumulatedSteps))
            }
            _ => Ok(()),
        }
    }

    fn note_step(&mut self, step: f64) {
        if self.started {
            self.accumulated_steps += step.abs();
        }
        self.steps += 1;
        self.step_wish = None;
        self.slew = None;
    }

    /// Corrects the clock's own frequency, as far as the limit allows.
    fn follow_frequency(&mut self, correction: f64, algorithm: &Algorithm) {
        let limit = algorithm.maximum_frequency_steer;
        let wanted = both(self.frequency, correction);
        self.frequency = wanted.clamp(-limit, limit);
        self.beyond_limit = (wanted != self.frequency).then_some(wanted);
        let (low, high) = self.room(limit);
        if let Some(slew) = &mut self.slew {
            slew.frequency = slew.frequency.clamp(low, high);
        }
    }

    /// What slews the limit leaves room for, s/s.
    fn room(&self, limit: f64) -> (f64, f64) {
        (
            change(self.frequency, -limit),
            change(self.frequency, limit),
        )
    }

    fn start_slew(&mut self, offset: f64, now: MonotonicTime, algorithm: &Algorithm) {
        let fastest = algorithm.slew_maximum_frequency_offset;
        let gentlest = offset.abs() / algorithm.slew_minimum_duration;
        let (low, high) = self.room(algorithm.maximum_frequency_steer);
        let frequency = gentlest.min(fastest).copysign(offset).clamp(low, high);
        let Ok(duration) = Duration::try_from_secs_f64(offset / frequency) else {
            return;
        };
        self.slew = Some(Slew {
            frequency,
            end: now + duration,
        });
    }
}

/// Two relative changes one after the other.
fn both(one: f64, other: f64) -> f64 {
    one + other + one * other
}

/// The relative change from one frequency correction to another.
fn change(old: f64, new: f64) -> f64 {
    (new - old) / (1.0 + old)
}

/// An offset that is clearly not chance, less what a threshold that picks extremes adds to it.
fn offset_to_correct(estimate: &Estimate, algorithm: &Algorithm) -> Option<f64> {
    let deviation = estimate.deviation();
    let offset = estimate.offset;
    let leftover = (algorithm.steer_offset_leftover * deviation).min(offset.abs());
    (offset.abs() > algorithm.steer_offset_threshold * deviation)
        .then_some(offset - leftover.copysign(offset))
        .filter(|correction| *correction != 0.0)
}

/// Whether an offset that is left alone is known to be too small for a step.
fn is_near(estimate: &Estimate, algorithm: &Algorithm) -> bool {
    algorithm.steer_offset_threshold * estimate.deviation() <= algorithm.step_threshold
}

fn frequency_to_correct(frequency: f64, uncertainty: f64, algorithm: &Algorithm) -> f64 {
    if frequency.abs() <= algorithm.steer_frequency_threshold * uncertainty {
        return 0.0;
    }
    let leftover = (algorithm.steer_frequency_leftover * uncertainty).min(frequency.abs());
    frequency - leftover.copysign(frequency)
}

#[cfg(test)]
mod tests;
