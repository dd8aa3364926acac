use std::cell::{Cell, RefCell};
use std::sync::Arc;

use rand::{SeedableRng as _, rngs::StdRng};

use super::*;
use crate::selection::{
    Denial, Entry, Families, Family, Groups, Location, Roster, SelectionPolicy, Snapshot, Standing,
    Tier, User,
};

/// Sources of weight 1 without a region, and what holds of them at the moment.
struct Pool {
    snapshot: Arc<Snapshot>,
    out: RefCell<Vec<SourceIndex>>,
    busy: RefCell<Vec<SourceIndex>>,
    panic: Cell<bool>,
}

/// Whether only those count that can be asked at once.
struct View<'a>(&'a Pool, bool);

impl Live for View<'_> {
    fn admits(&self, source: SourceIndex) -> bool {
        !self.0.out.borrow().contains(&source)
    }

    fn can_serve(&self, source: SourceIndex) -> bool {
        !self.1 || !self.0.busy.borrow().contains(&source)
    }

    fn is_in_panic(&self) -> bool {
        self.0.panic.get()
    }
}

impl Pool {
    fn new(sources: u32) -> Self {
        let entry = |at: u32| Entry {
            id: at.to_string(),
            weight: 1,
            on_probation: false,
            families: Families::BOTH,
            operator: None,
            regions: Vec::new(),
        };
        let roster = Roster::new((0..sources).map(entry).collect(), Groups::default()).unwrap();
        let policy = SelectionPolicy::default();
        let snapshot = Snapshot::new(Arc::new(roster), Arc::default(), policy, |_| {
            Standing::HEALTHY
        });
        Self {
            snapshot: Arc::new(snapshot),
            out: RefCell::default(),
            busy: RefCell::default(),
            panic: Cell::new(false),
        }
    }

    fn exchange(&self, attempts: usize) -> BeforeKeys {
        let user = User {
            family: Family::V4,
            location: Location::default(),
            label: None,
            denial: Denial::default(),
        };
        BeforeKeys::new(self.snapshot.choose(user), attempts)
    }

    fn next(&self, exchange: &mut BeforeKeys) -> Option<Attempt> {
        let mut rng = StdRng::seed_from_u64(1);
        exchange.next(&View(self, true), &View(self, false), &mut rng)
    }

    fn all(&self, exchange: &mut BeforeKeys) -> Vec<Attempt> {
        std::iter::from_fn(|| self.next(exchange)).collect()
    }

    fn patience(&self, attempts: usize) -> Vec<Patience> {
        let attempts = self.all(&mut self.exchange(attempts));
        attempts.iter().map(|attempt| attempt.patience).collect()
    }
}

#[test]
fn the_time_for_a_source_depends_on_the_others() {
    use Patience::{Last, Long, Short};
    let pool = Pool::new(3);
    assert_eq!(pool.patience(9), [Short, Short, Last]);
    assert_eq!(pool.patience(3), [Short, Short, Last]);
    assert_eq!(pool.patience(2), [Short, Last]);
    assert_eq!(pool.patience(1), [Last]);
    // One whose slots are all taken is not as good.
    pool.busy.borrow_mut().push(SourceIndex::new(2));
    assert_eq!(pool.patience(9), [Short, Long, Last]);
    pool.busy.borrow_mut().push(SourceIndex::new(1));
    assert_eq!(pool.patience(9), [Long, Short, Last]);
}

#[test]
fn who_cannot_be_asked_at_once_comes_last() {
    let pool = Pool::new(3);
    pool.busy.borrow_mut().push(SourceIndex::new(0));
    let picks = pool.all(&mut pool.exchange(9));
    assert_eq!(picks[2].pick.source, SourceIndex::new(0));
}

#[test]
fn only_slow_sources_get_a_second_chance_and_only_one() {
    let pool = Pool::new(3);
    let mut exchange = pool.exchange(9);
    let [slow, failed, last] = pool.all(&mut exchange)[..] else {
        unreachable!("three sources");
    };
    exchange.failed(&slow, true);
    exchange.failed(&failed, false);
    // Nobody was there to save time for.
    exchange.failed(&last, true);
    let again = pool.next(&mut exchange).unwrap();
    assert_eq!(again.pick.source, slow.pick.source);
    assert_eq!(again.patience, Patience::Last);
    exchange.failed(&again, true);
    assert_eq!(pool.next(&mut exchange), None);
}

#[test]
fn a_source_without_anything_in_common_is_no_attempt() {
    let pool = Pool::new(9);
    let mut exchange = pool.exchange(2);
    for _ in 0..7 {
        assert!(pool.next(&mut exchange).is_some());
        exchange.mismatched();
    }
    assert_eq!(pool.all(&mut exchange).len(), 2);
}

#[test]
fn an_exchange_under_way_goes_on_when_panic_begins() {
    let pool = Pool::new(4);
    let mut exchange = pool.exchange(4);
    let tier = |attempt: Option<Attempt>| attempt.map(|attempt| attempt.pick.tier);
    assert_eq!(tier(pool.next(&mut exchange)), Some(Tier::Wanted));
    // Everything begins to fail, and is passed over.
    *pool.out.borrow_mut() = (0..4).map(SourceIndex::new).collect();
    assert_eq!(pool.next(&mut exchange), None);
    pool.panic.set(true);
    for _ in 0..3 {
        assert_eq!(tier(pool.next(&mut exchange)), Some(Tier::Panic));
    }
    assert_eq!(pool.next(&mut exchange), None);
}

#[test]
fn only_a_source_that_is_as_good_is_got_ready_beside_another() {
    let pool = Pool::new(2);
    let mut rng = StdRng::seed_from_u64(1);
    let mut exchange = pool.exchange(2);
    let first = pool.next(&mut exchange).unwrap();
    let beside = |first: &Attempt, exchange: &mut BeforeKeys, rng: &mut StdRng| {
        exchange.beside(first, &View(&pool, true), rng)
    };
    let mut nearer = first;
    nearer.pick.level = crate::selection::LevelKind::Country;
    let mut better = first;
    better.pick.tier = Tier::OtherOperator;
    for first in [nearer, better] {
        assert_eq!(beside(&first, &mut exchange, &mut rng), None);
    }
    // That was no attempt, and the other one is still there.
    let second = beside(&first, &mut exchange, &mut rng).unwrap();
    assert_ne!(second.pick.source, first.pick.source);
    assert_eq!(beside(&first, &mut exchange, &mut rng), None);
}

#[test]
fn patience_becomes_time() {
    let now = Instant::now();
    let budget = Budget::new(
        now + Duration::from_millis(1000),
        Duration::from_millis(1000),
    );
    let pick = pool_pick();
    for (patience, round_trip, expected) in [
        (Patience::Short, Some(30), 120),
        (Patience::Short, None, 380),
        (Patience::Long, Some(30), 380),
        (Patience::Last, Some(30), 760),
    ] {
        let round_trip = round_trip.map(Duration::from_millis);
        let until = Attempt { pick, patience }.until(&budget, now, round_trip);
        assert_eq!(until, now + Duration::from_millis(expected));
    }
}

fn pool_pick() -> Pick {
    let pool = Pool::new(1);
    pool.next(&mut pool.exchange(1)).unwrap().pick
}

#[test]
fn keys_are_repeated_once_to_the_same_source_if_that_is_allowed_and_there_is_time() {
    let pool = Pool::new(2);
    let now = Instant::now();
    let budget = Budget::new(
        now + Duration::from_millis(1000),
        Duration::from_millis(1000),
    );
    let rule = |may_repeat| pool.exchange(1).commit("source", may_repeat);
    let round_trip = Some(Duration::from_millis(100));
    assert_eq!(rule(true).source(), &"source");
    assert_eq!(rule(true).repeat(&budget, now, round_trip), Some("source"));
    assert_eq!(rule(false).repeat(&budget, now, round_trip), None);
    let late = now + Duration::from_millis(651);
    assert_eq!(rule(true).repeat(&budget, late, round_trip), None);
}
