//! Runs the pool's selection and health in virtual time, prints what came of it, and ends with
//! status 1 if it is worse than it has to be.
//!
//! `cargo run --release -p testkit --bin pool-simulation [USERS [SEED]]`

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::process::ExitCode;
use std::time::Duration;

use testkit::simulation::{Scenario, run};

const SOURCES: usize = 200;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| match arguments.next() {
        None => Some(default),
        Some(text) => text.parse().ok(),
    };
    let (Some(users), Some(seed)) = (number(1_000_000), number(1)) else {
        println!("usage: pool-simulation [USERS [SEED]]");
        return ExitCode::from(2);
    };
    let minute = Duration::from_secs(60);
    // With the part of the users who have to be served.
    let scenarios = [
        (Scenario::calm(SOURCES, users, seed), Some(1.0)),
        (Scenario::flapping(SOURCES, 0.2, users, seed), Some(0.999)),
        (
            Scenario::outage(SOURCES, 0.6, minute, users, seed),
            Some(0.999),
        ),
        // While nothing works nobody can be served.
        (
            Scenario::outage(SOURCES, 1.0, minute, users, seed),
            Some(0.95),
        ),
        (
            Scenario::country_outage(SOURCES, minute, users, seed),
            Some(0.999),
        ),
        (Scenario::one_broken(2, users / 10, seed), Some(0.998)),
        (Scenario::one_broken(3, users / 10, seed), Some(0.998)),
        (Scenario::flapping(5, 0.2, users / 10, seed), Some(0.998)),
        // More than health can hide; only to see how it breaks.
        (Scenario::flapping(SOURCES, 0.5, users, seed), None),
        // So much that nothing works, but that nobody's keys are seen by two sources.
        (Scenario::storm(SOURCES, 0.2, users, seed), None),
    ];
    let mut status = ExitCode::SUCCESS;
    for (scenario, success) in scenarios {
        let report = run(&scenario);
        println!("{report}");
        for shortcoming in report.shortcomings(success) {
            println!("  FAILED       {shortcoming}");
            status = ExitCode::FAILURE;
        }
        println!();
    }
    status
}
