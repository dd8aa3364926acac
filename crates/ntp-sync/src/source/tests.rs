use proptest::prelude::*;

use super::*;
use crate::testing::{at, measurement};

fn filter() -> SourceFilter {
    let algorithm = Algorithm::default();
    SourceFilter::new(&algorithm, PollLimits::default(), -30, 100e-6)
}

fn add(filter: &mut SourceFilter, seconds: f64, offset: f64, delay: f64) -> Absorbed {
    filter.add(&measurement(seconds, offset, delay), &Algorithm::default())
}

/// Offsets of these many measurements, 16 s apart after a burst, of a remote that is `offset`
/// ahead at zero and `frequency` faster; delays vary a little.
fn started(offset: f64, frequency: f64, count: u32) -> SourceFilter {
    let mut filter = filter();
    for number in 0..count {
        let time = time_of(number);
        let delay = 1e-3 + f64::from(number * 5 % 8) * 1e-5;
        let middle = time - delay / 2.0;
        add(&mut filter, time, offset + frequency * middle, delay);
    }
    filter
}

/// When the measurements of [`started`] are made.
fn time_of(number: u32) -> f64 {
    let burst = number.min(3);
    1.0 + 2.0 * f64::from(burst) + 16.0 * f64::from(number - burst)
}

#[test]
fn it_starts_with_the_fourth_measurement() {
    let mut filter = filter();
    for number in 0..3 {
        assert_eq!(
            add(&mut filter, f64::from(number), 0.5, 1e-3),
            Absorbed::Gathered
        );
        assert_eq!(filter.gathered(), number as usize + 1);
        assert_eq!(filter.estimate(at(9.0)), None);
    }
    assert_eq!(add(&mut filter, 3.0, 0.5, 1e-3), Absorbed::Used);
    assert_eq!(filter.gathered(), START_SAMPLES);
    let estimate = filter.estimate(at(3.0)).unwrap();
    assert!((estimate.offset - 0.5).abs() < 1e-9);
    assert!(estimate.frequency.abs() < 1e-9);
}

#[test]
fn the_burst_finds_offset_and_frequency() {
    let filter = started(0.25, 50e-6, 4);
    let estimate = filter.estimate(at(7.0)).unwrap();
    let error = estimate.offset - (0.25 + 50e-6 * 7.0);
    // Not exactly: it does not expect to be that far off.
    assert!(error.abs() < estimate.deviation(), "{error}");
    assert!((estimate.frequency - 50e-6).abs() < 2e-6, "{estimate:?}");
    let deviation = estimate.covariance.frequency.sqrt();
    assert!((1e-7..1e-5).contains(&deviation), "{deviation}");
}

#[test]
fn an_offset_is_that_of_the_middle_of_its_exchange() {
    let mut filter = filter();
    for number in 0..20 {
        let time = 1.0 + time_of(number);
        add(&mut filter, time, 100e-6 * (time - 0.1), 0.2);
    }
    let now = 1.0 + time_of(19);
    let error = filter.estimate(at(now)).unwrap().offset - 100e-6 * now;
    assert!(error.abs() < 1e-7, "{error}");
}

#[test]
fn what_is_known_fades() {
    let filter = started(0.0, 0.0, 20);
    let now = filter.estimate(at(time_of(19))).unwrap();
    let later = filter.estimate(at(10_000.0)).unwrap();
    assert!(later.deviation() > 10.0 * now.deviation());
    // Looking does not change it, and it does not go back.
    assert_eq!(filter.estimate(at(time_of(19))), Some(now));
    let earlier = filter.estimate(at(0.0)).unwrap();
    assert!((earlier.offset - now.offset).abs() < 1e-12);
}

#[test]
fn a_delayed_measurement_counts_less() {
    let change = |delay: f64| {
        let mut filter = started(0.0, 0.0, 20);
        let time = time_of(20);
        let before = filter.estimate(at(time)).unwrap().offset;
        assert_eq!(add(&mut filter, time, 20e-6, delay), Absorbed::Used);
        filter.estimate(at(time)).unwrap().offset - before
    };
    let (prompt, late) = (change(1e-3), change(1.1e-3));
    assert!(prompt > 4.0 * late && late > 0.0, "{prompt} {late}");
}

#[test]
fn a_measurement_is_no_better_than_the_clocks() {
    let noisy = |own: i8, theirs: i8| {
        let algorithm = Algorithm::default();
        let mut filter = SourceFilter::new(&algorithm, PollLimits::default(), own, 100e-6);
        for number in 0..4 {
            let mut it = measurement(f64::from(number), 0.0, 1e-3);
            it.precision = theirs;
            filter.add(&it, &algorithm);
        }
        filter.estimate(at(3.0)).unwrap().deviation()
    };
    assert!(noisy(-30, -30) < 1e-6);
    // 2^-7 s, of four measurements.
    let coarse = 2_f64.powi(-7) / 2.0;
    for (own, theirs) in [(-7, -30), (-30, -7), (-7, -7)] {
        let deviation = noisy(own, theirs);
        assert!((coarse..1.2 * coarse).contains(&deviation), "{deviation}");
    }
}

#[test]
fn an_outlier_by_delay_is_dropped() {
    let mut filter = started(0.0, 0.0, 20);
    let before = filter.estimate(at(time_of(20))).unwrap();
    assert_eq!(add(&mut filter, time_of(20), 0.1, 0.3), Absorbed::Outlier);
    let after = filter.estimate(at(time_of(20))).unwrap();
    assert!((after.offset - before.offset).abs() < 1e-12);
    assert!((after.deviation() / before.deviation() - 1.0).abs() < 1e-3);
}

#[test]
fn a_jump_is_believed_the_second_time() {
    let mut filter = started(0.0, 1e-6, 40);
    let time = time_of(40);
    filter.poll_wish = 8;
    let before = filter.estimate(at(time)).unwrap();
    assert_eq!(add(&mut filter, time, 0.1, 1e-3), Absorbed::Doubted);
    assert_eq!(filter.poll_wish(), 4, "it is to be known soon");
    let held = filter.estimate(at(time)).unwrap();
    assert!((held.offset - before.offset).abs() < 1e-9);
    assert_eq!(add(&mut filter, time + 16.0, 0.1, 1e-3), Absorbed::Jumped);
    let after = filter.estimate(at(time + 16.0)).unwrap();
    assert!((after.offset - 0.1).abs() < 1e-6);
    assert!((after.frequency - 1e-6).abs() < 5e-7, "it is as it was");
    assert!(after.covariance.frequency < 1e-12);
}

#[test]
fn a_single_wild_measurement_leaves_nothing() {
    let mut filter = started(0.0, 0.0, 40);
    assert_eq!(add(&mut filter, time_of(40), 0.1, 1e-3), Absorbed::Doubted);
    assert_eq!(add(&mut filter, time_of(41), 0.0, 1e-3), Absorbed::Used);
    // Nor does it make the next one count.
    assert_eq!(add(&mut filter, time_of(42), 0.1, 1e-3), Absorbed::Doubted);
    assert!(filter.estimate(at(time_of(42))).unwrap().offset.abs() < 1e-6);
}

#[test]
fn two_different_jumps_leave_the_frequency_open() {
    let mut filter = started(0.0, 0.0, 40);
    add(&mut filter, time_of(40), 0.1, 1e-3);
    assert_eq!(add(&mut filter, time_of(41), 0.3, 1e-3), Absorbed::Jumped);
    let after = filter.estimate(at(time_of(41))).unwrap();
    assert!((after.offset - 0.3).abs() < 1e-6);
    assert!((after.covariance.frequency.sqrt() - 100e-6).abs() < 1e-7);
    // So does a second jump soon after the first.
    let mut filter = started(0.0, 0.0, 40);
    for (number, offset) in [(40, 0.1), (41, 0.1), (42, 0.2), (43, 0.2)] {
        add(&mut filter, time_of(number), offset, 1e-3);
    }
    let after = filter.estimate(at(time_of(43))).unwrap();
    assert!((after.covariance.frequency.sqrt() - 100e-6).abs() < 1e-7);
}

#[test]
fn own_steps_are_no_surprise() {
    // In the middle of the burst, and later.
    for stepped_after in [2, 40] {
        let mut filter = started(0.3, 0.0, stepped_after);
        filter.handle_step(0.3);
        let mut time = 0.0;
        for number in stepped_after..stepped_after + 8 {
            time = time_of(number);
            let absorbed = add(&mut filter, time, 0.0, 1e-3);
            assert!(matches!(absorbed, Absorbed::Used | Absorbed::Gathered));
        }
        assert!(filter.estimate(at(time)).unwrap().offset.abs() < 1e-6);
    }
}

#[test]
fn own_changes_of_frequency_are_no_surprise() {
    // The remote is 80 ppm faster than the clock, until that is corrected.
    for changed_after in [2, 3, 40] {
        let mut filter = started(0.0, 80e-6, changed_after);
        let changed = time_of(changed_after) - 1.0;
        filter.handle_frequency_change(at(changed), 80e-6);
        let mut time = 0.0;
        for number in changed_after..changed_after + 12 {
            time = time_of(number);
            let absorbed = add(&mut filter, time, 80e-6 * changed, 1e-3);
            assert!(
                matches!(absorbed, Absorbed::Used | Absorbed::Gathered),
                "{changed_after} {absorbed:?}"
            );
        }
        let estimate = filter.estimate(at(time)).unwrap();
        assert!((estimate.offset - 80e-6 * changed).abs() < 1e-6);
        assert!(estimate.frequency.abs() < 1e-7, "{estimate:?}");
    }
}

#[test]
fn measurements_that_add_little_are_made_rarely() {
    let mut filter = started(0.0, 0.0, 4);
    let mut time = time_of(3);
    while time < 400_000.0 {
        time += f64::from(filter.poll_wish()).exp2();
        assert_eq!(add(&mut filter, time, 0.0, 1e-3), Absorbed::Used);
    }
    assert_eq!(filter.poll_wish(), 10);
    assert!(
        filter.wander() < 1e-17,
        "the clock is steadier than thought"
    );
}

#[test]
fn measurements_that_add_much_are_made_more_often() {
    let mut filter = started(0.0, 0.0, 20);
    (filter.poll_wish, filter.wander) = (8, 1e-9);
    filter.poll_score.reset();
    for number in 1..=16 {
        assert_eq!(filter.poll_wish(), 8);
        let time = time_of(19) + 256.0 * f64::from(number);
        assert_eq!(add(&mut filter, time, 0.0, 1e-3), Absorbed::Used);
    }
    assert_eq!(filter.poll_wish(), 7);
}

#[test]
fn a_restless_clock_is_found_out_and_polled_often() {
    let mut filter = filter();
    // A frequency that goes up and down by 5 ppm every ten minutes.
    let mut offset = 0.0;
    for number in 0..400 {
        let time = time_of(number);
        offset += 16.0 * 5e-6 * (time / 95.0).sin();
        add(&mut filter, time, offset, 1e-3);
    }
    assert_eq!(filter.poll_wish(), 4);
    assert!(filter.wander() > 1e-15, "{}", filter.wander());
}

#[test]
fn a_restart_forgets() {
    let mut filter = started(0.5, 0.0, 400);
    filter.restart(&Algorithm::default(), 1e-6);
    assert_eq!((filter.gathered(), filter.poll_wish()), (0, 4));
    assert_eq!((filter.delay(), filter.wander()), (0.0, 1e-8_f64.powi(2)));
    for number in 0..4 {
        add(&mut filter, 1e6 + f64::from(number), 0.2, 1e-3);
    }
    let estimate = filter.estimate(at(1e6 + 3.0)).unwrap();
    assert!((estimate.offset - 0.2).abs() < 1e-9);
    assert!(estimate.covariance.frequency <= 1.01e-12);
}

fn any_measurement() -> impl Strategy<Value = Measurement> {
    (
        any::<u64>(),
        any::<i64>(),
        any::<i64>(),
        any::<i8>(),
        any::<u32>(),
    )
        .prop_map(|(time, offset, delay, precision, small)| {
            let mut it = measurement(f64::from(small), 0.0, 0.0);
            it.offset = NtpDuration::from_bits(offset >> (small % 60));
            it.delay = NtpDuration::from_bits(delay >> (small % 60));
            it.precision = precision;
            if small % 7 == 0 {
                it.monotonic = at(1.0) + std::time::Duration::from_nanos(time);
            }
            it
        })
}

proptest! {
    #[test]
    fn any_measurements_are_survived(
        measurements in prop::collection::vec(any_measurement(), 1..80),
        steps in prop::collection::vec((-1e9..1e9_f64, -1e-3..1e-3_f64), 80),
    ) {
        let mut filter = filter();
        let limits = PollLimits::default();
        for (measurement, (step, change)) in measurements.iter().zip(steps) {
            filter.add(measurement, &Algorithm::default());
            filter.handle_step(step);
            filter.handle_frequency_change(measurement.monotonic, change);
            prop_assert!((limits.min()..=limits.max()).contains(&filter.poll_wish()));
            prop_assert!((WANDER_BOUNDS.0..=WANDER_BOUNDS.1).contains(&filter.wander()));
            if let Some(estimate) = filter.estimate(measurement.monotonic) {
                let Covariance { offset, mixed, frequency } = estimate.covariance;
                prop_assert!(estimate.offset.is_finite() && estimate.frequency.is_finite());
                prop_assert!(offset > 0.0 && frequency >= 0.0, "{:?}", estimate);
                prop_assert!(mixed.abs() <= (offset * frequency).sqrt() * (1.0 + 1e-9));
            }
        }
    }
}
