//! Ten thousand silent connections: how long users wait meanwhile, and what it costs.
//!
//! They need 12,000 open files in each of two processes and a machine with nothing else to do:
//! `cargo test --release -p testkit --all-features --test limits -- --ignored --test-threads 1`.

use std::time::{Duration, Instant};

use testkit::Lab;
use testkit::lab::loopback;
use testkit::wire::connect_from;

use crate::child_pool::ChildPool;
use crate::{assert_served, at, count};

const SILENT: u16 = 10_000;
const OPEN_FILES: u32 = 18_000;

/// What 99 of 100 users do not exceed, one after the other.
async fn p99(lab: &Lab, pool: &ChildPool) -> Duration {
    let mut times = Vec::new();
    for number in 0..200 {
        let begun = Instant::now();
        assert_served(lab, pool.address, at(number, 1)).await;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    times[197]
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
    eprintln!("p99 {quiet:?}, then {meanwhile:?}; {each} octets for each connection");
    assert!(meanwhile < 2 * quiet, "{quiet:?} became {meanwhile:?}");
    assert!(each <= 16 * 1024, "{each} octets");
    drop(silent);
    pool.end()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures, so it needs the machine for itself"]
async fn slowloris_10k() {
    let limits = "exempt-prefixes = []\nfirst-byte-timeout-ms = 60000";
    let page = compare(limits, 4).await;
    let refused = ["prefix_rate", "prefix_conc"]
        .map(|reason| format!("nts_pool_ke_limited_total{{reason=\"{reason}\"}} "))
        .map(|name| count(&page, &name));
    let refused: usize = refused.iter().sum();
    assert_eq!(refused, usize::from(SILENT) - 4 * 64);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures, so it needs the machine for itself"]
async fn idle_10k_memory() {
    let page = compare("first-byte-timeout-ms = 60000", 4).await;
    let limit = count(&page, "nts_pool_ke_connections_limit ");
    assert!(limit > usize::from(SILENT));
}
