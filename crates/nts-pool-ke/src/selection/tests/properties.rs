//! What holds for every pool, user and random number.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::*;
use super::world::{Oracle, World, any_world};

/// The sources that may be picked at all, by tier.
struct Usable {
    other_operator: BTreeSet<usize>,
    wanted: BTreeSet<usize>,
    admitted: BTreeSet<usize>,
    any: BTreeSet<usize>,
}

fn usable(world: &World) -> Usable {
    let with = |wanted: &dyn Fn(usize) -> bool| -> BTreeSet<usize> {
        let all = 0..world.sources.len();
        all.filter(|at| {
            let it = &world.sources[*at];
            let family = match world.family {
                Family::V4 => it.v4,
                Family::V6 => it.v6,
            };
            family && it.can_serve && it.weight > 0 && wanted(*at)
        })
        .collect()
    };
    let denied_operators: BTreeSet<_> = world
        .sources
        .iter()
        .filter(|it| it.denied)
        .filter_map(|it| it.operator)
        .collect();
    let wanted = |at: usize| world.sources[at].is_live() && !world.sources[at].denied;
    let operator = |at: usize| world.sources[at].operator;
    Usable {
        other_operator: with(&|at| {
            wanted(at) && operator(at).is_none_or(|it| !denied_operators.contains(&it))
        }),
        wanted: with(&wanted),
        admitted: with(&|at| world.sources[at].is_live()),
        any: with(&|_| true),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn p02_nobody_gets_a_denied_source_while_another_is_left(
        world in any_world(0..30), seed in any::<u64>(),
    ) {
        let wanted = usable(&world).wanted;
        for pick in world.candidates(seed).iter().take(wanted.len()) {
            prop_assert!(wanted.contains(&pick.source.get()));
        }
    }

    #[test]
    fn p03_nobody_gets_a_source_that_is_not_admitted_outside_panic(
        mut world in any_world(0..30), panic in any::<bool>(), seed in any::<u64>(),
    ) {
        world.panic = panic;
        for pick in world.candidates(seed) {
            let admitted = world.sources[pick.source.get()].is_live();
            prop_assert!(admitted || panic);
            prop_assert_eq!(pick.tier == Tier::Panic && !panic, false);
        }
    }

    #[test]
    fn p04_p05_p09_candidates_have_the_family_an_algorithm_and_weight(
        world in any_world(0..30), seed in any::<u64>(),
    ) {
        let any = usable(&world).any;
        for pick in world.candidates(seed) {
            prop_assert!(any.contains(&pick.source.get()));
        }
    }

    #[test]
    fn p06_denied_operators_come_back_only_when_no_other_is_left(
        mut world in any_world(0..30), seed in any::<u64>(),
    ) {
        world.policy.operator_diversity = true;
        let others = usable(&world).other_operator;
        for pick in world.candidates(seed).iter().take(others.len()) {
            prop_assert!(others.contains(&pick.source.get()));
        }
    }

    #[test]
    fn p07_candidates_are_distinct_and_complete(
        world in any_world(0..30), seed in any::<u64>(),
    ) {
        let candidates = world.candidates(seed);
        let distinct: BTreeSet<_> = candidates.iter().map(|pick| pick.source.get()).collect();
        prop_assert_eq!(distinct.len(), candidates.len());
        let usable = usable(&world);
        let serve = world.policy.all_denied == AllDenied::Serve;
        let expected = match (world.panic, serve) {
            (false, false) => usable.wanted,
            (false, true) => usable.admitted,
            (true, false) => usable.any.into_iter()
                .filter(|at| !world.sources[*at].denied).collect(),
            (true, true) => usable.any,
        };
        prop_assert_eq!(distinct, expected);
    }

    #[test]
    fn p07_what_is_left_is_known_beforehand(
        world in any_world(0..30), seed in any::<u64>(),
    ) {
        use rand::{SeedableRng as _, rngs::StdRng};
        let snapshot = world.snapshot();
        let denial = world.denial(&snapshot);
        let live = world.live();
        let mut rng = StdRng::seed_from_u64(seed);
        let mut choice = snapshot.choose(world.user(denial.clone()));
        let mut again = Vec::new();
        loop {
            let left = choice.best_left(&live);
            let pick = choice.next(&live, &mut rng);
            prop_assert_eq!(left, pick.map(|pick| pick.tier));
            let Some(pick) = pick else { break };
            if !again.contains(&pick.source) && again.len() < 3 {
                choice.readmit(pick.source);
                again.push(pick.source);
            }
        }
        let mut choice = snapshot.choose(world.user(denial.clone()));
        snapshot.roster().sources().for_each(|source| choice.exclude(source));
        prop_assert_eq!(choice.next(&live, &mut rng), None);
    }

    #[test]
    fn p08_a_denied_only_source_of_a_country_is_replaced_by_another(
        others in 1..20_usize, wide in 1..30_usize, local in 1..5_usize, seed in any::<u64>(),
    ) {
        let mut world = World::new(vec![super::world::TestSource::new(5); others + 1]);
        world.sources[0].country = Some("DE");
        world.sources[0].denied = true;
        world.location = Some("DE");
        world.policy.wide_min_sources = wide;
        world.policy.local_min_sources = local;
        prop_assert_ne!(world.candidates(seed)[0].source.get(), 0);
    }

    #[test]
    fn p01_the_first_pick_is_one_that_the_oracle_expects(
        world in any_world(0..30), seed in any::<u64>(),
    ) {
        let expected = Oracle::new(&world).first_pick();
        match world.candidates(seed).first() {
            None => prop_assert_eq!(expected, None),
            Some(pick) => {
                let expected = expected.unwrap();
                prop_assert_eq!(pick.tier, expected.tier);
                prop_assert!(expected.shares.contains_key(&pick.source.get()));
            }
        }
    }

    #[test]
    fn p16_an_exchange_asks_a_bounded_number_of_questions(
        world in any_world(0..60), seed in any::<u64>(),
    ) {
        use rand::{SeedableRng as _, rngs::StdRng};
        let snapshot = world.snapshot();
        let denial = world.denial(&snapshot);
        let live = world.live();
        let mut rng = StdRng::seed_from_u64(seed);
        snapshot.choose(world.user(denial.clone())).next(&live, &mut rng);
        // Three tiers, four levels, bin and whole: each a draw of a known length.
        let draw = 8 + 2 * world.sources.len();
        prop_assert!(live.questions.get() <= 3 * 4 * 2 * draw);
    }
}
