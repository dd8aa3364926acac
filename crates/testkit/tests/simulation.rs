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
        .shortcomings(success)
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
fn most_sources_are_cut_off_for_half_a_minute() {
    for part in [0.6, 0.8] {
        let outage = Scenario::outage(200, part, Duration::from_secs(30), USERS, 3);
        let report = check(&outage, 0.99);
        assert!(report.most_out > 100, "{report}");
    }
}

#[test]
fn a_small_pool_does_as_well() {
    check(&Scenario::calm(2, 10_000, 4), 1.0);
    check(&Scenario::flapping(10, 0.2, 20_000, 5), 0.99);
    check(
        &Scenario::outage(10, 1.0, Duration::from_secs(10), 20_000, 6),
        0.7,
    );
}
