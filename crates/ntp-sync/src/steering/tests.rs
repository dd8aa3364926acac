use super::*;
use crate::estimate::Covariance;

fn at(seconds: f64) -> MonotonicTime {
    MonotonicTime::from_duration(Duration::from_secs_f64(seconds))
}

/// An offset with its standard deviation, and a frequency.
fn estimate(offset: f64, deviation: f64, frequency: f64) -> Estimate {
    Estimate {
        offset,
        frequency,
        covariance: Covariance::diagonal(deviation.powi(2), 1e-14),
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs().max(1e-6)
}

/// Steering after its first correction, of a clock that needs none.
fn running() -> Steering {
    let mut steering = Steering::new(0.0, &Config::default());
    steering.started = true;
    steering
}

fn correct(steering: &mut Steering, estimate: &Estimate, seconds: f64) -> Correction {
    steering
        .correct(estimate, at(seconds), &Config::default())
        .unwrap()
}

#[test]
fn the_frequency_follows() {
    let mut steering = Steering::new(50e-6, &Config::default());
    let correction = correct(&mut steering, &estimate(0.0, 1e-3, 10e-6), 0.0);
    assert_eq!(correction.step, None);
    assert!(close(correction.frequency_change, 10e-6));
    assert!(close(steering.clock_frequency(), 1.000_05 * 1.000_01 - 1.0));
    assert_eq!(steering.slew_end(), None);
}

#[test]
fn offsets_within_two_deviations_are_left_alone() {
    let mut steering = running();
    let correction = correct(&mut steering, &estimate(2e-3, 1e-3, 0.0), 0.0);
    assert_eq!(correction, Correction::default());
    let mut starting = Steering::new(0.0, &Config::default());
    assert_eq!(
        correct(&mut starting, &estimate(0.2, 0.1, 0.0), 0.0),
        Correction::default()
    );
    assert!(!starting.started, "it may still be far off");
    let near = estimate(9e-3, 5e-3, 0.0);
    assert_eq!(correct(&mut starting, &near, 1.0), Correction::default());
    assert!(starting.started, "it is right");
}

#[test]
fn small_offsets_are_slewed_for_eight_seconds() {
    // 1 ms less one deviation of 0.2 ms: 100 ppm for 8 s.
    let mut steering = running();
    let correction = correct(&mut steering, &estimate(1e-3, 0.2e-3, 0.0), 100.0);
    assert_eq!(correction.step, None);
    assert!(close(correction.frequency_change, 100e-6));
    assert_eq!(steering.slew_end(), Some(at(108.0)));
    assert_eq!(steering.frequency(), 0.0);
    assert_eq!(steering.end_slew(at(107.9)), None);
    let change = steering.end_slew(at(108.0)).unwrap();
    assert!(close(change, 1.0 / 1.000_1 - 1.0));
    assert_eq!(steering.clock_frequency(), 0.0);
    assert_eq!(steering.end_slew(at(109.0)), None);
}

#[test]
fn greater_offsets_are_slewed_at_200_ppm() {
    for sign in [1.0, -1.0] {
        let mut steering = running();
        let correction = correct(&mut steering, &estimate(sign * 8e-3, 1e-3, 0.0), 0.0);
        assert!(close(correction.frequency_change, sign * 200e-6));
        assert_eq!(steering.slew_end(), Some(at(35.0)));
    }
}

#[test]
fn the_frequency_is_that_without_the_slew() {
    let mut steering = running();
    let _ = correct(&mut steering, &estimate(8e-3, 1e-3, 0.0), 0.0);
    // The clock runs 200 ppm faster, so the remote seems that much slower, but for 5 ppm.
    let seen = (1.0 + 5e-6) / (1.0 + 200e-6) - 1.0;
    let correction = correct(&mut steering, &estimate(5e-3, 1e-3, seen), 10.0);
    assert!(close(correction.frequency_change, 5e-6));
    assert!(close(steering.frequency(), 5e-6));
    assert_eq!(steering.slew_end(), Some(at(35.0)), "it goes on");
}

#[test]
fn a_slew_that_has_gone_too_far_ends() {
    let mut steering = running();
    let _ = correct(&mut steering, &estimate(8e-3, 1e-3, 0.0), 0.0);
    let seen = 1.0 / (1.0 + 200e-6) - 1.0;
    let correction = correct(&mut steering, &estimate(-1e-3, 1e-3, seen), 10.0);
    assert!(close(correction.frequency_change, seen));
    assert_eq!(steering.slew_end(), None);
    assert!(steering.clock_frequency().abs() < 1e-15);
}

#[test]
fn the_first_correction_may_be_a_step_at_once() {
    let mut steering = Steering::new(0.0, &Config::default());
    let correction = correct(&mut steering, &estimate(-3.0, 1e-3, 30e-6), 0.0);
    assert!(close(correction.step.unwrap(), -2.999));
    assert!(close(correction.frequency_change, 30e-6));
    assert_eq!((steering.steps(), steering.accumulated_steps()), (1, 0.0));
    // And is not, if it is small.
    let mut steering = Steering::new(0.0, &Config::default());
    let correction = correct(&mut steering, &estimate(11e-3, 1e-3, 0.0), 0.0);
    assert_eq!(correction.step, None);
    assert!(steering.started);
}

#[test]
fn a_running_clock_is_stepped_after_sixteen_seconds() {
    let mut steering = running();
    let far = estimate(3.0, 1e-3, 0.0);
    let first = correct(&mut steering, &far, 100.0);
    assert_eq!(first.step, None);
    assert!(close(first.frequency_change, 200e-6), "slewed meanwhile");
    let slewing = estimate(3.0, 1e-3, 1.0 / 1.000_2 - 1.0);
    assert_eq!(correct(&mut steering, &slewing, 115.9).step, None);
    let step = correct(&mut steering, &slewing, 116.0);
    assert!(close(step.step.unwrap(), 2.999));
    assert_eq!(steering.slew_end(), None);
    assert!(close(steering.accumulated_steps(), 2.999));
    assert!(steering.clock_frequency().abs() < 1e-15);
}

#[test]
fn estimates_that_contradict_put_a_step_off() {
    for between in [estimate(-3.0, 1e-3, 0.0), estimate(1e-3, 1e-3, 0.0)] {
        let mut steering = running();
        assert_eq!(
            correct(&mut steering, &estimate(3.0, 1e-3, 0.0), 100.0).step,
            None
        );
        assert_eq!(correct(&mut steering, &between, 110.0).step, None);
        assert_eq!(
            correct(&mut steering, &estimate(3.0, 1e-3, 0.0), 120.0).step,
            None
        );
    }
}

#[test]
fn a_running_clock_is_not_stepped_by_doubtful_estimates() {
    let mut steering = running();
    // Less than four deviations after one is taken off.
    for seconds in 0..100 {
        let seen = estimate(0.049, 0.01, 1.0 / (1.0 + steering.clock_frequency()) - 1.0);
        assert_eq!(correct(&mut steering, &seen, f64::from(seconds)).step, None);
    }
}

#[test]
fn forbidden_steps_are_not_made() {
    let config = Config {
        accumulated_step_panic_threshold: Some(Duration::from_secs(1500)),
        ..Config::default()
    };
    let step = |steering: &mut Steering, offset: f64, seconds: f64| {
        let far = estimate(offset, 1e-6, 0.0);
        let _ = steering.correct(&far, at(seconds), &config);
        assert!(steering.end_slew(at(1e9)).is_some());
        steering.correct(&far, at(seconds + 16.0), &config)
    };
    let mut starting = Steering::new(0.0, &config);
    let panic = starting
        .correct(&estimate(-90_000.0, 1.0, 0.0), at(0.0), &config)
        .unwrap_err();
    assert_eq!(panic.reason, PanicReason::StartupStep);
    assert_eq!(panic.step, -89_999.0);
    assert_eq!(
        panic.to_string(),
        "the clock would have to be stepped by -89999.000000 s, which \
         startup-step-panic-threshold forbids"
    );
    assert_eq!((starting.steps(), starting.clock_frequency()), (0, 0.0));

    let mut steering = running();
    let panic = step(&mut steering, 1001.0, 0.0).unwrap_err();
    assert_eq!(panic.reason, PanicReason::SingleStep);
    let mut steering = running();
    assert!(step(&mut steering, 900.0, 0.0).unwrap().step.is_some());
    let panic = step(&mut steering, -700.0, 100.0).unwrap_err();
    assert_eq!(panic.reason, PanicReason::AccumulatedSteps);
    assert_eq!(steering.steps(), 1);
}

#[test]
fn the_frequency_has_a_limit() {
    let mut steering = running();
    let correction = correct(&mut steering, &estimate(0.0, 1e-3, 600e-6), 0.0);
    assert!(close(correction.frequency_change, 495e-6));
    assert!(close(steering.beyond_limit().unwrap(), 600e-6));
    // There is no room for a slew in that direction.
    let rest = 1.000_6 / 1.000_495 - 1.0;
    let correction = correct(&mut steering, &estimate(5e-3, 1e-3, rest), 1.0);
    assert_eq!(correction.frequency_change, 0.0);
    assert_eq!(steering.slew_end(), None);
    // There is in the other.
    let _ = correct(&mut steering, &estimate(-5e-3, 1e-3, rest), 2.0);
    assert!(steering.clock_frequency() < 300e-6);
    let _ = steering.abandon();
    let _ = correct(&mut steering, &estimate(0.0, 1e-3, -10e-6), 3.0);
    assert_eq!(steering.beyond_limit(), None);
}

#[test]
fn a_slew_makes_room_for_the_frequency() {
    let mut steering = Steering::new(290e-6, &Config::default());
    let _ = correct(&mut steering, &estimate(8e-3, 1e-3, 0.0), 0.0);
    assert!((489e-6..491e-6).contains(&steering.clock_frequency()));
    let seen = both(100e-6, -change(-200e-6, 0.0));
    let _ = correct(&mut steering, &estimate(8e-3, 1e-3, seen), 1.0);
    assert!((389e-6..391e-6).contains(&steering.frequency()));
    assert!(close(steering.clock_frequency(), 495e-6));
}

#[test]
fn a_frequency_to_start_with_is_limited_too() {
    assert_eq!(
        Steering::new(-1.0, &Config::default()).clock_frequency(),
        -495e-6
    );
}

#[test]
fn thresholds_and_leftovers_of_the_frequency() {
    let mut config = Config::default();
    config.algorithm.steer_frequency_threshold = 2.0;
    config.algorithm.steer_frequency_leftover = 1.0;
    let mut steering = running();
    // The deviation is 1e-7.
    let small = estimate(0.0, 1e-3, 2e-7);
    let correction = steering.correct(&small, at(0.0), &config).unwrap();
    assert_eq!(correction, Correction::default());
    let greater = estimate(0.0, 1e-3, -5e-7);
    let correction = steering.correct(&greater, at(0.0), &config).unwrap();
    assert!((correction.frequency_change + 4e-7).abs() < 1e-15);
}
