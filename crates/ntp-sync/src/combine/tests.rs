use proptest::prelude::*;

use super::*;

fn known(offset: f64, frequency: f64, [p, q, r]: [f64; 3]) -> Combined {
    let covariance = Covariance {
        offset: p,
        mixed: q,
        frequency: r,
    };
    Combined::of_source(
        Estimate {
            offset,
            frequency,
            covariance,
        },
        0.0,
    )
}

#[test]
fn each_counts_by_its_certainty() {
    let merged = known(0.0, 0.0, [1.0, 0.0, 1.0]).merged_with(&known(3.0, 4.0, [2.0, 0.0, 1.0]));
    assert!((merged.estimate.offset - 1.0).abs() < 1e-15);
    assert!((merged.estimate.frequency - 2.0).abs() < 1e-15);
    assert!((merged.total.offset - 2.0 / 3.0).abs() < 1e-15);
    assert!((merged.total.frequency - 0.5).abs() < 1e-15);
    // Without errors of their own, what weighs them is what steers.
    assert!((merged.estimate.covariance.offset - 2.0 / 3.0).abs() < 1e-15);
}

#[test]
fn errors_of_their_own_weigh_but_are_no_noise() {
    let estimate = |offset, variance| Estimate {
        offset,
        frequency: 0.0,
        covariance: Covariance::diagonal(variance, 1.0),
    };
    // 1 + 3 and 2 + 2: equal weights.
    let a = Combined::of_source(estimate(0.0, 1.0), 3_f64.sqrt());
    let b = Combined::of_source(estimate(1.0, 2.0), 2_f64.sqrt());
    let merged = a.merged_with(&b);
    assert!((merged.estimate.offset - 0.5).abs() < 1e-15);
    assert!((merged.total.offset - 2.0).abs() < 1e-14);
    assert!((merged.estimate.covariance.offset - 0.75).abs() < 1e-14);
}

#[test]
fn certainty_itself_is_not_divided() {
    let certain = known(1.0, 0.0, [0.0, 0.0, 0.0]);
    assert_eq!(certain.merged_with(&known(2.0, 0.0, [0.0; 3])), certain);
}

fn any_known() -> impl Strategy<Value = Combined> {
    let correlation = -0.95..0.95_f64;
    (
        -5.0..5.0_f64,
        -5.0..5.0_f64,
        0.1..9.0_f64,
        0.1..9.0_f64,
        correlation,
    )
        .prop_map(|(offset, frequency, p, r, correlation)| {
            known(offset, frequency, [p, correlation * (p * r).sqrt(), r])
        })
}

/// Inverse of a covariance, and that times the estimate: what adds up when both are combined.
fn information(it: &Combined) -> [f64; 5] {
    let covariance = it.total;
    let determinant = covariance.determinant();
    let (a, b, c) = (
        covariance.frequency / determinant,
        -covariance.mixed / determinant,
        covariance.offset / determinant,
    );
    let (x, w) = (it.estimate.offset, it.estimate.frequency);
    [a, b, c, a * x + b * w, b * x + c * w]
}

fn close(a: &Combined, b: &Combined) -> bool {
    let numbers = |it: &Combined| {
        [
            it.estimate.offset,
            it.estimate.frequency,
            it.total.offset,
            it.total.mixed,
            it.total.frequency,
        ]
    };
    let pairs = numbers(a).into_iter().zip(numbers(b));
    pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-6)
}

proptest! {
    #[test]
    fn information_adds_up(a in any_known(), b in any_known()) {
        let merged = information(&a.merged_with(&b));
        for ((a, b), sum) in information(&a).iter().zip(information(&b)).zip(merged) {
            prop_assert!((a + b - sum).abs() < 1e-6 * (1.0 + sum.abs()), "{} {} {}", a, b, sum);
        }
    }

    #[test]
    fn order_does_not_matter(a in any_known(), b in any_known(), c in any_known()) {
        let one = a.merged_with(&b).merged_with(&c);
        let other = c.merged_with(&a).merged_with(&b);
        prop_assert!(close(&one, &other), "{:?} {:?}", one, other);
    }

    #[test]
    fn more_is_known_than_before(a in any_known(), b in any_known()) {
        let merged = a.merged_with(&b);
        prop_assert!(merged.total.offset <= a.total.offset.min(b.total.offset) + 1e-9);
        prop_assert!(merged.total.frequency <= a.total.frequency.min(b.total.frequency) + 1e-9);
    }
}
