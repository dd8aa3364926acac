//! The keeper with a clock that only a test sees, in virtual time.

use nts_proto::association::Measurement;
use nts_proto::time::{NtpDuration, NtpShort, NtpTimestamp};
use tokio::time::advance;

use super::*;
use crate::clock::ClockError;

/// What was done to the clock.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    Frequency(f64),
    Step(f64),
    Announce(LeapIndicator),
}

/// A clock that notes what is done to it.
#[derive(Clone, Default)]
struct TestClock {
    calls: Arc<Mutex<Vec<Call>>>,
    frequency: f64,
    refuses_steps: bool,
}

impl TestClock {
    fn note(&self, call: Call) {
        self.calls.lock().unwrap().push(call);
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    fn steps(&self) -> Vec<f64> {
        let steps = self.calls().into_iter().filter_map(|call| match call {
            Call::Step(step) => Some(step),
            _ => None,
        });
        steps.collect()
    }
}

impl SteerableClock for TestClock {
    fn frequency(&self) -> f64 {
        self.frequency
    }

    fn set_frequency(&mut self, frequency: f64) -> Result<f64, ClockError> {
        self.frequency = frequency;
        self.note(Call::Frequency(frequency));
        Ok(frequency)
    }

    fn step(&mut self, offset: NtpDuration) -> Result<(), ClockError> {
        if self.refuses_steps {
            return Err(ClockError::NotPermitted);
        }
        self.note(Call::Step(offset.as_seconds_f64()));
        Ok(())
    }

    fn announce(&mut self, quality: Quality) -> Result<(), ClockError> {
        self.note(Call::Announce(quality.leap));
        Ok(())
    }

    fn map(&self) -> ClockMap {
        ClockMap::IDENTITY
    }
}

fn config() -> SynchronizationConfig {
    SynchronizationConfig {
        minimum_agreeing_sources: 1,
        ..SynchronizationConfig::default()
    }
}

fn served() -> SharedSystemState {
    Arc::new(ArcSwap::from_pointee(system::without_discipline(&config())))
}

fn keeper(config: &SynchronizationConfig, clock: &TestClock) -> Arc<Keeper> {
    Keeper::new(config, Box::new(clock.clone()), true, served()).unwrap()
}

fn slot(keeper: &Arc<Keeper>, id: u64) -> SourceSlot {
    let limits = PollLimits::new(4, 10).unwrap();
    let reference_id = ReferenceId::from_bytes([192, 0, 2, 1]);
    keeper.add_source(id, format!("source {id}"), limits, reference_id)
}

/// What a source says whose clock is `offset` seconds ahead.
fn measurement(keeper: &Keeper, offset: f64) -> Measurement {
    let now = keeper.timebase().now();
    Measurement {
        offset: NtpDuration::from_seconds_f64(offset),
        delay: NtpDuration::from_seconds_f64(0.000_2),
        time: NtpTimestamp::from_unix(1_800_000_000, 0) + NtpDuration::from(now.as_duration()),
        monotonic: now,
        leap: LeapIndicator::NoWarning,
        stratum: 1,
        precision: -20,
        root_delay: NtpShort::ZERO,
        root_dispersion: NtpShort::ZERO,
        reference_id: ReferenceId::from_bytes(*b"GPS\0"),
        authenticated: true,
    }
}

/// The first four measurements, two seconds apart, which is when the clock is corrected first.
async fn start(keeper: &Keeper, slot: &SourceSlot, offset: f64) {
    for _ in 0..4 {
        advance(Duration::from_secs(2)).await;
        slot.measure(0, &measurement(keeper, offset));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_clock_is_stepped_then_announced_and_served_as_synchronised() {
    let clock = TestClock::default();
    let keeper = keeper(&config(), &clock);
    let slot = slot(&keeper, 1);
    start(&keeper, &slot, 0.5).await;
    let steps = clock.steps();
    assert_eq!(steps.len(), 1);
    assert!((steps[0] - 0.5).abs() < 0.001, "{steps:?}");
    assert_eq!(
        clock.calls().last(),
        Some(&Call::Announce(LeapIndicator::NoWarning))
    );
    assert_eq!(keeper.epoch(), 2);
    let served = keeper.served.load();
    assert_eq!(
        (served.system.stratum, served.system.leap),
        (2, LeapIndicator::NoWarning)
    );
    assert_eq!(served.system.reference_id.to_bytes(), [192, 0, 2, 1]);
    assert!(keeper.state().snapshot.synchronization.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_exchange_across_a_step_counts_for_nothing() {
    let clock = TestClock::default();
    let keeper = keeper(&config(), &clock);
    let slot = slot(&keeper, 1);
    start(&keeper, &slot, 0.5).await;
    advance(Duration::from_secs(2)).await;
    // It began before the step, so it still sees the old offset.
    let before = keeper.state().snapshot.estimate;
    slot.measure(0, &measurement(&keeper, 0.5));
    assert_eq!(keeper.state().snapshot.estimate, before);
    // Nor one that began while the clock was set.
    slot.measure(1, &measurement(&keeper, 0.5));
    assert_eq!(keeper.state().snapshot.estimate, before);
    slot.measure(2, &measurement(&keeper, 0.0));
    assert_ne!(keeper.state().snapshot.estimate, before);
    assert_eq!(clock.steps().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_forbidden_step_ends_it_and_the_clock_is_not_touched() {
    let clock = TestClock::default();
    let keeper = keeper(&config(), &clock);
    let slot = slot(&keeper, 1);
    start(&keeper, &slot, -90_000.0).await;
    let error = keeper.ended().await;
    assert!(matches!(error, KeeperError::Panic(_)), "{error}");
    let touched = |call: &Call| matches!(call, Call::Step(_) | Call::Frequency(_));
    assert!(!clock.calls().iter().any(touched), "{:?}", clock.calls());
    // Whatever comes now changes nothing.
    start(&keeper, &slot, 0.5).await;
    assert!(clock.steps().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_cannot_be_set_ends_it() {
    let clock = TestClock {
        refuses_steps: true,
        ..TestClock::default()
    };
    let keeper = keeper(&config(), &clock);
    let slot = slot(&keeper, 1);
    start(&keeper, &slot, 0.5).await;
    assert_eq!(
        keeper.ended().await,
        KeeperError::Clock(ClockError::NotPermitted)
    );
}

#[tokio::test(start_paused = true)]
async fn a_clock_of_its_own_is_stepped_beside_the_systems() {
    let keeper = Keeper::of_own_clock(&config()).unwrap();
    let slot = slot(&keeper, 1);
    start(&keeper, &slot, 100.0).await;
    let system = reading::now();
    let ahead = keeper.map().apply(system).since(system).as_seconds_f64();
    assert!((ahead - 100.0).abs() < 0.001, "{ahead}");
    assert!(!keeper.state().controls_system);
}

#[tokio::test(start_paused = true)]
async fn the_drift_file_is_read_at_the_start_and_a_slew_does_not_outlive_the_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("drift");
    std::fs::write(&path, "20.0\n").unwrap();
    let config = SynchronizationConfig {
        drift_file: Some(path.clone()),
        ..config()
    };
    let clock = TestClock::default();
    let keeper = keeper(&config, &clock);
    assert_eq!(clock.calls(), [Call::Frequency(20e-6)]);
    let slot = slot(&keeper, 1);
    // 5 ms is below the threshold of a step.
    start(&keeper, &slot, 0.005).await;
    let snapshot = keeper.state().snapshot;
    assert!(
        snapshot.clock_frequency > snapshot.frequency + 100e-6,
        "{snapshot:?}"
    );
    keeper.stop();
    assert_eq!(
        clock.calls().last(),
        Some(&Call::Frequency(snapshot.frequency))
    );
    let written: f64 = std::fs::read_to_string(&path)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(
        (written - snapshot.frequency * 1e6).abs() < 0.01,
        "{written}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_slew_ends_in_time_and_what_is_published_is_renewed() {
    let clock = TestClock::default();
    let keeper = keeper(&config(), &clock);
    let slot = slot(&keeper, 1);
    start(&keeper, &slot, 0.001).await;
    let (slewing, before) = (keeper.state().snapshot, keeper.served.load().system);
    assert!(slewing.clock_frequency > slewing.frequency);
    let running = tokio::spawn(Arc::clone(&keeper).run());
    tokio::time::sleep(Duration::from_secs(10_000)).await;
    let after = keeper.state().snapshot;
    assert_eq!(after.clock_frequency, after.frequency);
    assert_eq!(
        clock.calls().last(),
        Some(&Call::Frequency(after.frequency))
    );
    assert!(keeper.served.load().system.root_dispersion > before.root_dispersion);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_source_is_forgotten_with_its_slot_and_told_its_poll_interval() {
    let clock = TestClock::default();
    let keeper = keeper(&config(), &clock);
    let (first, second) = (slot(&keeper, 1), slot(&keeper, 2));
    let measured = first.measure(0, &measurement(&keeper, 0.0));
    assert_eq!((measured.poll, measured.falseticker), (Some(4), false));
    assert_eq!(keeper.state().snapshot.sources.len(), 2);
    drop(second);
    assert_eq!(keeper.state().snapshot.sources.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_liar_among_three_is_found_out_and_not_used() {
    let clock = TestClock::default();
    let keeper = keeper(&config(), &clock);
    let slots: Vec<_> = (1..=3).map(|id| slot(&keeper, id)).collect();
    let mut lies = Vec::new();
    for _ in 0..8 {
        advance(Duration::from_secs(2)).await;
        for (slot, offset) in slots.iter().zip([0.0, 0.05, 0.0]) {
            lies.push(slot.measure(0, &measurement(&keeper, offset)).falseticker);
        }
    }
    assert_eq!(lies[lies.len() - 3..], [false, true, false]);
    assert!(clock.steps().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_time_is_noted_as_soon_as_it_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("time");
    let config = SynchronizationConfig {
        last_time_file: Some(path.clone()),
        ..config()
    };
    let keeper = keeper(&config, &TestClock::default());
    let running = tokio::spawn(Arc::clone(&keeper).run());
    let slot = slot(&keeper, 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!path.exists(), "nothing is known yet");
    start(&keeper, &slot, 0.0).await;
    let written = async {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(600), written)
        .await
        .unwrap();
    let written: u64 = std::fs::read_to_string(&path)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(now.abs_diff(written) < 60, "{written}");
    running.abort();
}
