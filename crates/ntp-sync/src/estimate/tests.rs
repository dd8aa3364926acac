use proptest::prelude::*;

use super::*;

fn estimate(offset: f64, frequency: f64, [p, q, r]: [f64; 3]) -> Estimate {
    Estimate {
        offset,
        frequency,
        covariance: Covariance {
            offset: p,
            mixed: q,
            frequency: r,
        },
    }
}

#[test]
fn time_passes() {
    let mut it = estimate(1.0, 0.5, [4.0, 0.0, 1.0]);
    it.advance(2.0, 0.0);
    assert_eq!(it, estimate(2.0, 0.5, [8.0, 2.0, 1.0]));
    // With wander: 3·[[8/3, 2], [2, 2]] on top.
    let mut it = estimate(1.0, 0.5, [4.0, 0.0, 1.0]);
    it.advance(2.0, 3.0);
    assert_eq!(it, estimate(2.0, 0.5, [16.0, 8.0, 7.0]));
}

#[test]
fn time_does_not_go_back() {
    let before = estimate(1.0, 0.5, [4.0, 1.0, 1.0]);
    for seconds in [0.0, -5.0] {
        let mut it = before;
        it.advance(seconds, 3.0);
        assert_eq!(it, before);
    }
}

#[test]
fn in_two_steps_as_in_one() {
    let mut once = estimate(1.0, 0.5, [4.0, 1.0, 1.0]);
    let mut twice = once;
    once.advance(6.0, 3.0);
    twice.advance(2.0, 3.0);
    twice.advance(4.0, 3.0);
    assert_eq!(once, twice);
}

#[test]
fn an_observation_counts_by_its_variance() {
    // S = 16 + 16, K = (1/2, 1/4), y = 8.
    let mut it = estimate(2.0, 0.5, [16.0, 8.0, 7.0]);
    it.observe(10.0, 16.0);
    assert_eq!(it, estimate(6.0, 2.5, [8.0, 4.0, 5.0]));
    // What is known exactly is not changed.
    let mut it = estimate(2.0, 0.5, [0.0, 0.0, 0.0]);
    it.observe(10.0, 16.0);
    assert_eq!(it, estimate(2.0, 0.5, [0.0, 0.0, 0.0]));
}

#[test]
fn surprises_have_their_chances() {
    // S = 9 + 16 = 5².
    let it = estimate(0.0, 0.0, [9.0, 0.0, 1.0]);
    for (deviations, chance) in [
        (0.0, 1.0),
        (0.674_489_750_196, 0.5),
        (1.0, 0.317_310_507_863),
        (2.0, 0.045_500_263_896),
        (3.0, 0.002_699_796_063),
        (4.891_638_475_699, 1e-6),
    ] {
        for sign in [1.0, -1.0] {
            let observation = it.judge(sign * 5.0 * deviations, 16.0);
            let error = observation.probability / chance - 1.0;
            assert!(error.abs() < 1e-9, "{deviations}: {error}");
            assert_eq!(observation.weight, 9.0 / 25.0);
        }
    }
}

#[test]
fn steps_and_changes_of_frequency() {
    let mut it = estimate(3.0, 0.5, [4.0, 1.0, 1.0]);
    it.shift(2.0);
    assert_eq!(it, estimate(1.0, 0.5, [4.0, 1.0, 1.0]));
    // The remote does 3 s while the local clock, made 1.5 times as fast, does 3 instead of 2.
    it.change_frequency(0.5);
    assert_eq!(it, estimate(1.0, 0.0, [4.0, 1.0, 1.0]));
}

#[test]
fn determinants() {
    let covariance = |it: [f64; 3]| estimate(0.0, 0.0, it).covariance;
    assert_eq!(covariance([4.0, 1.0, 2.0]).determinant(), 7.0);
    assert_eq!(covariance([1.0, 2.0, 1.0]).determinant(), 0.0);
    assert_eq!(Covariance::diagonal(2.0, 3.0), covariance([2.0, 0.0, 3.0]));
}

#[test]
fn transformations() {
    // [[1, 2], [3, 4]] · [[2, 1], [1, 3]] · [[1, 3], [2, 4]]
    let covariance = Covariance {
        offset: 2.0,
        mixed: 1.0,
        frequency: 3.0,
    };
    let expected = Covariance {
        offset: 18.0,
        mixed: 40.0,
        frequency: 90.0,
    };
    assert_eq!(covariance.transformed([[1.0, 2.0], [3.0, 4.0]]), expected);
}

/// The best straight line through measurements `(time, offset, variance)`, given what is known of
/// its offset at time zero and its slope: the normal equations.
fn straight_line(known: &Estimate, measurements: &[(f64, f64, f64)], at: f64) -> Estimate {
    let prior = known.covariance;
    let (mut a, mut b, mut c) = (1.0 / prior.offset, 0.0, 1.0 / prior.frequency);
    let (mut u, mut v) = (known.offset * a, known.frequency * c);
    for (time, offset, variance) in measurements {
        a += 1.0 / variance;
        b += time / variance;
        c += time * time / variance;
        u += offset / variance;
        v += offset * time / variance;
    }
    let determinant = a * c - b * b;
    let covariance = Covariance {
        offset: c / determinant,
        mixed: -b / determinant,
        frequency: a / determinant,
    };
    let (offset, slope) = ((c * u - b * v) / determinant, (a * v - b * u) / determinant);
    Estimate {
        offset: offset + slope * at,
        frequency: slope,
        covariance: covariance.transformed([[1.0, at], [0.0, 1.0]]),
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * (1.0 + a.abs().max(b.abs()))
}

#[derive(Debug, Clone)]
enum Event {
    Advance(f64, f64),
    Observe(f64, f64),
    Shift(f64),
    ChangeFrequency(f64),
}

fn any_event() -> impl Strategy<Value = Event> {
    let size = || (-300.0..300.0_f64).prop_map(f64::exp2);
    let signed = move || {
        (any::<bool>(), -40.0..40.0_f64).prop_map(|(minus, exponent)| {
            if minus {
                -exponent.exp2()
            } else {
                exponent.exp2()
            }
        })
    };
    prop_oneof![
        ((-40.0..62.0_f64).prop_map(f64::exp2), size())
            .prop_map(|(seconds, wander)| Event::Advance(seconds, wander.min(1e-8))),
        (signed(), size())
            .prop_map(|(offset, variance)| Event::Observe(offset, variance.clamp(1e-14, 1e20))),
        signed().prop_map(Event::Shift),
        (-1e-3..1e-3_f64).prop_map(Event::ChangeFrequency),
    ]
}

proptest! {
    /// Without wander, a Kalman filter is a regression, one measurement after the other.
    #[test]
    fn without_wander_it_is_a_regression(
        known in (-5.0..5.0_f64, -1.0..1.0_f64, 0.1..9.0_f64, 0.1..9.0_f64),
        measurements in prop::collection::vec((0.0..3.0_f64, -9.0..9.0_f64, 0.1..9.0_f64), 1..12),
    ) {
        let (offset, frequency, p, r) = known;
        let start = estimate(offset, frequency, [p, 0.0, r]);
        let mut it = start;
        let (mut now, mut all) = (0.0, Vec::new());
        for (pause, offset, variance) in measurements {
            now += pause;
            it.advance(pause, 0.0);
            it.observe(offset, variance);
            all.push((now, offset, variance));
        }
        let expected = straight_line(&start, &all, now);
        prop_assert!(close(it.offset, expected.offset), "{:?} {:?}", it, expected);
        prop_assert!(close(it.frequency, expected.frequency));
        prop_assert!(close(it.covariance.offset, expected.covariance.offset));
        prop_assert!(close(it.covariance.mixed, expected.covariance.mixed));
        prop_assert!(close(it.covariance.frequency, expected.covariance.frequency));
    }

    #[test]
    fn covariances_stay_covariances(events in prop::collection::vec(any_event(), 1..60)) {
        let mut it = estimate(0.0, 0.0, [1e-6, 0.0, 1e-8]);
        for event in events {
            match event {
                Event::Advance(seconds, wander) => it.advance(seconds, wander),
                Event::Observe(offset, variance) => {
                    let observation = it.judge(offset, variance);
                    prop_assert!((0.0..=1.0).contains(&observation.probability));
                    prop_assert!((0.0..=1.0).contains(&observation.weight));
                    it.observe(offset, variance);
                }
                Event::Shift(step) => it.shift(step),
                Event::ChangeFrequency(change) => it.change_frequency(change),
            }
            let Covariance { offset, mixed, frequency } = it.covariance;
            prop_assert!(it.offset.is_finite() && it.frequency.is_finite(), "{:?}", it);
            prop_assert!(offset >= 0.0 && frequency >= 0.0, "{:?}", it);
            prop_assert!(mixed.abs() <= (offset * frequency).sqrt() * (1.0 + 1e-9), "{:?}", it);
        }
    }
}
