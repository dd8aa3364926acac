//! What operators change while a pool runs (pool design §1.4, failure table rows 18 to 23 and 30).
#![cfg(feature = "unstable_nts-pool")]

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use nts_pool_ke::wall_clock::WallClock;
use nts_pool_ke::{Config, program};
use nts_proto::code_points::ErrorCode;
use nts_service::exit::ExitCode;
use rustls_pki_types::CertificateDer;
use testkit::deadline::eventually;
use testkit::file_pool::{FilePool, PoolFiles, overwrite};
use testkit::lab::{POOL_NAME, RealSource, loopback};
use testkit::managed::{self, Manager};
use testkit::user::{Failure, Session, plain_request};
use testkit::wire::records;
use testkit::{CertificateAuthority, Lab};
use tokio::task::JoinSet;

/// A sound geo database.
const GEO: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../nts-pool-ke/testdata/geo.mmdb"
);

/// So many real sources, and where they are.
fn sources(lab: &Lab, count: u8) -> (Vec<RealSource>, Vec<SocketAddr>) {
    let sources: Vec<_> = (0..count).map(|it| lab.source(loopback(2 + it))).collect();
    let addresses = sources.iter().map(|it| it.ke).collect();
    (sources, addresses)
}

async fn ask(lab: &Lab, pool: SocketAddr) -> Result<Session, Failure> {
    lab.user()
        .key_exchange(pool, POOL_NAME, &plain_request())
        .await
}

async fn assert_served(lab: &Lab, pool: &FilePool, what: &str) {
    for _ in 0..4 {
        let session = ask(lab, pool.address).await;
        session.unwrap_or_else(|failure| panic!("{what}: {failure:?}"));
    }
}

/// Waits until a user is served, or not, as expected.
async fn until_served(lab: &Lab, pool: &FilePool, expected: bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while ask(lab, pool.address).await.is_ok() != expected {
        assert!(tokio::time::Instant::now() < deadline, "{}", pool.page());
    }
}

/// What users see.
async fn shown(lab: &Lab, pool: &FilePool) -> CertificateDer<'static> {
    let connection = lab.user().connect(pool.address, POOL_NAME).await;
    let connection = connection.expect("TLS");
    let chain = connection.session().peer_certificates();
    chain.expect("a server's certificate")[0]
        .clone()
        .into_owned()
}

/// Whether the pool refuses a user with Error 2.
async fn gives_error_2(lab: &Lab, pool: &FilePool) -> bool {
    let request = plain_request().encode();
    let answer = lab
        .user()
        .converse(pool.address, POOL_NAME, request.as_ref())
        .await;
    let error = ErrorCode::InternalServerError.code().to_be_bytes();
    records(&answer.octets)
        .iter()
        .any(|record| record.wire_type & 0x7fff == 2 && record.body == error)
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_broken_keeps_old() {
    let lab = Lab::new();
    let (_sources, addresses) = sources(&lab, 5);
    let pool = FilePool::start(&lab, &addresses).await;
    let good = pool.files.list(&addresses);
    let half = &good.as_bytes()[..good.len() / 2];
    let broken: [(&str, &[u8]); 7] = [
        ("no TOML", b"key-exchange-servers = ["),
        ("half-written", half),
        ("zero octets", b""),
        ("emptied", b"key-exchange-servers = []"),
        (
            "most gone",
            pool.files.list(&addresses[..1]).leak().as_bytes(),
        ),
        ("no such key", b"key-exchange-severs = []"),
        (
            "a bad entry",
            b"key-exchange-servers = [{ domain = \"a b\" }]",
        ),
    ];
    for (what, content) in broken {
        let before = pool.refused("sources");
        overwrite(&pool.files.path("sources.toml"), content);
        pool.until_refused("sources", before + 1.0).await;
        assert_served(&lab, &pool, what).await;
        assert_eq!(pool.sources(), 5, "{what}");
        // By signal the same is not taken in either, unless it is a list.
        if !["emptied", "most gone"].contains(&what) {
            assert!(!pool.hang_up().await, "{what}");
            assert_eq!(pool.sources(), 5, "{what}");
        }
    }
    let before = pool.refused("sources");
    fs::remove_file(pool.files.path("sources.toml")).unwrap();
    pool.until_refused("sources", before + 1.0).await;
    assert_served(&lab, &pool, "no file").await;
    pool.files
        .write("sources.toml", pool.files.list(&addresses[..4]));
    eventually("the good list", || (pool.sources() == 4).then_some(())).await;
    assert_served(&lab, &pool, "good").await;
}

/// Not a test by itself but where the child of one begins.
#[test]
fn a_pool_begins_here() {
    managed::run_if_managed();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_reloads_when_it_is_told_to_and_says_so() {
    let lab = Lab::new();
    let (_sources, addresses) = sources(&lab, 1);
    let files = PoolFiles::listening("\"systemd\"", &lab, &addresses, "");
    let manager = Manager::new(files.path("pool.toml"), &["--exact", "a_pool_begins_here"]);
    let mut program = manager.start();
    assert_eq!(manager.told().await, "READY=1\n");
    ask(&lab, manager.address()).await.expect("cookies");
    files.write("sources.toml", files.list(&[]));
    program.tell(Signal::SIGHUP);
    let reloading = manager.told().await;
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    assert_eq!(manager.told().await, "READY=1\n");
    assert!(ask(&lab, manager.address()).await.is_err());
    // What is no good is not taken in, and the program goes on.
    files.write("pool.toml", "[nts-pool-ke-server]");
    program.tell(Signal::SIGHUP);
    assert!(manager.told().await.starts_with("RELOADING=1"));
    assert_eq!(manager.told().await, "READY=1\n");
    assert!(
        lab.user()
            .connect(manager.address(), POOL_NAME)
            .await
            .is_ok()
    );
    program.tell(Signal::SIGTERM);
    assert_eq!(manager.told().await, "STOPPING=1\n");
    assert!(program.end().await.success());
}

#[test]
fn a_check_ends_with_78_if_anything_is_no_good() {
    let lab = Lab::new();
    let (_sources, addresses) = sources(&lab, 1);
    let files = PoolFiles::new(&lab, &addresses, "geo-database-path = \"DIR/geo.mmdb\"");
    let check = || program::check(&files.path("pool.toml"));
    // The pool would begin without it, but that is hardly what is wanted.
    assert_eq!(check(), ExitCode::Config);
    files.write("geo.mmdb", fs::read(GEO).unwrap());
    assert_eq!(check(), ExitCode::Success);
    for broken in ["sources.toml", "pool.pem", "pool.key", "ca.pem", "token"] {
        let good = fs::read(files.path(broken)).unwrap();
        files.write(broken, "");
        assert_eq!(check(), ExitCode::Config, "{broken}");
        files.write(broken, good);
    }
    assert_eq!(check(), ExitCode::Success);
    // All is said at once.
    for broken in ["sources.toml", "pool.pem", "ca.pem"] {
        files.write(broken, "");
    }
    let problems = Config::load(files.path("pool.toml")).unwrap_err();
    assert_eq!(problems.into_vec().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn most_sources_go_only_if_the_operator_says_so() {
    let lab = Lab::new();
    let (_sources, addresses) = sources(&lab, 5);
    let pool = FilePool::start(&lab, &addresses).await;
    let one = pool.files.list(&addresses[..1]);
    pool.files.write("sources.toml", &one);
    pool.until_refused("sources", 1.0).await;
    assert_eq!(pool.sources(), 5);
    assert!(pool.hang_up().await);
    assert_eq!(pool.sources(), 1);
    pool.files
        .write("sources.toml", pool.files.list(&addresses));
    eventually("all of them", || (pool.sources() == 5).then_some(())).await;
    let allowed = format!("allow-mass-removal = true\n{one}");
    pool.files.write("sources.toml", allowed);
    eventually("only one", || (pool.sources() == 1).then_some(())).await;
    assert_served(&lab, &pool, "one").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_is_error_2_and_not_ready_until_there_is_a_source() {
    let lab = Lab::new();
    let (_sources, addresses) = sources(&lab, 1);
    let pool = FilePool::start(&lab, &addresses).await;
    assert_served(&lab, &pool, "one").await;
    assert_eq!(pool.readyz().await.1, "ready");
    pool.files.write("sources.toml", pool.files.list(&[]));
    eventually("no source", || (pool.sources() == 0).then_some(())).await;
    assert!(gives_error_2(&lab, &pool).await);
    let (status, reason) = pool.readyz().await;
    assert_eq!(
        (status.as_str(), reason.as_str()),
        (
            "HTTP/1.1 503 Service Unavailable",
            "sources: no time source works"
        )
    );
    pool.files
        .write("sources.toml", pool.files.list(&addresses));
    until_served(&lab, &pool, true).await;
    assert_eq!(pool.readyz().await.1, "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn geo_corrupt_reload() {
    const LOADED: &str = "nts_pool_ke_geo_loaded";
    let lab = Lab::new();
    let (_sources, addresses) = sources(&lab, 1);
    let good = fs::read(GEO).unwrap();
    let key = "geo-database-path = \"DIR/geo.mmdb\"";
    // Missing at the start.
    let pool = FilePool::with(&lab, &addresses, key).await;
    assert_eq!(pool.value(LOADED), 0.0);
    assert_served(&lab, &pool, "missing").await;
    pool.files.write("geo.mmdb", &good);
    eventually("a good one", || (pool.value(LOADED) == 1.0).then_some(())).await;
    // Truncated during replace, damaged, gone: the old one stays.
    let mut damaged = good.clone();
    damaged[good.len() / 2..].fill(0xff);
    for content in [&good[..good.len() / 2], &damaged, b""] {
        let before = pool.refused("geo");
        overwrite(&pool.files.path("geo.mmdb"), content);
        pool.until_refused("geo", before + 1.0).await;
        assert_eq!(pool.value(LOADED), 1.0);
        assert_served(&lab, &pool, "damaged").await;
    }
    let before = pool.refused("geo");
    fs::remove_file(pool.files.path("geo.mmdb")).unwrap();
    pool.until_refused("geo", before + 1.0).await;
    // What else is new is taken in by signal nevertheless.
    pool.files.write("sources.toml", pool.files.list(&[]));
    assert!(pool.hang_up().await);
    assert_eq!((pool.sources(), pool.value(LOADED)), (0, 1.0));
    assert_eq!(pool.refused("config"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn cert_half_renewed() {
    let lab = Lab::new();
    let (_sources, addresses) = sources(&lab, 1);
    let pool = FilePool::start(&lab, &addresses).await;
    let mut present = shown(&lab, &pool).await;
    for (times, chain_first) in [(1.0, true), (2.0, false)] {
        let new = lab.authority().server(&[POOL_NAME]);
        let mut files = [
            ("pool.pem", &new.certificate_pem),
            ("pool.key", &new.key_pem),
        ];
        if !chain_first {
            files.reverse();
        }
        pool.files.write(files[0].0, files[0].1);
        pool.until_refused("certificate", times).await;
        assert!(!pool.hang_up().await);
        assert_eq!(shown(&lab, &pool).await, present);
        assert_served(&lab, &pool, "half-renewed").await;
        pool.files.write(files[1].0, files[1].1);
        present = new.certificate();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while shown(&lab, &pool).await != present {
            assert!(tokio::time::Instant::now() < deadline);
        }
        assert_served(&lab, &pool, "renewed").await;
    }
}

/// A clock that a test sets.
#[derive(Debug, Default)]
struct Settable(Mutex<Duration>);

impl WallClock for Settable {
    fn now(&self) -> SystemTime {
        SystemTime::now() + *self.0.lock().expect("no panic")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cert_expiry_ready() {
    let lab = Lab::new();
    let (_sources, addresses) = sources(&lab, 1);
    let expired = lab.authority().expired(&[POOL_NAME]);
    // Nothing begins with an expired one.
    let files = PoolFiles::new(&lab, &addresses, "");
    files.write_credentials(&expired);
    let problems = Config::load(files.path("pool.toml")).unwrap_err();
    assert!(problems.to_string().contains("expired on"), "{problems}");
    // None takes the place of a good one.
    let clock = Arc::new(Settable::default());
    let files = PoolFiles::new(&lab, &addresses, "");
    let pool = FilePool::of(files, clock.clone()).await;
    assert_served(&lab, &pool, "good").await;
    let present = shown(&lab, &pool).await;
    pool.files.write_credentials(&expired);
    pool.until_refused("certificate", 1.0).await;
    assert!(!pool.hang_up().await);
    assert_eq!(shown(&lab, &pool).await, present);
    assert_eq!(pool.readyz().await.1, "ready");
    // The good one comes to its end.
    let series = "nts_pool_ke_certificate_expiry_seconds{cert=\"front\"}";
    let left = pool.value(series);
    assert!(left > 0.0, "{left}");
    *clock.0.lock().unwrap() = Duration::from_secs_f64(left + 60.0);
    assert!(pool.value(series) < 0.0);
    let (status, reason) = pool.readyz().await;
    assert_eq!(
        (status.as_str(), reason.as_str()),
        (
            "HTTP/1.1 503 Service Unavailable",
            "certificate: it has expired"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_authority_counts_at_once() {
    let lab = Lab::new();
    let (_sources, addresses) = sources(&lab, 2);
    let pool = FilePool::start(&lab, &addresses).await;
    assert_served(&lab, &pool, "the right one").await;
    // Kept connections and TLS sessions of before would still work.
    let stranger = CertificateAuthority::new();
    pool.files.write("ca.pem", stranger.pem());
    until_served(&lab, &pool, false).await;
    for _ in 0..5 {
        assert!(gives_error_2(&lab, &pool).await);
    }
    let both = format!("{}{}", stranger.pem(), lab.authority().pem());
    pool.files.write("ca.pem", both);
    until_served(&lab, &pool, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_token_counts_at_once() {
    let lab = Lab::new();
    let (_sources, addresses) = sources(&lab, 2);
    let pool = FilePool::start(&lab, &addresses).await;
    assert_served(&lab, &pool, "the right one").await;
    let token = fs::read_to_string(pool.files.path("token")).unwrap();
    pool.files.write("token", "another-token-0123456789abcdef");
    until_served(&lab, &pool, false).await;
    pool.files.write("token", "");
    pool.until_refused("sources", 1.0).await;
    pool.files.write("token", token);
    until_served(&lab, &pool, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_from_the_reload_on() {
    let lab = Lab::new();
    let (_sources, addresses) = sources(&lab, 1);
    let pool = FilePool::start(&lab, &addresses).await;
    assert_served(&lab, &pool, "without limits").await;
    let config = fs::read_to_string(pool.files.path("pool.toml")).unwrap();
    let limits = "[limits]\nmax-connections = 7\nprefix-concurrency = 1\nexempt-prefixes = []\n";
    pool.files.write("pool.toml", format!("{config}{limits}"));
    assert!(pool.hang_up().await);
    assert_eq!(pool.value("nts_pool_ke_connections_limit"), 7.0);
    let first = lab.user().connect(pool.address, POOL_NAME).await;
    assert!(first.is_ok());
    assert!(ask(&lab, pool.address).await.is_err());
    let limited = "nts_pool_ke_limited_total{reason=\"prefix_conc\"}";
    assert_eq!(pool.value(limited), 1.0);
    pool.files.write("pool.toml", config);
    assert!(pool.hang_up().await);
    assert_served(&lab, &pool, "without limits again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_under_load() {
    const USERS: usize = 16;
    const RELOADS: u8 = 40;
    let lab = Lab::new();
    let (_sources, addresses) = sources(&lab, 4);
    let pool = FilePool::start(&lab, &addresses).await;
    let over = Arc::new(AtomicBool::new(false));
    let mut users = JoinSet::new();
    for _ in 0..USERS {
        let (user, address) = (lab.user(), pool.address);
        let over = Arc::clone(&over);
        users.spawn(async move {
            let (request, mut served) = (plain_request(), 0);
            while !over.load(Ordering::Relaxed) {
                match user.key_exchange(address, POOL_NAME, &request).await {
                    Ok(_) => served += 1,
                    Err(failure) => return Err(failure),
                }
            }
            Ok(served)
        });
    }
    for round in 0..RELOADS {
        // One source goes, another comes; now and then the certificate is another.
        let mut list = addresses.clone();
        list.remove(usize::from(round) % list.len());
        pool.files.write("sources.toml", pool.files.list(&list));
        if round % 4 == 0 {
            pool.files
                .write_credentials(&lab.authority().server(&[POOL_NAME]));
        }
        assert!(pool.hang_up().await);
    }
    over.store(true, Ordering::Relaxed);
    let served: Result<Vec<usize>, Failure> = users.join_all().await.into_iter().collect();
    let served = served.unwrap_or_else(|failure| panic!("{failure:?}\n{}", pool.page()));
    assert!(served.iter().all(|served| *served > 0), "{served:?}");
    assert_eq!(pool.sources(), 3);
}
