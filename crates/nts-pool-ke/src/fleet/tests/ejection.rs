//! The way out of service and back, and who guards it.

use std::time::Duration;

use super::super::*;
use super::node::{Node, seconds};

const REACH: Event = Event::FailedBeforeKeys(Class::Reach);

#[test]
fn a_new_source_is_served_from_at_once_and_healthy_after_its_first_check() {
    let mut node = Node::new(5);
    node.answering = false;
    assert_eq!(node.admitted(), 5);
    assert!(
        node.sources
            .iter()
            .all(|it| node.state(*it) == State::Unknown)
    );
    node.run(seconds(1));
    assert_eq!(node.open.len(), 5);
    let source = node.sources[0];
    node.answer(source);
    assert_eq!(node.state(source), State::Healthy);
    let other = node.sources[1];
    node.event(other, Event::Served);
    assert_eq!(node.state(other), State::Healthy);
    assert_eq!(node.tenths(other), 10);
}

#[test]
fn a_source_that_comes_later_gets_users_little_by_little() {
    let mut node = Node::healthy(5);
    node.answering = false;
    node.arrive(1, Arrival::Later);
    let source = node.sources[5];
    assert_eq!(node.tenths(source), 1);
    node.run(seconds(1));
    node.answer(source);
    assert_eq!(node.state(source), State::Ramp);
    assert_eq!(node.tenths(source), 1);
}

#[test]
fn two_failures_eject_a_new_source() {
    let mut node = Node::new(5);
    node.answering = false;
    let source = node.sources[0];
    node.event(source, REACH);
    assert_eq!(node.state(source), State::Unknown);
    node.event(source, REACH);
    assert_eq!(node.state(source), State::Ejected);
    assert!(!node.admits(source));
}

#[test]
fn the_whole_way_out_and_back() {
    let mut node = Node::healthy(10);
    let source = node.sources[0];
    node.eject(source, Class::Reach);
    node.ill.clear();
    node.checks.clear();
    let hold = node.run_until(|node| node.state(source) == State::Probing);
    assert!(hold >= seconds(24) && hold <= seconds(36), "{hold:?}");
    let probing = node.run_until(|node| node.state(source) == State::Ramp);
    assert!(
        probing >= seconds(2) && probing <= seconds(5),
        "{probing:?}"
    );
    let probes = node.checks.iter().filter(|(_, checked)| *checked == source);
    assert_eq!(probes.count(), 2);
    for tenths in 1..=10 {
        assert_eq!(node.tenths(source), tenths);
        assert!(node.admits(source));
        node.run(seconds(30));
    }
    assert_eq!(node.state(source), State::Healthy);
    assert_eq!(node.tenths(source), 10);
}

#[test]
fn after_a_hard_failure_the_ramp_is_twice_as_long() {
    let mut node = Node::healthy(10);
    let source = node.sources[0];
    node.eject(source, Class::Identity);
    node.ill.clear();
    node.run_until(|node| node.state(source) == State::Ramp);
    let ramp = node.run_until(|node| node.state(source) == State::Healthy);
    assert!(ramp >= seconds(599) && ramp <= seconds(601), "{ramp:?}");
}

#[test]
fn a_source_that_stays_ill_is_asked_less_and_less() {
    let mut node = Node::healthy(10);
    let source = node.sources[0];
    node.eject(source, Class::Reach);
    node.checks.clear();
    let began = node.now;
    node.run(seconds(24 * 3600));
    let asked: Vec<_> = node
        .checks
        .iter()
        .filter(|(_, checked)| *checked == source)
        .map(|(at, _)| (*at - began).as_secs())
        .collect();
    for (pair, hold) in asked
        .windows(2)
        .zip([60, 120, 240, 480, 960, 1800, 1800, 1800])
    {
        let pause = pair[1] - pair[0];
        assert!(
            pause * 10 >= hold * 8 - 10 && pause * 10 <= hold * 12 + 10,
            "{asked:?}"
        );
    }
    assert!(!node.admits(source));
}

#[test]
fn one_failure_ends_a_ramp_and_lengthens_the_hold() {
    let mut node = Node::healthy(10);
    let source = node.sources[0];
    node.eject(source, Class::Reach);
    node.ill.clear();
    node.run_until(|node| node.state(source) == State::Ramp);
    node.event(source, Event::FailedAfterKeys(Class::Reach));
    assert_eq!(node.state(source), State::Ejected);
    let hold = node.run_until(|node| node.state(source) == State::Probing);
    assert!(hold >= seconds(48) && hold <= seconds(72), "{hold:?}");
}

#[test]
fn who_proved_himself_starts_without_blame() {
    let mut node = Node::healthy(10);
    let source = node.sources[0];
    let failed = Event::FailedAfterKeys(Class::Reach);
    node.events(&[source; 3], failed);
    assert_eq!(node.state(source), State::Ejected);
    node.run_until(|node| node.state(source) == State::Healthy);
    node.events(&[source; 2], failed);
    assert_eq!(node.state(source), State::Healthy);
}

#[test]
fn ejections_are_forgotten_after_a_time_of_good_health() {
    let first_hold = |healthy: Duration| {
        let mut node = Node::healthy(10);
        let source = node.sources[0];
        for _ in 0..3 {
            node.eject(source, Class::Reach);
            node.ill.clear();
            node.run_until(|node| node.state(source) == State::Healthy);
        }
        node.run(healthy);
        node.eject(source, Class::Reach);
        node.ill.clear();
        node.run_until(|node| node.state(source) == State::Probing)
            .as_secs()
    };
    assert!((192..=288).contains(&first_hold(seconds(0))));
    assert!((96..=144).contains(&first_hold(seconds(601))));
    assert!((24..=36).contains(&first_hold(seconds(3 * 600 + 1))));
    assert!((24..=36).contains(&first_hold(seconds(24 * 3600))));
}

#[test]
fn users_word_alone_takes_out_half_of_the_weight_at_most() {
    let mut node = Node::healthy(20);
    let sources = node.sources.clone();
    for source in &sources {
        // One after the other, so that it is no outage; the checks find nothing.
        for _ in 0..3 {
            node.event(*source, Event::FailedAfterKeys(Class::Reach));
        }
        node.run(seconds(4));
    }
    // The first ones are not back yet, since their hold and their ramp last longer than this.
    let out = sources
        .iter()
        .filter(|it| node.state(**it) == State::Ejected);
    assert!(out.count() <= 10);
    assert!(node.admitted() >= 10);
}

#[test]
fn who_gets_users_back_little_by_little_still_counts_as_out() {
    let mut node = Node::healthy(20);
    let sources = node.sources.clone();
    let broken = Event::FailedAfterKeys(Class::Protocol);
    // One that fails its checks, and half of all on users' word.
    node.eject(sources[19], Class::Reach);
    node.ill.clear();
    for source in &sources[..10] {
        node.events(&[*source, *source], broken);
        assert_eq!(node.state(*source), State::Ejected);
        node.run(seconds(4));
    }
    node.run_until(|node| node.state(sources[9]) == State::Ramp);
    assert!(node.sources.iter().all(|it| node.admits(*it)));
    // So no healthy one may go, but all that are in their ramp may.
    node.events(&[sources[10], sources[10]], broken);
    assert_eq!(node.state(sources[10]), State::Healthy);
    for source in [sources[9], sources[0], sources[19]] {
        assert_eq!(node.state(source), State::Ramp);
        node.event(source, broken);
        assert_eq!(node.state(source), State::Ejected);
    }
    // When they are healthy again, others may.
    node.run_until(|node| sources.iter().all(|it| node.state(*it) == State::Healthy));
    node.event(sources[10], broken);
    assert_eq!(node.state(sources[10]), State::Ejected);
}

#[test]
fn checks_may_take_out_more() {
    let mut node = Node::healthy(20);
    let sources = node.sources.clone();
    for source in &sources[..18] {
        node.ill.insert(*source, Class::Reach);
        node.run(seconds(300));
    }
    assert_eq!(node.admitted(), 2);
    assert_eq!(node.panics, []);
}

/// How many sources are left of so many after all but one made nothing of users' keys for a while,
/// though they pass their checks.
fn left_of(count: usize) -> usize {
    let mut node = Node::healthy(count);
    let sources = node.sources.clone();
    for source in &sources[1..] {
        // One after the other, so that it is no outage.
        for _ in 0..3 {
            node.event(*source, Event::FailedAfterKeys(Class::Reach));
        }
        node.run(seconds(4));
    }
    let left = sources.iter();
    left.filter(|it| node.state(**it) == State::Healthy).count()
}

#[test]
fn in_a_small_pool_users_word_alone_takes_out_half_at_most() {
    let left: Vec<_> = (1..=5).map(left_of).collect();
    assert_eq!(left, [1, 1, 2, 2, 3]);
}

#[test]
fn a_broken_source_of_two_loses_its_users_however_heavy_it_is() {
    let mut node = Node::healthy(2);
    let (broken, good) = (node.sources[0], node.sources[1]);
    node.place(|it| if it == broken { 1000 } else { 1 });
    // For an hour it answers checks, and every user who is sent there fails.
    let mut failed = 0;
    for _ in 0..3600 {
        if node.admits(broken) {
            node.event(broken, Event::FailedAfterKeys(Class::Protocol));
            failed += 1;
        }
        node.event(good, Event::Served);
        node.run(seconds(1));
    }
    assert!(failed < 12, "{failed}");
    // The last one is not ejected, as long as it passes its checks.
    for _ in 0..100 {
        node.event(good, Event::FailedAfterKeys(Class::Protocol));
    }
    assert_eq!(node.state(good), State::Healthy);
}

#[test]
fn checks_may_take_out_the_last_ones() {
    let mut node = Node::healthy(3);
    let sources = node.sources.clone();
    for source in &sources[..2] {
        node.eject(*source, Class::Reach);
        node.run(seconds(60));
    }
    assert_eq!(node.admitted(), 1);
}

#[test]
fn a_drained_source_is_checked_but_never_admitted() {
    let mut node = Node::healthy(5);
    let source = node.sources[0];
    node.place(|it| if it == source { 0 } else { 10 });
    node.checks.clear();
    node.run(seconds(600));
    assert_eq!(node.state(source), State::Drained);
    assert!(!node.admits(source));
    let checks = node
        .checks
        .iter()
        .filter(|(_, checked)| *checked == source)
        .count();
    assert!((8..=13).contains(&checks), "{checks}");
    // Whatever it does is no part of an outage.
    node.ill.insert(source, Class::Reach);
    for _ in 0..100 {
        node.event(source, REACH);
    }
    node.run(seconds(600));
    assert_eq!(node.state(source), State::Drained);
    node.ill.clear();
    node.place(|_| 10);
    assert_eq!(node.state(source), State::Unknown);
    node.run_until(|node| node.state(source) == State::Ramp);
}

#[test]
fn checks_of_many_sources_spread_out() {
    let mut node = Node::new(5_000);
    node.run(seconds(11));
    assert_eq!(node.checks.len(), 5_000);
    let began = node.checks[0].0;
    let in_second = |second| {
        let checks = node
            .checks
            .iter()
            .filter(|(at, _)| (*at - began).as_secs() == second);
        checks.count()
    };
    assert!((0..10).all(|second| (350..650).contains(&in_second(second))));
    node.checks.clear();
    node.run(seconds(600));
    // Once a minute, give or take a fifth.
    assert!(
        (45_000..55_000).contains(&node.checks.len()),
        "{}",
        node.checks.len()
    );
}
