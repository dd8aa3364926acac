//! Sources that come, go, and stay.

use super::super::*;
use super::node::{Node, seconds};

#[test]
fn who_stays_keeps_his_state() {
    let mut node = Node::healthy(10);
    let source = node.sources[0];
    node.eject(source, Class::Reach);
    node.arrive(3, Arrival::Later);
    assert_eq!(node.state(source), State::Ejected);
    assert_eq!(node.fleet.census()[&State::Healthy], 9);
    assert_eq!(node.fleet.census()[&State::Unknown], 3);
    node.ill.clear();
    node.run(seconds(60));
    assert_eq!(node.state(source), State::Ramp);
}

#[test]
fn who_goes_is_forgotten_and_never_mistaken_for_another() {
    let mut node = Node::healthy(4);
    let gone = node.sources.remove(0);
    node.place(|_| 10);
    assert_eq!(node.fleet.state(gone), None);
    assert!(!node.admits(gone));
    node.event(gone, Event::CheckFailed(Class::Reach));
    node.event(gone, Event::Served);
    node.arrive(1, Arrival::Later);
    assert!(!node.sources.contains(&gone));
    node.checks.clear();
    node.run(seconds(600));
    assert!(node.checks.iter().all(|(_, checked)| *checked != gone));
}

#[test]
fn who_goes_while_failing_leaves_no_trace() {
    let mut node = Node::healthy(8);
    let failing: Vec<_> = node.sources[..4].to_vec();
    node.answering = false;
    node.events(&failing, Event::FailedBeforeKeys(Class::Reach));
    node.sources.drain(..4);
    node.place(|_| 10);
    node.arrive(4, Arrival::Later);
    let others: Vec<_> = node.sources[..4].to_vec();
    node.events(&others, Event::FailedBeforeKeys(Class::Reach));
    assert_eq!(node.panics, [], "four of eight");
}

#[test]
fn a_running_check_survives() {
    let mut node = Node::new(2);
    node.answering = false;
    node.run(seconds(1));
    let source = node.sources[0];
    node.arrive(1, Arrival::Later);
    node.answer(source);
    assert_eq!(node.state(source), State::Healthy);
}

#[test]
fn an_empty_fleet_is_in_panic_and_has_nothing_to_do() {
    let mut node = Node::healthy(2);
    node.sources.clear();
    node.place(|_| 10);
    assert!(node.fleet.is_in_panic());
    assert_eq!(node.fleet.next_timer(), None);
}
