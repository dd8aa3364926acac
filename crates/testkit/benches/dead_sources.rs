//! How long users wait while three of ten sources are dead, beside users of a healthy pool.
//!
//! `cargo bench --package testkit --features unstable_nts-pool --bench dead_sources`
#![expect(clippy::print_stdout, reason = "a benchmark shows its figures")]

use std::time::Duration;

use testkit::dead_sources::{DEATHS, World};
use tokio::runtime::Runtime;

const WARM_UP: usize = 500;
const USERS: usize = 5_000;
const AT_A_TIME: usize = 32;
/// Rounds of both pools by turns, so that whatever else the machine does meets both.
const ROUNDS: usize = 4;

/// What so many of a thousand users do not exceed; `times` in order.
fn percentile(times: &[Duration], per_mille: usize) -> Duration {
    let at = times.len() * per_mille / 1000;
    times[at.min(times.len() - 1)]
}

fn show(name: &str, times: &[Duration], failed: usize) {
    let ms = |per_mille| percentile(times, per_mille).as_secs_f64() * 1000.0;
    println!(
        "{name:<8} p50 {:7.2} ms  p90 {:7.2}  p99 {:7.2}  p99.9 {:7.2}  longest {:7.2}  failed {failed}",
        ms(500),
        ms(900),
        ms(990),
        ms(999),
        ms(1000),
    );
}

async fn compare() {
    println!("{USERS} users, {AT_A_TIME} at a time, {ROUNDS} rounds");
    let healthy = World::new(&[]).await;
    let ill = World::new(&DEATHS).await;
    for (name, world) in [("healthy", &healthy), ("3 dead", &ill)] {
        let (times, failed) = world.serve(WARM_UP, AT_A_TIME).await;
        show(&format!("({name})"), &times, failed);
    }
    println!("after warm-up:");
    let (mut well, mut badly, mut failures) = (Vec::new(), Vec::new(), [0, 0]);
    for _ in 0..ROUNDS {
        let (times, failed) = healthy.serve(USERS / ROUNDS, AT_A_TIME).await;
        well.extend(times);
        failures[0] += failed;
        let (times, failed) = ill.serve(USERS / ROUNDS, AT_A_TIME).await;
        badly.extend(times);
        failures[1] += failed;
    }
    well.sort_unstable();
    badly.sort_unstable();
    show("healthy", &well, failures[0]);
    show("3 dead", &badly, failures[1]);
    let ratio = percentile(&badly, 990).as_secs_f64() / percentile(&well, 990).as_secs_f64();
    println!("p99 with 3 dead is {ratio:.2} times that of the healthy pool (less than 2 wanted)");
}

fn main() {
    let runtime = Runtime::new().expect("threads");
    runtime.block_on(compare());
}
