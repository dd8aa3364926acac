//! Time sources that are odd, slow or of no use to a user. Their failures have a directory of their
//! own, `failures`.
#![cfg(feature = "unstable_nts-pool")]

use std::time::Duration;

use nts_pool_ke::{Dialect, SourceConfig};
use nts_proto::code_points::AeadAlgorithm;
use nts_proto::ke::negotiation::Capabilities;
use testkit::faulty_source::{Answer, Connect, Gate, Kind, Script, Setup};
use testkit::lab::{POOL_NAME, RunningPool, TOKEN, entry, loopback, token};
use testkit::user::{Failure, Session, plain_request};
use testkit::wire::{End, Transcript};
use testkit::{FaultySource, Lab};

const ERROR_1: &str = "80020002000180000000";
const ERROR_2: &str = "80020002000280000000";

/// The budget of exchanges in which a source is silent.
const SHORT: Duration = Duration::from_secs(2);

/// A pool of these sources, with a short budget.
fn impatient_pool(lab: &Lab, sources: Vec<SourceConfig>) -> RunningPool {
    lab.pool_with(sources, |config| config.key_exchange_timeout = SHORT)
}

async fn exchange(lab: &Lab, pool: &RunningPool) -> Result<Session, Failure> {
    lab.user()
        .key_exchange(pool.address, POOL_NAME, &plain_request())
        .await
}

async fn answer(lab: &Lab, pool: &RunningPool) -> Transcript {
    let request = plain_request().encode();
    lab.user()
        .converse(pool.address, POOL_NAME, request.as_ref())
        .await
}

#[track_caller]
fn assert_refused(answer: &Transcript, expected: &str, what: &str) {
    assert_eq!(hex::encode(&answer.octets), expected, "{what}");
    assert_eq!(answer.end, End::CloseNotify, "{what}");
}

fn octets(hex: &str) -> Answer {
    Answer::Octets(hex::decode(hex).expect("hexadecimal digits"))
}

/// Everything that a source can do wrong before it has seen a key: no user notices.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_fails_before_the_keys_is_replaced() {
    let lab = Lab::new();
    let authority = lab.authority();
    let foreign = testkit::CertificateAuthority::new();
    let on_info = |answer| (Script::on_info(answer), None);
    let shows = |identity: testkit::Credentials| (Script::default(), Some(identity.identity()));
    for (what, (script, identity)) in [
        ("closes at once", (Script::on_connect(Connect::Close), None)),
        (
            "is a black hole",
            (Script::on_connect(Connect::Silent), None),
        ),
        (
            "falls silent",
            (Script::on_connect(Connect::SilentAfterHandshake), None),
        ),
        ("has another name", shows(authority.server(&["127.0.0.9"]))),
        (
            "has an expired certificate",
            shows(authority.expired(&["127.0.0.2"])),
        ),
        (
            "has a certificate for later",
            shows(authority.not_yet_valid(&["127.0.0.2"])),
        ),
        (
            "has a foreign certificate",
            shows(foreign.server(&["127.0.0.2"])),
        ),
        ("cuts off", on_info(Answer::Cut)),
        ("cuts off in the middle", on_info(Answer::Half)),
        ("never answers", on_info(Answer::Silence)),
        (
            "answers with error 2",
            on_info(octets("80020002000280000000")),
        ),
        (
            "answers with a warning",
            on_info(Answer::with_record(0x8003, &[0, 1])),
        ),
        (
            "answers garbage",
            on_info(octets("474554202f20485454502f312e310d0a")),
        ),
        ("has no protocol", on_info(Answer::with_body(9, &[]))),
        ("has no list of algorithms", on_info(Answer::without(10))),
        (
            "has a key of a wrong length",
            on_info(Answer::with_body(10, &[0, 15, 0, 16])),
        ),
        (
            "contradicts itself",
            on_info(Answer::with_body(10, &[0, 15, 0, 32, 0, 15, 0, 16])),
        ),
    ] {
        let mut setup = Setup::new(authority, &["127.0.0.2"]);
        setup.token = Some(token(TOKEN));
        setup.identity = identity.unwrap_or(setup.identity);
        let bad = FaultySource::with_setup(loopback(2), setup, script).await;
        let good = lab.source(loopback(3));
        let pool = impatient_pool(&lab, vec![bad.entry(), good.entry()]);
        for _ in 0..5 {
            let session = exchange(&lab, &pool)
                .await
                .unwrap_or_else(|it| panic!("{what}: {it:?}"));
            assert_eq!(session.ntp_server(), good.ntp, "{what}");
        }
        assert_eq!(bad.seen().keys(), [[0; 0]; 0], "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_sources_bad_is_an_internal_error() {
    let lab = Lab::new();
    for connect in [
        Connect::Close,
        Connect::Silent,
        Connect::SilentAfterHandshake,
    ] {
        let script = || Script::on_connect(connect);
        let sources = [
            lab.faulty_source(loopback(2), script()).await,
            lab.faulty_source(loopback(3), script()).await,
        ];
        let pool = impatient_pool(&lab, sources.iter().map(FaultySource::entry).collect());
        assert_refused(&answer(&lab, &pool).await, ERROR_2, &format!("{connect:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_keeps_connections_is_asked_on_them() {
    let lab = Lab::new();
    let source = lab.faulty_source(loopback(2), Script::default()).await;
    let pool = lab.pool(vec![source.entry()]);
    for _ in 0..20 {
        exchange(&lab, &pool).await.expect("cookies");
    }
    let seen = source.seen();
    assert_eq!(seen.count(Kind::FixedKey), 20);
    assert_eq!(seen.count(Kind::KeyExchange), 0);
    assert!(seen.connections <= 4, "{} connections", seen.connections);
    let with_token = seen
        .requests
        .iter()
        .filter(|asked| asked.body_of(&[14]).is_some())
        .count();
    assert_eq!(
        with_token,
        seen.requests.len(),
        "the token is in every request"
    );
    let mut keys = seen.keys();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 20, "every user has keys of his own");
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_without_the_users_algorithm_are_passed_over() {
    let lab = Lab::new();
    let limited = |last| {
        let mut setup = Setup::new(lab.authority(), &[&loopback(last).to_string()]);
        setup.token = Some(token(TOKEN));
        setup.capabilities = Capabilities::ntpv4(&[AeadAlgorithm::AesSivCmac512]);
        FaultySource::with_setup(loopback(last), setup, Script::default())
    };
    let (one, two) = (limited(2).await, limited(3).await);
    let pool = lab.pool(vec![one.entry(), two.entry()]);
    let refused = answer(&lab, &pool).await;
    assert_refused(&refused, "8001000200008004000080000000", "nobody has 15");
    let good = lab.source(loopback(4));
    let pool = lab.pool(vec![one.entry(), two.entry(), good.entry()]);
    for _ in 0..10 {
        assert_eq!(exchange(&lab, &pool).await.unwrap().ntp_server(), good.ntp);
    }
    assert_eq!(one.seen().keys().len() + two.seen().keys().len(), 0);
}

/// The answer that the first implementation gives to the question for algorithms.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_implementation_works_as_a_source() {
    let lab = Lab::new();
    let mut setup = Setup::new(lab.authority(), &["127.0.0.2"]);
    setup.certificate = Some(lab.pool_certificate());
    let script = Script {
        info: Answer::decided(|seen| match seen.requests.last() {
            // It does not know the list of protocols, and says so.
            Some(asked) if asked.body_of(&[0x4004, 9, 10]).is_some() => {
                Answer::Octets(hex::decode(ERROR_1).unwrap())
            }
            _ => Answer::edited(|records| {
                records.push(testkit::wire::Record::new(0x8001, [0, 0]));
                records.push(testkit::wire::Record::new(0x8004, [0, 15]));
                for _ in 0..8 {
                    records.push(testkit::wire::Record::new(0x0005, [0xdd; 104]));
                }
            }),
        }),
        fixed_key: Answer::without(0x4000),
        ..Script::default()
    };
    let source = FaultySource::with_setup(loopback(2), setup, script).await;
    let mut entry = entry(source.address());
    entry.auth_token = None;
    entry.dialect = Dialect::DraftMtls;
    let pool = lab.pool(vec![entry]);
    for _ in 0..3 {
        let session = exchange(&lab, &pool).await.expect("cookies");
        // The cookies of its answer to the question are not given to anybody.
        assert!(
            session
                .response
                .cookies
                .iter()
                .all(|cookie| cookie.as_bytes()[0] >> 4 == 0xc)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_source_makes_nobody_wait_but_its_own_users() {
    const USERS: usize = 30;
    let lab = Lab::new();
    let gate = Gate::new();
    let script = Script::on_fixed_key(Answer::Held(gate.clone()));
    let slow = lab.faulty_source(loopback(2), script).await;
    let good = lab.source(loopback(3));
    let pool = lab.pool(vec![slow.entry(), good.entry()]);
    let mut users = tokio::task::JoinSet::new();
    for _ in 0..USERS {
        let (user, address) = (lab.user(), pool.address);
        users.spawn(async move {
            let session = user
                .key_exchange(address, POOL_NAME, &plain_request())
                .await;
            let response = session.expect("cookies, sooner or later").response;
            response
                .server
                .expect("a pool names the server")
                .to_string()
        });
    }
    let held = || slow.seen().count(Kind::FixedKey);
    let mut served = 0;
    while served + held() < USERS {
        let before = held();
        tokio::select! {
            Some(user) = users.join_next() => {
                assert_eq!(user.unwrap(), "127.0.0.3");
                served += 1;
            }
            () = slow.wait_for("one more user", |seen| seen.count(Kind::FixedKey) > before) => {}
        }
    }
    assert!(held() > 0 && served > 0, "{} held, {served} served", held());
    gate.open();
    let slow_ones = users.join_all().await;
    assert!(
        slow_ones.iter().all(|server| server == "127.0.0.2"),
        "{slow_ones:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_from_a_source_is_bounded() {
    let lab = Lab::new();
    let many = Answer::edited(|records| {
        let cookie = testkit::wire::Record::new(0x0005, [0xdd; 100]);
        records.extend(std::iter::repeat_n(cookie, 100));
        records.push(testkit::wire::Record::new(0x0032, vec![0; 10_000]));
        records.push(testkit::wire::Record::new(0x8006, b"ntp.a.test".as_slice()));
    });
    let source = lab
        .faulty_source(loopback(2), Script::on_fixed_key(many))
        .await;
    let pool = lab.pool(vec![source.entry()]);
    let reply = answer(&lab, &pool).await;
    assert!(reply.octets.len() < 2048);
    let session = exchange(&lab, &pool).await.unwrap();
    assert_eq!(session.response.cookies.len(), 8);
    assert_eq!(session.response.server.unwrap().as_str(), "ntp.a.test");
}
