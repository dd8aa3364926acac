use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;
use crate::config::UpstreamConfig;
use crate::fleet::{Class, Event};
use crate::selection::{Denial, Family, Location, Region, Tier, User};
use crate::testing::{Authority, means, ordinary_request, untended};

/// How often the list of sources is replaced.
const RELOADS: u32 = 300;
/// Picks that each thread makes at least.
const PICKS: usize = 2_000;
const PICKERS: usize = 3;

/// Some twenty sources, a few of them the same in every list but never at the same place, each with
/// its own name, and each list with a weight of its own; one is drained.
fn list(number: u32, rng: &mut StdRng) -> Vec<SourceConfig> {
    let stays = (0..10).map(|at| format!("stays-{at}.test"));
    let new = (0..rng.random_range(5..15)).map(|at| format!("list-{number}-{at}.test"));
    let mut configs: Vec<_> = stays
        .chain(new)
        .map(|name| {
            let mut config = SourceConfig::new(&name, 4460).unwrap();
            config.weight = 1 + number % 1000;
            config
        })
        .collect();
    configs.shuffle(rng);
    configs[0].weight = 0;
    configs
}

/// Picks from what is there at this moment, and looks whether all of it belongs together.
fn pick_and_look(present: &Present, offer: &Offer, rng: &mut StdRng) {
    let sources = present.get();
    let snapshot = sources.snapshot();
    assert_eq!(snapshot.roster().len(), sources.all().len());
    let mut choice = snapshot.choose(User {
        family: Family::V4,
        location: Location::default(),
        label: None,
        denial: Denial::default(),
    });
    let view = View {
        sources: &sources,
        offer,
        at_once: false,
        now: Instant::now(),
    };
    let weight = sources.all().iter().map(|it| it.config().weight).max();
    let mut picked = Vec::new();
    while let Some(pick) = choice.next(&view, rng) {
        let source = sources.get(pick.source).expect("it is one of these");
        // Tables, names, places and states are all of the same list.
        assert_eq!(
            snapshot.names().find(source.domain().as_str()),
            [pick.source]
        );
        assert_eq!(
            Some(source.config().weight),
            weight,
            "the drained one, or of another list"
        );
        assert_eq!(
            snapshot.roster().weight(pick.source),
            source.config().weight
        );
        assert!(pick.tier <= Tier::Wanted || pick.tier == Tier::Panic);
        picked.push(pick.source);
    }
    // Nobody is lost, unless he was ejected between two questions.
    assert!(!picked.is_empty());
    picked.sort_unstable();
    picked.dedup();
    assert!(
        picked.len() < sources.all().len(),
        "somebody was picked twice, or is drained"
    );
}

#[test]
fn p15_picks_never_see_half_of_a_reload() {
    let means = means(&Authority::new(), UpstreamConfig::default());
    let mut rng = StdRng::seed_from_u64(15);
    let present = Present::new(untended(list(0, &mut rng), &means));
    let (present, offer) = (&present, &Offer::from(&ordinary_request()));
    let (over, picks) = (&AtomicBool::new(false), &AtomicUsize::new(0));
    thread::scope(|scope| {
        for seed in 0..PICKERS as u64 {
            scope.spawn(move || {
                let mut rng = StdRng::seed_from_u64(seed);
                let mut own = 0;
                while own < PICKS || !over.load(Ordering::Relaxed) {
                    pick_and_look(present, offer, &mut rng);
                    own += 1;
                }
                picks.fetch_add(own, Ordering::Relaxed);
            });
        }
        // Health changes all the time, also of sources that are being replaced.
        scope.spawn(move || {
            let mut rng = StdRng::seed_from_u64(99);
            while !over.load(Ordering::Relaxed) {
                let sources = present.get();
                let source = &sources.all()[rng.random_range(0..sources.all().len())];
                source.report(match rng.random_range(0..4) {
                    0 => Event::FailedBeforeKeys(Class::Reach),
                    1 => Event::FailedAfterKeys(Class::Protocol),
                    2 => Event::CheckFailed(Class::Reach),
                    _ => Event::Served,
                });
                present.pass_time(sources.directory());
            }
        });
        for number in 1..=RELOADS {
            let list = list(number, &mut rng);
            let replaced = present.replace(|former| {
                let rules = Rules::default();
                former.succeeded_by(list, &means, rules)
            });
            replaced.unwrap();
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(picks.load(Ordering::Relaxed) >= PICKERS * PICKS);
    assert_eq!(present.get().serial(), 1 + u64::from(RELOADS));
}

#[test]
fn a_source_that_stays_is_what_the_new_list_says() {
    let means = means(&Authority::new(), UpstreamConfig::default());
    let config = SourceConfig::new("a.test", 4460).unwrap();
    let first = untended(vec![config.clone()], &means);
    let replaced = |former: &Sources, config: &SourceConfig| {
        let next = former.succeeded_by(vec![config.clone()], &means, Rules::default());
        next.unwrap()
    };
    let same = replaced(&first, &config);
    assert!(Arc::ptr_eq(&same.all()[0], &first.all()[0]));
    let changes: [fn(&mut SourceConfig); 6] = [
        |config| config.weight = 7,
        |config| config.regions.push(Region::Global),
        |config| config.operator = Some("somebody".to_owned()),
        |config| config.families.v6 = false,
        |config| config.match_family = true,
        |config| config.ntp_names.push("b.test".parse().unwrap()),
    ];
    let mut present = same;
    let mut config = config;
    for change in changes {
        change(&mut config);
        let next = replaced(&present, &config);
        let [before, after] = [&present, &next].map(|sources| &sources.all()[0]);
        assert!(after.config().is_just_like(&config));
        assert!(!before.config().is_just_like(&config));
        // What is known of it stays.
        assert_eq!(after.key(), before.key());
        assert!(Arc::ptr_eq(&after.board, &before.board));
        present = next;
    }
}
