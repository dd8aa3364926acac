use nts_proto::time::NtpShort;
use proptest::prelude::*;

use super::*;
use crate::action::{Panic, PanicReason};
use crate::snapshot::Verdict;
use crate::testing::{at, measurement};

fn controller_with(config: Config) -> Controller {
    let start = ClockStart {
        frequency: 0.0,
        frequency_uncertainty: 100e-6,
        precision: -30,
    };
    Controller::new(config, start, at(0.0))
}

/// One that needs `minimum` sources, and has `count`.
fn controller(minimum: usize, count: u8) -> Controller {
    let mut controller = controller_with(Config {
        minimum_agreeing_sources: minimum,
        ..Config::default()
    });
    for number in 0..count {
        add_source(&mut controller, number);
    }
    controller
}

fn add_source(controller: &mut Controller, number: u8) {
    controller.add_source(
        SourceId(number.into()),
        PollLimits::default(),
        ReferenceId::from_bytes([192, 0, 2, number]),
    );
}

/// Four measurements of one source, 2 s apart, the last one at `end`.
fn burst(controller: &mut Controller, id: u64, end: f64, offset: f64) -> Vec<Action> {
    let mut actions = Vec::new();
    for number in 0..4 {
        let time = end - 6.0 + 2.0 * f64::from(number);
        actions = controller.handle_measurement(SourceId(id), &measurement(time, offset, 1e-3));
    }
    actions
}

fn reports(actions: &[Action]) -> Vec<Report> {
    let reports = actions.iter().filter_map(|action| match action {
        Action::Report(report) => Some(*report),
        _ => None,
    });
    reports.collect()
}

fn verdicts(controller: &Controller) -> Vec<Verdict> {
    let snapshot = controller.snapshot(at(0.0));
    snapshot.sources.iter().map(|it| it.verdict).collect()
}

#[test]
fn the_first_correction() {
    let mut controller = controller(1, 1);
    assert_eq!(
        verdicts(&controller),
        [Verdict::Starting { measurements: 0 }]
    );
    let early = controller.handle_measurement(SourceId(0), &measurement(8.0, 0.5, 1e-3));
    assert_eq!(early, []);
    assert_eq!(
        verdicts(&controller),
        [Verdict::Starting { measurements: 1 }]
    );
    let snapshot = controller.snapshot(at(8.0));
    assert_eq!(snapshot.synchronization, Err(Unsynchronized::Starting));
    assert_eq!((snapshot.estimate, controller.drift()), (None, None));

    controller.remove_source(SourceId(0));
    add_source(&mut controller, 0);
    let actions = burst(&mut controller, 0, 16.0, 0.5);
    let [Action::Step(step), rest @ ..] = actions.as_slice() else {
        panic!("{actions:?}");
    };
    assert!((step.as_seconds_f64() - 0.5).abs() < 1e-4);
    assert_eq!(reports(rest), [Report::Synchronized]);
    assert!(matches!(
        rest.last(),
        Some(Action::SetStatus(ClockStatus {
            synchronized: true,
            ..
        }))
    ));
    assert_eq!(verdicts(&controller), [Verdict::Best]);
    let synchronized = controller.snapshot(at(16.0)).synchronization.unwrap();
    assert_eq!(synchronized.stratum, 2);
    assert_eq!(synchronized.reference_id.to_bytes(), [192, 0, 2, 0]);
    assert!((synchronized.root_delay - 1e-3).abs() < 1e-9);
    assert!(controller.drift().is_some());
    let expected = measurement(16.0, 0.5, 1e-3).time + *step;
    let error = (synchronized.reference - expected).as_seconds_f64();
    assert!(error.abs() < 1e-3, "local time after the step: {error}");
}

#[test]
fn sources_that_are_not_known_do_nothing() {
    let mut controller = controller(1, 1);
    assert_eq!(burst(&mut controller, 9, 16.0, 0.5), []);
    controller.handle_unusable(SourceId(9), UnusableReason::Loop);
    assert_eq!(controller.poll_wish(SourceId(9)), None);
    assert_eq!(controller.poll_wish(SourceId(0)), Some(4));
}

#[test]
fn each_verdict_has_its_reason() {
    let mut controller = controller(2, 8);
    for id in 0..6 {
        burst(&mut controller, id, 16.0, if id == 2 { 3.0 } else { 0.0 });
    }
    let say = |controller: &mut Controller, id: u64, change: &dyn Fn(&mut Measurement)| {
        let mut it = measurement(20.0, 0.0, 1e-3);
        change(&mut it);
        controller.handle_measurement(SourceId(id), &it);
    };
    say(&mut controller, 3, &|it| it.stratum = 15);
    say(&mut controller, 4, &|it| {
        it.root_dispersion = NtpShort::from_bits(3 << 15)
    });
    say(&mut controller, 5, &|it| {
        it.root_delay = NtpShort::from_bits(3 << 16)
    });
    burst(&mut controller, 6, 26.0, 0.0);
    controller.handle_unusable(SourceId(6), UnusableReason::Unsynchronized);
    for number in 0..4 {
        let far = measurement(26.0 + f64::from(number), 0.0, 1.1);
        controller.handle_measurement(SourceId(7), &far);
    }
    let found = verdicts(&controller);
    assert_eq!(found[2], Verdict::Falseticker);
    assert!(found[3].is_selected(), "stratum 15 is below 16");
    assert_eq!(
        found[4..],
        [
            Verdict::RootDistance,
            Verdict::RootDistance,
            Verdict::Unusable(UnusableReason::Unsynchronized),
            Verdict::Uncertain,
        ]
    );
    let best = found.iter().filter(|it| **it == Verdict::Best).count();
    let selected = found.iter().filter(|it| it.is_selected()).count();
    assert_eq!((best, selected), (1, 3));
    // A good answer makes up for it.
    say(&mut controller, 6, &|_| ());
    assert!(verdicts(&controller)[6].is_selected());
}

#[test]
fn sources_at_the_local_stratum_are_not_used() {
    let mut controller = controller_with(Config {
        minimum_agreeing_sources: 1,
        local_stratum: 1,
        ..Config::default()
    });
    add_source(&mut controller, 0);
    let expected = Report::NoConsensus {
        agreeing: 0,
        usable: 0,
        needed: 1,
    };
    let actions = burst(&mut controller, 0, 16.0, 0.0);
    assert_eq!(actions, [Action::Report(expected)]);
    assert_eq!(verdicts(&controller), [Verdict::Stratum]);
}

#[test]
fn two_of_three_is_too_few_for_three() {
    let mut controller = controller(3, 3);
    burst(&mut controller, 0, 16.0, 0.0);
    let actions = burst(&mut controller, 1, 16.5, 0.0);
    assert_eq!(actions, [], "the third one has not spoken yet");
    let actions = burst(&mut controller, 2, 17.0, 3.0);
    let expected = Report::NoConsensus {
        agreeing: 2,
        usable: 3,
        needed: 3,
    };
    assert_eq!(actions, [Action::Report(expected)]);
    assert_eq!(verdicts(&controller), [Verdict::NoConsensus; 3]);
    let again = controller.handle_measurement(SourceId(2), &measurement(33.0, 3.0, 1e-3));
    assert_eq!(again, [], "it is said once");
}

#[test]
fn the_first_correction_waits_for_those_that_are_about_to_speak() {
    let mut controller = controller(1, 2);
    controller.handle_measurement(SourceId(1), &measurement(11.0, 3.0, 1e-3));
    assert_eq!(burst(&mut controller, 0, 17.0, 0.0), []);
    controller.remove_source(SourceId(1));
    let actions = controller.handle_measurement(SourceId(0), &measurement(33.0, 0.0, 1e-3));
    assert_eq!(reports(&actions), [Report::Synchronized]);
    // Later ones are not waited for.
    add_source(&mut controller, 1);
    controller.handle_measurement(SourceId(1), &measurement(40.0, 3.0, 1e-3));
    let actions = controller.handle_measurement(SourceId(0), &measurement(49.0, 0.0, 1e-3));
    assert!(!actions.is_empty());
}

#[test]
fn a_new_source_profits_from_what_is_known_of_the_frequency() {
    let mut controller = controller(1, 1);
    for number in 0..40 {
        let time = 10.0 + 16.0 * f64::from(number);
        controller.handle_measurement(SourceId(0), &measurement(time, 0.0, 1e-3));
    }
    add_source(&mut controller, 1);
    burst(&mut controller, 1, 660.0, 0.0);
    let snapshot = controller.snapshot(at(660.0));
    let known = snapshot.sources[1].estimate.unwrap();
    assert!(known.frequency_deviation <= 1.01e-6, "{known:?}");
    // Within bounds: sources have errors of their own, and nothing is forgotten for ever.
    assert_eq!(controller.frequency_uncertainty(), 1e-6);
    controller.handle_timer(at(1e12));
    assert_eq!(controller.frequency_uncertainty(), 100e-6);
}

#[test]
fn a_correction_is_told_to_all_filters() {
    let mut controller = controller(1, 2);
    for number in 0..4 {
        let time = 10.0 + 2.0 * f64::from(number);
        for (id, offset) in [(0, 3.0), (1, 3.001)] {
            let measurement = measurement(time, offset + 80e-6 * time, 1e-2);
            controller.handle_measurement(SourceId(id), &measurement);
        }
    }
    let snapshot = controller.snapshot(at(16.0));
    assert!((snapshot.frequency - 80e-6).abs() < 2e-6);
    for source in snapshot.sources {
        let it = source.estimate.unwrap();
        assert!(
            it.offset.abs() < 2e-3 && it.frequency.abs() < 2e-6,
            "{it:?}"
        );
    }
}

#[test]
fn great_jumps_of_sources_are_reported() {
    for (by, reported) in [(1e-3, false), (-20e-3, true)] {
        let mut controller = controller(1, 1);
        burst(&mut controller, 0, 16.0, 0.0);
        let _ = controller.handle_measurement(SourceId(0), &measurement(32.0, by, 1e-3));
        let actions = controller.handle_measurement(SourceId(0), &measurement(48.0, by, 1e-3));
        match reports(&actions)[..] {
            [] => assert!(!reported),
            [Report::SourceJumped { source, by: told }] => {
                assert!(reported && source == SourceId(0) && (told - by).abs() < 1e-4);
            }
            ref other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_best_source_names_the_system() {
    for best in [0, 1] {
        let mut controller = controller(2, 2);
        for number in 0..4 {
            let time = 10.0 + 2.0 * f64::from(number);
            for id in [0, 1] {
                let jitter = if id == best { 1e-5 } else { 1e-4 };
                let delay = if id == best { 3e-3 } else { 1e-3 } + jitter * f64::from(number);
                let mut it = measurement(time, 0.0, delay);
                it.stratum = if id == best { 3 } else { 1 };
                controller.handle_measurement(SourceId(id), &it);
            }
        }
        let other = if best == 0 { 1 } else { 0 };
        let found = verdicts(&controller);
        assert_eq!(found[usize::try_from(best).unwrap()], Verdict::Best);
        assert_eq!(found[other], Verdict::Selected);
        let synchronized = controller.snapshot(at(16.0)).synchronization.unwrap();
        assert_eq!(synchronized.stratum, 4);
        assert_eq!(u64::from(synchronized.reference_id.to_bytes()[3]), best);
        // The delay is the least of all: 1 ms and its mean jitter.
        assert!((synchronized.root_delay - 1.15e-3).abs() < 1e-9);
    }
}

#[test]
fn what_sources_say_of_their_errors_can_be_left_out() {
    let dispersion = |ignore: bool| {
        let mut config = Config {
            minimum_agreeing_sources: 1,
            ..Config::default()
        };
        config.algorithm.ignore_server_dispersion = ignore;
        let mut controller = controller_with(config);
        add_source(&mut controller, 0);
        for number in 0..4 {
            let mut it = measurement(10.0 + f64::from(number), 0.0, 1e-3);
            it.root_dispersion = NtpShort::from_bits(1 << 14);
            controller.handle_measurement(SourceId(0), &it);
        }
        let snapshot = controller.snapshot(at(13.0));
        // It does not make the estimate noisier, whatever it weighs.
        assert!(snapshot.estimate.unwrap().offset_deviation < 1e-6);
        snapshot.synchronization.unwrap().root_dispersion
    };
    assert!((dispersion(false) - 0.25).abs() < 1e-6);
    assert!(dispersion(true) < 1e-6);
}

#[test]
fn slews_end_by_the_timer() {
    let mut controller = controller(1, 1);
    burst(&mut controller, 0, 16.0, 4e-3);
    let slewing = controller.snapshot(at(16.0));
    assert!((slewing.clock_frequency - 200e-6).abs() < 5e-6);
    let end = controller.next_timer();
    let lasts = end.saturating_since(at(16.0));
    assert!(lasts <= CHECK_INTERVAL && !lasts.is_zero(), "{lasts:?}");
    assert_eq!(controller.handle_timer(at(30.0)), []);
    let end = controller.next_timer();
    assert!(
        (end.as_duration().as_secs_f64() - 36.0).abs() < 0.5,
        "{end:?}"
    );
    let actions = controller.handle_timer(end);
    let [Action::SetFrequency(frequency)] = actions.as_slice() else {
        panic!("{actions:?}");
    };
    assert!(frequency.abs() < 5e-6);
    let snapshot = controller.snapshot(end);
    assert_eq!(snapshot.frequency, snapshot.clock_frequency);
}

#[test]
fn what_is_not_corrected_yet_is_told() {
    let mut controller = controller(1, 1);
    burst(&mut controller, 0, 16.0, 9e-3);
    let synchronized = controller.snapshot(at(16.0)).synchronization.unwrap();
    assert!((synchronized.root_dispersion - 9e-3).abs() < 1e-4);
}

#[test]
fn a_clock_that_something_else_moved_is_not_synchronised() {
    let mut controller = controller(1, 1);
    burst(&mut controller, 0, 16.0, 0.0);
    let moved = |seconds: f64, by: f64| {
        let mut it = measurement(seconds, -by, 1e-3);
        it.time = it.time + NtpDuration::from_seconds_f64(by);
        it
    };
    let actions = controller.handle_measurement(SourceId(0), &moved(32.0, 5.1));
    let [Report::ClockMoved { by }, lost] = reports(&actions)[..] else {
        panic!("{actions:?}");
    };
    assert!((by - 5.1).abs() < 1e-3);
    assert_eq!(lost, Report::Unsynchronized(Unsynchronized::ClockMoved));
    let not_synchronized = Action::SetStatus(ClockStatus {
        synchronized: false,
        estimated_error: 0.0,
        maximum_error: 0.0,
    });
    assert!(actions.contains(&not_synchronized));
    // That exchange and those in flight are worth nothing.
    assert_eq!(
        verdicts(&controller),
        [Verdict::Starting { measurements: 0 }]
    );
    let mut in_flight = moved(33.0, 5.1);
    in_flight.delay = NtpDuration::from_seconds_f64(5.2);
    controller.handle_measurement(SourceId(0), &in_flight);
    assert_eq!(
        verdicts(&controller),
        [Verdict::Starting { measurements: 0 }]
    );
    // The step that follows is one of a running clock.
    for number in 0..4 {
        controller.handle_measurement(SourceId(0), &moved(48.0 + f64::from(number), 5.1));
    }
    let snapshot = controller.snapshot(at(51.0));
    assert_eq!(snapshot.synchronization, Err(Unsynchronized::ClockMoved));
    assert_eq!(snapshot.steps, 0);
    let actions = controller.handle_measurement(SourceId(0), &moved(68.0, 5.1));
    assert!(
        reports(&actions).contains(&Report::Synchronized),
        "{actions:?}"
    );
    assert!((controller.snapshot(at(68.0)).accumulated_steps - 5.1).abs() < 0.01);
}

#[test]
fn a_slew_is_given_up_when_the_clock_is_moved() {
    let mut controller = controller(1, 1);
    burst(&mut controller, 0, 16.0, 8e-3);
    assert!(controller.snapshot(at(16.0)).clock_frequency > 190e-6);
    let mut moved = measurement(17.0, -100.0, 1e-3);
    moved.time = moved.time + NtpDuration::from_seconds_f64(100.0);
    let actions = controller.handle_measurement(SourceId(0), &moved);
    let frequency = actions.iter().find_map(|action| match action {
        Action::SetFrequency(frequency) => Some(*frequency),
        _ => None,
    });
    assert!(frequency.unwrap().abs() < 5e-6);
    let next = controller.next_timer().saturating_since(at(17.0));
    assert_eq!(next, CHECK_INTERVAL);
}

#[test]
fn own_steps_and_slow_drift_are_no_meddling() {
    let mut controller = controller(1, 1);
    let actions = burst(&mut controller, 0, 16.0, 100.0);
    assert!(matches!(actions[0], Action::Step(_)));
    let mut next = measurement(32.0, 0.0, 1e-3);
    next.time = next.time + NtpDuration::from_seconds_f64(100.0);
    assert_eq!(
        reports(&controller.handle_measurement(SourceId(0), &next)),
        []
    );
    // 500 ppm of a day are 43 s.
    let mut later = measurement(86_432.0, 0.0, 1e-3);
    later.time = later.time + NtpDuration::from_seconds_f64(143.0);
    let actions = controller.handle_measurement(SourceId(0), &later);
    let moved = |report: &Report| matches!(report, Report::ClockMoved { .. });
    assert!(!reports(&actions).iter().any(moved), "{actions:?}");
}

#[test]
fn a_forbidden_step_ends_everything() {
    let mut controller = controller(1, 1);
    let actions = burst(&mut controller, 0, 16.0, -90_000.0);
    let [Action::Panic(Panic { reason, step })] = actions[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(reason, PanicReason::StartupStep);
    assert!((step + 90_000.0).abs() < 1e-3);
    assert_eq!(
        controller.handle_measurement(SourceId(0), &measurement(32.0, 0.0, 1e-3)),
        []
    );
    assert_eq!(controller.handle_timer(at(1e6)), []);
    let snapshot = controller.snapshot(at(1e6));
    assert_eq!(snapshot.synchronization, Err(Unsynchronized::Panicked));
    assert_eq!((snapshot.steps, snapshot.clock_frequency), (0, 0.0));
}

#[test]
fn synchronisation_ends_when_it_is_too_old() {
    let mut controller = controller(1, 1);
    burst(&mut controller, 0, 16.0, 0.0);
    assert_eq!(controller.handle_timer(at(86_416.0)), []);
    let actions = controller.handle_timer(at(86_416.1));
    let expected = Report::Unsynchronized(Unsynchronized::NoSelection);
    assert_eq!(reports(&actions), [expected]);
    assert_eq!(controller.handle_timer(at(86_500.0)), []);
    // It is told what it was, though.
    assert!(controller.snapshot(at(86_500.0)).estimate.is_some());
    let mut late = measurement(86_600.0, 0.0, 1e-3);
    late.time = late.time + NtpDuration::ZERO;
    let actions = controller.handle_measurement(SourceId(0), &late);
    assert_eq!(reports(&actions), [Report::Synchronized]);
}

#[test]
fn synchronisation_ends_when_the_root_distance_is_too_great() {
    // A clock with a wander of 1e-4 per √s: 3 s after some thousand seconds.
    let mut controller = controller_with(Config {
        minimum_agreeing_sources: 1,
        algorithm: crate::config::Algorithm {
            initial_wander: 1e-4,
            ..crate::config::Algorithm::default()
        },
        ..Config::default()
    });
    add_source(&mut controller, 0);
    burst(&mut controller, 0, 16.0, 0.0);
    let mut now = 16.0;
    let lost = loop {
        now += 16.0;
        let distance = controller
            .snapshot(at(now))
            .synchronization
            .unwrap()
            .root_distance();
        let actions = controller.handle_timer(at(now));
        assert_eq!(distance > 3.0, !actions.is_empty(), "{distance}");
        if !actions.is_empty() {
            break actions;
        }
    };
    let expected = Report::Unsynchronized(Unsynchronized::RootDistance);
    assert_eq!(reports(&lost), [expected]);
}

#[test]
fn a_leap_second_is_armed_on_its_day_and_disarmed_after_it() {
    let mut controller = controller(1, 1);
    // 2026-12-31, ten minutes before its end.
    let say = |controller: &mut Controller, seconds: f64, leap: LeapIndicator| {
        let mut it = measurement(seconds, 0.0, 1e-3);
        let noon = measurement(0.0, 0.0, 0.0).time;
        it.time = NtpTimestamp::from_unix(1_798_761_600 - 600, 0) + (it.time - noon);
        it.leap = leap;
        let actions = controller.handle_measurement(SourceId(0), &it);
        leaps(&actions)
    };
    fn leaps(actions: &[Action]) -> Vec<LeapIndicator> {
        let leaps = actions.iter().filter_map(|action| match action {
            Action::SetLeap(leap) => Some(*leap),
            _ => None,
        });
        leaps.collect()
    }
    for number in 0..3 {
        let none = say(&mut controller, f64::from(number), LeapIndicator::Leap61);
        assert_eq!(none, [], "not synchronised yet");
    }
    assert_eq!(
        say(&mut controller, 3.0, LeapIndicator::Leap61),
        [LeapIndicator::Leap61]
    );
    let served = controller.snapshot(at(3.0)).synchronization.unwrap().leap;
    assert_eq!(served, LeapIndicator::Leap61);
    assert_eq!(say(&mut controller, 19.0, LeapIndicator::Leap61), []);
    // Withdrawn, and announced again.
    assert_eq!(
        say(&mut controller, 35.0, LeapIndicator::NoWarning),
        [LeapIndicator::NoWarning]
    );
    assert_eq!(
        say(&mut controller, 51.0, LeapIndicator::Leap59),
        [LeapIndicator::Leap59]
    );
    // The day ends without another measurement.
    assert_eq!(leaps(&controller.handle_timer(at(599.0))), []);
    assert_eq!(
        leaps(&controller.handle_timer(at(601.0))),
        [LeapIndicator::NoWarning]
    );
}

#[derive(Debug, Clone)]
enum Event {
    Measurement {
        id: u64,
        offset: i64,
        delay: i64,
        pause: f64,
        odd: u32,
    },
    Unusable(u64),
    Remove(u64),
    Add(u8),
    Timer(f64),
}

fn any_event() -> impl Strategy<Value = Event> {
    let sane = (0..5_u64, -1e7..1e7_f64, 0.0..1e8_f64, 0.0..600.0_f64);
    let wild = (
        0..5_u64,
        any::<i64>(),
        any::<i64>(),
        0.0..1e5_f64,
        any::<u32>(),
    );
    #[allow(
        clippy::cast_possible_truncation,
        reason = "units of 2^-32 s around a second"
    )]
    let sane = sane.prop_map(|(id, offset, delay, pause)| Event::Measurement {
        id,
        offset: offset as i64,
        delay: delay as i64,
        pause,
        odd: 1,
    });
    let wild = wild.prop_map(|(id, offset, delay, pause, odd)| Event::Measurement {
        id,
        offset: offset >> (odd % 62),
        delay: delay >> (odd % 62),
        pause,
        odd,
    });
    prop_oneof![
        20 => sane,
        4 => wild,
        1 => (0..5_u64).prop_map(Event::Unusable),
        1 => (0..5_u64).prop_map(Event::Remove),
        1 => (0..5_u8).prop_map(Event::Add),
        4 => (0.0..1e5_f64).prop_map(Event::Timer),
    ]
}

fn check_sane(controller: &Controller, actions: &[Action]) -> Result<(), TestCaseError> {
    for action in actions {
        if let Action::SetFrequency(frequency) = action {
            prop_assert!(frequency.abs() <= 495e-6 + 1e-12, "{frequency}");
        }
        if let Action::SetStatus(status) = action {
            prop_assert!(status.estimated_error.is_finite() && status.maximum_error.is_finite());
        }
    }
    let snapshot = controller.snapshot(controller.now);
    prop_assert!(snapshot.frequency.abs() <= 495e-6);
    prop_assert!(snapshot.accumulated_steps.is_finite());
    prop_assert!(controller.next_timer() >= controller.now);
    for source in &snapshot.sources {
        if let Some(it) = source.estimate {
            let numbers = [
                it.offset,
                it.offset_deviation,
                it.radius,
                it.frequency,
                it.wander,
            ];
            prop_assert!(numbers.iter().all(|number| number.is_finite()), "{it:?}");
            prop_assert!(it.frequency_deviation >= 0.0 && it.jitter >= 0.0, "{it:?}");
        }
    }
    if let Ok(synchronized) = snapshot.synchronization {
        prop_assert!((2..=16).contains(&synchronized.stratum));
        prop_assert!(synchronized.root_distance() >= 0.0);
    }
    Ok(())
}

proptest! {
    #[test]
    fn whatever_happens_it_stays_sane(
        minimum in 1..4_usize,
        events in prop::collection::vec(any_event(), 1..150),
    ) {
        let mut controller = controller_with(Config {
            minimum_agreeing_sources: minimum,
            startup_step_panic_threshold: crate::config::StepThreshold::UNLIMITED,
            single_step_panic_threshold: crate::config::StepThreshold::UNLIMITED,
            ..Config::default()
        });
        for number in 0..4 {
            add_source(&mut controller, number);
        }
        let mut now = 0.0;
        for event in events {
            let actions = match event {
                Event::Measurement { id, offset, delay, pause, odd } => {
                    now += pause;
                    let mut it = measurement(now, 0.0, 0.0);
                    it.offset = NtpDuration::from_bits(offset);
                    it.delay = NtpDuration::from_bits(delay);
                    it.stratum = (odd % 15 + 1).try_into().unwrap();
                    if odd % 3 == 0 {
                        it.precision = odd.to_le_bytes()[0].cast_signed();
                        it.root_delay = NtpShort::from_bits(odd);
                        it.time = NtpTimestamp::from_bits(u64::from(odd) << 20);
                    }
                    controller.handle_measurement(SourceId(id), &it)
                }
                Event::Unusable(id) => {
                    controller.handle_unusable(SourceId(id), UnusableReason::Loop);
                    Vec::new()
                }
                Event::Remove(id) => {
                    controller.remove_source(SourceId(id));
                    Vec::new()
                }
                Event::Add(number) => {
                    add_source(&mut controller, number);
                    Vec::new()
                }
                Event::Timer(pause) => {
                    now += pause;
                    controller.handle_timer(at(now))
                }
            };
            check_sane(&controller, &actions)?;
        }
    }
}
