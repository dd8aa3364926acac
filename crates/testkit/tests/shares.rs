//! With the simple configuration and all sources well, users are shared out by weight, exactly:
//! from a user's TLS to the source's own count of the answers that it gave.
#![cfg(feature = "unstable_nts-pool")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use testkit::Lab;
use testkit::lab::{POOL_NAME, RunningPool, loopback};
use testkit::user::plain_request;

const USERS: usize = 20_000;
/// Users at the same time: not more than one source takes at once, so that none is passed over.
const AT_ONCE: usize = 8;
const WEIGHTS: [u32; 5] = [1, 2, 3, 4, 10];
/// Pearson's statistic exceeds this by chance once in a million runs, with four degrees of freedom.
const LIMIT: f64 = 33.4;

/// So many exchanges, all of which have to go well.
async fn exchanges(lab: &Lab, pool: &RunningPool, count: usize) {
    let left = Arc::new(AtomicUsize::new(count));
    let mut users = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (user, address, left) = (lab.user(), pool.address, Arc::clone(&left));
        users.spawn(async move {
            let another = |left| usize::checked_sub(left, 1);
            let next = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, another);
            while next().is_ok() {
                let request = plain_request();
                let session = user.key_exchange(address, POOL_NAME, &request).await;
                session.expect("all is well");
            }
        });
    }
    users.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p17_users_are_shared_by_weight_from_end_to_end() {
    let lab = Lab::new();
    let sources: Vec<_> = (2..)
        .zip(WEIGHTS)
        .map(|(at, _)| lab.source(loopback(at)))
        .collect();
    let entries = std::iter::zip(&sources, WEIGHTS).map(|(source, weight)| {
        let mut entry = source.entry();
        entry.weight = weight;
        entry
    });
    // On a busy machine a source may seem to be slow. Each has the time of its users, so that health
    // has nothing to do with it.
    let pool = lab.pool_with(entries.collect(), |config| config.upstream.attempts = 1);
    // Until it is known what each source supports, one of them may be passed over.
    exchanges(&lab, &pool, 100).await;
    let answered = || -> Vec<_> {
        let counts = sources
            .iter()
            .map(|source| pool.requests(source.ke, "exchange", "ok"));
        counts.collect()
    };
    let before = answered();
    exchanges(&lab, &pool, USERS).await;
    let counts: Vec<_> = std::iter::zip(answered(), before)
        .map(|(now, then)| now - then)
        .collect();
    assert_eq!(counts.iter().sum::<u64>(), USERS as u64);
    let weights: u32 = WEIGHTS.iter().sum();
    let squares = std::iter::zip(&counts, WEIGHTS).map(|(count, weight)| {
        let expected = USERS as f64 * f64::from(weight) / f64::from(weights);
        (*count as f64 - expected).powi(2) / expected
    });
    let statistic: f64 = squares.sum();
    assert!(statistic < LIMIT, "{counts:?} for {WEIGHTS:?}: {statistic}");
    assert_eq!(pool.total("nts_pool_ke_failover_total"), 0);
}
