//! Time sources that die while users come: 1,000 exchanges in a row without a failure.
#![cfg(feature = "unstable_nts-pool")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nts_proto::code_points::ErrorCode;
use nts_proto::error::ResponseError;
use testkit::Lab;
use testkit::faulty_source::{Connect, Script};
use testkit::lab::{POOL_NAME, RealSource, RunningPool, loopback};
use testkit::user::{Failure, plain_request};

/// The budget of an exchange: two fifths of it are lost on a black hole.
const BUDGET: Duration = Duration::from_secs(2);

/// Users at the same time.
const AT_ONCE: usize = 8;

/// What became of many exchanges.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    /// How many users each source got.
    served: BTreeMap<SocketAddr, usize>,
    /// How many users got an Error 2.
    failed: usize,
}

impl Tally {
    fn all_by(source: &RealSource, count: usize) -> Self {
        Self {
            served: BTreeMap::from([(source.ntp, count)]),
            failed: 0,
        }
    }
}

/// So many exchanges through the pool.
async fn exchanges(lab: &Lab, pool: &RunningPool, count: usize) -> Tally {
    let left = Arc::new(AtomicUsize::new(count));
    let mut users = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (user, address, left) = (lab.user(), pool.address, Arc::clone(&left));
        users.spawn(async move {
            let mut outcomes = Vec::new();
            let another = |left| usize::checked_sub(left, 1);
            while left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, another)
                .is_ok()
            {
                outcomes.push(
                    user.key_exchange(address, POOL_NAME, &plain_request())
                        .await,
                );
            }
            outcomes
        });
    }
    let mut tally = Tally::default();
    for outcome in users.join_all().await.into_iter().flatten() {
        match outcome {
            Ok(session) => *tally.served.entry(session.ntp_server()).or_default() += 1,
            Err(Failure::Response(ResponseError::Error(ErrorCode::InternalServerError))) => {
                tally.failed += 1;
            }
            Err(failure) => panic!("not even an answer: {failure:?}"),
        }
    }
    assert_eq!(tally.served.values().sum::<usize>() + tally.failed, count);
    tally
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_sources_is_killed() {
    let lab = Lab::new();
    let (victim, survivor) = (lab.source(loopback(2)), lab.source(loopback(3)));
    let pool = lab.pool(vec![victim.entry(), survivor.entry()]);
    let before = exchanges(&lab, &pool, 100).await;
    assert_eq!(
        (before.served.len(), before.failed),
        (2, 0),
        "both sources serve"
    );
    victim.kill().await;
    assert_eq!(
        exchanges(&lab, &pool, 1000).await,
        Tally::all_by(&survivor, 1000)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_sources_was_never_there() {
    let lab = Lab::new();
    let survivor = lab.source(loopback(3));
    for connect in [None, Some(Connect::Close), Some(Connect::Silent)] {
        let ghost = lab.faulty_source(loopback(2), script(connect)).await;
        let entry = ghost.entry();
        let _listening = connect.is_some().then_some(ghost);
        let pool = lab.pool_with(vec![entry, survivor.entry()], |config| {
            config.key_exchange_timeout = BUDGET;
        });
        let tally = exchanges(&lab, &pool, 200).await;
        assert_eq!(tally, Tally::all_by(&survivor, 200), "{connect:?}");
    }
}

fn script(connect: Option<Connect>) -> Script {
    connect.map(Script::on_connect).unwrap_or_default()
}

/// Only users whose keys a source has when it stops can fail, one for each that was under way;
/// there is nobody else who may be asked for them.
#[tokio::test(flavor = "multi_thread")]
async fn sources_stop_while_users_come() {
    let lab = Lab::new();
    let (first, second) = (lab.source(loopback(2)), lab.source(loopback(3)));
    let third = lab.source(loopback(4));
    let entries = [&first, &second, &third].map(RealSource::entry);
    let pool = lab.pool(entries.to_vec());
    let stop = async {
        first.stop().await;
        second.stop().await;
    };
    let (tally, ()) = tokio::join!(exchanges(&lab, &pool, 500), stop);
    assert!(tally.failed <= 2 * AT_ONCE, "{tally:?}");
    assert_eq!(
        exchanges(&lab, &pool, 100).await,
        Tally::all_by(&third, 100)
    );
}

/// A faulty source that goes away altogether is like one that was killed.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_were_kept_alive_die_with_their_source() {
    let lab = Lab::new();
    let survivor = lab.source(loopback(3));
    let victim = lab.faulty_source(loopback(2), Script::default()).await;
    let pool = lab.pool(vec![victim.entry(), survivor.entry()]);
    while victim.seen().keys().is_empty() {
        let user = lab.user();
        user.key_exchange(pool.address, POOL_NAME, &plain_request())
            .await
            .expect("cookies");
    }
    victim.stop().await;
    assert_eq!(
        exchanges(&lab, &pool, 200).await,
        Tally::all_by(&survivor, 200)
    );
}
