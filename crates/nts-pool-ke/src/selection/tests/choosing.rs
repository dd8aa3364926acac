//! Who gets what: denials, tiers, numbered names, and the ends of the road.

use rand::{SeedableRng as _, rngs::StdRng};

use super::super::*;
use super::world::{TestSource, World};

fn sources(weights: &[u32]) -> World {
    World::new(weights.iter().copied().map(TestSource::new).collect())
}

fn order(world: &World, seed: u64) -> Vec<(usize, Tier)> {
    let picks = world.candidates(seed).into_iter();
    picks.map(|pick| (pick.source.get(), pick.tier)).collect()
}

#[test]
fn p09_p10_nothing_to_pick_is_none() {
    assert_eq!(order(&sources(&[]), 1), []);
    assert_eq!(order(&sources(&[0, 0]), 1), []);
    let mut panic = sources(&[0, 0]);
    panic.panic = true;
    assert_eq!(order(&panic, 1), []);
    panic.sources.clear();
    assert_eq!(order(&panic, 1), []);
}

#[test]
fn tiers_come_one_after_the_other() {
    let mut world = sources(&[1, 100, 1000, 10]);
    world.panic = true;
    world.sources[1].denied = true;
    for at in [1, 2] {
        world.sources[at].operator = Some(1);
    }
    world.sources[3].admitted = false;
    let expected = [
        (0, Tier::OtherOperator),
        (2, Tier::Wanted),
        (1, Tier::Denied),
        (3, Tier::Panic),
    ];
    for seed in 0..50 {
        assert_eq!(order(&world, seed), expected);
    }
    world.panic = false;
    assert_eq!(order(&world, 0), expected[..3]);
    world.policy.all_denied = AllDenied::Error;
    assert_eq!(order(&world, 0), expected[..2]);
    world.policy.operator_diversity = false;
    let tiers: Vec<_> = order(&world, 0).into_iter().map(|(_, tier)| tier).collect();
    assert_eq!(tiers, [Tier::Wanted, Tier::Wanted]);
}

#[test]
fn a_near_source_of_a_denied_operator_loses_to_a_far_one_of_another() {
    let mut world = sources(&[1, 1, 1]);
    world.location = Some("DE");
    world.policy.wide_min_sources = 1;
    for at in [0, 1] {
        world.sources[at].country = Some("DE");
        world.sources[at].operator = Some(1);
    }
    world.sources[0].denied = true;
    assert_eq!(
        order(&world, 1),
        [
            (2, Tier::OtherOperator),
            (1, Tier::Wanted),
            (0, Tier::Denied)
        ]
    );
}

#[test]
fn in_panic_denied_sources_come_last() {
    let mut world = sources(&[1, 1000]);
    world.panic = true;
    for source in &mut world.sources {
        source.admitted = false;
    }
    world.sources[1].denied = true;
    assert_eq!(order(&world, 1), [(0, Tier::Panic), (1, Tier::Panic)]);
    world.policy.all_denied = AllDenied::Error;
    assert_eq!(order(&world, 1), [(0, Tier::Panic)]);
}

#[test]
fn numbered_names_give_four_users_four_sources() {
    let mut world = sources(&[5, 4, 3, 2]);
    let mut seen: Vec<_> = (0..4)
        .map(|digit| {
            world.label = HostLabel::of_host(&format!("{digit}.pool.test"));
            order(&world, digit)[0].0
        })
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3]);
}

#[test]
fn a_numbered_name_without_a_source_gives_any() {
    let mut world = sources(&[5, 4]);
    world.label = HostLabel::of_host("3.pool.test");
    assert_eq!(order(&world, 1).len(), 2);
    let mut world = sources(&[5, 4, 3, 2]);
    world.label = HostLabel::of_host("0.pool.test");
    world.sources[0].can_serve = false;
    assert_eq!(order(&world, 1).len(), 3);
}

#[test]
fn p12_health_moves_no_source_to_another_bin() {
    let mut world = sources(&[9, 8, 7, 6, 5, 4, 3, 2, 1]);
    world.label = HostLabel::of_host("2.pool.test");
    let bin = |world: &World| -> Vec<usize> {
        let snapshot = world.snapshot();
        let denial = Denial::default();
        let (_, weights) = snapshot.first_table(&world.user(denial));
        weights.map(|(source, _)| source.get()).collect()
    };
    let before = bin(&world);
    world.sources[0].admitted = false;
    world.sources[1].tenths = 1;
    assert_eq!(bin(&world), before);
}

#[test]
fn sources_are_denied_by_any_of_their_names() {
    let roster = sources(&[1, 1, 1]).roster();
    let source = SourceIndex::new;
    let index = NameIndex::new([
        (source(0), "KE.one.example."),
        (source(0), "192.0.2.1"),
        (source(1), "shared.example"),
        (source(2), "shared.example"),
        (source(2), "Shared.example."),
        (source(2), "2001:db8::2"),
    ]);
    let denied = |names: &[&str]| -> Vec<usize> {
        let denial = index.deny(names.iter().copied(), &roster);
        let all = roster.sources();
        all.filter(|it| denial.contains(*it))
            .map(SourceIndex::get)
            .collect()
    };
    assert_eq!(denied(&["ke.ONE.example"]), [0]);
    assert_eq!(denied(&["::ffff:192.0.2.1"]), [0]);
    assert_eq!(denied(&["2001:DB8:0::2", "nobody.example"]), [2]);
    assert_eq!(denied(&["SHARED.example"]), [1, 2]);
    assert!(denied(&["nobody.example"]).is_empty());
    assert!(index.deny(["nobody.example"], &roster).is_empty());
}

#[test]
fn p16_only_the_first_32_names_are_looked_at() {
    let roster = sources(&[1]).roster();
    let index = NameIndex::new([(SourceIndex::new(0), "ntp.example")]);
    // As many names as fit into 16 KiB, then the one that would matter.
    let mut taken = 0;
    let flood = std::iter::repeat_n("x", 3000).chain(["ntp.example"]);
    let denial = index.deny(flood.inspect(|_| taken += 1), &roster);
    assert!(denial.is_empty());
    assert_eq!(taken, MAX_DENIED);
    let last = std::iter::repeat_n("x", MAX_DENIED - 1).chain(["ntp.example"]);
    assert!(index.deny(last, &roster).contains(SourceIndex::new(0)));
}

#[test]
fn p16_a_flood_of_deny_records_costs_no_more_than_the_first_32() {
    let world = sources(&[1; 1000]);
    let snapshot = world.snapshot();
    let cost = |names: &[String]| {
        let mut rng = StdRng::seed_from_u64(1);
        let fastest = (0..20).map(|_| {
            let began = std::time::Instant::now();
            for _ in 0..20 {
                let names = names.iter().map(String::as_str);
                let denial = snapshot.names().deny(names, snapshot.roster());
                let mut choice = snapshot.choose(world.user(denial));
                assert!(choice.next(&world.live(), &mut rng).is_some());
            }
            began.elapsed() / 20
        });
        fastest.min().unwrap_or_default()
    };
    // As long and as awkward as names can be, and as many as fit into 16 KiB of such, or of short
    // ones.
    let name = |at: usize| format!("{at}{}.", "X".repeat(240));
    let long: Vec<_> = (0..65).map(name).collect();
    let short: Vec<_> = (0..3000).map(|at| format!("{at}.x")).collect();
    let limit = cost(&long[..MAX_DENIED]) * 5;
    // In a release build all of it is below 10 microseconds; see the benchmark.
    for flood in [long, short] {
        let cost = cost(&flood);
        assert!(cost < limit, "{cost:?} is more than {limit:?}");
    }
}
