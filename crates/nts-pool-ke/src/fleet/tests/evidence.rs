//! What speaks against a source, and what does not.

use super::super::*;
use super::node::{Node, seconds};

const REACH: Event = Event::FailedBeforeKeys(Class::Reach);
const REACH_AFTER: Event = Event::FailedAfterKeys(Class::Reach);

/// Whether these events eject one of ten healthy sources. Its checks find nothing.
fn ejects(events: &[Event]) -> bool {
    let mut node = Node::healthy(10);
    node.answering = false;
    let source = node.sources[0];
    for event in events {
        node.event(source, *event);
    }
    node.state(source) == State::Ejected
}

#[test]
fn classes_are_blamed_as_the_design_says() {
    let blames = Class::ALL.map(|class| (class.label(), class.blame()));
    assert_eq!(
        blames,
        [
            ("local", Blame::None),
            ("reach", Blame::Soft),
            ("identity", Blame::Hard),
            ("auth", Blame::Hard),
            ("protocol", Blame::Hard),
            ("busy", Blame::Soft),
        ]
    );
}

#[test]
fn three_soft_or_two_hard_failures_in_a_row_eject() {
    let hard = Event::FailedBeforeKeys(Class::Identity);
    assert!(!ejects(&[REACH, REACH]));
    assert!(ejects(&[REACH, REACH, REACH]));
    assert!(ejects(&[
        REACH,
        REACH_AFTER,
        Event::FailedBeforeKeys(Class::Busy)
    ]));
    assert!(!ejects(&[hard]));
    assert!(!ejects(&[hard, REACH]));
    assert!(ejects(&[hard, REACH, hard]));
    assert!(ejects(&[hard, hard]));
}

#[test]
fn a_success_takes_back_what_it_disproves() {
    assert!(!ejects(&[REACH, REACH, Event::Served, REACH, REACH]));
    assert!(!ejects(&[REACH, REACH, Event::CheckPassed, REACH, REACH]));
    assert!(!ejects(&[
        REACH_AFTER,
        REACH_AFTER,
        Event::Served,
        REACH_AFTER
    ]));
    // That it answers questions says nothing about whether it makes cookies.
    let check = Event::CheckPassed;
    assert!(ejects(&[
        REACH_AFTER,
        check,
        REACH_AFTER,
        check,
        REACH_AFTER
    ]));
}

#[test]
fn more_failures_than_successes_eject() {
    let mut node = Node::healthy(10);
    node.answering = false;
    let source = node.sources[0];
    for _ in 0..6 {
        node.events(&[source], REACH);
        node.events(&[source], REACH);
        node.events(&[source], Event::Served);
    }
    // 18 of the 20 that it takes, but for the check that made the source healthy.
    assert_eq!(node.state(source), State::Healthy);
    node.event(source, REACH);
    assert_eq!(node.state(source), State::Ejected);
}

#[test]
fn as_many_successes_do_not() {
    let mut node = Node::healthy(10);
    node.answering = false;
    let source = node.sources[0];
    for _ in 0..1000 {
        node.event(source, REACH);
        node.event(source, Event::Served);
    }
    assert_eq!(node.state(source), State::Healthy);
}

#[test]
fn failures_of_long_ago_do_not_count_as_many() {
    let mut node = Node::healthy(10);
    node.answering = false;
    let source = node.sources[0];
    for _ in 0..100 {
        node.event(source, REACH);
        node.event(source, REACH);
        node.event(source, Event::Served);
        node.now += seconds(6);
    }
    assert_eq!(node.state(source), State::Healthy);
}

#[test]
fn local_faults_and_kept_connections_never_count() {
    let local = [
        Event::FailedBeforeKeys(Class::Local),
        Event::FailedAfterKeys(Class::Local),
        Event::CheckFailed(Class::Local),
        Event::KeptConnectionClosed,
    ];
    assert!(!ejects(&local.repeat(1000)));
    let mut node = Node::new(10);
    let sources = node.sources.clone();
    for source in &sources {
        node.ill.insert(*source, Class::Local);
    }
    node.run(seconds(3600));
    for event in local.repeat(100) {
        node.events(&sources, event);
    }
    assert_eq!(node.admitted(), 10);
    assert_eq!(node.panics, []);
    assert!(sources.iter().all(|it| node.state(*it) == State::Unknown));
}

#[test]
fn a_failure_has_the_source_checked_soon_but_not_again_and_again() {
    let mut node = Node::healthy(10);
    node.run(seconds(10));
    node.checks.clear();
    let source = node.sources[0];
    for event in [REACH, REACH_AFTER, Event::KeptConnectionClosed] {
        for _ in 0..50 {
            node.event(source, event);
            node.event(source, Event::Served);
            node.run(std::time::Duration::from_millis(10));
        }
    }
    // 1.5 s: one check at once, one a second later.
    let checks = node.checks.iter().filter(|(_, checked)| *checked == source);
    assert_eq!(checks.count(), 2);
}

#[test]
fn a_failure_during_a_check_asks_for_another() {
    let mut node = Node::healthy(10);
    node.answering = false;
    let source = node.sources[0];
    node.event(source, REACH);
    node.run(seconds(2));
    assert!(node.open.contains(&source));
    node.event(source, REACH);
    node.answer(source);
    let asked = node.checks.len();
    node.run(seconds(1));
    assert_eq!(
        node.checks[asked..]
            .iter()
            .map(|(_, it)| *it)
            .collect::<Vec<_>>(),
        [source]
    );
}
