//! Ten thousand connections that say nothing, or not enough: how long users wait meanwhile, and what
//! each costs the pool in memory or in processor time.
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
use testkit::wire::{RawClient, connect_from};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
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
async fn silent(pool: &ChildPool, networks: u8) -> Vec<TcpStream> {
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

/// One line of figures: what connections cost that have finished TLS and say nothing then.
async fn after_tls() {
    let lab = Lab::new();
    let source = lab.source(loopback(2));
    let pool = ChildPool::patient(&lab, &source, "", OPEN_FILES);
    p99(&lab, &pool).await;
    let before = pool.resident();
    let mut idle: Vec<RawClient> = Vec::new();
    for number in 0..SILENT {
        let [_, network] = (number % 200).to_be_bytes();
        let user = lab.user().at(at(network, 9));
        idle.push(user.connect(pool.address, POOL_NAME).await.expect("TLS"));
    }
    pool.until("nts_pool_ke_connections", u64::from(SILENT))
        .await;
    let each = pool.resident().saturating_sub(before) / u64::from(SILENT);
    println!("  memory        {each} octets for each connection");
    drop(idle);
    pool.end();
}

/// The octets of a balancer's header (PROXY protocol, version 2) that announces 12 more.
const HEADER: [u8; 16] = *b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c";

/// How a connection to a pool behind a balancer begins.
#[derive(Clone)]
struct Beginning {
    what: &'static str,
    /// The second octet of the addresses that it comes from.
    from: u8,
    octets: &'static [u8],
    /// Whether it says that no more will come.
    ends: bool,
    /// What the pool counts it as.
    counted: &'static str,
}

/// One line of figures: what such a connection costs the pool until it has closed it.
async fn closed_unserved(pool: &ChildPool, beginning: &Beginning) {
    let series = format!(
        "nts_pool_ke_limited_total{{reason=\"{}\"}}",
        beginning.counted
    );
    let (counted, before) = (pool.metric(&series).await, pool.cpu());
    let mut connections = Vec::new();
    for number in 0..SILENT {
        // Of an address that has many ports in use the kernel takes long to find another one.
        let [high, low] = number.to_be_bytes();
        let from = IpAddr::from([127, beginning.from, high, low]);
        let mut stream = connect_from(from, pool.address)
            .await
            .expect("the kernel accepts");
        // The pool may have hung up already.
        let _ = stream.write_all(beginning.octets).await;
        if beginning.ends {
            let _ = stream.shutdown().await;
        }
        connections.push(stream);
    }
    for mut stream in connections {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    pool.until(&series, counted + u64::from(SILENT)).await;
    let each = (pool.cpu() - before) / u32::from(SILENT);
    println!("  {:<28}  {each:?}", beginning.what);
}

async fn behind_a_balancer() {
    const BALANCERS: u8 = 3;
    let refused = Beginning {
        what: "not from a balancer",
        from: BALANCERS + 1,
        octets: b"",
        ends: false,
        counted: "proxy_stranger",
    };
    let cut = |what, octets, ends| Beginning {
        what,
        from: BALANCERS,
        octets,
        ends,
        counted: "proxy_header",
    };
    let lab = Lab::new();
    let source = lab.source(loopback(2));
    let allow = format!("127.{BALANCERS}.0.0/16");
    let section = format!("[proxy-protocol]\nmode = \"required\"\nallow = [{allow:?}]");
    let pool = ChildPool::start(&lab, &source, &section, OPEN_FILES);
    // The first is there to wake everything up.
    for beginning in [
        refused.clone(),
        refused,
        cut("no octet, then 250 ms", &HEADER[..0], false),
        cut("half a header, then the end", &HEADER[..8], true),
        cut("half a header, then 250 ms", &HEADER[..8], false),
        cut("no addresses, then 250 ms", &HEADER, false),
    ] {
        closed_unserved(&pool, &beginning).await;
    }
    pool.end();
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
    println!("{SILENT} connections that are idle after TLS (idle_10k_memory)");
    runtime.block_on(after_tls());
    println!("Processor time for each connection that is closed unserved behind a balancer");
    runtime.block_on(behind_a_balancer());
}
