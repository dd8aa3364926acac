//! Sources that change what they support.

use nts_proto::code_points::AeadAlgorithm;
use testkit::Lab;
use testkit::faulty_source::{Answer, Kind, Script};
use testkit::lab::{POOL_NAME, loopback};
use testkit::user::{Failure, plain_request};

use crate::support::{ERROR_2, assert_refused, exchange, octets};

/// Row 12. Only exchanges under way fail: the source is asked again, and whoever comes next gets
/// what it supports now, or another source.
#[tokio::test(flavor = "multi_thread")]
async fn capability_drift() {
    let lab = Lab::new();
    let source = lab.faulty_source(loopback(2), Script::default()).await;
    let pool = lab.pool(vec![source.entry()]);
    let mut request = plain_request();
    request.algorithms = [15, 17].map(AeadAlgorithm::from).to_vec();
    let user = lab.user();
    let first = user
        .key_exchange(pool.address, POOL_NAME, &request)
        .await
        .unwrap();
    assert_eq!(first.response.algorithm, AeadAlgorithm::AesSivCmac256);
    source.follow(only_17());
    let surprised = user
        .converse(pool.address, POOL_NAME, request.encode().as_ref())
        .await;
    assert_refused(&surprised, ERROR_2, "the source changed its mind");
    source
        .wait_for("another question", |seen| seen.count(Kind::Info) >= 2)
        .await;
    let next = loop {
        // The pool may still be reading the answer to its question.
        match user.key_exchange(pool.address, POOL_NAME, &request).await {
            Ok(session) => break session,
            Err(failure) => assert!(matches!(failure, Failure::Response(_)), "{failure:?}"),
        }
    };
    assert_eq!(next.response.algorithm, AeadAlgorithm::AesSivCmac512);
    let seen = source.seen();
    let offered = seen.requests.iter().filter_map(|asked| asked.body_of(&[4]));
    assert_eq!(offered.filter(|body| **body == [0, 15]).count(), 2);
}

/// Row 12, where another source has what the user wants.
#[tokio::test(flavor = "multi_thread")]
async fn capability_drift_sends_users_elsewhere() {
    let lab = Lab::new();
    let source = lab.faulty_source(loopback(2), Script::default()).await;
    let other = lab.source(loopback(3));
    let pool = lab.pool(vec![source.entry(), other.entry()]);
    while source.seen().count(Kind::FixedKey) == 0 {
        exchange(&lab, &pool).await.expect("cookies");
    }
    source.follow(only_17());
    let mut failed = 0;
    for _ in 0..60 {
        match exchange(&lab, &pool).await {
            Ok(session) => assert_eq!(session.ntp_server(), other.ntp),
            Err(_) => failed += 1,
        }
    }
    assert!(failed <= 1, "{failed} of 60 users failed");
}

/// From now on nothing but AEAD 17.
fn only_17() -> Script {
    Script {
        info: Answer::with_body(10, &[0, 17, 0, 64]),
        fixed_key: Answer::decided(|seen| match seen.requests.last() {
            Some(asked) if asked.body_of(&[4]) == Some(vec![0, 17]) => Answer::Good,
            _ => octets("8001000200008004000080000000"),
        }),
        ..Script::default()
    }
}
