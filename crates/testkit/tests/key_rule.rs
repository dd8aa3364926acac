//! The key rule: a user's keys reach at most one time source. Ten thousand users of a pool whose
//! sources fail at every stage, in every way, at random; what each source got is kept to the last
//! octet and compared.
#![cfg(feature = "unstable_nts-pool")]

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nts_proto::code_points::AeadAlgorithm;
use nts_proto::ke::negotiation::Negotiated;
use nts_service::tls;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use testkit::faulty_source::{Answer, Connect, Script};
use testkit::lab::{POOL_NAME, RunningPool, loopback, quick_health};
use testkit::user::{Session, User, plain_request};
use testkit::{FaultySource, Lab};
use tokio::task::JoinSet;

const USERS: usize = 10_000;
const AT_A_TIME: usize = 64;
const SOURCES: u8 = 8;
const SEED: u64 = 0x6b65_7973;
const BUDGET: Duration = Duration::from_secs(2);

const ERROR_2: &str = "80020002000280000000";

/// Octets of one AEAD key.
const KEY: usize = 32;

/// Randomness that many share.
#[derive(Clone)]
struct Dice(Arc<Mutex<StdRng>>);

impl Dice {
    /// A number below `sides`.
    fn roll(&self, sides: usize) -> usize {
        let mut rng = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rng.random_range(0..sides)
    }
}

/// What one of a hundred answers to keys is, or to a question.
fn fault(of_a_hundred: usize) -> Answer {
    match of_a_hundred {
        0..=3 => Answer::Cut,
        4 => Answer::Half,
        5 => Answer::Silence,
        6 => Answer::Octets(vec![0x47; 40]),
        7 => Answer::Octets(hex::decode("80020002000180000000").expect("digits")),
        8 => Answer::Octets(hex::decode(ERROR_2).expect("digits")),
        9 => Answer::with_body(4, &[0, 17]),
        10 => Answer::without(5),
        11 => Answer::with_body(10, &[0, 17, 0, 64]),
        12 => Answer::with_record(0x8032, &[]),
        13..=22 => Answer::without(8),
        _ => Answer::Good,
    }
}

/// Good and bad answers at random.
fn at_random(dice: &Dice) -> Answer {
    let dice = dice.clone();
    Answer::decided(move |_| fault(dice.roll(100)))
}

/// Answers to keys: on a connection that has carried something before, every eighth is cut off.
fn keys_at_random(dice: &Dice) -> Answer {
    let dice = dice.clone();
    Answer::decided(move |seen| {
        let now = seen.requests.last().map(|asked| asked.connection);
        let mut before = seen.requests.iter().rev().skip(1);
        match before.any(|asked| Some(asked.connection) == now) && dice.roll(8) == 0 {
            true => Answer::Cut,
            false => fault(dice.roll(100)),
        }
    })
}

fn script(dice: &Dice) -> Script {
    let connect = match dice.roll(24) {
        0 => Connect::Close,
        1 => Connect::Refuse,
        2 => Connect::Silent,
        3 => Connect::SilentAfterHandshake,
        _ => Connect::Serve,
    };
    Script {
        connect,
        info: at_random(dice),
        fixed_key: keys_at_random(dice),
    }
}

/// Now and then a source becomes another, shows another certificate, or drops all connections.
async fn chaos(lab: &Lab, sources: &[FaultySource], dice: &Dice) {
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    loop {
        ticks.tick().await;
        let source = &sources[dice.roll(sources.len())];
        source.follow(script(dice));
        let name = source.address().ip().to_string();
        match dice.roll(10) {
            0 => source.show(&lab.authority().server(&["127.0.0.99"]).identity()),
            1..=3 => source.show(&lab.authority().server(&[&name]).identity()),
            4..=5 => source.drop_connections().await,
            _ => {}
        }
    }
}

/// What became of one user.
struct Fate {
    /// His keys, C2S before S2C.
    keys: Vec<u8>,
    /// Whether he got cookies.
    served: bool,
}

/// One exchange: cookies, or exactly one Error record and a proper end.
async fn one_user(user: &User, pool: std::net::SocketAddr) -> Fate {
    let request = plain_request();
    let mut connection = user.connect(pool, POOL_NAME).await.expect("TLS");
    connection.send(request.encode().as_ref()).await;
    let answer = connection.receive_all().await;
    let negotiated = Negotiated::ntpv4(AeadAlgorithm::AesSivCmac256);
    let keys = tls::export_session_keys(connection.session(), &negotiated.expect("known"));
    let keys = keys.expect("an exporter");
    let keys = [keys.c2s(), keys.s2c()].concat();
    let what = hex::encode(&answer.octets);
    let end = answer.end;
    match Session::read(&connection, answer, &request) {
        Ok(session) => {
            assert!(!session.response.cookies.is_empty());
            Fate { keys, served: true }
        }
        Err(_) => {
            assert_eq!(
                (what.as_str(), end),
                (ERROR_2, testkit::wire::End::CloseNotify)
            );
            Fate {
                keys,
                served: false,
            }
        }
    }
}

async fn all_users(lab: &Lab, pool: &RunningPool) -> Vec<Fate> {
    let left = Arc::new(AtomicUsize::new(USERS));
    let mut users = JoinSet::new();
    for _ in 0..AT_A_TIME {
        let (user, address, left) = (lab.user(), pool.address, Arc::clone(&left));
        users.spawn(async move {
            let mut fates = Vec::new();
            let another = |left| usize::checked_sub(left, 1);
            while left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, another)
                .is_ok()
            {
                fates.push(one_user(&user, address).await);
            }
            fates
        });
    }
    users.join_all().await.into_iter().flatten().collect()
}

/// Who has seen which of the users' keys, in whatever he got.
struct Sightings {
    /// By key: the number of its user.
    owners: HashMap<Vec<u8>, usize>,
    /// By user: whose octets hold a key of his.
    seen_by: HashMap<usize, HashSet<usize>>,
    /// By user: how often his keys were sent.
    times: HashMap<usize, usize>,
}

impl Sightings {
    fn new(fates: &[Fate]) -> Self {
        let mut owners = HashMap::new();
        for (number, fate) in fates.iter().enumerate() {
            for key in fate.keys.chunks(KEY) {
                assert!(owners.insert(key.to_vec(), number).is_none(), "keys twice");
            }
        }
        Self {
            owners,
            seen_by: HashMap::new(),
            times: HashMap::new(),
        }
    }

    /// Looks at every stretch of the octets that a source got on one connection.
    fn look_at(&mut self, source: usize, octets: &[u8]) {
        for stretch in octets.windows(KEY) {
            if let Some(owner) = self.owners.get(stretch) {
                self.seen_by.entry(*owner).or_default().insert(source);
                *self.times.entry(*owner).or_default() += 1;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_pair_is_seen_by_two_sources() {
    let lab = Lab::new();
    let dice = Dice(Arc::new(Mutex::new(StdRng::seed_from_u64(SEED))));
    let mut sources = Vec::new();
    for last in 2..2 + SOURCES {
        sources.push(lab.faulty_source(loopback(last), script(&dice)).await);
    }
    let entries = sources.iter().map(FaultySource::entry).collect();
    let pool = lab.pool_with(entries, |config| {
        config.key_exchange_timeout = BUDGET;
        config.health = quick_health();
        config.upstream.source_concurrency = AT_A_TIME;
    });
    let fates = tokio::select! {
        fates = all_users(&lab, &pool) => fates,
        () = chaos(&lab, &sources, &dice) => unreachable!("it has no end"),
    };

    assert_eq!(fates.len(), USERS);
    let mut sightings = Sightings::new(&fates);
    for (number, source) in sources.iter().enumerate() {
        for octets in source.seen().octets.values() {
            sightings.look_at(number, octets);
        }
    }
    for (user, seen_by) in &sightings.seen_by {
        assert_eq!(seen_by.len(), 1, "keys of user {user} are with {seen_by:?}");
    }
    // Both keys at a time, and twice at most, to the same source.
    assert!(sightings.times.values().all(|times| [2, 4].contains(times)));
    for (number, fate) in fates.iter().enumerate() {
        let seen = sightings.seen_by.contains_key(&number);
        assert!(seen || !fate.served, "cookies for keys that nobody saw");
    }

    // All of it has happened, or nothing is proved.
    let served = fates.iter().filter(|fate| fate.served).count();
    let lost = sightings.seen_by.len() - served;
    let repeated = sightings
        .times
        .values()
        .filter(|times| **times == 4)
        .count();
    let failovers = pool.total("nts_pool_ke_failover_total");
    let figures = format!(
        "{served} served, {lost} lost after keys, {repeated} repeated, {failovers} failovers"
    );
    assert!(served > USERS / 3, "{figures}");
    assert!(lost > USERS / 200, "{figures}");
    assert!(repeated > USERS / 200, "{figures}");
    assert!(failovers > USERS as u64 / 200, "{figures}");
}
