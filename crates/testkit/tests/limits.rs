//! Users who take too much, and what is left for the others.
#![cfg(feature = "unstable_nts-pool")]

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use nts_pool_ke::{Config as PoolConfig, Pool};
use testkit::Lab;
use testkit::child_pool::{self, ChildPool};
use testkit::deadline::within;
use testkit::lab::{POOL_NAME, RealSource, RunningPool, loopback};
use testkit::user::plain_request;
use testkit::wire::{End, connect_from};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Not a test by itself but where the child of one begins.
#[test]
fn a_child_pool_begins_here() {
    child_pool::run_if_child();
}

const ERROR_1: &str = "80020002000180000000";

/// Connections that never say anything.
const SILENT: u8 = 240;

/// Users who want cookies.
const HONEST: u8 = 30;

/// A pool to which nobody is exempt, with these limits besides.
fn limited_pool(
    lab: &Lab,
    source: &RealSource,
    change: impl FnOnce(&mut PoolConfig),
) -> RunningPool {
    lab.pool_with(vec![source.entry()], |config| {
        config.limits.prefixes.exempt.clear();
        change(config);
    })
}

/// An address in a network of its own.
fn at(network: u8, last: u8) -> IpAddr {
    IpAddr::from([127, 1, network, last])
}

/// How many connections the pool closed for this reason.
fn limited(pool: &Pool, reason: &str) -> usize {
    count(
        &pool.registry().render(),
        &format!("nts_pool_ke_limited_total{{reason=\"{reason}\"}} "),
    )
}

fn count(page: &str, name: &str) -> usize {
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|value| value.parse().ok())
        .unwrap_or_else(|| panic!("no {name}in {page}"))
}

/// Waits until the server closes; the octets that it sent.
async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut octets = Vec::new();
    // The end, or a reset where the server had not read everything.
    let _ = within("the end", stream.read_to_end(&mut octets)).await;
    octets
}

async fn assert_served(lab: &Lab, pool: SocketAddr, address: IpAddr) {
    let session = lab
        .user()
        .at(address)
        .key_exchange(pool, POOL_NAME, &plain_request())
        .await;
    session.unwrap_or_else(|failure| panic!("{address}: {failure:?}"));
}

/// All honest users at the same time.
async fn assert_all_served(lab: &Lab, pool: SocketAddr) {
    let mut users = tokio::task::JoinSet::new();
    for number in 0..HONEST {
        let user = lab.user().at(at(number, 1));
        users.spawn(async move {
            user.key_exchange(pool, POOL_NAME, &plain_request())
                .await
                .map(drop)
        });
    }
    for outcome in users.join_all().await {
        outcome.unwrap_or_else(|failure| panic!("{failure:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_from_many_networks_make_room() {
    const SLOTS: usize = 48;
    let lab = Lab::new();
    let source = lab.source(loopback(2));
    let pool = limited_pool(&lab, &source, |config| {
        config.limits.max_connections = Some(SLOTS);
        // They would stay for the whole time.
        config.limits.first_byte_timeout = Some(config.key_exchange_timeout);
    });
    let mut silent = Vec::new();
    for number in 0..SILENT {
        for last in [8, 9] {
            silent.push(connect_from(at(number, last), pool.address).await.unwrap());
        }
    }
    assert_all_served(&lab, pool.address).await;
    // One by one, and each time the slots are filled again.
    for number in 0..HONEST {
        for last in [6, 7] {
            silent.push(connect_from(at(number, last), pool.address).await.unwrap());
        }
        assert_served(&lab, pool.address, at(number, 1)).await;
    }
    let least = 2 * usize::from(SILENT) - SLOTS + usize::from(HONEST);
    let made_room = limited(&pool.running, "global");
    assert!(made_room >= least, "{made_room} of at least {least}");
    let others = ["prefix_rate", "prefix_conc", "first_byte"];
    assert_eq!(others.map(|it| limited(&pool.running, it)), [0; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_begin_tls_and_do_not_go_on_make_room() {
    const SLOTS: usize = 48;
    let lab = Lab::new();
    let source = lab.source(loopback(2));
    let pool = limited_pool(&lab, &source, |config| {
        config.limits.max_connections = Some(SLOTS);
    });
    let mut begun = Vec::new();
    for number in 0..HONEST {
        // All slots, and more.
        for last in 2..6 {
            let address = at(number, last);
            let mut stream = connect_from(address, pool.address).await.unwrap();
            stream.write_all(&[0x16]).await.unwrap();
            begun.push(stream);
        }
        assert_served(&lab, pool.address, at(number, 1)).await;
    }
    let least = begun.len() - SLOTS;
    let made_room = limited(&pool.running, "global");
    assert!(made_room >= least, "{made_room} of at least {least}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_cannot_take_more_than_its_share() {
    let begun = Instant::now();
    let lab = Lab::new();
    let source = lab.source(loopback(2));
    let pool = limited_pool(&lab, &source, |config| {
        config.limits.first_byte_timeout = Some(config.key_exchange_timeout);
        config.limits.max_connections = Some(400);
    });
    let mut silent = Vec::new();
    for _ in 0..2 * usize::from(SILENT) {
        silent.push(connect_from(at(200, 1), pool.address).await.unwrap());
    }
    // All but its 64 are closed at once.
    let refused = 2 * usize::from(SILENT) - 64;
    for stream in silent.iter_mut().skip(64) {
        assert!(until_closed(stream).await.is_empty());
    }
    assert_eq!(limited(&pool.running, "prefix_conc"), refused);
    assert_served(&lab, pool.address, at(200, 2)).await;
    assert_all_served(&lab, pool.address).await;
    assert_eq!(limited(&pool.running, "global"), 0);
    // 500 at once, then one for each 20 ms.
    for _ in 0..200 {
        let mut stream = connect_from(at(200, 1), pool.address).await.unwrap();
        assert!(until_closed(&mut stream).await.is_empty());
    }
    let recovered = usize::try_from(begun.elapsed().as_millis() / 20 + 1).unwrap();
    let (by_rate, most) = (limited(&pool.running, "prefix_rate"), 480 + 200 - 500);
    assert!(
        by_rate <= most && by_rate + recovered >= most,
        "{by_rate}, {recovered}"
    );
}

/// Writes one octet each 20 ms until the server closes; what it sent, and how long it took.
async fn drip(stream: &mut TcpStream, octets: &[u8]) -> (Vec<u8>, Duration) {
    let begun = Instant::now();
    let (mut reading, mut writing) = stream.split();
    let mut answer = Vec::new();
    let write = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        for octet in octets.iter().cycle() {
            ticks.tick().await;
            if writing.write_all(&[*octet]).await.is_err() {
                break;
            }
        }
    };
    let read = async {
        let _ = reading.read_to_end(&mut answer).await;
    };
    let either = async {
        tokio::select! { () = write => {}, () = read => {} }
    };
    within("the end", either).await;
    (answer, begun.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bytes() {
    let lab = Lab::new();
    let source = lab.source(loopback(2));
    let pool = limited_pool(&lab, &source, |config| {
        config.limits.handshake_timeout = Some(Duration::from_millis(300));
        config.limits.request_timeout = Some(Duration::from_millis(300));
    });
    // A ClientHello of 16 KiB that does not come to its end.
    let mut stream = connect_from(at(1, 1), pool.address).await.unwrap();
    let (answer, lived) = drip(
        &mut stream,
        &[0x16, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xfb, 3, 3],
    )
    .await;
    assert!(answer.is_empty(), "{answer:02x?}");
    assert!((300..5000).contains(&lived.as_millis()), "{lived:?}");
    // A request octet by octet.
    let user = lab.user().at(at(1, 1));
    let mut connection = user.connect(pool.address, POOL_NAME).await.expect("TLS");
    let request = plain_request().encode();
    let begun = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    for octet in &request.as_ref()[..3] {
        ticks.tick().await;
        connection.send(&[*octet]).await;
    }
    let answer = connection.receive_all().await;
    assert_eq!(
        (hex::encode(&answer.octets).as_str(), answer.end),
        (ERROR_1, End::CloseNotify)
    );
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_served(&lab, pool.address, at(1, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn emfile_survives() {
    let lab = Lab::new();
    let source = lab.source(loopback(2));
    // By its own reckoning it has room for 36, and everybody is served meanwhile.
    let pool = ChildPool::start(&lab, &source, "first-byte-timeout-ms = 10000", 64);
    let silent = silent_connections(pool.address).await;
    for number in 0..HONEST {
        assert_served(&lab, pool.address, at(1, number)).await;
    }
    drop(silent);
    let page = pool.end();
    assert_eq!(count(&page, "nts_pool_ke_connections_limit "), 36);

    // It believes to have room for all, and files run out.
    let limits = "first-byte-timeout-ms = 300\nmax-connections = 1000";
    let pool = ChildPool::start(&lab, &source, limits, 64);
    let mut silent = silent_connections(pool.address).await;
    for stream in &mut silent {
        assert!(until_closed(stream).await.is_empty());
    }
    for number in 0..HONEST {
        assert_served(&lab, pool.address, at(1, number)).await;
    }
    let page = pool.end();
    let refused = "nts_pool_ke_accept_errors_total{class=\"resources\"} ";
    assert_ne!(count(&page, refused), 0);
    assert_eq!(
        count(&page, "nts_pool_ke_limited_total{reason=\"first_byte\"} "),
        200
    );
}

async fn silent_connections(pool: SocketAddr) -> Vec<TcpStream> {
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(
            connect_from(loopback(1), pool)
                .await
                .expect("the kernel accepts"),
        );
    }
    silent
}
