//! Rosters, levels, effective weights and the operator cap.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::*;
use super::world::{TestSource, World, country, groups};

fn entry(id: &str, regions: &[Region]) -> Entry {
    Entry {
        id: id.to_owned(),
        weight: 1,
        on_probation: false,
        families: Families::BOTH,
        operator: None,
        regions: regions.to_vec(),
    }
}

/// The first table's sources and weights.
fn table(world: &World) -> (LevelKind, Vec<(usize, u64)>) {
    let snapshot = world.snapshot();
    let denial = world.denial(&snapshot);
    let (kind, weights) = snapshot.first_table(&world.user(denial));
    (
        kind,
        weights
            .map(|(source, weight)| (source.get(), weight))
            .collect(),
    )
}

fn at(country: &'static str) -> TestSource {
    TestSource {
        country: Some(country),
        ..TestSource::new(1)
    }
}

#[test]
fn a_roster_refuses_what_cannot_be() {
    let heavy = Entry {
        weight: 1001,
        ..entry("a", &[])
    };
    assert_eq!(
        Roster::new(vec![heavy], groups()).unwrap_err(),
        RosterError::TooHeavy {
            id: "a".to_owned(),
            weight: 1001
        }
    );
    assert_eq!(
        Roster::new(vec![entry("a", &[]), entry("a", &[])], groups()).unwrap_err(),
        RosterError::Twice("a".to_owned())
    );
    let many = (0..=MAX_SOURCES)
        .map(|at| entry(&at.to_string(), &[]))
        .collect();
    assert_eq!(
        Roster::new(many, groups()).unwrap_err(),
        RosterError::TooMany(100_001)
    );
}

#[test]
fn listed_regions_imply_those_around_them() {
    let germany = Region::Country(country("DE"));
    let Ok(dach) = Region::parse("dach", &groups()) else {
        panic!("no such group");
    };
    let roster = Roster::new(
        vec![
            entry("listed", &[germany, germany]),
            entry("group", &[dach]),
            entry("elsewhere", &[Region::Country(country("JP"))]),
            entry("nowhere", &[]),
        ],
        groups(),
    )
    .unwrap();
    let levels: BTreeMap<_, Vec<_>> = roster
        .levels()
        .map(|(region, places)| (region, places.iter().map(|it| it.source.get()).collect()))
        .collect();
    let expected = BTreeMap::from([
        (germany, vec![0]),
        (dach, vec![0, 1]),
        (Region::Continent(Continent::Europe), vec![0, 1]),
        (Region::Country(country("JP")), vec![2]),
        (Region::Continent(Continent::Asia), vec![2]),
        (Region::Global, vec![0, 1, 2, 3]),
    ]);
    assert_eq!(levels, expected);
}

#[test]
fn a_first_pick_stays_near_and_later_ones_go_wide() {
    let mut world = World::new([vec![at("DE")], vec![at("AT"); 3], vec![at("FR"); 13]].concat());
    world.location = Some("DE");
    assert_eq!(table(&world).0, LevelKind::Country);
    world.location = Some("AT");
    assert_eq!(table(&world).0, LevelKind::Country);
    // Europe has 17.
    world.sources[0].denied = true;
    assert_eq!(table(&world).0, LevelKind::Continent);
    world.sources[0].denied = false;
    world.label = HostLabel::of_host("1.pool.test");
    assert_eq!(table(&world).0, LevelKind::Continent);
    world.label = HostLabel::of_host("0.pool.test");
    assert_eq!(table(&world).0, LevelKind::Country);
    world.label = None;
    world.location = Some("JP");
    assert_eq!(table(&world).0, LevelKind::Global);
}

#[test]
fn minimum_sets_count_what_the_user_can_use() {
    let mut world = World::new([vec![at("DE"); 4], vec![at("AT"); 4]].concat());
    world.location = Some("DE");
    world.policy.local_min_sources = 4;
    world.policy.local_min_operators = 3;
    assert_eq!(table(&world).0, LevelKind::Country);
    world.sources[0].v4 = false;
    assert_eq!(table(&world).0, LevelKind::Group);
    world.family = Family::V6;
    assert_eq!(table(&world).0, LevelKind::Country);
    world.sources[1].admitted = false;
    assert_eq!(table(&world).0, LevelKind::Group);
    world.sources[1].admitted = true;
    for source in &mut world.sources[..3] {
        source.operator = Some(1);
    }
    assert_eq!(table(&world).0, LevelKind::Group);
}

#[test]
fn effective_weight_is_weight_times_ramp_times_probation() {
    let mut world = World::new([3, 0, 1000, 1000, 7].map(TestSource::new).to_vec());
    world.sources[2].tenths = 1;
    world.sources[3].on_probation = true;
    world.sources[3].tenths = 5;
    world.sources[4].admitted = false;
    assert_eq!(
        table(&world).1,
        [(0, 3_000_000), (2, 100_000_000), (3, 50_000_000)]
    );
}

#[test]
fn p13_capped_operators_share_their_part_by_weight_and_others_keep_theirs() {
    let mut world = World::new([600, 200, 100, 60, 40].map(TestSource::new).to_vec());
    world.sources[0].operator = Some(1);
    world.sources[1].operator = Some(1);
    assert_eq!(
        table(&world)
            .1
            .iter()
            .map(|(_, weight)| weight)
            .sum::<u64>(),
        1_000_000_000
    );
    world.policy.operator_share_max = OperatorShare::from_fraction(0.4).unwrap();
    // 200 are left, which are to be 60 % and not 20 %: the capped operator has 133⅓ for both.
    assert_eq!(
        table(&world).1,
        [
            (0, 99_999_999),
            (1, 33_333_333),
            (2, 100_000_000),
            (3, 60_000_000),
            (4, 40_000_000),
        ]
    );
}

#[test]
fn p11_the_largest_pool_does_not_overflow() {
    let entries = (0..MAX_SOURCES)
        .map(|at| Entry {
            weight: MAX_WEIGHT,
            ..entry(&at.to_string(), &[Region::Country(country("DE"))])
        })
        .collect();
    let roster = Arc::new(Roster::new(entries, groups()).unwrap());
    let policy = SelectionPolicy {
        operator_share_max: OperatorShare::from_fraction(0.25).unwrap(),
        ..SelectionPolicy::default()
    };
    let names = Arc::default();
    let snapshot = Snapshot::new(roster, names, policy, |_| Standing::HEALTHY);
    let user = User {
        family: Family::V4,
        location: Location::default(),
        label: None,
        denial: Denial::default(),
    };
    let (_, weights) = snapshot.first_table(&user);
    let sum = weights
        .map(|(_, weight)| weight)
        .try_fold(0_u64, u64::checked_add);
    assert_eq!(sum, Some(100_000_000_000_000));
}
