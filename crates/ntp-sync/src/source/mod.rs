//! What the measurements of one source say: its filter, its wish for a poll interval, and how
//! noisy its path and how restless its clock are.
//!
//! The first four measurements are only gathered; then the filter starts with all of them at
//! once. From there on each measurement counts as much as its delay allows. A measurement that
//! cannot be is held back; if the next one cannot be either, one of the clocks has jumped.

mod delay;
mod votes;

use std::cmp::Ordering;

use nts_proto::association::{Measurement, PollLimits};
use nts_proto::time::{MonotonicTime, NtpDuration};

use self::delay::Delays;
use self::votes::{Score, Vote};
use crate::config::Algorithm;
use crate::estimate::{Covariance, Estimate, Observation};

/// Measurements with which a filter starts: those of the association's burst.
pub const START_SAMPLES: usize = 4;

/// The least standard deviation of a measurement, s.
const LEAST_DEVIATION: f64 = 1e-7;

/// Part of a new measurement in the running mean of the information per measurement.
const INFORMATION_GAIN: f64 = 0.125;

/// Bounds of the wander's variance, 1/s: a perfect clock, and one that is of no use.
const WANDER_BOUNDS: (f64, f64) = (1e-24, 1e-8);

/// Standard deviations within which two impossible measurements tell of the same jump.
const SAME_JUMP: f64 = 5.0;

/// Measurements after which a jump is not part of the one before.
const STEADY: u32 = 8;

/// One measurement as the filter sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sample {
    /// s
    offset: f64,
    /// s
    delay: f64,
    /// Middle of the exchange.
    at: MonotonicTime,
    /// Least variance of the offset that the clocks' precision allows, s².
    floor: f64,
}

impl Sample {
    fn new(measurement: &Measurement, own_precision: i8) -> Self {
        let delay = measurement.delay.as_seconds_f64().max(0.0);
        let since_start = measurement.monotonic.as_duration();
        let half = std::time::Duration::try_from_secs_f64(delay / 2.0).unwrap_or_default();
        let precision = NtpDuration::from_log2_seconds(measurement.precision.max(own_precision));
        Self {
            offset: measurement.offset.as_seconds_f64(),
            delay,
            at: MonotonicTime::from_duration(since_start.saturating_sub(half)),
            floor: precision.as_seconds_f64().max(LEAST_DEVIATION).powi(2),
        }
    }
}

/// What became of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absorbed {
    /// The filter has too few to start.
    Gathered,
    /// It counts.
    Used,
    /// Dropped because of its delay.
    Outlier,
    /// So far off that it was held back.
    Doubted,
    /// The second one in a row that was far off: the filter took the new offset.
    Jumped,
}

/// A filter that has started.
#[derive(Debug, Clone, Copy)]
struct Running {
    estimate: Estimate,
    /// When the estimate is valid.
    at: MonotonicTime,
    /// When the last measurement was taken in.
    absorbed: MonotonicTime,
    /// Running mean of one over the variance of a measurement, 1/s².
    information: f64,
    /// How far off the measurement before was, if it was held back.
    doubt: Option<f64>,
    /// Measurements taken in since the start or the last jump.
    steady: u32,
}

#[derive(Debug, Clone)]
enum Phase {
    Gathering(Vec<Sample>),
    Running(Running),
}

/// The filter of one source.
#[derive(Debug, Clone)]
pub struct SourceFilter {
    limits: PollLimits,
    own_precision: i8,
    /// Standard deviation of the frequency at the start, s/s.
    frequency_uncertainty: f64,
    phase: Phase,
    delays: Delays,
    /// Variance that the frequency gains per second, 1/s.
    wander: f64,
    wander_score: Score,
    poll_wish: i8,
    poll_score: Score,
}

impl SourceFilter {
    /// A filter without measurements. `own_precision` is that of the local clock, log2 of
    /// seconds; `frequency_uncertainty` the standard deviation of its frequency, s/s.
    pub fn new(
        algorithm: &Algorithm,
        limits: PollLimits,
        own_precision: i8,
        frequency_uncertainty: f64,
    ) -> Self {
        Self {
            limits,
            own_precision,
            frequency_uncertainty,
            phase: Phase::Gathering(Vec::with_capacity(START_SAMPLES)),
            delays: Delays::default(),
            wander: algorithm
                .initial_wander
                .powi(2)
                .clamp(WANDER_BOUNDS.0, WANDER_BOUNDS.1),
            wander_score: Score::default(),
            poll_wish: limits.min(),
            poll_score: Score::default(),
        }
    }

    /// Forgets all measurements.
    pub fn restart(&mut self, algorithm: &Algorithm, frequency_uncertainty: f64) {
        *self = Self::new(
            algorithm,
            self.limits,
            self.own_precision,
            frequency_uncertainty,
        );
    }

    /// Takes a measurement.
    pub fn add(&mut self, measurement: &Measurement, algorithm: &Algorithm) -> Absorbed {
        let sample = Sample::new(measurement, self.own_precision);
        match &mut self.phase {
            Phase::Gathering(_) => self.gather(sample),
            Phase::Running(running) => {
                let running = *running;
                self.absorb(running, sample, algorithm)
            }
        }
    }

    fn gather(&mut self, sample: Sample) -> Absorbed {
        // Nothing is an outlier yet.
        self.delays.add(sample.delay, f64::INFINITY);
        let Phase::Gathering(samples) = &mut self.phase else {
            return Absorbed::Gathered;
        };
        samples.push(sample);
        if samples.len() < START_SAMPLES {
            return Absorbed::Gathered;
        }
        let samples = std::mem::take(samples);
        if let Some(running) = self.start(&samples) {
            self.phase = Phase::Running(running);
        }
        Absorbed::Used
    }

    /// The best straight line through the first measurements, given how uncertain the frequency
    /// is: the filter's own equations, from the first one on.
    fn start(&self, samples: &[Sample]) -> Option<Running> {
        let noise = |sample: &Sample| self.delays.noise(sample.delay).max(sample.floor);
        let (first, others) = samples.split_first()?;
        let frequency = self.frequency_uncertainty.powi(2);
        let mut running = Running {
            estimate: Estimate {
                offset: first.offset,
                frequency: 0.0,
                covariance: Covariance::diagonal(noise(first), frequency),
            },
            at: first.at,
            absorbed: first.at,
            information: 1.0 / noise(first),
            doubt: None,
            steady: 0,
        };
        for sample in others {
            running.advance(sample.at, self.wander);
            running.observe(sample, noise(sample));
        }
        Some(running)
    }

    fn absorb(&mut self, mut running: Running, sample: Sample, algorithm: &Algorithm) -> Absorbed {
        running.advance(sample.at, self.wander);
        if !self
            .delays
            .add(sample.delay, algorithm.delay_outlier_threshold)
        {
            self.phase = Phase::Running(running);
            return Absorbed::Outlier;
        }
        let noise = self.delays.noise(sample.delay).max(sample.floor);
        let observation = running.estimate.judge(sample.offset, noise);
        self.learn_wander(observation, algorithm);
        let absorbed = if observation.probability <= algorithm.poll_interval_step_threshold {
            self.poll_wish = self.limits.min();
            self.poll_score.reset();
            running.doubt_or_jump(&sample, noise, algorithm.initial_frequency_uncertainty)
        } else {
            let elapsed = sample.at.saturating_since(running.absorbed).as_secs_f64();
            let known = running.estimate.covariance.offset;
            running.observe(&sample, noise);
            let typical_weight = known / (known + 1.0 / running.information);
            self.choose_poll(typical_weight, elapsed, algorithm);
            Absorbed::Used
        };
        self.phase = Phase::Running(running);
        absorbed
    }

    /// Measurements that surprise too often or too little tell that the clocks wander more, or
    /// less, than was thought.
    fn learn_wander(&mut self, observation: Observation, algorithm: &Algorithm) {
        let chance = 1.0 - observation.probability;
        let vote = if chance < algorithm.precision_low_probability
            && observation.weight > algorithm.precision_minimum_weight
        {
            Vote::Less
        } else if chance > algorithm.precision_high_probability {
            Vote::More
        } else {
            Vote::Neither
        };
        self.wander *= match self
            .wander_score
            .count(vote, algorithm.precision_hysteresis)
        {
            Ordering::Less => 0.25,
            Ordering::Equal => 1.0,
            Ordering::Greater => 4.0,
        };
        self.wander = self.wander.clamp(WANDER_BOUNDS.0, WANDER_BOUNDS.1);
    }

    /// Measurements that add little should be rarer, those that add much more frequent. The weight
    /// is that of a measurement with the usual noise.
    fn choose_poll(&mut self, weight: f64, elapsed: f64, algorithm: &Algorithm) {
        let part = elapsed / f64::from(self.poll_wish).exp2();
        let vote = if weight < algorithm.poll_interval_low_weight && part > 0.75 {
            Vote::More
        } else if weight > algorithm.poll_interval_high_weight && part < 1.4 {
            Vote::Less
        } else {
            Vote::Neither
        };
        let change = self
            .poll_score
            .count(vote, algorithm.poll_interval_hysteresis) as i8;
        self.poll_wish = (self.poll_wish + change).clamp(self.limits.min(), self.limits.max());
    }

    /// The local clock was stepped by `step` seconds (positive is ahead).
    pub fn handle_step(&mut self, step: f64) {
        match &mut self.phase {
            Phase::Gathering(samples) => {
                for sample in samples {
                    sample.offset -= step;
                }
            }
            Phase::Running(running) => running.estimate.shift(step),
        }
    }

    /// From `at` on, the local clock runs `1 + change` times as fast.
    pub fn handle_frequency_change(&mut self, at: MonotonicTime, change: f64) {
        match &mut self.phase {
            // As if the clock had always run so, and had been read accordingly.
            Phase::Gathering(samples) => {
                for sample in samples {
                    let age = at.saturating_since(sample.at).as_secs_f64();
                    sample.offset += change * age;
                }
            }
            Phase::Running(running) => {
                running.advance(at, self.wander);
                running.estimate.change_frequency(change);
            }
        }
    }

    /// What is known at `now`; `None` before the start.
    pub fn estimate(&self, now: MonotonicTime) -> Option<Estimate> {
        match &self.phase {
            Phase::Gathering(_) => None,
            Phase::Running(running) => {
                let mut running = *running;
                running.advance(now, self.wander);
                Some(running.estimate)
            }
        }
    }

    /// Measurements gathered before the start; [`START_SAMPLES`] after it.
    pub fn gathered(&self) -> usize {
        match &self.phase {
            Phase::Gathering(samples) => samples.len(),
            Phase::Running(_) => START_SAMPLES,
        }
    }

    /// The poll interval that would suit this filter, log2 of seconds, within the limits.
    pub fn poll_wish(&self) -> i8 {
        self.poll_wish
    }

    /// Variance that the frequency gains per second, 1/s.
    pub fn wander(&self) -> f64 {
        self.wander
    }

    /// Mean of the last eight delays, s; zero without any.
    pub fn delay(&self) -> f64 {
        self.delays.mean()
    }

    /// Standard deviation of offsets that the last eight delays explain, s.
    pub fn jitter(&self) -> f64 {
        self.delays.jitter()
    }
}

impl Running {
    /// Moves on; backwards it stays where it is.
    fn advance(&mut self, to: MonotonicTime, wander: f64) {
        let elapsed = to.saturating_since(self.at);
        self.estimate.advance(elapsed.as_secs_f64(), wander);
        self.at = self.at.max(to);
    }

    fn observe(&mut self, sample: &Sample, noise: f64) {
        self.estimate.observe(sample.offset, noise);
        self.absorbed = sample.at;
        self.information += (1.0 / noise - self.information) * INFORMATION_GAIN;
        self.doubt = None;
        self.steady = self.steady.saturating_add(1);
    }

    /// Holds a measurement back that cannot be, or believes it if it is the second one. If both
    /// tell of the same jump, and the last one was long ago, the frequency is what it was; else
    /// nothing is known about it.
    fn doubt_or_jump(&mut self, sample: &Sample, noise: f64, uncertainty: f64) -> Absorbed {
        let innovation = sample.offset - self.estimate.offset;
        let Some(before) = self.doubt.replace(innovation) else {
            return Absorbed::Doubted;
        };
        self.doubt = None;
        let known = self.estimate.covariance;
        let spread = (2.0 * noise + known.offset).sqrt();
        let is_same = (innovation - before).abs() <= SAME_JUMP * spread;
        let frequency = if is_same && self.steady >= STEADY {
            known.frequency
        } else {
            known.frequency.max(uncertainty.powi(2))
        };
        self.estimate.offset = sample.offset;
        self.estimate.covariance = Covariance::diagonal(noise, frequency);
        self.absorbed = sample.at;
        self.steady = 0;
        Absorbed::Jumped
    }
}

#[cfg(test)]
mod tests;
