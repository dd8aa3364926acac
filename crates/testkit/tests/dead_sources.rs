//! Ten sources, of which one refuses connections, one is a black hole, and one accepts and is silent:
//! users notice nothing. How much longer they wait is measured by `just bench-dead`.
#![cfg(feature = "unstable_nts-pool")]

use nts_pool_ke::fleet::State;
use testkit::dead_sources::{DEATHS, World};

const WARM_UP: usize = 500;
const USERS: usize = 5_000;
const AT_A_TIME: usize = 32;

#[tokio::test(flavor = "multi_thread")]
async fn three_of_ten_sources_are_dead_and_nobody_fails() {
    let world = World::new(&DEATHS).await;
    let (_, failed) = world.serve(WARM_UP, AT_A_TIME).await;
    assert_eq!(failed, 0, "not even at first");
    let met = world.pool.total("nts_pool_ke_failover_total");
    let (times, failed) = world.serve(USERS, AT_A_TIME).await;
    assert_eq!((times.len(), failed), (USERS, 0));
    for source in &world.dead {
        assert!(!world.pool.is_in(source.address(), State::Healthy));
        assert_eq!(world.pool.requests(source.address(), "exchange", "ok"), 0);
    }
    // Those who met a dead one are those of the beginning.
    let later = world.pool.total("nts_pool_ke_failover_total") - met;
    assert!(later * 100 <= USERS as u64, "{later} met a dead source");
}
