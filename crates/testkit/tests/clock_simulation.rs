//! The clock in virtual time: that the table of the documentation holds, and what happens when
//! something happens. The long form of the table is the binary `clock-simulation`.

use ntp_sync::Report;
use ntp_sync::action::PanicReason;
use ntp_sync::snapshot::{Unsynchronized, Verdict};
use nts_proto::ntp::header::LeapIndicator;
use testkit::clock_simulation::{Case, Happening, LAN, Path, Record, Scenario, run, wan};

/// Runs of each scenario.
const SEEDS: u64 = 20;

fn runs(scenario: &Scenario) -> Vec<Record> {
    (0..SEEDS).map(|seed| run(scenario, seed)).collect()
}

/// Whether the error stays below `bound` from second `from` to the end, with a truth that is off
/// by `shift` (s).
fn holds(run: &Record, from: f64, shift: f64, bound: f64) -> bool {
    let errors = run.after(from);
    !errors.is_empty() && errors.iter().all(|error| (error - shift).abs() < bound)
}

fn reported(run: &Record, is_it: impl Fn(&Report) -> bool) -> Vec<f64> {
    let reports = run.reports.iter().filter(|(_, report)| is_it(report));
    reports.map(|(at, _)| *at).collect()
}

#[test]
fn the_table_holds() {
    for case in Case::all() {
        let row = case.row(SEEDS);
        let shortcomings = row.shortcomings();
        assert!(shortcomings.is_empty(), "{shortcomings:?}\n{row}");
    }
}

#[test]
fn a_run_is_decided_by_its_seed() {
    let scenario = Scenario::wan_four().lasting(2000.0);
    assert_eq!(run(&scenario, 1).errors, run(&scenario, 1).errors);
    assert_ne!(run(&scenario, 1).errors, run(&scenario, 2).errors);
}

#[test]
fn a_local_network_is_left_by_steps_of_ten() {
    let runs = runs(&Scenario::lan());
    let close = |run: &&Record| holds(run, 400.0, 0.0, 100e-6);
    assert!(runs.iter().filter(close).count() >= 18);
    for run in runs {
        assert!(holds(&run, 10.0, 0.0, 10e-3));
        assert!(holds(&run, 60.0, 0.0, 1e-3));
        assert!(run.greatest(210.0) < 200e-6);
        assert_eq!(run.steps.len(), 1);
        assert!(run.greatest_steer <= 495e-6);
    }
}

#[test]
fn one_liar_of_four_is_never_used() {
    for lie in [0.05, 0.5, -0.05] {
        for run in runs(&Scenario::wan_four().with_offset(2, lie)) {
            assert_eq!(run.selected[2], None);
            assert!(holds(&run, 200.0, 0.0, 1e-3));
            let honest = [0, 1, 3].map(|server| run.selected[server].unwrap());
            assert!(honest.iter().all(|last| *last > 9000.0), "{honest:?}");
            let last = run.last.unwrap();
            assert_eq!(last.sources[2].verdict, Verdict::Falseticker);
        }
    }
}

#[test]
fn one_who_begins_to_lie_is_out_as_soon_as_he_has_spoken_twice() {
    for lie in [0.05, 0.5] {
        let scenario = Scenario::wan_four().with(3000.0, Happening::ServerSteps(1, lie));
        for run in runs(&scenario) {
            // Two polls: the one that was due, and one 16 s after it.
            let jumped = reported(&run, |report| matches!(report, Report::SourceJumped { .. }));
            assert_eq!(jumped.len(), 1, "{:?}", run.reports);
            assert!(run.selected[1].unwrap() < jumped[0]);
            assert!(jumped[0] < 3000.0 + 20.0 + 1.1 * 256.0);
            assert!(holds(&run, 200.0, 0.0, 1e-3));
            assert_eq!(run.steps.len(), 1);
        }
    }
}

#[test]
fn a_server_that_drifts_away_is_left() {
    let scenario = Scenario::wan_four().with(1000.0, Happening::ServerDrifts(0, 50e-6));
    for run in runs(&scenario) {
        assert!(run.selected[0].unwrap() < 1500.0);
        // Until the others agree without it, it is believed: it was the nearest.
        assert!(holds(&run, 200.0, 0.0, 8e-3), "{}", run.greatest(200.0));
        assert!(holds(&run, 3000.0, 0.0, 1e-3));
    }
}

#[test]
fn two_against_two_is_no_consensus() {
    for minimum in [1, 2, 3] {
        let mut scenario = Scenario::wan_four().with_offset(0, 0.5).with_offset(1, 0.5);
        scenario.config.minimum_agreeing_sources = minimum;
        let run = run(&scenario, 1);
        assert_eq!(run.selected, [None; 4]);
        assert_eq!((run.steps.len(), run.greatest_steer), (0, 0.0));
        let expected = Report::NoConsensus {
            agreeing: 2,
            usable: 4,
            needed: 3,
        };
        let reports: Vec<_> = run.reports.iter().map(|(_, report)| *report).collect();
        assert_eq!(reports, [expected], "said once");
        let last = run.last.unwrap();
        assert_eq!(last.synchronization, Err(Unsynchronized::Starting));
        assert!(
            last.sources
                .iter()
                .all(|it| it.verdict == Verdict::NoConsensus)
        );
    }
}

#[test]
fn a_clock_beside_the_machines_is_kept_as_well() {
    for (mut scenario, bound) in [(Scenario::lan(), 30e-6), (Scenario::wan_four(), 150e-6)] {
        scenario.clock.apart = true;
        scenario.clock.frequency = 400e-6;
        for run in runs(&scenario) {
            assert!(run.rms(scenario.settled) < bound);
            assert_eq!(run.steps.len(), 1);
        }
    }
}

#[test]
fn the_only_server_is_followed_when_it_steps() {
    for (by, steps) in [(0.01, 1), (0.1, 2), (-0.1, 2), (2.0, 2)] {
        let scenario = Scenario::lan().with(5000.0, Happening::ServerSteps(0, by));
        for run in runs(&scenario) {
            assert!(holds(&run, 6200.0, by, 1e-3), "{by}");
            // Slewed if small; stepped if great, once that is certain.
            assert_eq!(run.steps.len(), steps, "{by}: {:?}", run.steps);
            if let Some((at, step)) = run.steps.get(1) {
                assert!((*at - 5000.0) < 300.0 && (step - by).abs() < 0.01 * by.abs() + 5e-3);
            }
        }
    }
}

#[test]
fn a_small_step_is_slewed_away_at_no_more_than_200_ppm() {
    let scenario = Scenario::lan().with(5000.0, Happening::ServerSteps(0, 0.009));
    let run = run(&scenario, 3);
    let fastest = run.frequency_errors[5000..]
        .iter()
        .fold(0.0, |most: f64, error| most.max(error.abs()));
    assert!((190e-6..210e-6).contains(&fastest), "{fastest}");
    assert_eq!(run.steps.len(), 1);
}

#[test]
fn a_clock_that_something_else_moved_is_put_right() {
    for by in [5.0, -5.0, 100.0, -100.0, 0.02] {
        let scenario = Scenario::wan_four().with(5000.0, Happening::ClockIsStepped(by));
        for run in runs(&scenario) {
            assert!(holds(&run, 6200.0, 0.0, 1e-3), "{by}");
            let noticed = reported(&run, |report| matches!(report, Report::ClockMoved { .. }));
            if by.abs() > 10.0 {
                assert_eq!(noticed.len(), 1);
                // Nobody is told a time that is known to be wrong.
                let lost = Report::Unsynchronized(Unsynchronized::ClockMoved);
                assert_eq!(reported(&run, |report| *report == lost), noticed);
                let again = reported(&run, |report| *report == Report::Synchronized);
                assert_eq!(again.len(), 2);
                assert!(again[1] >= run.steps[1].0);
            }
        }
    }
}

#[test]
fn a_wrong_start_is_stepped_or_refused() {
    for offset in [-100.0, 100.0, -90_000.0] {
        let mut scenario = Scenario::wan_four().lasting(2000.0);
        scenario.clock.offset = offset;
        let run = run(&scenario, 1);
        assert_eq!(run.steps.len(), 1);
        assert!((run.steps[0].1 + offset).abs() < 0.01);
        assert!(holds(&run, 200.0, 0.0, 1e-3));
    }
    let mut scenario = Scenario::wan_four();
    scenario.clock.offset = 90_000.0;
    let run = run(&scenario, 1);
    let panic = run.panic.unwrap();
    assert_eq!(panic.reason, PanicReason::StartupStep);
    assert!((panic.step + 90_000.0).abs() < 0.01);
    assert_eq!((run.steps.len(), run.greatest_steer), (0, 0.0));
    let last = run.last.unwrap();
    assert_eq!(last.synchronization, Err(Unsynchronized::Panicked));
}

#[test]
fn later_steps_have_their_own_limits() {
    let scenario = Scenario::lan().with(5000.0, Happening::ClockIsStepped(1001.0));
    let run_ = run(&scenario, 1);
    assert_eq!(run_.panic.unwrap().reason, PanicReason::SingleStep);
    assert_eq!(run_.steps.len(), 1);

    let mut scenario = Scenario::lan()
        .with(3000.0, Happening::ClockIsStepped(0.6))
        .with(6000.0, Happening::ClockIsStepped(-0.6));
    scenario.config.accumulated_step_panic_threshold = Some(std::time::Duration::from_secs(1));
    let run = run(&scenario, 1);
    assert_eq!(run.panic.unwrap().reason, PanicReason::AccumulatedSteps);
    assert_eq!(run.steps.len(), 2);
}

#[test]
fn a_clock_at_the_edge_is_kept_and_one_beyond_it_is_reported() {
    for run in runs(&Scenario::lan().starting_at(400e-6)) {
        // Over a hundred seconds, so that slews do not count.
        let later = run.after(3600.0).windows(100);
        let drifts = later.map(|errors| (errors[99] - errors[0]) / 99.0);
        assert!(drifts.into_iter().all(|drift| drift.abs() < 1e-6));
    }
    for frequency in [600e-6, -600e-6] {
        let run = run(&Scenario::lan().starting_at(frequency), 1);
        assert!(run.greatest_steer <= 495e-6 + 1e-12);
        let reports = reported(&run, |report| {
            matches!(report, Report::FrequencyLimit { .. })
        });
        assert_eq!(reports.len(), 1);
        // It is stepped back again and again, always in the same direction.
        let later = &run.steps[1..];
        assert!(later.len() > 10 && later.iter().all(|(_, step)| step * frequency < 0.0));
        assert!(holds(&run, 200.0, 0.0, 30e-3));
    }
}

#[test]
fn the_era_of_2036_is_nothing_special() {
    // 2036-02-07 06:28:16 UTC
    let mut scenario = Scenario::wan_four();
    let usual = run(&scenario, 1);
    scenario.epoch = 2_085_978_496 - 5000;
    let across = run(&scenario, 1);
    let differences = usual.errors.iter().zip(&across.errors);
    let greatest = differences.fold(0.0, |most: f64, (a, b)| most.max((a - b).abs()));
    assert!(greatest < 1e-6, "{greatest}");
    assert_eq!(across.steps.len(), 1);
}

/// The last 5000 s of 2026, with a leap second at their end.
fn leap_second(announcing: usize) -> Scenario {
    let mut scenario = Scenario::wan_four();
    scenario.epoch = 1_798_761_600 - 5000;
    scenario.leap_at = Some(5000.0);
    for server in 0..announcing {
        scenario = scenario
            .with(
                100.0,
                Happening::ServerAnnounces(server, LeapIndicator::Leap61),
            )
            .with(
                6000.0,
                Happening::ServerAnnounces(server, LeapIndicator::NoWarning),
            );
    }
    scenario
}

#[test]
fn a_leap_second_that_three_of_four_announce_passes_without_a_jump() {
    for run in runs(&leap_second(3)) {
        let leaps: Vec<_> = run.leaps.iter().map(|(_, leap)| *leap).collect();
        assert_eq!(leaps, [LeapIndicator::Leap61, LeapIndicator::NoWarning]);
        let times: Vec<_> = run.leaps.iter().map(|(at, _)| *at).collect();
        assert!(
            times[0] < 700.0 && (5000.0..5100.0).contains(&times[1]),
            "{times:?}"
        );
        assert!(holds(&run, 200.0, 0.0, 1e-3));
        assert_eq!(run.steps.len(), 1);
    }
}

#[test]
fn a_leap_second_that_half_of_them_announce_is_not_believed() {
    let run = run(&leap_second(2), 1);
    assert_eq!(run.leaps, []);
    // It was true, so the clock is stepped afterwards.
    assert_eq!(run.steps.len(), 2);
    assert!((run.steps[1].1 + 1.0).abs() < 0.01);
    assert!(holds(&run, 6200.0, 0.0, 1e-3));
}

#[test]
fn an_asymmetric_path_misleads_within_the_bounds_that_are_told() {
    let path = Path {
        there: 15e-3,
        ..wan(5e-3)
    };
    for run in runs(&Scenario::new("asymmetric", &[path], 1000.0)) {
        assert!(holds(&run, 1000.0, 5e-3, 1e-3));
        assert_eq!(run.beyond_root_distance, 0);
        let last = run.last.unwrap();
        let source = last.sources[0].estimate.unwrap();
        assert!(source.radius > 5e-3, "{}", source.radius);
        assert!(last.synchronization.unwrap().root_distance() > 5e-3);
    }
}

#[test]
fn a_server_that_asks_for_fewer_requests_gets_fewer() {
    let scenario = Scenario::wan_four()
        .with(60.0, Happening::ServerIsBusy(0, true))
        .with(400.0, Happening::ServerIsBusy(0, false));
    let calm = run(&Scenario::wan_four(), 1);
    let run = run(&scenario, 1);
    assert!(run.requests[0] < calm.requests[0] / 2, "{:?}", run.requests);
    for server in 1..4 {
        assert!(run.requests[server] > calm.requests[server] * 3 / 4);
    }
    assert!(holds(&run, 200.0, 0.0, 1e-3));
}

#[test]
fn a_day_takes_few_requests() {
    for seed in 0..3 {
        let run = run(&Scenario::lan().lasting(86_400.0), seed);
        assert!(
            (30.0..300.0).contains(&run.mean_poll()),
            "{}",
            run.mean_poll()
        );
        assert!(run.rms(210.0) < 40e-6);
        assert!(holds(&run, 400.0, 0.0, 200e-6));
    }
}

#[test]
fn without_sources_synchronisation_ends_after_a_day() {
    let mut scenario = Scenario::wan_four().lasting(90_000.0);
    for server in 0..4 {
        scenario = scenario.with(1000.0, Happening::ServerDies(server));
    }
    let run = run(&scenario, 1);
    let lost = Report::Unsynchronized(Unsynchronized::NoSelection);
    let times = reported(&run, |report| *report == lost);
    assert_eq!(times.len(), 1);
    assert!((86_400.0..88_000.0).contains(&times[0]), "{times:?}");
    assert_eq!(
        run.last.unwrap().synchronization,
        Err(Unsynchronized::NoSelection)
    );
}

#[test]
fn after_an_outage_the_clock_goes_on_where_it_was() {
    let mut scenario = Scenario::wan_four().lasting(30_000.0);
    for server in 0..4 {
        scenario = scenario
            .with(10_000.0, Happening::ServerDies(server))
            .with(17_200.0, Happening::ServerReturns(server));
    }
    for seed in 0..5 {
        let run = run(&scenario, seed);
        assert_eq!(run.steps.len(), 1);
        assert!(holds(&run, 200.0, 0.0, 10e-3), "two hours alone");
        assert!(holds(&run, 17_800.0, 0.0, 1e-3));
        let again = reported(&run, |report| *report == Report::Synchronized);
        assert_eq!(again.len(), 1, "it was never lost");
    }
}

#[test]
fn a_path_that_becomes_longer_one_way_is_weighed_down() {
    let longer = Path {
        back: LAN.back + 20e-3,
        ..LAN
    };
    let scenario = Scenario::lan_four().with(3000.0, Happening::PathChanges(0, longer));
    for run in runs(&scenario) {
        assert!(run.greatest(400.0) < 300e-6, "{}", run.greatest(400.0));
        assert_eq!(run.steps.len(), 1);
    }
}

#[test]
fn a_jolt_of_the_oscillator_is_followed() {
    for run in runs(&Scenario::lan().with(5000.0, Happening::ClockJolts(2e-6))) {
        assert!(run.greatest(210.0) < 2e-3);
        assert!(holds(&run, 6500.0, 0.0, 200e-6));
    }
}
