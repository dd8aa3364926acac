//! Many sources that fail at once.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nts_pool_ke::fleet::State;
use testkit::deadline::eventually;
use testkit::faulty_source::{Connect, Script};
use testkit::lab::{POOL_NAME, RunningPool, loopback};
use testkit::user::{Failure, plain_request};
use testkit::wire::http_get;
use testkit::{FaultySource, Lab};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::{ERROR_2, SHORT, answer, assert_refused, server_of};

/// The time within which users of a dead pool hear of it, and of a pool that is back are served.
const AT_ONCE: Duration = Duration::from_millis(300);
const BACK: Duration = Duration::from_secs(5);

/// So many good sources at 127.0.0.2 and so on, and a pool of them.
async fn world(lab: &Lab, count: u8) -> (Vec<FaultySource>, RunningPool) {
    let mut sources = Vec::new();
    for last in 2..2 + count {
        sources.push(lab.faulty_source(loopback(last), Script::default()).await);
    }
    let entries = sources.iter().map(FaultySource::entry).collect();
    let pool = lab.pool_with(entries, |config| {
        config.key_exchange_timeout = SHORT;
        config.observability.metrics_exporter_listen = Some(SocketAddr::new(loopback(1), 0));
    });
    (sources, pool)
}

/// Has them all go, or come back.
async fn all_become(sources: &[FaultySource], connect: Connect) {
    for source in sources {
        source.follow(Script::on_connect(connect));
    }
    for source in sources {
        source.drop_connections().await;
    }
}

async fn readiness(pool: &RunningPool) -> u16 {
    let metrics = pool.running.metrics_address().expect("an exporter");
    http_get(metrics, "/readyz").await.0
}

async fn wait_until_ready(pool: &RunningPool, expected: u16) {
    let begun = Instant::now();
    while readiness(pool).await != expected {
        assert!(begun.elapsed() < BACK, "/readyz is not {expected}");
        tokio::task::yield_now().await;
    }
}

/// Row 15.
#[tokio::test(flavor = "multi_thread")]
async fn all_down_error_record() {
    const USERS: usize = 11;
    let lab = Lab::new();
    for (connect, count) in [
        (Connect::Refuse, 5),
        (Connect::Close, 3),
        (Connect::Refuse, 1),
    ] {
        let what = format!("{count} sources: {connect:?}");
        let (sources, pool) = world(&lab, count).await;
        server_of(&lab, &pool).await;
        wait_until_ready(&pool, 200).await;
        all_become(&sources, connect).await;
        let mut times = Vec::new();
        for _ in 0..USERS {
            let begun = Instant::now();
            assert_refused(&answer(&lab, &pool).await, ERROR_2, &what);
            times.push(begun.elapsed());
        }
        // A user who is held up by this machine says nothing.
        times.sort();
        assert!(times[USERS / 2] < AT_ONCE, "{what}: {times:?}");
        eventually("panic", || {
            (pool.metric("nts_pool_ke_panic_mode") == 1).then_some(())
        })
        .await;
        wait_until_ready(&pool, 503).await;
        for source in &sources {
            assert!(!pool.is_in(source.address(), State::Ejected), "{what}");
        }
        all_become(&sources, Connect::Serve).await;
        let back = Instant::now();
        server_of(&lab, &pool).await;
        wait_until_ready(&pool, 200).await;
        assert!(back.elapsed() < BACK, "{what}: {:?}", back.elapsed());
    }
}

/// Row 15, where no source was ever there.
#[tokio::test(flavor = "multi_thread")]
async fn a_pool_without_any_source_says_so_at_once() {
    let lab = Lab::new();
    let gone = lab.faulty_source(loopback(2), Script::default()).await;
    let entry = gone.entry();
    gone.stop().await;
    let pool = lab.pool_with(vec![entry], |config| config.key_exchange_timeout = SHORT);
    let mut times = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        assert_refused(&answer(&lab, &pool).await, ERROR_2, "never there");
        times.push(begun.elapsed());
    }
    times.sort();
    assert!(times[2] < AT_ONCE, "{times:?}");
}

/// What users meet while a test does something to their sources.
#[derive(Default)]
struct Met {
    served: BTreeMap<IpAddr, usize>,
    refused: usize,
}

impl Met {
    fn served(&self) -> usize {
        self.served.values().sum()
    }
}

/// Users who come one after the other, some at a time, until they are stopped.
struct Stream {
    met: watch::Receiver<Met>,
    stop: Arc<AtomicBool>,
    users: JoinSet<()>,
}

impl Stream {
    fn new(lab: &Lab, pool: &RunningPool, at_a_time: usize) -> Self {
        let (sender, met) = watch::channel(Met::default());
        let (sender, stop) = (Arc::new(sender), Arc::new(AtomicBool::new(false)));
        let mut users = JoinSet::new();
        for _ in 0..at_a_time {
            let (user, address) = (lab.user(), pool.address);
            let (sender, stop) = (Arc::clone(&sender), Arc::clone(&stop));
            users.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let request = plain_request();
                    match user.key_exchange(address, POOL_NAME, &request).await {
                        Ok(session) => sender.send_modify(|met| {
                            *met.served.entry(session.ntp_server().ip()).or_default() += 1;
                        }),
                        Err(Failure::Response(_)) => sender.send_modify(|met| met.refused += 1),
                        Err(failure) => panic!("not even an answer: {failure:?}"),
                    }
                }
            });
        }
        Self { met, stop, users }
    }

    /// Waits until each of `sources` has served so many more users.
    async fn until_each_has_served(&self, sources: &[FaultySource], users: usize) {
        let mut met = self.met.clone();
        let before = met.borrow().served.clone();
        let served = |met: &Met, source: &FaultySource| {
            let ip = source.address().ip();
            let count = |served: &BTreeMap<_, _>| served.get(&ip).copied().unwrap_or(0);
            count(&met.served) - count(&before)
        };
        let all = met.wait_for(|met| sources.iter().all(|source| served(met, source) >= users));
        testkit::deadline::within("each source to serve", all)
            .await
            .expect("users");
    }

    async fn until_served(&self, users: usize) {
        let mut met = self.met.clone();
        let goal = met.borrow().served() + users;
        let enough = met.wait_for(|met| met.served() >= goal);
        testkit::deadline::within("users to be served", enough)
            .await
            .expect("users");
    }

    fn refused(&self) -> usize {
        self.met.borrow().refused
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.users.join_all().await;
    }
}

/// Row 16. Sixty of a hundred sources fail in the same moment: that is rather this node's network,
/// so all of them are back as soon as it is.
#[tokio::test(flavor = "multi_thread")]
async fn mass_failure_guard() {
    const USERS_AT_A_TIME: usize = 4;
    let lab = Lab::new();
    let (sources, pool) = world(&lab, 10).await;
    let (gone, left) = sources.split_at(6);
    let users = Stream::new(&lab, &pool, USERS_AT_A_TIME);
    users.until_each_has_served(&sources, 5).await;
    assert_eq!(users.refused(), 0);

    all_become(gone, Connect::Refuse).await;
    eventually("panic", || {
        (pool.metric("nts_pool_ke_panic_mode") == 1).then_some(())
    })
    .await;
    users.until_each_has_served(left, 20).await;
    users.until_served(200).await;
    for source in gone {
        eventually("checks to go on", || {
            (pool.requests(source.address(), "check", "reach") >= 2).then_some(())
        })
        .await;
    }
    // Whose keys a source had when it went, nobody can help.
    let lost = users.refused();
    assert!(lost <= 2 * USERS_AT_A_TIME, "{lost} users lost");
    for source in gone {
        let address = source.address();
        assert!(!pool.is_in(address, State::Ejected), "mass ejection");
    }

    all_become(gone, Connect::Serve).await;
    let back = Instant::now();
    users.until_each_has_served(&sources, 1).await;
    let refused = users.refused();
    // All of them have all of their weight: a tenth of the users each.
    users.until_each_has_served(&sources, 10).await;
    assert!(back.elapsed() < BACK, "{:?}", back.elapsed());
    assert_eq!(users.refused(), refused);
    for source in &sources {
        assert!(pool.is_in(source.address(), State::Healthy));
    }
    users.end().await;
}
