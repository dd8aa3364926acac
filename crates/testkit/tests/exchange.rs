//! User → pool → time source → authenticated time, with everything in order.
#![cfg(feature = "unstable_nts-pool")]

use std::collections::BTreeSet;

use nts_pool_ke::Dialect;
use nts_proto::code_points::AeadAlgorithm;
use nts_proto::ke::request::KeyExchangeRequest;
use nts_proto::ke::response::MAX_COOKIES;
use testkit::Lab;
use testkit::lab::{POOL_NAME, by_certificate, by_token, loopback, token};
use testkit::user::plain_request;
use testkit::wire::records;

/// Longest credible difference between this machine's clock and itself, in seconds.
const SAME_CLOCK: f64 = 0.1;

#[tokio::test(flavor = "multi_thread")]
async fn a_user_gets_authenticated_time_through_a_pool() {
    let lab = Lab::new();
    let source = lab.source(loopback(2));
    let pool = lab.pool(vec![source.entry()]);
    let session = lab
        .user()
        .key_exchange(pool.address, POOL_NAME, &plain_request())
        .await
        .expect("keys and cookies");
    assert_eq!(session.response.cookies.len(), MAX_COOKIES);
    assert_eq!(session.ntp_server(), source.ntp);
    let server = session.ntp_server();
    let measurement = session.ask_time(server).await;
    assert!(measurement.authenticated);
    assert_eq!(measurement.stratum, 1);
    assert!(
        measurement.offset.as_seconds_f64().abs() < SAME_CLOCK,
        "{measurement:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn either_algorithm_works_and_the_users_first_is_taken() {
    let lab = Lab::new();
    let source = lab.source(loopback(2));
    let pool = lab.pool(vec![source.entry()]);
    for algorithms in [[17, 15], [15, 17], [99, 17]] {
        let mut request = plain_request();
        request.algorithms = algorithms.map(AeadAlgorithm::from).to_vec();
        let session = lab
            .user()
            .key_exchange(pool.address, POOL_NAME, &request)
            .await
            .unwrap();
        let wanted = algorithms.into_iter().find(|id| *id != 99).unwrap();
        assert_eq!(session.response.algorithm.code(), wanted);
        let server = session.ntp_server();
        assert!(session.ask_time(server).await.authenticated);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_may_ask_the_source_itself() {
    let lab = Lab::new();
    let source = lab.source(loopback(2));
    let session = lab
        .user()
        .key_exchange(source.ke, "127.0.0.2", &plain_request())
        .await
        .unwrap();
    assert_eq!(session.response.server, None);
    assert!(session.ask_time(source.ntp).await.authenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_has_exactly_what_an_rfc_8915_user_knows() {
    let lab = Lab::new();
    let source = lab.source(loopback(2));
    let pool = lab.pool(vec![source.entry()]);
    let request = plain_request().encode();
    let answer = lab
        .user()
        .converse(pool.address, POOL_NAME, request.as_ref())
        .await;
    let types: Vec<_> = records(&answer.octets)
        .iter()
        .map(|record| record.wire_type)
        .collect();
    let cookies = [0x0005; MAX_COOKIES];
    assert_eq!(
        types,
        [&[0x8001, 0x8004, 0x8006, 0x8007][..], &cookies].concat()
    );
    assert!(answer.octets.len() < 2048);
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_authorise_themselves_in_every_way() {
    let lab = Lab::new();
    for (last, dialect, by_cert) in [
        (2, Dialect::Auto, false),
        (3, Dialect::Ietf, false),
        (4, Dialect::DraftToken, false),
        (5, Dialect::DraftMtls, true),
        (6, Dialect::Ietf, true),
        (7, Dialect::Auto, true),
    ] {
        let authorization = match by_cert {
            true => by_certificate(lab.pool_certificate()),
            false => by_token(testkit::lab::TOKEN),
        };
        let source = lab.source_with(loopback(last), authorization, |_| {});
        let mut entry = source.entry();
        entry.dialect = dialect;
        if by_cert {
            entry.auth_token = None;
        }
        let pool = lab.pool(vec![entry]);
        let session = lab
            .user()
            .key_exchange(pool.address, POOL_NAME, &plain_request())
            .await;
        let session = session.unwrap_or_else(|error| panic!("{dialect:?} {by_cert}: {error:?}"));
        assert!(
            session.ask_time(source.ntp).await.authenticated,
            "{dialect:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_not_authorised_has_nothing_to_give() {
    let lab = Lab::new();
    let other_pool = lab.authority().client(POOL_NAME);
    for authorization in [
        by_token("another-token-0123456789abcdef"),
        by_certificate(other_pool.certificate()),
        Default::default(),
    ] {
        let source = lab.source_with(loopback(2), authorization, |_| {});
        let pool = lab.pool(vec![source.entry()]);
        let request = plain_request().encode();
        let answer = lab
            .user()
            .converse(pool.address, POOL_NAME, request.as_ref())
            .await;
        assert_eq!(hex::encode(answer.octets), "80020002000280000000");
        assert_eq!(source.counts().fixed_key_requests, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_come_in_large_numbers_and_sources_keep_connections() {
    let lab = Lab::new();
    let sources = [lab.source(loopback(2)), lab.source(loopback(3))];
    let pool = lab.pool(
        sources
            .iter()
            .map(testkit::lab::RealSource::entry)
            .collect(),
    );
    let mut users = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (user, address) = (lab.user(), pool.address);
        users.spawn(async move {
            let session = user
                .key_exchange(address, POOL_NAME, &plain_request())
                .await
                .unwrap();
            let server = session.ntp_server();
            assert!(session.ask_time(server).await.authenticated);
            server
        });
    }
    let served: BTreeSet<_> = users.join_all().await.into_iter().collect();
    assert_eq!(served, sources.iter().map(|source| source.ntp).collect());
    let connections = || -> u64 {
        sources
            .iter()
            .map(|source| source.counts().accepted_connections)
            .sum()
    };
    let before = connections();
    for _ in 0..20 {
        lab.user()
            .key_exchange(pool.address, POOL_NAME, &plain_request())
            .await
            .unwrap();
    }
    let fresh = connections() - before;
    assert!(
        fresh <= 4,
        "{fresh} new connections for 20 users, one after the other"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_sources_are_not_given_as_long_as_there_are_others() {
    let lab = Lab::new();
    let sources = [
        lab.source(loopback(2)),
        lab.source(loopback(3)),
        lab.source(loopback(4)),
    ];
    let pool = lab.pool(
        sources
            .iter()
            .map(testkit::lab::RealSource::entry)
            .collect(),
    );
    let mut request = plain_request();
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        let session = lab
            .user()
            .key_exchange(pool.address, POOL_NAME, &request)
            .await
            .unwrap();
        let name = session.response.server.expect("a pool names the server");
        assert!(seen.insert(name.to_string()), "{name} was denied");
        request.denied.push(name);
    }
    // A denial of all is overruled: a failure would be worse.
    let session = lab
        .user()
        .key_exchange(pool.address, POOL_NAME, &request)
        .await
        .unwrap();
    assert!(seen.contains(session.response.server.unwrap().as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_may_give_users_another_name_which_can_be_denied() {
    let lab = Lab::new();
    let named = lab.source_with(loopback(2), by_token(testkit::lab::TOKEN), |config| {
        config.ntp_server = Some("ntp.a.test".parse().unwrap());
    });
    let plain = lab.source(loopback(3));
    let pool = lab.pool(vec![named.entry(), plain.entry()]);
    let ask = async |request: KeyExchangeRequest| {
        let session = lab
            .user()
            .key_exchange(pool.address, POOL_NAME, &request)
            .await
            .unwrap();
        session.response.server.unwrap().to_string()
    };
    // The pool knows the name at the latest when it has given it to a user.
    while ask(plain_request()).await != "ntp.a.test" {}
    let mut request = plain_request();
    request.denied.push("NTP.A.test.".parse().unwrap());
    for _ in 0..20 {
        assert_eq!(ask(request.clone()).await, "127.0.0.3");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_can_be_changed_without_a_gap() {
    let lab = Lab::new();
    let mut authorization = by_token("the-old-token-0123456789abcdef");
    authorization.tokens.push(token(testkit::lab::TOKEN));
    let source = lab.source_with(loopback(2), authorization, |_| {});
    for text in ["the-old-token-0123456789abcdef", testkit::lab::TOKEN] {
        let mut entry = source.entry();
        entry.auth_token = Some(token(text));
        let pool = lab.pool(vec![entry]);
        let user = lab.user();
        user.key_exchange(pool.address, POOL_NAME, &plain_request())
            .await
            .expect(text);
    }
}
