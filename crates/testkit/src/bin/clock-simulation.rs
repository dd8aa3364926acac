//! Keeps a clock in virtual time, prints the table of the documentation, and ends with status 1
//! if something in it is worse than it has to be.
//!
//! `cargo run --release -p testkit --bin clock-simulation [SEEDS]`

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::process::ExitCode;
use std::time::Instant;

use testkit::clock_simulation::{Case, Row};

fn main() -> ExitCode {
    let seeds = match std::env::args().nth(1).map(|text| text.parse()) {
        None => 20,
        Some(Ok(seeds)) if seeds > 0 => seeds,
        Some(_) => {
            println!("usage: clock-simulation [SEEDS]");
            return ExitCode::from(2);
        }
    };
    let begun = Instant::now();
    let mut hours = 0.0;
    let mut shortcomings = Vec::new();
    println!(
        "Least / median / greatest of {seeds} runs\n{}",
        Row::header()
    );
    for case in Case::all() {
        let row = case.row(seeds);
        println!("{row}");
        hours += case.scenario.duration / 3600.0 * seeds as f64;
        shortcomings.extend(row.shortcomings());
    }
    println!("{hours:.0} hours in {:.1} s", begun.elapsed().as_secs_f64());
    for shortcoming in &shortcomings {
        println!("FAILED {shortcoming}");
    }
    if shortcomings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
