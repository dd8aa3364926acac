//! The keeper of the clock: the only one who moves it.
//!
//! Sources hand in what they measure and get their poll interval back; the mathematics says what
//! is to be done (`ntp_sync::controller`); here it is done, at once and under one lock, and what
//! follows from it is published for the servers. What never happens here: waiting for anybody
//! while the lock is held, or a decision about the clock.

mod error;
mod files;
mod publish;
mod report;
mod slot;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use ntp_sync::SourceId;
use ntp_sync::action::{Action, ClockStatus, Report};
use ntp_sync::config::Config;
use ntp_sync::controller::{ClockStart, Controller};
use ntp_sync::snapshot::SystemSnapshot;
use nts_proto::association::PollLimits;
use nts_proto::ntp::header::{LeapIndicator, ReferenceId};
use rustls::time_provider::TimeProvider;
use tokio::sync::{Notify, watch};

pub use error::KeeperError;

use super::timebase::{Timebase, wait_until};
use super::{ClockMap, DriftFile, HeldClock, LastTime, Quality, SteerableClock, reading};
use crate::config::SynchronizationConfig;
use crate::server::{SharedSystemState, system};
use files::Files;
use report::Reporter;
pub(crate) use report::explain as explain_unsynchronized;
pub(crate) use slot::{Measured, SourceSlot};

/// How often what is published is renewed, as the dispersion grows.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);

/// How often files are written.
const STORE_INTERVAL: Duration = Duration::from_secs(3600);

/// Standard deviation of the error of a frequency from the drift file, s/s: temperature and age
/// change a crystal by about that.
const DRIFT_UNCERTAINTY: f64 = 5e-6;

/// Keeps the clock. Shared by all sources and by whoever looks on.
pub struct Keeper {
    timebase: Timebase,
    controls_system: bool,
    config: SynchronizationConfig,
    precision: i8,
    /// By what time certificates are checked, if not by the system's clock.
    last_time: Option<Arc<LastTime>>,
    served: SharedSystemState,
    /// Another one after each step: by it an exchange is found out that went across a step.
    epoch: AtomicU64,
    state: Mutex<State>,
    /// The next timer may be another one.
    changed: Notify,
    files: Mutex<Files>,
    ended: watch::Sender<Option<KeeperError>>,
}

struct State {
    controller: Controller,
    clock: Box<dyn SteerableClock>,
    quality: Quality,
    reporter: Reporter,
    /// When the files are written next.
    store_due: tokio::time::Instant,
}

/// What the keeper knows at a moment.
#[derive(Clone, Debug)]
pub(crate) struct KeeperState {
    pub(crate) controls_system: bool,
    pub(crate) snapshot: SystemSnapshot,
}

impl Keeper {
    /// Keeps a clock of its own beside the system's, which is left alone. Nobody is served it.
    ///
    /// # Errors
    /// None that are known: the clock is this process's own.
    pub fn of_own_clock(config: &SynchronizationConfig) -> Result<Arc<Self>, KeeperError> {
        let served = Arc::new(ArcSwap::from_pointee(system::without_discipline(config)));
        Self::new(config, Box::<HeldClock>::default(), false, served)
    }

    /// Takes `clock` over; `controls_system` says whether it is the system's.
    ///
    /// # Errors
    /// [`KeeperError::Clock`] if the frequency of the drift file cannot be set.
    pub(crate) fn new(
        config: &SynchronizationConfig,
        mut clock: Box<dyn SteerableClock>,
        controls_system: bool,
        served: SharedSystemState,
    ) -> Result<Arc<Self>, KeeperError> {
        let timebase = Timebase::start();
        // The frequency of a clock that nobody else sees is of no use to anybody else.
        let path = config.drift_file.as_deref().filter(|_| controls_system);
        let (drift_file, drift) = path.map(DriftFile::open).unzip();
        let drift = drift.flatten();
        if let Some(frequency) = drift {
            clock.set_frequency(frequency)?;
            let ppm = frequency * 1e6;
            tracing::info!("the clock starts with the frequency of the drift file, {ppm:+.3} ppm");
        }
        let precision = reading::precision();
        let start = ClockStart {
            frequency: clock.frequency(),
            frequency_uncertainty: drift
                .map_or(config.algorithm.initial_frequency_uncertainty, |_| {
                    DRIFT_UNCERTAINTY
                }),
            precision,
        };
        let last_time = config.last_time_file.as_deref();
        let last_time = last_time.map(LastTime::open).map(Arc::new);
        let controller = Controller::new(controller_config(config), start, timebase.now());
        Ok(Arc::new(Self {
            timebase,
            controls_system,
            config: config.clone(),
            precision,
            files: Mutex::new(Files::new(drift_file, last_time.clone())),
            last_time,
            served,
            epoch: AtomicU64::new(0),
            state: Mutex::new(State {
                controller,
                clock,
                quality: Quality::UNKNOWN,
                reporter: Reporter::new(config.warn_on_jump, controls_system),
                store_due: tokio::time::Instant::now() + STORE_INTERVAL,
            }),
            changed: Notify::new(),
            ended: watch::Sender::new(None),
        }))
    }

    /// The clock that all `MonotonicTime`s of the daemon count by.
    pub(crate) fn timebase(&self) -> Timebase {
        self.timebase
    }

    /// By what time certificates are checked, if not by the system's clock.
    pub(crate) fn certificate_time(&self) -> Option<Arc<dyn TimeProvider>> {
        let time = self.last_time.as_ref()?;
        Some(Arc::clone(time) as Arc<dyn TimeProvider>)
    }

    /// Precision of the clock, log2 seconds.
    pub(crate) fn precision(&self) -> i8 {
        self.precision
    }

    /// What the clock shows for a stamp of the system's clock.
    pub(crate) fn map(&self) -> ClockMap {
        self.served.load().clock
    }

    /// Another number after each step of the clock.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// A place for the measurements of a source, which others know as `reference_id`.
    pub(crate) fn add_source(
        self: &Arc<Self>,
        id: u64,
        name: String,
        limits: PollLimits,
        reference_id: ReferenceId,
    ) -> SourceSlot {
        let id = SourceId(id);
        let mut state = self.lock();
        state.controller.add_source(id, limits, reference_id);
        state.reporter.name(id, name);
        drop(state);
        SourceSlot::new(Arc::clone(self), id)
    }

    /// Does what is due and publishes, until the daemon stops.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            if self.is_store_due() {
                // Disks are slow.
                let keeper = Arc::clone(&self);
                if tokio::task::spawn_blocking(move || keeper.store())
                    .await
                    .is_err()
                {
                    tracing::error!("writing the keeper's files ended by a defect");
                }
            }
            let next = self.work();
            let publish = tokio::time::Instant::now() + PUBLISH_INTERVAL;
            let next = next.map_or(publish, |next| next.min(publish));
            tokio::select! {
                () = wait_until(Some(next)) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Waits until the clock cannot be kept any more; then the daemon has to end.
    pub(crate) async fn ended(&self) -> KeeperError {
        let mut ended = self.ended.subscribe();
        let error = ended.wait_for(Option::is_some).await;
        // The sender lives as long as `self`.
        error
            .ok()
            .and_then(|error| error.clone())
            .unwrap_or(KeeperError::Defect)
    }

    /// Leaves the clock with its own frequency, without a slew, and keeps that for the next start.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        let snapshot = state.controller.snapshot(self.timebase.now());
        if snapshot.clock_frequency != snapshot.frequency
            && let Err(error) = state.clock.set_frequency(snapshot.frequency)
        {
            tracing::error!("the clock is left with the frequency of a slew: {error}");
        }
        drop(state);
        self.store();
    }

    /// What is known now.
    pub(crate) fn state(&self) -> KeeperState {
        let state = self.lock();
        KeeperState {
            controls_system: self.controls_system,
            snapshot: state.controller.snapshot(self.timebase.now()),
        }
    }

    /// Does what is due; gives the time of the next timer.
    fn work(&self) -> Option<tokio::time::Instant> {
        let mut state = self.lock();
        let actions = state.controller.handle_timer(self.timebase.now());
        self.carry_out(&mut state, actions);
        self.timebase.instant(state.controller.next_timer())
    }

    /// Does what the mathematics wants, in its order, and publishes what has come of it. After the
    /// end nothing is done any more.
    fn carry_out(&self, state: &mut State, actions: Vec<Action>) {
        for action in actions {
            if self.ended.borrow().is_some() {
                return;
            }
            if let Err(error) = self.act(state, action) {
                self.ended.send_replace(Some(error));
            }
        }
        self.publish(state);
    }

    fn act(&self, state: &mut State, action: Action) -> Result<(), KeeperError> {
        match action {
            Action::SetFrequency(frequency) => {
                state.clock.set_frequency(frequency)?;
            }
            Action::Step(offset) => {
                // What begins in the middle of a step belongs neither before nor after it.
                self.epoch.fetch_add(1, Ordering::AcqRel);
                state.clock.step(offset)?;
                self.publish(state);
                self.epoch.fetch_add(1, Ordering::AcqRel);
                state.reporter.step(offset);
            }
            Action::SetLeap(leap) => {
                let leap = match state.quality.leap {
                    LeapIndicator::Unsynchronized => LeapIndicator::Unsynchronized,
                    _ => leap,
                };
                state.announce(Quality {
                    leap,
                    ..state.quality
                })?;
            }
            Action::SetStatus(status) => {
                let quality = quality(&status, state.quality.leap);
                state.announce(quality)?;
            }
            Action::Panic(panic) => return Err(KeeperError::Panic(panic)),
            Action::Report(report) => {
                state.reporter.report(&report);
                if report == Report::Synchronized {
                    self.note_right_time(state);
                }
            }
        }
        Ok(())
    }

    /// The clock has just become right.
    fn note_right_time(&self, state: &mut State) {
        if let Some(time) = self.last_time.as_ref().filter(|_| self.controls_system) {
            time.trust_the_system();
        }
        state.store_due = tokio::time::Instant::now();
    }

    fn is_store_due(&self) -> bool {
        let mut state = self.lock();
        let now = tokio::time::Instant::now();
        let due = now >= state.store_due;
        if due {
            state.store_due = now + STORE_INTERVAL;
        }
        due
    }

    /// Writes what the next run begins with; may take its time.
    fn store(&self) {
        let state = self.lock();
        let snapshot = state.controller.snapshot(self.timebase.now());
        let drift = state.controller.drift().map(|(frequency, _)| frequency);
        let right_time = snapshot.synchronization.is_ok().then(|| state.clock.now());
        drop(state);
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.store(drift, right_time);
    }

    fn publish(&self, state: &State) {
        let published = self.timebase.now() + PUBLISH_INTERVAL;
        let snapshot = state.controller.snapshot(published);
        let (map, now) = (state.clock.map(), state.clock.now());
        let served = publish::served(&snapshot, map, now, &self.config, self.precision);
        self.served.store(Arc::new(served));
    }

    /// Nothing that is done under the lock leaves it half done, but for a defect.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper")
            .field("controls_system", &self.controls_system)
            .finish_non_exhaustive()
    }
}

impl State {
    fn announce(&mut self, quality: Quality) -> Result<(), KeeperError> {
        self.quality = quality;
        Ok(self.clock.announce(quality)?)
    }
}

fn quality(status: &ClockStatus, leap: LeapIndicator) -> Quality {
    if !status.synchronized {
        return Quality::UNKNOWN;
    }
    let seconds = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(16));
    Quality {
        leap: match leap {
            LeapIndicator::Unsynchronized => LeapIndicator::NoWarning,
            leap => leap,
        },
        estimated_error: seconds(status.estimated_error),
        maximum_error: seconds(status.maximum_error),
    }
}

fn controller_config(config: &SynchronizationConfig) -> Config {
    Config {
        minimum_agreeing_sources: config.minimum_agreeing_sources,
        single_step_panic_threshold: config.single_step_panic_threshold,
        startup_step_panic_threshold: config.startup_step_panic_threshold,
        accumulated_step_panic_threshold: config.accumulated_step_panic_threshold,
        local_stratum: config.local_stratum,
        algorithm: config.algorithm.clone(),
    }
}
