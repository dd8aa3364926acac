use proptest::prelude::*;

use super::*;

fn intervals(ends: &[(f64, f64)]) -> Vec<Interval> {
    ends.iter()
        .map(|(low, high)| Interval {
            low: *low,
            high: *high,
        })
        .collect()
}

#[track_caller]
fn check(ends: &[(f64, f64)], agreeing: usize, chosen: &[bool]) {
    let agreement = Agreement::of(&intervals(ends));
    assert_eq!(
        (agreement.agreeing, agreement.chosen.as_slice()),
        (agreeing, chosen)
    );
}

#[test]
fn nobody_agrees_on_nothing() {
    check(&[], 0, &[]);
    assert!(!Agreement::of(&[]).is_consensus(0, 0));
}

#[test]
fn one_agrees_with_itself() {
    check(&[(1.0, 2.0)], 1, &[true]);
}

#[test]
fn the_one_who_contradicts_is_out() {
    check(
        &[(0.0, 4.0), (1.0, 5.0), (10.0, 11.0), (3.0, 6.0)],
        3,
        &[true, true, false, true],
    );
}

#[test]
fn the_centre_need_not_lie_in_the_intersection() {
    check(&[(0.0, 10.0), (9.0, 10.0), (9.5, 11.0)], 3, &[true; 3]);
}

#[test]
fn intervals_that_touch_share_a_point() {
    check(&[(0.0, 1.0), (1.0, 2.0)], 2, &[true, true]);
    check(&[(1.0, 2.0), (0.0, 1.0)], 2, &[true, true]);
    check(&[(1.0, 1.0), (1.0, 1.0), (0.0, 2.0)], 3, &[true; 3]);
}

#[test]
fn one_that_reaches_the_best_point_only_is_not_enough() {
    // The first overlaps two of the others, but not where the three of them meet.
    check(
        &[(0.0, 2.0), (1.0, 5.0), (2.5, 6.0), (2.2, 4.0)],
        3,
        &[false, true, true, true],
    );
}

#[test]
fn equally_good_points_are_all_believed() {
    // Nobody knows which of the outer two is wrong.
    check(&[(0.0, 10.0), (0.0, 3.0), (7.0, 10.0)], 2, &[true; 3]);
    // Two camps of the same size.
    check(
        &[(0.0, 1.0), (0.5, 1.5), (5.0, 6.0), (5.5, 6.5)],
        2,
        &[true; 4],
    );
}

#[test]
fn consensus_takes_the_minimum_and_more_than_half() {
    let agreement = |agreeing, all| Agreement {
        agreeing,
        chosen: vec![true; all],
    };
    assert!(agreement(3, 4).is_consensus(3, 0));
    assert!(!agreement(3, 4).is_consensus(4, 0));
    assert!(!agreement(2, 4).is_consensus(2, 0));
    assert!(agreement(3, 5).is_consensus(1, 0));
    assert!(!agreement(2, 5).is_consensus(1, 0));
    assert!(agreement(1, 1).is_consensus(0, 0));
    // Those who have not spoken yet.
    assert!(agreement(3, 3).is_consensus(3, 1));
    assert!(!agreement(2, 2).is_consensus(2, 2));
}

/// Sorts all ends, starts before ends, and counts: the sweep of RFC 5905.
fn sweep(intervals: &[Interval]) -> usize {
    let mut ends: Vec<(f64, i32)> = intervals
        .iter()
        .flat_map(|it| [(it.low, -1), (it.high, 1)])
        .collect();
    ends.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let (mut open, mut most) = (0_usize, 0);
    for (_, kind) in ends {
        if kind < 0 {
            open += 1;
        } else {
            open -= 1;
        }
        most = most.max(open);
    }
    most
}

fn any_intervals() -> impl Strategy<Value = Vec<Interval>> {
    // Few values, so that there are ties.
    prop::collection::vec((-8_i8..8, 0_u8..6), 0..12).prop_map(|pairs| {
        pairs
            .into_iter()
            .map(|(centre, radius)| Interval::around(f64::from(centre), f64::from(radius) / 2.0))
            .collect()
    })
}

proptest! {
    #[test]
    fn as_many_agree_as_a_sweep_finds(intervals in any_intervals()) {
        let agreement = Agreement::of(&intervals);
        prop_assert_eq!(agreement.agreeing, sweep(&intervals));
        let chosen = agreement.chosen.iter().filter(|it| **it).count();
        prop_assert!(chosen >= agreement.agreeing);
    }

    #[test]
    fn order_does_not_matter(intervals in any_intervals(), by in 0_usize..12) {
        let mut turned = intervals.clone();
        let by = by % turned.len().max(1);
        turned.rotate_left(by);
        let mut expected = Agreement::of(&intervals);
        expected.chosen.rotate_left(by);
        prop_assert_eq!(Agreement::of(&turned), expected);
    }

    /// With a majority of honest sources, whose intervals hold the truth, whoever is chosen
    /// overlaps with one of them.
    #[test]
    fn liars_alone_are_never_chosen(
        honest in prop::collection::vec((0.0..1.0_f64, 0.0..1.0_f64), 3..6),
        lies in prop::collection::vec(3.0..9.0_f64, 0..3),
    ) {
        let mut intervals: Vec<_> = honest
            .iter()
            .map(|(below, above)| Interval { low: -below, high: *above })
            .collect();
        intervals.extend(lies.iter().map(|centre| Interval::around(*centre, 1.0)));
        let agreement = Agreement::of(&intervals);
        let expected: Vec<_> = (0..intervals.len()).map(|index| index < honest.len()).collect();
        prop_assert!(agreement.is_consensus(honest.len(), 0));
        prop_assert_eq!(agreement.chosen, expected);
    }
}
