//! Whatever users send, the page of metrics does not grow with it (pool design §8).
#![cfg(feature = "unstable_nts-pool")]

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use nts_proto::code_points::AeadAlgorithm;
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use testkit::Lab;
use testkit::deadline::within;
use testkit::lab::{POOL_NAME, RunningPool, loopback};
use testkit::log::CapturedLog;
use testkit::user::{User, plain_request};
use testkit::wire::{Record, connect_from, message};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// In every name that a user makes up.
const MARK: &str = "hostile-name";

/// The series of a page: every line but comments, without its value.
fn series(pool: &RunningPool) -> BTreeSet<String> {
    let page = pool.running.registry().render();
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let series = lines.map(|line| line.rsplit_once(' ').expect("a value").0.to_owned());
    series.collect()
}

/// Octets that are no TLS.
async fn garbage(pool: SocketAddr, from: IpAddr, rng: &mut StdRng) {
    let mut octets = vec![0; rng.random_range(1..3000)];
    rng.fill_bytes(&mut octets);
    if rng.random() {
        octets = format!("GET /{MARK} HTTP/1.1\r\nHost: {MARK}.test\r\n\r\n").into_bytes();
    }
    let mut stream = connect_from(from, pool).await.expect("a connection");
    let _ = stream.write_all(&octets).await;
    let _ = stream.shutdown().await;
    let _ = within("the end", stream.read_to_end(&mut Vec::new())).await;
}

/// A message in a TLS session with a name of the user's own.
async fn talk(pool: SocketAddr, user: &User, rng: &mut StdRng) {
    let number = rng.random::<u32>();
    let name = format!("{MARK}-{number}.test");
    // The name is none of the certificate's, so it is this user who hangs up.
    assert!(user.connect(pool, &name).await.is_err());
    let connection = user.connect(pool, POOL_NAME).await.expect("TLS");
    let deny = |number: u16| Record::new(0x4003, format!("{MARK}-{number}.test").into_bytes());
    let octets = match rng.random_range(0..6) {
        0 => message(&[Record::new(rng.random::<u16>() | 0x8000, MARK)]),
        1 => {
            let mut request = plain_request();
            let unknown = std::iter::repeat_with(|| AeadAlgorithm::from(rng.random::<u16>()));
            request.algorithms = unknown.take(20).collect();
            request.encode().as_ref().to_vec()
        }
        2 => {
            let mut request = plain_request();
            let denied = (0..30).map(|it| format!("{MARK}-{number}-{it}.test"));
            request.denied = denied.map(|it| it.parse().expect("a name")).collect();
            request.encode().as_ref().to_vec()
        }
        3 => message(&(0..500).map(deny).collect::<Vec<_>>()),
        4 => vec![0x80; rng.random_range(1..20_000)],
        _ => message(&[Record::new(0x8002, [0, 1]), Record::new(0x0005, MARK)]),
    };
    connection.say_all(&octets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_stay_bounded_under_hostile_input() {
    const SOURCES: usize = 3;
    let log = CapturedLog::install();
    let lab = Lab::new();
    let sources: Vec<_> = (2..)
        .take(SOURCES)
        .map(|it| lab.source(loopback(it)))
        .collect();
    let entries = sources.iter().map(|it| it.entry()).collect();
    let pool = lab.pool_with(entries, |config| {
        config.limits.prefixes.rate = 5;
        config.limits.prefixes.burst = 40;
        config.limits.prefixes.exempt.clear();
    });
    let honest = lab.user().at(loopback(1));
    let request = plain_request();
    for _ in 0..10 {
        let session = honest.key_exchange(pool.address, POOL_NAME, &request);
        session.await.expect("cookies");
    }
    let mut rng = StdRng::seed_from_u64(8);
    for round in 0..150_u8 {
        let from = IpAddr::from([127, 3, round / 40, round]);
        garbage(pool.address, from, &mut rng).await;
        talk(pool.address, &lab.user().at(from), &mut rng).await;
    }
    // One address that comes too often.
    for _ in 0..60 {
        let _ = connect_from(loopback(77), pool.address).await;
    }
    let after = series(&pool);
    assert!(
        after.len() <= 8 * SOURCES + 300,
        "{} series: {after:#?}",
        after.len()
    );
    for text in [MARK, "127.3.", "127.0.0.77"] {
        assert!(
            !after.iter().any(|it| it.contains(text)),
            "{text}: {after:#?}"
        );
    }
    // The pool's own words about these users do not name them either; this test's words do.
    let log = log.text();
    let own = log
        .lines()
        .filter(|line| line.contains("nts_pool_ke::metrics"));
    let mut failures = 0;
    for line in own {
        failures += usize::from(line.contains("exchange failed"));
        assert!(!line.contains("127.3.") && !line.contains(MARK), "{line}");
    }
    assert!((1..=400).contains(&failures), "{failures}");
}
