//! The pool's selection and health in virtual time; the long form is the binary `pool-simulation`.

use std::time::Duration;

use testkit::simulation::{Report, Scenario, run};

const USERS: u64 = 60_000;

/// Runs it twice, since it must be the same both times, and asserts that all is as it has to be.
fn check(scenario: &Scenario, success: f64) -> Report {
    let report = run(scenario);
    assert_eq!(report.to_string(), run(scenario).to_string());
    // That the sum of all shares is off by less than 2 % takes more users than these.
    let shortcomings: Vec<_> = report
        .shortcomings(Some(success))
        .into_iter()
        .filter(|shortcoming| shortcoming != "shares are off by more than 2 %")
        .collect();
    assert!(shortcomings.is_empty(), "{shortcomings:?}\n{report}");
    assert!(report.share_distance < 0.03, "{report}");
    report
}

#[test]
fn when_all_is_well_every_user_is_served_by_the_first_candidate() {
    let report = check(&Scenario::calm(200, USERS, 1), 1.0);
    assert_eq!(report.failovers, 0);
    assert_eq!(report.most_out, 0);
}

#[test]
fn a_fifth_of_the_sources_flaps() {
    let report = check(&Scenario::flapping(200, 0.2, USERS, 2), 0.998);
    assert!(report.ejections > 20, "{report}");
    assert!(report.most_out <= 40, "{report}");
    assert!(report.readmission.count() > 10, "{report}");
}

#[test]
fn mass_failure_guard() {
    for part in [0.6, 0.8] {
        let outage = Scenario::outage(200, part, Duration::from_secs(30), USERS, 3);
        let report = check(&outage, 0.99);
        assert!(report.most_out > 100, "{report}");
    }
}

#[test]
fn country_outage() {
    let outage = Scenario::country_outage(60, Duration::from_secs(60), USERS, 7);
    let report = check(&outage, 0.995);
    // Nobody else goes, and after the first moment every user gets a farther one.
    assert_eq!(report.most_out, 10, "{report}");
    assert_eq!(report.no_source, 0, "{report}");
}

#[test]
fn small_pools_do_as_well() {
    for sources in [2, 3, 5] {
        check(&Scenario::calm(sources, 10_000, 4), 1.0);
    }
    // Nobody keeps his users who answers questions but makes no cookies, in ever so small a pool.
    for sources in [2, 3, 5] {
        let report = check(&Scenario::one_broken(sources, 20_000, 4), 0.995);
        assert!(report.ejections > 1, "{report}");
    }
    check(&Scenario::flapping(10, 0.2, 20_000, 5), 0.99);
    check(
        &Scenario::outage(10, 1.0, Duration::from_secs(10), 20_000, 6),
        0.7,
    );
}

/// Each user's keys are seen by one source at most, whatever goes wrong at which step: a million
/// exchanges with every mishap before and after keys, in pools where there is much to choose from
/// and in pools where the next source is always the same.
#[test]
fn key_rule_10e6() {
    let pools = [(3, 0.5), (20, 0.3), (50, 0.2), (200, 0.1)];
    let reports = std::thread::scope(|scope| {
        let seeds = (1..).zip(pools);
        let runs = seeds.map(|(seed, (sources, mishaps))| {
            scope.spawn(move || run(&Scenario::storm(sources, mishaps, 250_000, seed)))
        });
        let runs: Vec<_> = runs.collect();
        let reports = runs.into_iter().map(|run| run.join().expect("it ends"));
        reports.collect::<Vec<_>>()
    });
    for report in &reports {
        assert_eq!(report.users, 250_000, "{report}");
        assert_eq!(report.keys_betrayed, 0, "{report}");
        // It would be nothing to be proud of if there had been no temptation.
        assert!(report.failovers > 5_000, "{report}");
        assert!(report.hedges > 1_000, "{report}");
        assert!(report.keys_repeated > 500, "{report}");
        assert!(report.after_keys > 10_000, "{report}");
    }
}
