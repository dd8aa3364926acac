use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};

use super::*;

fn wanted(weight: u32) -> Standing {
    Standing {
        weight,
        denied: false,
        aside: false,
        excluded: false,
    }
}

fn denied(weight: u32) -> Standing {
    Standing {
        denied: true,
        ..wanted(weight)
    }
}

fn aside(weight: u32) -> Standing {
    Standing {
        aside: true,
        ..wanted(weight)
    }
}

fn excluded(weight: u32) -> Standing {
    Standing {
        excluded: true,
        ..wanted(weight)
    }
}

/// Pearson's statistic of `draws` picks against the shares that `weights` promise.
fn chi_square(weights: &[u32], draws: u32, seed: u64) -> f64 {
    let standings: Vec<_> = weights.iter().map(|weight| wanted(*weight)).collect();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut counts = vec![0_u32; weights.len()];
    for _ in 0..draws {
        counts[pick(&standings, &mut rng).unwrap().index] += 1;
    }
    let total: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
    counts
        .iter()
        .zip(weights)
        .filter(|(_, weight)| **weight > 0)
        .map(|(count, weight)| {
            let expected = f64::from(draws) * f64::from(*weight) / total;
            (f64::from(*count) - expected).powi(2) / expected
        })
        .sum()
}

#[test]
fn equal_weights_share_equally() {
    // 9 degrees of freedom: 27.9 is exceeded once in a thousand.
    assert!(chi_square(&[1; 10], 100_000, 1) < 27.9);
}

#[test]
fn shares_follow_the_weights() {
    // 4 degrees of freedom: 18.5 is exceeded once in a thousand.
    assert!(chi_square(&[1, 10, 100, 1000, 7], 200_000, 2) < 18.5);
}

#[test]
fn first_and_last_source_get_no_extra_share() {
    // 1 degree of freedom: 10.8 is exceeded once in a thousand.
    assert!(chi_square(&[1, 0, 1], 50_000, 3) < 10.8);
}

#[test]
fn nothing_to_pick_from_is_none() {
    let mut rng = StdRng::seed_from_u64(4);
    assert_eq!(pick(&[], &mut rng), None);
    assert_eq!(pick(&[wanted(0), excluded(5)], &mut rng), None);
}

#[test]
fn tiers_come_in_order() {
    let mut rng = StdRng::seed_from_u64(5);
    let both = Standing {
        denied: true,
        ..aside(1000)
    };
    let mut standings = vec![both, aside(1000), denied(1000), wanted(1)];
    let expected = [
        (3, Tier::Wanted),
        (2, Tier::Denied),
        (1, Tier::Aside),
        (0, Tier::AsideDenied),
    ];
    for (index, tier) in expected {
        assert_eq!(pick(&standings, &mut rng), Some(Pick { index, tier }));
        standings[index].excluded = true;
    }
    assert_eq!(pick(&standings, &mut rng), None);
}

#[test]
fn largest_weights_do_not_overflow() {
    let mut rng = StdRng::seed_from_u64(6);
    let standings = vec![wanted(u32::MAX); 1000];
    assert!(pick(&standings, &mut rng).is_some());
}

fn any_standing() -> impl Strategy<Value = Standing> {
    (0..5_u32, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(weight, denied, aside, excluded)| Standing {
            weight,
            denied,
            aside,
            excluded,
        },
    )
}

proptest! {
    #[test]
    fn a_pick_is_always_the_best_there_is(
        standings in prop::collection::vec(any_standing(), 0..20),
        seed in any::<u64>(),
    ) {
        let usable = |s: &&Standing| s.weight > 0 && !s.excluded;
        match pick(&standings, &mut StdRng::seed_from_u64(seed)) {
            None => prop_assert_eq!(standings.iter().filter(usable).count(), 0),
            Some(Pick { index, tier }) => {
                let picked = standings[index];
                prop_assert!(picked.weight > 0 && !picked.excluded);
                prop_assert!(tier.holds(&picked));
                let order = |s: &Standing| (s.aside, s.denied);
                let best = standings.iter().filter(usable).map(order).min();
                prop_assert_eq!(best, Some(order(&picked)));
            }
        }
    }
}
