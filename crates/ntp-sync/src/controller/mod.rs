//! Keeps one clock right with many sources: takes measurements, says what is to be done.
//!
//! The caller carries the [`Action`]s out in their order and at once, calls
//! [`Controller::handle_timer`] when [`Controller::next_timer`] is due, hands
//! [`Controller::poll_wish`] to the association after each measurement, and publishes
//! [`Controller::snapshot`] after each call. Times never go back.
//!
//! ```text
//!  measurement ─► filter of its source ─► selection ─► combination ─► steering ─► actions
//!                      ▲                                                 │
//!                      └───────────── steps, changes of frequency ───────┘
//! ```

mod source;
mod update;

use std::collections::BTreeMap;
use std::time::Duration;

use nts_proto::association::{Measurement, PollLimits, UnusableReason};
use nts_proto::ntp::header::{LeapIndicator, ReferenceId};
use nts_proto::time::{MonotonicTime, NtpDuration, NtpTimestamp};

use self::source::Source;
use crate::action::{Action, ClockStatus, Report};
use crate::config::Config;
use crate::leap;
use crate::snapshot::{Synchronized, SystemEstimate, SystemSnapshot, Unsynchronized};
use crate::source::Absorbed;
use crate::source_id::SourceId;
use crate::steering::Steering;

/// How often [`Controller::handle_timer`] wants to be called at least.
const CHECK_INTERVAL: Duration = Duration::from_secs(16);

/// Synchronisation ends when the sources have not agreed for so long.
const LONGEST_WITHOUT_SELECTION: Duration = Duration::from_secs(86_400);

/// Synchronisation ends beyond this root distance, s.
const GREATEST_ROOT_DISTANCE: f64 = 3.0;

/// By how much a clock and the monotonic clock may drift apart, s/s.
const GREATEST_DRIFT: f64 = 600e-6;

/// The least uncertainty of the frequency with which the filter of a new source starts once the
/// clock is synchronised, s/s.
const LEAST_NEW_UNCERTAINTY: f64 = 1e-6;

/// The clock as the controller takes it over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockStart {
    /// The frequency that the clock is set to, s/s; from the drift file if there is one.
    pub frequency: f64,
    /// Standard deviation of the error of that, s/s: some ppm with a drift file, else
    /// `initial-frequency-uncertainty`.
    pub frequency_uncertainty: f64,
    /// Precision of the clock, log2 of seconds.
    pub precision: i8,
}

/// What the last update said about the system.
#[derive(Debug, Clone, Copy)]
struct System {
    estimate: SystemEstimate,
    /// Variance that the frequency gains per second, 1/s.
    wander: f64,
    stratum: u8,
    leap: LeapIndicator,
    reference_id: ReferenceId,
    /// s
    root_delay: f64,
}

impl System {
    fn synchronized(&self, now: MonotonicTime, least_dispersion: f64) -> Synchronized {
        let age = now.saturating_since(self.estimate.at).as_secs_f64();
        Synchronized {
            stratum: self.stratum,
            leap: self.leap,
            reference_id: self.reference_id,
            reference: self.estimate.time,
            root_delay: self.root_delay,
            root_dispersion: self
                .estimate
                .root_variance
                .dispersion(age)
                .max(least_dispersion),
        }
    }
}

/// A reading of both clocks at the same time.
#[derive(Debug, Clone, Copy)]
struct Reading {
    monotonic: MonotonicTime,
    local: NtpTimestamp,
}

/// The discipline of one clock.
#[derive(Debug)]
pub struct Controller {
    config: Config,
    start: ClockStart,
    now: MonotonicTime,
    sources: BTreeMap<SourceId, Source>,
    steering: Steering,
    system: Option<System>,
    unsynchronized: Option<Unsynchronized>,
    /// Whether the sources agreed when it was looked at last.
    consensus: Option<bool>,
    reading: Option<Reading>,
    /// When something else was found to have moved the clock.
    moved: Option<MonotonicTime>,
    /// What the kernel was told about a leap second.
    leap: LeapIndicator,
    limit_reported: bool,
    next_check: MonotonicTime,
}

impl Controller {
    /// Takes over a clock. The caller has set its frequency to [`ClockStart::frequency`].
    pub fn new(config: Config, start: ClockStart, now: MonotonicTime) -> Self {
        Self {
            steering: Steering::new(start.frequency, &config),
            config,
            start,
            now,
            sources: BTreeMap::new(),
            system: None,
            unsynchronized: Some(Unsynchronized::Starting),
            consensus: None,
            reading: None,
            moved: None,
            leap: LeapIndicator::NoWarning,
            limit_reported: false,
            next_check: now + CHECK_INTERVAL,
        }
    }

    /// A new source, polled within `limits`, that others know as `reference_id` (see
    /// [`ReferenceId::from_address`]). A source with this number is replaced.
    pub fn add_source(&mut self, id: SourceId, limits: PollLimits, reference_id: ReferenceId) {
        let source = Source::new(
            &self.config.algorithm,
            limits,
            self.start.precision,
            self.frequency_uncertainty(),
            reference_id,
        );
        self.sources.insert(id, source);
    }

    /// The source is gone: unreachable, demobilised, or not configured any more.
    pub fn remove_source(&mut self, id: SourceId) {
        self.sources.remove(&id);
    }

    /// The source answered, but gave no time to use. It is left out until it gives one.
    pub fn handle_unusable(&mut self, id: SourceId, reason: UnusableReason) {
        if let Some(source) = self.sources.get_mut(&id) {
            source.note_unusable(reason);
        }
    }

    /// Takes a measurement of a source. Those of sources that are not known do nothing.
    pub fn handle_measurement(&mut self, id: SourceId, measurement: &Measurement) -> Vec<Action> {
        let mut actions = self.handle_timer(measurement.monotonic);
        if self.has_panicked() || !self.sources.contains_key(&id) {
            return actions;
        }
        self.look_for_meddling(measurement, &mut actions);
        if self.is_across_a_move(measurement) {
            self.update(&mut actions);
            return actions;
        }
        let Some(source) = self.sources.get_mut(&id) else {
            return actions;
        };
        source.note_claims(measurement);
        let expected = source.filter.estimate(self.now).map_or(0.0, |it| it.offset);
        let algorithm = &self.config.algorithm;
        let absorbed = source.filter.add(measurement, algorithm);
        let by = measurement.offset.as_seconds_f64() - expected;
        if absorbed == Absorbed::Jumped && by.abs() > algorithm.step_threshold {
            actions.push(Action::Report(Report::SourceJumped { source: id, by }));
        }
        self.update(&mut actions);
        actions
    }

    /// When [`Controller::handle_timer`] wants to be called next.
    pub fn next_timer(&self) -> MonotonicTime {
        let slew_end = self.steering.slew_end();
        slew_end.map_or(self.next_check, |end| end.min(self.next_check))
    }

    /// Does what is due: ends slews, and synchronisation that has become too old.
    pub fn handle_timer(&mut self, now: MonotonicTime) -> Vec<Action> {
        let mut actions = Vec::new();
        self.now = self.now.max(now);
        self.next_check = self.now + CHECK_INTERVAL;
        if self.has_panicked() {
            return actions;
        }
        if let Some(change) = self.steering.end_slew(self.now) {
            self.change_frequency(change, &mut actions);
        }
        if let Some(reason) = self.outdated() {
            self.lose_synchronization(reason, &mut actions);
        }
        self.tell_leap(&mut actions);
        actions
    }

    /// The poll interval that a source's filter wishes, log2 of seconds.
    pub fn poll_wish(&self, id: SourceId) -> Option<i8> {
        Some(self.sources.get(&id)?.filter.poll_wish())
    }

    /// The frequency of the clock and its standard deviation, both s/s, for the drift file;
    /// `None` before the first synchronisation.
    pub fn drift(&self) -> Option<(f64, f64)> {
        let system = self.system.as_ref()?;
        Some((
            self.steering.frequency(),
            system.estimate.frequency_deviation,
        ))
    }

    /// Everything that is known at `now`.
    pub fn snapshot(&self, now: MonotonicTime) -> SystemSnapshot {
        let now = self.now.max(now);
        let algorithm = &self.config.algorithm;
        let synchronization = match (&self.unsynchronized, &self.system) {
            (Some(reason), _) => Err(*reason),
            (None, None) => Err(Unsynchronized::Starting),
            (None, Some(system)) => Ok(system.synchronized(now, self.precision())),
        };
        let sources = self.sources.iter();
        SystemSnapshot {
            now,
            synchronization,
            estimate: self.system.map(|system| system.estimate),
            frequency: self.steering.frequency(),
            clock_frequency: self.steering.clock_frequency(),
            accumulated_steps: self.steering.accumulated_steps(),
            steps: self.steering.steps(),
            sources: sources
                .map(|(id, source)| source.snapshot(*id, now, algorithm))
                .collect(),
        }
    }

    fn has_panicked(&self) -> bool {
        self.unsynchronized == Some(Unsynchronized::Panicked)
    }

    /// The clock's precision, s.
    fn precision(&self) -> f64 {
        NtpDuration::from_log2_seconds(self.start.precision).as_seconds_f64()
    }

    /// How well the clock's frequency is known, s/s.
    fn frequency_uncertainty(&self) -> f64 {
        let Some(system) = &self.system else {
            return self.start.frequency_uncertainty;
        };
        let age = self.now.saturating_since(system.estimate.at).as_secs_f64();
        let variance = system.estimate.frequency_deviation.powi(2) + system.wander * age;
        let most = self.config.algorithm.initial_frequency_uncertainty;
        variance.sqrt().max(LEAST_NEW_UNCERTAINTY).min(most)
    }

    /// Compares the local clock with the monotonic one since the last measurement.
    fn look_for_meddling(&mut self, measurement: &Measurement, actions: &mut Vec<Action>) {
        let reading = Reading {
            monotonic: measurement.monotonic,
            local: measurement.time,
        };
        let Some(last) = self.reading.replace(reading) else {
            return;
        };
        let elapsed = reading.monotonic.saturating_since(last.monotonic);
        let backwards = last.monotonic.saturating_since(reading.monotonic);
        let passed = NtpDuration::from(elapsed) - NtpDuration::from(backwards);
        let by = (reading.local - last.local - passed).as_seconds_f64();
        let drift = GREATEST_DRIFT * elapsed.as_secs_f64();
        if by.abs() > self.config.algorithm.meddling_threshold + drift {
            self.start_anew(by, actions);
        }
    }

    /// Whether the exchange may have begun before something else moved the clock. If it moved
    /// ahead in between, the delay holds the move.
    fn is_across_a_move(&self, measurement: &Measurement) -> bool {
        self.moved.is_some_and(|moved| {
            let since = NtpDuration::from(measurement.monotonic.saturating_since(moved));
            since <= measurement.delay
        })
    }

    /// The clock is not where it was: what was measured is worth nothing.
    fn start_anew(&mut self, by: f64, actions: &mut Vec<Action>) {
        actions.push(Action::Report(Report::ClockMoved { by }));
        self.moved = Some(self.now);
        self.consensus = None;
        let change = self.steering.abandon();
        self.change_frequency(change, actions);
        let uncertainty = self.frequency_uncertainty();
        for source in self.sources.values_mut() {
            source.filter.restart(&self.config.algorithm, uncertainty);
        }
        self.lose_synchronization(Unsynchronized::ClockMoved, actions);
    }

    fn outdated(&self) -> Option<Unsynchronized> {
        let system = self.system.as_ref()?;
        if self.now.saturating_since(system.estimate.at) > LONGEST_WITHOUT_SELECTION {
            return Some(Unsynchronized::NoSelection);
        }
        let distance = system.synchronized(self.now, 0.0).root_distance();
        (distance > GREATEST_ROOT_DISTANCE).then_some(Unsynchronized::RootDistance)
    }

    fn lose_synchronization(&mut self, reason: Unsynchronized, actions: &mut Vec<Action>) {
        if self.unsynchronized.is_some() {
            return;
        }
        self.unsynchronized = Some(reason);
        actions.push(Action::Report(Report::Unsynchronized(reason)));
        actions.push(Action::SetStatus(ClockStatus {
            synchronized: false,
            estimated_error: 0.0,
            maximum_error: 0.0,
        }));
        self.tell_leap(actions);
    }

    /// Steps the clock, and all that is known with it.
    fn step(&mut self, seconds: f64, actions: &mut Vec<Action>) {
        let step = NtpDuration::from_seconds_f64(seconds);
        for source in self.sources.values_mut() {
            source.filter.handle_step(step.as_seconds_f64());
        }
        if let Some(reading) = &mut self.reading {
            reading.local = reading.local + step;
        }
        actions.push(Action::Step(step));
    }

    /// The clock runs `1 + change` times as fast from now on.
    fn change_frequency(&mut self, change: f64, actions: &mut Vec<Action>) {
        if change == 0.0 {
            return;
        }
        for source in self.sources.values_mut() {
            source.filter.handle_frequency_change(self.now, change);
        }
        actions.push(Action::SetFrequency(self.steering.clock_frequency()));
    }

    /// The local time now, as far as can be told without reading the clock.
    fn local_time(&self) -> Option<NtpTimestamp> {
        let reading = self.reading?;
        let elapsed = self.now.saturating_since(reading.monotonic);
        Some(reading.local + NtpDuration::from(elapsed))
    }

    fn tell_leap(&mut self, actions: &mut Vec<Action>) {
        let announced = match (&self.system, self.unsynchronized, self.local_time()) {
            (Some(system), None, Some(now)) => leap::for_this_day(system.leap, now),
            _ => LeapIndicator::NoWarning,
        };
        if announced != self.leap {
            self.leap = announced;
            actions.push(Action::SetLeap(announced));
        }
    }
}

#[cfg(test)]
mod tests;
