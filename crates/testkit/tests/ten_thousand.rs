//! Ten thousand connections at the same time that want nothing, or take their time: rows of
//! `docs/failures.md`. What all this costs users in time, `just bench-silent` measures.
//!
//! With fewer open files there are fewer of them; the output says how many there were.
#![cfg(feature = "unstable_nts-pool")]
#![expect(clippy::print_stdout, reason = "what was measured, and on how many")]

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use testkit::Lab;
use testkit::child_pool::{self, ChildPool};
use testkit::deadline::within;
use testkit::lab::{POOL_NAME, RealSource, loopback};
use testkit::user::{User, plain_request};
use testkit::wire::{End, RawClient, connect_from};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinSet;

/// Not a test by itself but where the child of one begins.
#[test]
fn a_child_pool_begins_here() {
    child_pool::run_if_child();
}

const ERROR_1: &str = "80020002000180000000";
const OPEN: &str = "nts_pool_ke_connections";
const MADE_ROOM: &str = "nts_pool_ke_limited_total{reason=\"global\"}";

/// As many as the rows say.
const MOST: usize = 10_000;
/// With fewer, a test here says nothing.
const LEAST: usize = 1000;
/// For everything else that is open in a process.
const OTHER_FILES: usize = 1000;

/// What an idle connection may cost, in octets.
const EACH: u64 = 16 << 10;

/// Open files are counted for a whole process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A source, and how many connections there may be.
struct Many {
    lab: Lab,
    source: RealSource,
    count: usize,
    _alone: MutexGuard<'static, ()>,
}

impl Many {
    async fn new() -> Self {
        let alone = ONE_AT_A_TIME.lock().await;
        nts_service::files::raise_limit().expect("a limit that can be raised");
        let limit = usize::try_from(nts_service::files::limit()).unwrap_or(usize::MAX);
        let count = MOST.min(limit.saturating_sub(OTHER_FILES));
        assert!(
            count >= LEAST,
            "{limit} open files are enough for {count} connections, {LEAST} are needed; \
             raise the limit (`ulimit -Hn`)"
        );
        println!("{count} connections");
        let lab = Lab::new();
        let source = lab.source(loopback(2));
        Self {
            lab,
            source,
            count,
            _alone: alone,
        }
    }

    /// A pool that lets connections be as they are for as long as the test takes.
    fn pool(&self, limits: &str) -> ChildPool {
        let files = u32::try_from(self.count + OTHER_FILES).expect("a number of files");
        ChildPool::patient(&self.lab, &self.source, limits, files)
    }
}

/// An address of a user of this group. No network of 256 has more than 50 of them, so that none
/// reaches a limit.
fn address(group: u8, number: usize) -> IpAddr {
    let octet = |number: usize| u8::try_from(number).expect("at most 10,000 users");
    IpAddr::from([127, group, octet(number / 50), octet(1 + number % 50)])
}

/// Connections that say nothing, opened one after the other.
async fn silent(pool: SocketAddr, addresses: impl Iterator<Item = IpAddr>) -> Vec<TcpStream> {
    let mut silent = Vec::new();
    for address in addresses {
        let connection = connect_from(address, pool).await;
        silent.push(connection.expect("the kernel accepts"));
    }
    silent
}

/// Waits until the pool closes the connection, to which it never said anything.
async fn assert_closed(stream: &mut TcpStream) {
    let mut octets = Vec::new();
    // The end, or a reset where not everything was read.
    let _ = within("the end", stream.read_to_end(&mut octets)).await;
    assert!(octets.is_empty(), "{octets:02x?}");
}

fn is_open(stream: &TcpStream) -> bool {
    let nothing_yet = stream.try_read(&mut [0]);
    nothing_yet.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

/// Does this for each of so many numbers, a few at the same time; what came of it.
async fn a_few_at_a_time<T, F>(count: usize, mut task: impl FnMut(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    const AT_A_TIME: usize = 4;
    let mut running = JoinSet::new();
    let mut outcomes = Vec::new();
    for number in 0..count {
        if running.len() == AT_A_TIME {
            outcomes.extend(running.join_next().await.transpose().expect("no panic"));
        }
        running.spawn(task(number));
    }
    outcomes.extend(running.join_all().await);
    outcomes
}

/// Says one octet after the other of a ClientHello that has no end, until the pool closes. How long
/// that took.
async fn drip_hello(user: IpAddr, pool: SocketAddr) -> Duration {
    const PAUSE: Duration = Duration::from_millis(200);
    const HELLO: [u8; 11] = [0x16, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xfb, 3, 3];
    let begun = Instant::now();
    let mut stream = connect_from(user, pool).await.expect("a connection");
    let mut octets = HELLO.into_iter().cycle();
    let talk = async {
        let mut ticks = tokio::time::interval(PAUSE);
        let mut answer = [0];
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    let octet = [octets.next().unwrap_or_default()];
                    // If the pool has closed, reading says so.
                    let _ = stream.write_all(&octet).await;
                }
                said = stream.read(&mut answer) => break said.unwrap_or(0),
            }
        }
    };
    assert_eq!(within("the end", talk).await, 0, "TLS is not up");
    begun.elapsed()
}

/// Says the first octets of a request one by one, and waits for the end. How long that took since the
/// connection was begun.
async fn drip_request(begun: Instant, mut connection: RawClient) -> Duration {
    for octet in &plain_request().encode().as_ref()[..3] {
        connection.send(&[*octet]).await;
    }
    let answer = connection.receive_all().await;
    let octets = hex::encode(&answer.octets);
    assert_eq!((octets.as_str(), answer.end), (ERROR_1, End::CloseNotify));
    begun.elapsed()
}

async fn assert_served(user: User, pool: SocketAddr) {
    let session = user.key_exchange(pool, POOL_NAME, &plain_request()).await;
    session.unwrap_or_else(|failure| panic!("{failure:?}"));
}

/// Users in a group that does as it should.
const HONEST: u8 = 100;

/// What the pool of [`slowloris_10k`] gives for a handshake, and for a request.
const STEP: Duration = Duration::from_secs(5);

/// A group of users, all of whom get cookies.
async fn assert_group_is_served(many: &Many, pool: &ChildPool, group: u8) {
    let (lab, pool) = (&many.lab, pool.address);
    let user = |number| lab.user().at(address(group, number));
    a_few_at_a_time(HONEST.into(), |number| assert_served(user(number), pool)).await;
}

/// A few networks have few connections, however many they open.
async fn try_a_few_networks(many: &Many, pool: &ChildPool) {
    const NETWORKS: usize = 4;
    const PER_NETWORK: usize = 64;
    let numbers = 0..many.count;
    let addresses = numbers.map(|number| address(1, number % NETWORKS * 50));
    let mut silent = silent(pool.address, addresses).await;
    for stream in silent.iter_mut().skip(NETWORKS * PER_NETWORK) {
        assert_closed(stream).await;
    }
    assert!(silent.iter().take(NETWORKS * PER_NETWORK).all(is_open));
    assert_group_is_served(many, pool, 2).await;
    assert_eq!(pool.metric(MADE_ROOM).await, 0);
    drop(silent);
    pool.until(OPEN, 0).await;
}

/// Many networks have all slots, and the oldest connections make room. Gives them all, and how many
/// are gone.
async fn take_all_slots(many: &Many, pool: &ChildPool, slots: usize) -> (Vec<TcpStream>, usize) {
    let gone = many.count - slots;
    let addresses = (0..many.count).map(|number| address(3, number));
    let mut silent = silent(pool.address, addresses).await;
    pool.until(MADE_ROOM, gone as u64).await;
    for stream in &mut silent[..gone] {
        assert_closed(stream).await;
    }
    assert!(silent[gone..].iter().all(is_open));
    (silent, gone)
}

/// So many of each kind who are slow have their time and not more, and users are served meanwhile.
async fn be_slow(many: &Many, pool: &ChildPool, count: usize) {
    let mut slow = JoinSet::new();
    for number in 0..count {
        slow.spawn(drip_hello(address(4, number), pool.address));
        let user = many.lab.user().at(address(5, number));
        let begun = Instant::now();
        // One after the other: all at once, on a busy machine, might take longer than one may.
        let connection = user.connect(pool.address, POOL_NAME).await;
        slow.spawn(drip_request(begun, connection.expect("TLS")));
    }
    assert_group_is_served(many, pool, 6).await;
    for lived in slow.join_all().await {
        assert!(lived >= STEP, "{lived:?}");
    }
    assert_group_is_served(many, pool, 7).await;
}

/// How many exchanges ended like this.
fn outcomes(page: &str, outcome: &str) -> u64 {
    let series = format!("nts_pool_ke_exchanges_total{{outcome=\"{outcome}\"");
    testkit::page::total(page, &series)
}

#[tokio::test(flavor = "multi_thread")]
async fn slowloris_10k() {
    const SLOW: u8 = 200;
    let many = Many::new().await;
    let slots = many.count / 2;
    let pool = many.pool(&format!(
        "exempt-prefixes = []
max-connections = {slots}
handshake-timeout-ms = {0}
request-timeout-ms = {0}",
        STEP.as_millis()
    ));
    try_a_few_networks(&many, &pool).await;
    let (silent, gone_before) = take_all_slots(&many, &pool, slots).await;
    be_slow(&many, &pool, SLOW.into()).await;

    let page = pool.page().await;
    assert_eq!(outcomes(&page, "ok"), 3 * u64::from(HONEST));
    assert_eq!(outcomes(&page, "timeout"), 2 * u64::from(SLOW));
    // Only silent ones had to go for all these, the oldest first.
    let gone = usize::try_from(pool.metric(MADE_ROOM).await).expect("few");
    assert!(gone > gone_before, "{gone}");
    assert!(silent[gone..].iter().all(is_open));
    drop(silent);
    pool.end();
}

/// A pool that has served, so that it makes nothing for the first time, and its memory then.
async fn warm_pool(many: &Many) -> (ChildPool, u64) {
    const USERS: usize = 50;
    let pool = many.pool(&format!("max-connections = {}", many.count));
    let address = pool.address;
    a_few_at_a_time(USERS, |_| assert_served(many.lab.user(), address)).await;
    pool.until(OPEN, 0).await;
    let memory = pool.resident();
    (pool, memory)
}

/// All these connections are there, and none costs the pool more than it may.
async fn assert_cheap(what: &str, pool: &ChildPool, before: u64, count: usize) {
    pool.until(OPEN, count as u64).await;
    let each = pool.resident().saturating_sub(before) / count as u64;
    println!("{what}: {each} octets each");
    assert!(each <= EACH, "{what}: {each} octets each");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_10k_memory() {
    let many = Many::new().await;
    let (pool, before) = warm_pool(&many).await;
    let addresses = (0..many.count).map(|number| address(1, number));
    let silent = silent(pool.address, addresses).await;
    assert_cheap("nothing said", &pool, before, many.count).await;
    assert!(silent.iter().all(is_open));
    drop(silent);
    pool.end();

    let (pool, before) = warm_pool(&many).await;
    let (user, server) = (many.lab.user(), pool.address);
    let idle = a_few_at_a_time(many.count, |number| {
        let user = user.at(address(1, number));
        async move { user.connect(server, POOL_NAME).await.expect("TLS") }
    });
    let idle = idle.await;
    assert_cheap("nothing after TLS", &pool, before, idle.len()).await;
    drop(idle);
    pool.end();
}
