//! Ten thousand silent connections: how long users wait meanwhile, and what it costs.
//!
//! They need 18,000 open files and a machine with nothing else to do:
//! `cargo bench --package testkit --features unstable_nts-pool --bench ten_thousand`.
#![expect(clippy::print_stdout, reason = "a benchmark shows its figures")]

use std::net::IpAddr;
use std::time::{Duration, Instant};

use testkit::Lab;
use testkit::child_pool::{self, ChildPool};
use testkit::lab::{POOL_NAME, loopback};
use testkit::user::plain_request;
use testkit::wire::connect_from;
use tokio::runtime::Runtime;

const SILENT: u16 = 10_000;
/// So many that a machine's own hiccups are less than one in a hundred.
const USERS: usize = 1000;
const OPEN_FILES: u32 = 18_000;

/// An address in a network of its own.
fn at(network: u8, last: u8) -> IpAddr {
    IpAddr::from([127, 1, network, last])
}

/// What 99 of 100 users do not exceed, one after the other.
async fn p99(lab: &Lab, pool: &ChildPool) -> Duration {
    let mut times = Vec::new();
    for number in 0..USERS {
        let begun = Instant::now();
        let user = lab
            .user()
            .at(at(u8::try_from(number % 200).expect("less than 200"), 1));
        let session = user
            .key_exchange(pool.address, POOL_NAME, &plain_request())
            .await;
        session.unwrap_or_else(|failure| panic!("{failure:?}"));
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    times[USERS * 99 / 100]
}

/// So many connections, from `networks` networks by turns.
async fn silent(pool: &ChildPool, networks: u8) -> Vec<tokio::net::TcpStream> {
    let mut silent = Vec::new();
    for number in 0..SILENT {
        let [_, low] = (number % u16::from(networks)).to_be_bytes();
        let connection = connect_from(at(low, 9), pool.address).await;
        silent.push(connection.expect("the kernel accepts"));
    }
    silent
}

/// Two lines of figures under this section `[limits]`; what the pool counted.
async fn compare(limits: &str, networks: u8) -> String {
    nts_service::files::raise_limit().expect("a limit that can be raised");
    let lab = Lab::new();
    let source = lab.source(loopback(2));
    let pool = ChildPool::start(&lab, &source, limits, OPEN_FILES);
    let quiet = p99(&lab, &pool).await;
    let before = pool.resident();
    let silent = silent(&pool, networks).await;
    let meanwhile = p99(&lab, &pool).await;
    let each = pool.resident().saturating_sub(before) / u64::from(SILENT);
    let times = meanwhile.as_secs_f64() / quiet.as_secs_f64();
    println!("  p99 of users  {quiet:?} alone, {meanwhile:?} meanwhile: {times:.2} times");
    println!("  memory        {each} octets for each connection");
    drop(silent);
    pool.end()
}

fn main() {
    if child_pool::run_if_child() {
        return;
    }
    let runtime = Runtime::new().expect("threads");
    println!("{SILENT} silent connections from 4 networks, none exempt (slowloris_10k)");
    let limits = "exempt-prefixes = []\nfirst-byte-timeout-ms = 60000";
    let page = runtime.block_on(compare(limits, 4));
    for line in page.lines().filter(|line| line.contains("_limited_total{")) {
        println!("  {line}");
    }
    println!("{SILENT} silent connections that are exempt (idle_10k_memory)");
    runtime.block_on(compare("first-byte-timeout-ms = 60000", 4));
}
