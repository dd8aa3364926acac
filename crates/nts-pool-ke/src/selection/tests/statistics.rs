//! Whether shares are what they should be, by chi-square tests with fixed seeds.

use std::collections::BTreeMap;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand::{SeedableRng as _, rngs::StdRng};

use super::world::{Expected, Oracle, TestSource, World, any_world};

const POOLS: usize = 200;
const DRAWS: u32 = 40_000;
/// So many standard deviations are exceeded with probability 0.01 / 200: all pools together then
/// fail one time in a hundred, if the seeds were not fixed.
const LIMIT: f64 = 3.891;

fn draw_many(world: &World, draws: u32, seed: u64) -> BTreeMap<usize, u32> {
    let snapshot = world.snapshot();
    let denial = world.denial(&snapshot);
    let live = world.live();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut counts = BTreeMap::new();
    for _ in 0..draws {
        let mut choice = snapshot.choose(world.user(denial.clone()));
        if let Some(pick) = choice.next(&live, &mut rng) {
            *counts.entry(pick.source.get()).or_default() += 1;
        }
    }
    counts
}

/// Pearson's statistic, and its degrees of freedom. Sources from which hardly a pick is expected
/// are counted together, as the test needs it.
fn chi_square(counts: &BTreeMap<usize, u32>, shares: &BTreeMap<usize, f64>) -> (f64, usize) {
    let draws: u32 = counts.values().sum();
    let mut classes: Vec<(f64, f64)> = Vec::new();
    let mut rare = (0.0, 0.0);
    for (at, share) in shares {
        let expected = share * f64::from(draws);
        let seen = f64::from(counts.get(at).copied().unwrap_or(0));
        if expected < 10.0 {
            rare = (rare.0 + seen, rare.1 + expected);
        } else {
            classes.push((seen, expected));
        }
    }
    if rare.1 >= 10.0 {
        classes.push(rare);
    }
    let square = |(seen, expected): &(f64, f64)| (seen - expected).powi(2) / expected;
    (
        classes.iter().map(square).sum(),
        classes.len().saturating_sub(1),
    )
}

/// How many standard deviations a chi-square value is out, by Wilson and Hilferty's cube root.
fn deviations(statistic: f64, freedom: usize) -> f64 {
    let spread = 2.0 / (9.0 * freedom as f64);
    ((statistic / freedom as f64).cbrt() - (1.0 - spread)) / spread.sqrt()
}

/// Pools with at least two sources to pick from, and what the oracle expects of them.
fn pools() -> Vec<(World, Expected)> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut next = || {
        let world = any_world(2..60).new_tree(&mut runner).unwrap().current();
        let expected = Oracle::new(&world).first_pick()?;
        (expected.shares.len() > 1).then_some((world, expected))
    };
    std::iter::from_fn(|| Some(next()))
        .flatten()
        .take(POOLS)
        .collect()
}

/// How many standard deviations this pool is out.
fn test_pool(world: &World, expected: &Expected, seed: u64) -> f64 {
    let counts = draw_many(world, DRAWS, seed);
    assert!(counts.keys().all(|at| expected.shares.contains_key(at)));
    assert_eq!(counts.values().sum::<u32>(), DRAWS);
    let (statistic, freedom) = chi_square(&counts, &expected.shares);
    if freedom == 0 {
        return 0.0;
    }
    let out = deviations(statistic, freedom);
    assert!(out < LIMIT, "{out} standard deviations out: {world:?}");
    out
}

#[test]
fn p01_shares_are_the_oracles_in_any_pool() {
    let pools = pools();
    let test_all = |part: &[(World, Expected)]| {
        let tests = (0..).zip(part);
        tests.fold(0.0, |worst: f64, (seed, (world, expected))| {
            worst.max(test_pool(world, expected, seed))
        })
    };
    let worst = std::thread::scope(|scope| {
        let parts: Vec<_> = pools.chunks(POOLS / 4).collect();
        let threads: Vec<_> = parts
            .into_iter()
            .map(|part| scope.spawn(move || test_all(part)))
            .collect();
        let worst = threads.into_iter().map(|thread| thread.join().unwrap());
        worst.fold(0.0, f64::max)
    });
    assert!(worst > 1.5, "200 pools cannot all be this good: {worst}");
}

#[test]
fn p01_the_test_would_notice_one_percent() {
    let world = World::new(vec![TestSource::new(50), TestSource::new(50)]);
    let counts = draw_many(&world, 1_000_000, 1);
    let tilted = BTreeMap::from([(0, 0.505), (1, 0.495)]);
    let (statistic, freedom) = chi_square(&counts, &tilted);
    assert!(deviations(statistic, freedom) > LIMIT);
}

#[test]
fn p01_later_candidates_are_drawn_by_weight_too() {
    let weights = [1_u32, 2, 4, 8];
    let world = World::new(weights.map(TestSource::new).to_vec());
    let snapshot = world.snapshot();
    let denial = world.denial(&snapshot);
    let live = world.live();
    let mut rng = StdRng::seed_from_u64(3);
    let mut counts = BTreeMap::new();
    for _ in 0..DRAWS {
        let mut choice = snapshot.choose(world.user(denial.clone()));
        choice.next(&live, &mut rng);
        let second = choice.next(&live, &mut rng).unwrap();
        *counts.entry(second.source.get()).or_default() += 1;
    }
    let total: u32 = weights.iter().sum();
    let share = |weight: u32, of: u32| f64::from(weight) / f64::from(of);
    let mut shares = BTreeMap::<usize, f64>::new();
    for (first, weight) in weights.iter().enumerate() {
        for (second, other) in weights.iter().enumerate().filter(|(at, _)| *at != first) {
            *shares.entry(second).or_default() +=
                share(*weight, total) * share(*other, total - weight);
        }
    }
    let (statistic, freedom) = chi_square(&counts, &shares);
    assert!(deviations(statistic, freedom) < 3.0);
}

#[test]
fn p01_simple_pools_share_by_weight_alone() {
    // What a short configuration makes of its list: 9 degrees of freedom.
    let world = World::new((1..=10).map(|at| TestSource::new(at * at)).collect());
    let total: u32 = (1..=10).map(|at| at * at).sum();
    let shares: BTreeMap<usize, f64> = (0..10)
        .zip(1..=10)
        .map(|(at, root)| (at, f64::from(root * root) / f64::from(total)))
        .collect();
    let (statistic, freedom) = chi_square(&draw_many(&world, 400_000, 9), &shares);
    assert_eq!(freedom, 9);
    assert!(deviations(statistic, freedom) < 3.0);
}
