//! Sources that cannot be reached.

use std::time::Duration;

use testkit::faulty_source::{Answer, Connect, Script};
use tokio::task::JoinSet;

use crate::support::{ERROR_2, OneOfFour, SHORT, WITHOUT_WAITING, answer};

/// Row 1. A refusal is noticed at once: nobody waits for as long as a silent source might get, and
/// after one who noticed others go elsewhere first.
#[tokio::test(flavor = "multi_thread")]
async fn source_refused_failover() {
    const BUDGET: Duration = Duration::from_secs(10);
    for was_good in [true, false] {
        let world = OneOfFour::new(Script::default()).await;
        let refuse = Script::on_connect(Connect::Refuse);
        if !was_good {
            world.bad.follow(refuse.clone());
            world.bad.drop_connections().await;
        }
        let pool = world.pool(BUDGET);
        if was_good {
            world.warm_up(&pool).await;
            world.bad.follow(refuse);
            world.bad.drop_connections().await;
        }
        let longest = world.serve_until_ejected(&pool).await;
        let noticed = pool.requests(world.bad.address(), "exchange", "reach");
        assert!(noticed <= 1, "{noticed} users met it");
        assert!(noticed == 1 || !was_good);
        let rest = world.serve_many_by_good(&pool, 40).await;
        let failovers = pool.total("nts_pool_ke_failover_total");
        assert!(failovers <= 1, "{failovers} after it was ejected");
        let stage = "nts_pool_ke_failover_total{stage=\"connect\"}";
        assert_eq!(pool.metric(stage), failovers);
        assert!(longest.max(rest) < WITHOUT_WAITING, "{longest:?} {rest:?}");
    }
}

/// Row 2. Whoever meets it waits for two fifths of his time at most, and of a hundred users hardly
/// one meets it.
#[tokio::test(flavor = "multi_thread")]
async fn blackhole_failover_p99() {
    let mut cases = JoinSet::new();
    for connect in [Connect::Lost, Connect::Silent] {
        cases.spawn(black_hole(connect, true));
        cases.spawn(black_hole(connect, false));
    }
    cases.spawn(black_hole(Connect::SilentAfterHandshake, false));
    cases.join_all().await;
}

async fn black_hole(connect: Connect, was_good: bool) {
    const USERS: usize = 300;
    let what = format!("{connect:?}, was good: {was_good}");
    let script = match was_good {
        true => Script::default(),
        false => Script::on_connect(connect),
    };
    let world = OneOfFour::new(script).await;
    let pool = world.pool(SHORT);
    if was_good {
        world.warm_up(&pool).await;
        world.bad.follow(Script::on_connect(connect));
        world.bad.drop_connections().await;
    }
    let longest = world.serve_until_ejected(&pool).await;
    assert!(longest < SHORT * 3 / 5, "{what}: {longest:?}");
    world.serve_many_by_good(&pool, USERS).await;
    let met = pool.total("nts_pool_ke_failover_total");
    assert!(met <= 3, "{what}: {met} of {USERS} users met it");
    let blamed = pool.requests(world.bad.address(), "exchange", "reach");
    assert!(blamed > 0 || !was_good, "{what}: silence is not blamed");
    let keys = world.bad.seen().keys().len();
    assert_eq!(keys, usize::from(was_good), "{what}: keys went there");
}

/// Row 2, from within: a source falls silent on connections that it has accepted, kept ones or new
/// ones. One user has sent his keys by then; all others are spared.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_falls_silent_costs_one_user() {
    let mut cases = JoinSet::new();
    for connect in [
        Connect::Lost,
        Connect::Silent,
        Connect::SilentAfterHandshake,
    ] {
        cases.spawn(fall_silent(connect, false));
    }
    cases.spawn(fall_silent(Connect::SilentAfterHandshake, true));
    cases.join_all().await;
}

async fn fall_silent(connect: Connect, kept_are_cut: bool) {
    let world = OneOfFour::new(Script::default()).await;
    let pool = world.pool(SHORT);
    world.warm_up(&pool).await;
    let before = world.bad.seen().keys().len();
    world.bad.follow(Script {
        connect,
        fixed_key: Answer::Silence,
        ..Script::default()
    });
    if kept_are_cut {
        world.bad.drop_connections().await;
    }
    let mut failed = 0;
    for _ in 0..100 {
        let answer = answer(&world.lab, &pool).await;
        failed += usize::from(hex::encode(answer.octets) == ERROR_2);
    }
    assert_eq!(failed, 1, "{connect:?}");
    let sent: Vec<_> = world.bad.seen().keys().into_iter().skip(before).collect();
    assert!(sent.len() <= 1, "{connect:?}");
}
