//! Whole exchanges with sources that do as they are told.

mod effort;
mod family;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nts_proto::code_points::{AeadAlgorithm, ErrorCode, ProtocolId};
use nts_proto::error::ResponseError;
use nts_proto::ke::keys::SessionKeys;
use nts_proto::ke::negotiation::Negotiated;
use nts_proto::ke::response::Refusal;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::*;
use crate::config::{SourceConfig, UpstreamConfig};
use crate::fleet::State;
use crate::selection::{LevelKind, Tier};
use crate::testing::{
    Answer, Authority, Script, TestPool, TestResolver, TestSource, budget, closed_port, cookies,
    means_with, ordinary_request, somewhere,
};
use crate::upstream::{Class, Stage, UpstreamError};

const SECOND: Duration = Duration::from_secs(1);
/// Long enough for a busy machine, where no test waits for its end.
const PLENTY: Duration = Duration::from_secs(20);

/// Gives keys that consist of this octet.
struct KeysOf(u8);

impl ExportKeys for KeysOf {
    fn export(self, negotiated: &Negotiated) -> Result<SessionKeys, ExchangeError> {
        let key = vec![self.0; negotiated.key_length()];
        SessionKeys::new(&key, &key).map_err(|_| ExchangeError::Export)
    }
}

/// One ordinary exchange over all sources of `pool`.
async fn exchange(
    pool: &TestPool,
    request: &KeyExchangeRequest,
) -> (Result<KeyExchangeResponse, ExchangeError>, Report) {
    let mut report = Report::default();
    let budget = budget(PLENTY);
    let result = run(
        request,
        KeysOf(7),
        somewhere(),
        &pool.sources,
        budget,
        &mut report,
    )
    .await;
    (result, report)
}

async fn sources(authority: &Authority, scripts: Vec<Script>) -> Vec<TestSource> {
    let identity = authority.identity("127.0.0.1");
    let mut sources = Vec::new();
    for script in scripts {
        sources.push(TestSource::start(&identity, script).await);
    }
    sources
}

fn pool_of(authority: &Authority, sources: &[TestSource]) -> TestPool {
    TestPool::new(authority, sources.iter().map(TestSource::config).collect())
}

/// A pool whose only source answers Fixed Key Requests as given.
async fn only_source(
    answers: impl IntoIterator<Item = Answer>,
) -> (Authority, TestSource, TestPool) {
    let authority = Authority::new();
    let mut sources = sources(&authority, vec![Script::answering(answers)]).await;
    let pool = pool_of(&authority, &sources);
    (authority, sources.remove(0), pool)
}

fn after_keys(result: Result<KeyExchangeResponse, ExchangeError>) -> UpstreamError {
    match result {
        Err(ExchangeError::AfterKeys(error)) => error,
        other => panic!("expected a failure after keys, got {other:?}"),
    }
}

#[tokio::test]
async fn the_answer_is_rebuilt_with_the_configured_domain_as_server() {
    let (_authority, source, pool) = only_source([Answer::Cookies]).await;
    let (result, report) = exchange(&pool, &ordinary_request()).await;
    assert_eq!(
        result.unwrap(),
        KeyExchangeResponse {
            protocol: ProtocolId::Ntpv4,
            algorithm: AeadAlgorithm::AesSivCmac256,
            compliant_exporter: false,
            server: Some("127.0.0.1".parse().unwrap()),
            port: None,
            cookies: cookies(),
        }
    );
    assert_eq!(source.keys(), [vec![7; 32]]);
    assert_eq!(report.picks, [(Tier::Wanted, LevelKind::Global)]);
    assert_eq!(report.failovers(), []);
    assert!(report.phases.before_keys.is_some() && report.phases.after_keys.is_some());
}

#[tokio::test]
async fn server_and_port_of_the_source_are_relayed_and_its_name_can_be_denied() {
    let authority = Authority::new();
    let scripts = [
        Script::answering([Answer::Named("ntp.a.test", 1123)]),
        Script::answering([Answer::Named("ntp.b.test", 123)]),
    ];
    let sources = sources(&authority, scripts.to_vec()).await;
    let pool = pool_of(&authority, &sources);
    let mut request = ordinary_request();
    let mut ports = HashMap::new();
    while ports.len() < 2 {
        let response = exchange(&pool, &request).await.0.unwrap();
        ports.insert(response.server.unwrap().as_str().to_owned(), response.port);
    }
    assert_eq!(ports["ntp.a.test"], Some(1123));
    assert_eq!(ports["ntp.b.test"], Some(123));
    request.denied = vec!["NTP.A.test.".parse().unwrap()];
    for _ in 0..20 {
        let (result, report) = exchange(&pool, &request).await;
        assert_eq!(result.unwrap().server.unwrap().as_str(), "ntp.b.test");
        assert_eq!(report.picks, [(Tier::OtherOperator, LevelKind::Global)]);
    }
    // When all are denied a repeated source is better than none.
    request.denied.push("ntp.b.test".parse().unwrap());
    let (result, report) = exchange(&pool, &request).await;
    assert!(result.is_ok());
    assert_eq!(report.picks, [(Tier::Denied, LevelKind::Global)]);
}

#[tokio::test]
async fn listed_names_can_be_denied_before_any_answer() {
    let authority = Authority::new();
    let listing = |name: &str| Script {
        names: Some(vec![name.parse().unwrap()]),
        ..Script::default()
    };
    let scripts = vec![listing("ntp.a.test"), listing("ntp.b.test")];
    let sources = sources(&authority, scripts).await;
    let pool = pool_of(&authority, &sources);
    pool.settle().await;
    let mut request = ordinary_request();
    request.denied = vec!["ntp.a.test".parse().unwrap()];
    // The list comes a moment after the first check.
    let snapshot = || pool.sources.snapshot();
    while snapshot().names().find("ntp.a.test").is_empty() {
        tokio::task::yield_now().await;
    }
    let before = sources[0].keys().len();
    let mut picks = Vec::new();
    while picks.len() < 20 {
        let (result, report) = exchange(&pool, &request).await;
        result.unwrap();
        picks.extend(report.picks);
    }
    assert_eq!(picks, [(Tier::OtherOperator, LevelKind::Global); 20]);
    assert_eq!(sources[0].keys().len(), before);
}

#[tokio::test]
async fn a_source_that_refuses_connections_is_replaced_before_keys() {
    let authority = Authority::new();
    let good = sources(&authority, vec![Script::default()]).await.remove(0);
    let mut dead = SourceConfig::new("127.0.0.1", closed_port().await).unwrap();
    dead.weight = 1000;
    let pool = TestPool::new(&authority, vec![dead, good.config()]);
    let mut failovers = Vec::new();
    for _ in 0..50 {
        let (result, report) = exchange(&pool, &ordinary_request()).await;
        assert!(result.is_ok());
        failovers.extend_from_slice(report.failovers());
    }
    assert_eq!(good.keys().len(), 50);
    assert!(
        failovers.len() <= 2,
        "ejected after two failures: {failovers:?}"
    );
    assert!(failovers.iter().all(|stage| *stage == Stage::Connect));
}

#[tokio::test]
async fn with_no_source_left_the_last_failure_is_told() {
    let authority = Authority::new();
    let dead = SourceConfig::new("127.0.0.1", closed_port().await).unwrap();
    let pool = TestPool::new(&authority, vec![dead]);
    let (result, report) = exchange(&pool, &ordinary_request()).await;
    let error = result.unwrap_err();
    assert!(matches!(error, ExchangeError::BeforeKeys(_)), "{error}");
    assert_eq!(
        error.answer(),
        Some(Refusal::Error(ErrorCode::InternalServerError))
    );
    assert_eq!(report.asked.len(), 1);
    assert_eq!(report.asked[0].1, Err(Class::Reach));
}

#[tokio::test]
async fn dns_stale() {
    let authority = Authority::new();
    let identity = authority.identity("a.test");
    let source = TestSource::start(&identity, Script::default()).await;
    let resolver = TestResolver::finding(&["127.0.0.1"]);
    let means = means_with(&authority, UpstreamConfig::default(), resolver.clone());
    let config = SourceConfig::new("a.test", source.address.port()).unwrap();
    let pool = TestPool::with_means(vec![config], &means);
    assert!(exchange(&pool, &ordinary_request()).await.0.is_ok());
    resolver.fail();
    for _ in 0..3 {
        // Everything but the addresses is too old to be used.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(2 * 3600)).await;
        tokio::time::resume();
        let before = source.seen.lock().unwrap().connections;
        assert!(exchange(&pool, &ordinary_request()).await.0.is_ok());
        assert!(source.seen.lock().unwrap().connections > before);
    }
    assert!(resolver.asked.load(Ordering::SeqCst) > 3);
}

#[tokio::test]
async fn a_stranger_gets_neither_token_nor_keys() {
    let (real, other) = (Authority::new(), Authority::new());
    let stranger = sources(&other, vec![Script::default()]).await.remove(0);
    let pool = pool_of(&real, std::slice::from_ref(&stranger));
    let (result, report) = exchange(&pool, &ordinary_request()).await;
    assert!(matches!(result, Err(ExchangeError::BeforeKeys(_))));
    assert_eq!(report.asked[0].1, Err(Class::Identity));
    assert_eq!(stranger.seen.lock().unwrap().requests, 0);
}

#[tokio::test]
async fn bad_answers_end_the_exchange() {
    let other = ResponseError::AlgorithmNotOffered(AeadAlgorithm::Aes128GcmSiv);
    let cases = [
        (
            Answer::NoCookie,
            Class::Protocol,
            ResponseError::NoCookies.to_string(),
        ),
        (Answer::OtherAlgorithm, Class::Protocol, other.to_string()),
        (
            Answer::Error(ErrorCode::InternalServerError),
            Class::Busy,
            ResponseError::Error(ErrorCode::InternalServerError).to_string(),
        ),
        (
            Answer::Error(ErrorCode::BadRequest),
            Class::Auth,
            ResponseError::Error(ErrorCode::BadRequest).to_string(),
        ),
        (
            Answer::Truncated,
            Class::Reach,
            "within its answer".to_owned(),
        ),
        (Answer::Garbage, Class::Protocol, "malformed".to_owned()),
        (
            Answer::Named("ntp.a.test", 53),
            Class::Protocol,
            "forbidden port 53".to_owned(),
        ),
        (
            Answer::Named("fe80::1%eth0", 123),
            Class::Protocol,
            "`fe80::1%eth0`, which is neither".to_owned(),
        ),
        (
            Answer::Named("127.1", 123),
            Class::Protocol,
            "`127.1`, which is neither".to_owned(),
        ),
    ];
    for (answer, class, text) in cases {
        let (_authority, source, pool) = only_source([answer]).await;
        let (result, report) = exchange(&pool, &ordinary_request()).await;
        let error = after_keys(result);
        assert_eq!(error.class(), class, "{answer:?}");
        assert!(error.to_string().contains(&text), "{answer:?}: {error}");
        assert_eq!(source.keys().len(), 1, "{answer:?} must not be repeated");
        assert_eq!(report.same_source_retry, None);
    }
}

#[tokio::test]
async fn a_silent_source_costs_no_more_than_the_budget() {
    let (_authority, source, pool) = only_source([Answer::Silence]).await;
    pool.settle().await;
    let started = Instant::now();
    let mut report = Report::default();
    let request = ordinary_request();
    let result = run(
        &request,
        KeysOf(7),
        somewhere(),
        &pool.sources,
        budget(SECOND),
        &mut report,
    )
    .await;
    assert!(matches!(after_keys(result), UpstreamError::TimedOut));
    assert!(started.elapsed() >= SECOND * 9 / 10);
    assert_eq!(source.keys().len(), 1);
}

/// A pool whose sources make cookies, with at most so many exchanges at once.
async fn small_pool(limits: &[usize], answer: Answer) -> (Vec<TestSource>, TestPool) {
    let authority = Authority::new();
    let scripts = vec![Script::answering([answer]); limits.len()];
    let sources = sources(&authority, scripts).await;
    let configs = std::iter::zip(&sources, limits).map(|(source, limit)| {
        let mut config = source.config();
        config.max_concurrency = Some(*limit);
        config
    });
    let pool = TestPool::new(&authority, configs.collect());
    pool.settle().await;
    (sources, pool)
}

#[tokio::test]
async fn a_source_without_a_free_slot_is_not_picked() {
    let (sources, pool) = small_pool(&[1, 8], Answer::Cookies).await;
    let slot = pool.source(0).slots.take().await;
    for _ in 0..20 {
        let (result, report) = exchange(&pool, &ordinary_request()).await;
        assert!(result.is_ok());
        assert_eq!(report.failovers(), []);
    }
    assert_eq!(sources[0].keys().len(), 0);
    drop(slot);
    while sources[0].keys().is_empty() {
        assert!(exchange(&pool, &ordinary_request()).await.0.is_ok());
    }
}

#[tokio::test]
async fn users_wait_for_a_slot_when_there_is_no_other_source() {
    let (sources, pool) = small_pool(&[1], Answer::Cookies).await;
    let pool = Arc::new(pool);
    let mut users = JoinSet::new();
    for _ in 0..20 {
        let pool = Arc::clone(&pool);
        users.spawn(async move { exchange(&pool, &ordinary_request()).await.0.is_ok() });
    }
    assert_eq!(users.join_all().await, [true; 20]);
    assert_eq!(sources[0].keys().len(), 20);
    // One after the other, all on the connection of the check; the question for names had its own.
    assert!(sources[0].seen.lock().unwrap().connections <= 2);
}

/// When a country's power comes back, users come faster than sources answer.
#[tokio::test]
async fn users_wait_longer_for_a_slot_than_for_a_source() {
    let (_sources, pool) = small_pool(&[1, 1], Answer::Cookies).await;
    assert!(exchange(&pool, &ordinary_request()).await.0.is_ok());
    let mut slots = Vec::new();
    for source in 0..2 {
        slots.push(pool.source(source).slots.take().await);
        assert!(pool.source(source).round_trip().unwrap() < SECOND / 50);
    }
    // Four round trips, or a tenth of a second, are what a source gets to be ready.
    let free = async {
        tokio::time::sleep(SECOND / 2).await;
        drop(slots);
    };
    let request = ordinary_request();
    let ((result, report), ()) = tokio::join!(exchange(&pool, &request), free);
    assert!(result.is_ok());
    assert_eq!(report.failovers(), []);
}

#[tokio::test]
async fn nobody_is_to_blame_when_all_slots_are_taken_for_too_long() {
    let (sources, pool) = small_pool(&[1], Answer::Cookies).await;
    let _slot = pool.source(0).slots.take().await;
    let mut report = Report::default();
    let request = ordinary_request();
    let budget = budget(SECOND / 5);
    let result = run(
        &request,
        KeysOf(7),
        somewhere(),
        &pool.sources,
        budget,
        &mut report,
    )
    .await;
    assert!(matches!(
        result,
        Err(ExchangeError::BeforeKeys(UpstreamError::Full))
    ));
    assert_eq!(sources[0].keys().len(), 0);
    assert_eq!(pool.source(0).state(), State::Healthy);
}

/// Else one user could have every distant source ejected, and so choose for all the others.
#[tokio::test]
async fn a_source_is_not_to_blame_for_a_user_who_used_up_the_time() {
    let (_authority, source, pool) = only_source([Answer::Silence]).await;
    pool.settle().await;
    let late = Budget::new(Instant::now() + SECOND / 3, SECOND);
    let mut report = Report::default();
    let request = ordinary_request();
    let result = run(
        &request,
        KeysOf(7),
        somewhere(),
        &pool.sources,
        late,
        &mut report,
    )
    .await;
    assert!(matches!(after_keys(result), UpstreamError::NoTime));
    assert_eq!(source.keys().len(), 1);
    assert_eq!(pool.source(0).state(), State::Healthy);
}

#[tokio::test]
async fn no_more_sources_are_tried_than_may_be() {
    let authority = Authority::new();
    let mut dead = Vec::new();
    for _ in 0..4 {
        dead.push(SourceConfig::new("127.0.0.1", closed_port().await).unwrap());
    }
    for attempts in 1..=5 {
        let policy = UpstreamConfig {
            attempts,
            ..UpstreamConfig::default()
        };
        let pool = TestPool::with_policy(&authority, dead.clone(), policy);
        // All are dead then, so users get any.
        pool.settle().await;
        let (result, report) = exchange(&pool, &ordinary_request()).await;
        assert!(matches!(result, Err(ExchangeError::BeforeKeys(_))));
        assert_eq!(report.asked.len(), attempts.min(4));
    }
}

#[tokio::test]
async fn the_same_source_is_not_asked_again_where_that_is_switched_off() {
    let authority = Authority::new();
    let script = Script::answering([Answer::Close, Answer::Cookies]);
    let source = sources(&authority, vec![script]).await.remove(0);
    let policy = UpstreamConfig {
        same_source_retry: false,
        ..UpstreamConfig::default()
    };
    let pool = TestPool::with_policy(&authority, vec![source.config()], policy);
    let (result, report) = exchange(&pool, &ordinary_request()).await;
    let error = after_keys(result);
    assert!(matches!(error, UpstreamError::ClosedUnanswered), "{error}");
    assert_eq!(report.same_source_retry, None);
    assert_eq!(source.keys().len(), 1);
}

#[tokio::test]
async fn a_kept_connection_that_dies_unanswered_is_retried_once_with_the_same_source() {
    let (_authority, source, pool) = only_source([Answer::Close, Answer::Cookies]).await;
    pool.settle().await;
    let (result, report) = exchange(&pool, &ordinary_request()).await;
    assert!(result.is_ok());
    assert_eq!(report.same_source_retry, Some(true));
    assert_eq!(source.keys(), [vec![7; 32], vec![7; 32]]);
}

#[tokio::test]
async fn the_retry_is_not_repeated() {
    let (_authority, source, pool) = only_source([Answer::Close]).await;
    pool.settle().await;
    let (result, report) = exchange(&pool, &ordinary_request()).await;
    assert!(matches!(
        after_keys(result),
        UpstreamError::ClosedUnanswered
    ));
    assert_eq!(report.same_source_retry, Some(false));
    assert_eq!(source.keys().len(), 2);
}

#[tokio::test]
async fn a_fresh_connection_is_not_retried() {
    let authority = Authority::new();
    let script = Script {
        keep_alive: false,
        ..Script::answering([Answer::Close])
    };
    let sources = sources(&authority, vec![script]).await;
    let pool = pool_of(&authority, &sources);
    let (result, report) = exchange(&pool, &ordinary_request()).await;
    assert!(matches!(
        after_keys(result),
        UpstreamError::ClosedUnanswered
    ));
    assert_eq!(report.same_source_retry, None);
    assert_eq!(sources[0].keys().len(), 1);
}

#[tokio::test]
async fn connections_are_reused_while_the_source_keeps_them() {
    let (_authority, source, pool) = only_source([Answer::Cookies]).await;
    pool.settle().await;
    // The second connection asks for names.
    while source.seen.lock().unwrap().info_requests < 2 {
        tokio::task::yield_now().await;
    }
    for _ in 0..30 {
        exchange(&pool, &ordinary_request()).await.0.unwrap();
    }
    assert_eq!(source.seen.lock().unwrap().connections, 2);
    assert_eq!(source.keys().len(), 30);
}

#[tokio::test]
async fn a_source_that_closes_while_idle_is_not_noticed_by_users() {
    let authority = Authority::new();
    let identity = authority.identity("127.0.0.1");
    let source = TestSource::start(&identity, Script::default()).await;
    let pool = pool_of(&authority, std::slice::from_ref(&source));
    pool.settle().await;
    for _ in 0..5 {
        source.drop_connections().await;
        let (result, report) = exchange(&pool, &ordinary_request()).await;
        assert!(result.is_ok());
        assert_eq!(report.same_source_retry, None);
        assert_eq!(report.failovers(), []);
    }
}

#[tokio::test]
async fn users_of_an_algorithm_go_to_the_sources_that_have_it() {
    let authority = Authority::new();
    let with = |algorithm| Script {
        algorithms: vec![algorithm],
        ..Script::default()
    };
    let scripts = vec![
        with(AeadAlgorithm::AesSivCmac512),
        with(AeadAlgorithm::AesSivCmac256),
    ];
    let sources = sources(&authority, scripts).await;
    let pool = pool_of(&authority, &sources);
    for _ in 0..20 {
        let response = exchange(&pool, &ordinary_request()).await.0.unwrap();
        assert_eq!(response.algorithm, AeadAlgorithm::AesSivCmac256);
    }
    assert_eq!(sources[0].keys().len(), 0);
    assert_eq!(sources[1].keys().len(), 20);
}

#[tokio::test]
async fn aead_30_is_for_users_with_the_right_exporter_context() {
    let authority = Authority::new();
    let script = Script {
        algorithms: vec![AeadAlgorithm::Aes128GcmSiv, AeadAlgorithm::AesSivCmac256],
        ..Script::default()
    };
    let sources = sources(&authority, vec![script]).await;
    let pool = pool_of(&authority, &sources);
    let mut request = ordinary_request();
    request.algorithms.insert(0, AeadAlgorithm::Aes128GcmSiv);
    let response = exchange(&pool, &request).await.0.unwrap();
    assert_eq!(response.algorithm, AeadAlgorithm::AesSivCmac256);
    assert!(!response.compliant_exporter);
    request.compliant_exporter = true;
    let response = exchange(&pool, &request).await.0.unwrap();
    assert_eq!(response.algorithm, AeadAlgorithm::Aes128GcmSiv);
    assert!(response.compliant_exporter);
    assert_eq!(sources[0].keys(), [vec![7; 32], vec![7; 16]]);
}

#[tokio::test]
async fn nothing_in_common_is_said_only_when_no_source_matches() {
    let (_authority, source, pool) = only_source([Answer::Cookies]).await;
    let mut request = ordinary_request();
    request.algorithms = vec![AeadAlgorithm::Aes128GcmSiv, AeadAlgorithm::Unknown(99)];
    for _ in 0..2 {
        let error = exchange(&pool, &request).await.0.unwrap_err();
        let refusal = Refusal::NoCommonAlgorithm(ProtocolId::Ntpv4);
        assert_eq!(error.answer(), Some(refusal));
    }
    request.protocols = vec![ProtocolId::Unknown(0x8001)];
    let error = exchange(&pool, &request).await.0.unwrap_err();
    assert_eq!(error.answer(), Some(Refusal::NoCommonProtocol));
    assert!(source.keys().is_empty());
}

#[tokio::test]
async fn a_source_that_changed_its_mind_is_asked_again() {
    let (_authority, source, pool) =
        only_source([Answer::Error(ErrorCode::BadRequest), Answer::Cookies]).await;
    pool.settle().await;
    after_keys(exchange(&pool, &ordinary_request()).await.0);
    let before = source.seen.lock().unwrap().info_requests;
    exchange(&pool, &ordinary_request()).await.0.unwrap();
    assert!(source.seen.lock().unwrap().info_requests > before);
}

/// Whatever sources do, no key pair is ever seen by two of them, and every exchange ends.
#[tokio::test]
async fn keys_reach_at_most_one_source() {
    const ANSWERS: [Answer; 8] = [
        Answer::Cookies,
        Answer::Cookies,
        Answer::NoCookie,
        Answer::OtherAlgorithm,
        Answer::Error(ErrorCode::InternalServerError),
        Answer::Close,
        Answer::Truncated,
        Answer::Garbage,
    ];
    let authority = Authority::new();
    let mut rng = StdRng::seed_from_u64(20);
    let scripts = (0..4).map(|_| Script {
        keep_alive: rng.random(),
        ..Script::answering((0..60).map(|_| *ANSWERS.choose(&mut rng).unwrap()))
    });
    let scripts = scripts.collect();
    let sources = sources(&authority, scripts).await;
    let pool = pool_of(&authority, &sources);
    let request = ordinary_request();
    let mut succeeded = 0;
    for user in 0..=u8::MAX {
        let mut report = Report::default();
        let result = run(
            &request,
            KeysOf(user),
            somewhere(),
            &pool.sources,
            budget(PLENTY),
            &mut report,
        )
        .await;
        succeeded += u32::from(result.is_ok());
    }
    assert!(succeeded > 0);
    let mut holder = HashMap::new();
    for (source, keys) in sources.iter().map(TestSource::keys).enumerate() {
        for key in keys {
            assert_eq!(*holder.entry(key).or_insert(source), source);
        }
    }
}
