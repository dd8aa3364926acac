//! How many instructions one request costs the stateless server: the same on a busy machine as on an
//! idle one. Needs valgrind, under which it runs itself twice for each kind of request.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark"
)]

mod cases;

use std::process::Command;

use rand::SeedableRng;
use rand::rngs::StdRng;

const FEW: u64 = 100;
const MANY: u64 = 1100;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("--answer") => answer(arguments[2].parse().unwrap(), arguments[3].parse().unwrap()),
        _ => measure(),
    }
}

/// Answers a request of this kind so many times.
fn answer(case: usize, times: u64) {
    let (cases, mut rng) = (cases::all(), StdRng::seed_from_u64(4));
    let mut out = [0; 2048];
    for _ in 0..times {
        cases[case].respond(&mut rng, &mut out);
    }
}

fn measure() {
    for (number, case) in cases::all().iter().enumerate() {
        match (count(number, FEW), count(number, MANY)) {
            (Some(few), Some(many)) => {
                let each = (many - few) / (MANY - FEW);
                println!("{:40} {each:6} instructions", case.name);
            }
            _ => return println!("valgrind is missing: nothing is counted"),
        }
    }
}

/// Instructions of a whole run, by valgrind's count.
fn count(case: usize, times: u64) -> Option<u64> {
    let output = Command::new("valgrind")
        .args([
            "--tool=cachegrind",
            "--cache-sim=no",
            "--cachegrind-out-file=/dev/null",
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["--answer", &case.to_string(), &times.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    let line = text.lines().find(|line| line.contains("refs:")).unwrap();
    let (_, number) = line.rsplit_once(' ').unwrap();
    Some(number.replace(',', "").parse().unwrap())
}
