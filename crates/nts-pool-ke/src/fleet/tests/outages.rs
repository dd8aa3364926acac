//! Everything fails at once.

use super::super::*;
use super::node::{Node, seconds};

const REACH: Event = Event::FailedBeforeKeys(Class::Reach);

/// Cuts `count` sources off, as users and checks find out within a few seconds.
fn cut(node: &mut Node, count: usize) -> Vec<SourceKey> {
    let cut: Vec<_> = node.sources[..count].to_vec();
    for source in &cut {
        node.ill.insert(*source, Class::Reach);
    }
    for _ in 0..4 {
        node.events(&cut, REACH);
        node.run(seconds(1));
    }
    cut
}

#[test]
fn mass_failure_ejects_nobody_and_all_are_back_within_five_seconds() {
    for count in [10, 30, 100, 1000] {
        let mut node = Node::healthy(count);
        let cut = cut(&mut node, count * 3 / 5 + 1);
        assert_eq!(node.panics, [Action::PanicBegan]);
        assert!(node.fleet.is_in_panic());
        // Passed over, but not ejected.
        assert!(cut.iter().all(|it| node.state(*it) == State::Healthy));
        assert!(cut.iter().all(|it| !node.admits(*it)));
        assert_eq!(node.admitted(), count - cut.len());
        node.run(seconds(120));
        node.ill.clear();
        let back = node.run_until(|node| node.admitted() == count);
        assert!(back < seconds(3), "{count}: {back:?}");
        let over = back + node.run_until(|node| !node.fleet.is_in_panic());
        assert!(over < seconds(7), "{count}: {over:?}");
        assert_eq!(node.panics, [Action::PanicBegan, Action::PanicEnded]);
        assert!(node.sources.iter().all(|it| node.tenths(*it) == 10));
    }
}

#[test]
fn who_was_ejected_before_it_was_clear_is_taken_back() {
    let mut node = Node::healthy(20);
    let sources = node.sources.clone();
    for source in &sources[..10] {
        node.eject(*source, Class::Reach);
        assert!(node.panics.is_empty());
    }
    assert_eq!(node.admitted(), 10);
    node.events(&sources[10..], REACH);
    assert_eq!(node.panics, [Action::PanicBegan]);
    // Who failed within a minute is in service again, if passed over.
    let healthy = sources
        .iter()
        .filter(|it| node.state(**it) == State::Healthy);
    assert!(healthy.count() >= 15);
    assert_eq!(node.admitted(), 0);
}

#[test]
fn an_ejection_that_was_taken_back_lengthens_no_other() {
    let mut node = Node::healthy(20);
    let sources = node.sources.clone();
    node.eject(sources[0], Class::Reach);
    node.events(&sources[1..], REACH);
    assert_eq!(node.panics, [Action::PanicBegan]);
    assert_eq!(node.state(sources[0]), State::Healthy);
    node.ill.clear();
    node.run_until(|node| !node.fleet.is_in_panic());
    node.eject(sources[0], Class::Reach);
    node.ill.clear();
    let hold = node.run_until(|node| node.state(sources[0]) == State::Probing);
    assert!(hold <= seconds(36), "{hold:?}");
}

#[test]
fn a_user_who_is_served_brings_a_source_back_at_once() {
    let mut node = Node::healthy(10);
    let cut = cut(&mut node, 10);
    assert_eq!(node.admitted(), 0);
    node.event(cut[3], Event::Served);
    assert!(node.admits(cut[3]));
    assert_eq!(node.tenths(cut[3]), 10);
}

#[test]
fn in_panic_one_failure_is_enough_to_be_passed_over() {
    let mut node = Node::healthy(10);
    cut(&mut node, 8);
    let last = node.sources[9];
    assert!(node.admits(last));
    node.event(last, REACH);
    assert!(!node.admits(last));
    assert_eq!(node.state(last), State::Healthy);
}

#[test]
fn half_is_not_everything() {
    let mut node = Node::healthy(10);
    let cut = cut(&mut node, 5);
    assert_eq!(node.panics, []);
    node.run(seconds(20));
    assert!(cut.iter().all(|it| node.state(*it) == State::Ejected));
}

#[test]
fn what_is_still_ill_after_five_minutes_is_really_ill() {
    let mut node = Node::healthy(10);
    let cut = cut(&mut node, 6);
    node.run(seconds(290));
    assert!(node.fleet.everything_is_failing());
    node.run(seconds(20));
    assert_eq!(node.panics, [Action::PanicBegan, Action::PanicEnded]);
    assert!(cut.iter().all(|it| !node.admits(*it)));
    assert!(cut.iter().any(|it| node.state(*it) == State::Ejected));
    node.run(seconds(3600));
    assert_eq!(node.panics.len(), 2);
    assert_eq!(node.admitted(), 4);
}

#[test]
fn as_long_as_nothing_works_nobody_is_ejected() {
    let mut node = Node::healthy(10);
    cut(&mut node, 10);
    node.run(seconds(24 * 3600));
    assert_eq!(node.panics, [Action::PanicBegan]);
    node.ill.clear();
    let back = node.run_until(|node| node.admitted() == 10);
    assert!(back < seconds(2), "{back:?}");
}

#[test]
fn one_source_that_stays_ill_is_ejected_when_it_is_over() {
    let mut node = Node::healthy(10);
    let cut = cut(&mut node, 7);
    node.ill.clear();
    node.ill.insert(cut[0], Class::Reach);
    node.run_until(|node| !node.fleet.is_in_panic());
    assert_eq!(node.state(cut[0]), State::Ejected);
    assert_eq!(node.admitted(), 9);
}

#[test]
fn small_pools_are_in_panic_only_when_nothing_is_left() {
    for count in 1..=3 {
        let mut node = Node::healthy(count);
        cut(&mut node, count - 1);
        node.run(seconds(60));
        assert_eq!(node.panics, []);
        assert_eq!(node.admitted(), 1);
        assert!(!node.fleet.is_in_panic());
        cut(&mut node, count);
        assert!(node.fleet.is_in_panic());
        assert_eq!(node.admitted(), 0);
        node.ill.clear();
        let back = node.run_until(|node| node.admitted() > 0);
        assert!(back < seconds(2), "{count}: {back:?}");
    }
}

#[test]
fn nobody_left_is_panic_too_and_the_first_to_serve_is_taken() {
    let mut node = Node::healthy(2);
    let (one, other) = (node.sources[0], node.sources[1]);
    node.eject(one, Class::Reach);
    node.run(seconds(40));
    assert!(!node.fleet.is_in_panic());
    node.place(|it| if it == other { 0 } else { 10 });
    assert!(node.fleet.is_in_panic());
    assert!(!node.fleet.everything_is_failing());
    assert_eq!(node.admitted(), 0);
    node.event(one, Event::Served);
    assert_eq!(node.state(one), State::Ramp);
    assert!(!node.fleet.is_in_panic());
}

#[test]
fn a_quiet_node_notices_too() {
    // No users at all: the checks alone, each once a minute, have to find out.
    let mut node = Node::healthy(50);
    node.run(seconds(300));
    for source in node.sources.clone() {
        node.ill.insert(source, Class::Reach);
    }
    node.run(seconds(90));
    assert_eq!(node.panics, [Action::PanicBegan]);
    node.ill.clear();
    node.run(seconds(3));
    let back = node.admitted();
    assert!(back >= 35, "{back}");
}

#[test]
fn nobody_is_held_to_account_for_what_happened_then() {
    let mut node = Node::healthy(10);
    let cut = cut(&mut node, 8);
    node.events(&cut, Event::FailedAfterKeys(Class::Reach));
    node.events(&cut, Event::FailedAfterKeys(Class::Reach));
    node.ill.clear();
    node.run_until(|node| !node.fleet.is_in_panic());
    assert_eq!(node.admitted(), 10);
    node.events(&cut[..1], Event::FailedAfterKeys(Class::Reach));
    assert_eq!(node.admitted(), 10);
}
