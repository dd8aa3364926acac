//! What holds whatever happens.

use proptest::prelude::*;

use super::super::*;
use super::node::{Node, seconds};

#[derive(Clone, Debug)]
enum Step {
    Event(usize, Event),
    Wait(u64),
    Ill(usize, Class),
    Well(usize),
    Weight(usize, u32),
    Answering(bool),
}

fn any_class() -> impl Strategy<Value = Class> {
    prop::sample::select(Class::ALL.to_vec())
}

fn any_step() -> impl Strategy<Value = Step> {
    let event = prop_oneof![
        Just(Event::Served),
        Just(Event::KeptConnectionClosed),
        any_class().prop_map(Event::FailedBeforeKeys),
        any_class().prop_map(Event::FailedAfterKeys),
    ];
    prop_oneof![
        8 => (0..12_usize, event).prop_map(|(source, event)| Step::Event(source, event)),
        3 => (0..40_000_u64).prop_map(Step::Wait),
        2 => (0..12_usize, any_class()).prop_map(|(source, class)| Step::Ill(source, class)),
        1 => (0..12_usize).prop_map(Step::Well),
        1 => (0..12_usize, 0..3_u32).prop_map(|(source, weight)| Step::Weight(source, weight)),
        1 => any::<bool>().prop_map(Step::Answering),
    ]
}

fn take(node: &mut Node, weights: &mut [u32], step: &Step) {
    let sources = node.sources.clone();
    let source = |at: usize| sources[at % sources.len()];
    match step {
        Step::Event(at, event) => node.event(source(*at), *event),
        Step::Wait(millis) => node.run(std::time::Duration::from_millis(*millis)),
        Step::Ill(at, class) => drop(node.ill.insert(source(*at), *class)),
        Step::Well(at) => drop(node.ill.remove(&source(*at))),
        Step::Weight(at, weight) => {
            let at = at % sources.len();
            weights[at] = *weight;
            let weight_of = |it| {
                let at = sources.iter().position(|source| *source == it).unwrap();
                weights[at]
            };
            node.place(weight_of);
        }
        Step::Answering(answering) => {
            node.answering = *answering;
            if *answering {
                for source in node.open.clone() {
                    node.answer(source);
                }
            }
        }
    }
}

fn check_laws(node: &Node, weights: &[u32]) -> Result<(), TestCaseError> {
    let panic = node.fleet.everything_is_failing();
    let mut in_service = 0;
    for (source, weight) in node.sources.iter().zip(weights) {
        let (state, standing) = (node.state(*source), node.fleet.standing(*source));
        prop_assert_eq!(state == State::Drained, *weight == 0);
        let serves = matches!(state, State::Unknown | State::Healthy | State::Ramp);
        in_service += usize::from(serves);
        prop_assert!(serves || !standing.admitted);
        // Outside panic everybody in service is admitted.
        prop_assert!(!serves || standing.admitted || panic);
        prop_assert!(!standing.admitted || (1..=10).contains(&standing.tenths));
    }
    prop_assert_eq!(node.fleet.guard.in_service(), in_service);
    for (source, member) in &node.fleet.members {
        // Whoever stands differently than before was named, and stands in the agenda.
        prop_assert_eq!(node.told[source], node.fleet.standing(*source));
        prop_assert_eq!(member.booked, member.appointment());
        // Only who is out or on his way back is charged.
        prop_assert!(!(member.charged && member.is_established()));
    }
    let weight = |charged: bool| -> u64 {
        let members = node.fleet.members.values();
        members
            .filter(|it| it.charged || !charged)
            .map(|it| u64::from(it.weight))
            .sum()
    };
    prop_assert_eq!(node.fleet.guard.account(), (weight(false), weight(true)));
    prop_assert_eq!(node.fleet.is_in_panic(), panic || in_service == 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn states_and_standings_agree_and_everybody_comes_back(
        count in 1..12_usize,
        seed in any::<u64>(),
        steps in prop::collection::vec(any_step(), 0..200),
    ) {
        let mut node = Node::empty(seed);
        node.arrive(count, Arrival::AtStart);
        let mut weights = vec![10; count];
        for step in &steps {
            take(&mut node, &mut weights, step);
            check_laws(&node, &weights)?;
        }
        // Everybody is well from now on, and within the longest hold, proof and ramp they all are
        // found to be.
        node.ill.clear();
        take(&mut node, &mut weights, &Step::Answering(true));
        node.run(seconds(36 * 60 + 11 + 10 * 60 + 120));
        for (source, weight) in node.sources.iter().zip(&weights) {
            let expected = if *weight == 0 { State::Drained } else { State::Healthy };
            prop_assert_eq!(node.state(*source), expected);
            prop_assert_eq!(node.admits(*source), *weight > 0);
        }
        prop_assert!(!node.fleet.everything_is_failing());
    }

    #[test]
    fn users_word_alone_never_empties_a_pool(
        count in 1..40_usize,
        seed in any::<u64>(),
        failures in prop::collection::vec((0..40_usize, any_class(), any::<bool>()), 0..400),
    ) {
        // Checks find nothing wrong, and nobody is passed over for long.
        let mut node = Node::empty(seed);
        node.arrive(count, Arrival::AtStart);
        node.run(seconds(2));
        for (at, class, after_keys) in failures {
            let source = node.sources[at % count];
            node.event(source, match after_keys {
                true => Event::FailedAfterKeys(class),
                false => Event::FailedBeforeKeys(class),
            });
            let out = node.sources.iter().filter(|it| {
                matches!(node.state(**it), State::Ejected | State::Probing)
            }).count();
            prop_assert!(2 * out <= count);
            prop_assert!(count - out >= count.div_ceil(2).min(3));
            node.run(std::time::Duration::from_millis(200));
        }
    }
}
