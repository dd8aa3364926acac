//! Connections that a source keeps, or does not.

use testkit::deadline::eventually;
use testkit::faulty_source::{Answer, Connect, Gate, Kind, Script, Seen};
use testkit::lab::{POOL_NAME, loopback};
use testkit::user::plain_request;
use testkit::{FaultySource, Lab};
use tokio::task::JoinSet;

use crate::support::{ERROR_2, SHORT, answer, assert_refused, exchange};

/// Keys of users are cut off without an answer on every connection but a fresh one.
fn cut_if_reused() -> Script {
    Script::on_fixed_key(Answer::decided(|seen| match is_first_on_connection(seen) {
        true => Answer::Good,
        false => Answer::Cut,
    }))
}

fn is_first_on_connection(seen: &Seen) -> bool {
    let now = seen.requests.last().map(|asked| asked.connection);
    let on_it = seen.requests.iter();
    on_it.filter(|it| Some(it.connection) == now).count() == 1
}

/// Row 9. A source may close kept-alive connections whenever it likes.
#[tokio::test(flavor = "multi_thread")]
async fn idle_close_invisible() {
    let lab = Lab::new();
    let source = lab.faulty_source(loopback(2), Script::default()).await;
    let pool = lab.pool(vec![source.entry()]);
    for number in 1..=20 {
        exchange(&lab, &pool).await.expect("cookies");
        source.drop_connections().await;
        let seen = source.seen();
        assert_eq!(seen.keys().len(), number, "nobody was asked twice");
    }
    for result in ["ok", "failed"] {
        let retries = format!("nts_pool_ke_same_source_retry_total{{result=\"{result}\"}}");
        assert_eq!(pool.metric(&retries), 0);
    }
    assert_eq!(pool.requests(source.address(), "exchange", "ok"), 20);
    assert_eq!(pool.requests(source.address(), "exchange", "reach"), 0);
}

/// Row 10. A kept-alive connection that turns out to have died costs no user anything: the same
/// source is asked once more, on a fresh connection.
#[tokio::test(flavor = "multi_thread")]
async fn retry_same_source_only() {
    let lab = Lab::new();
    let sources = [
        lab.faulty_source(loopback(2), cut_if_reused()).await,
        lab.faulty_source(loopback(3), cut_if_reused()).await,
    ];
    let pool = lab.pool(sources.iter().map(FaultySource::entry).collect());
    for _ in 0..10 {
        exchange(&lab, &pool)
            .await
            .expect("cookies at the second try");
    }
    let mut repeated = 0;
    let [mut one, other] = sources.map(|source| {
        let requests = source.seen().requests;
        let sent: Vec<_> = requests
            .iter()
            .filter(|asked| asked.kind == Kind::FixedKey)
            .collect();
        for pair in sent.windows(2) {
            if pair[0].octets == pair[1].octets {
                assert_ne!(pair[0].connection, pair[1].connection);
                repeated += 1;
            }
        }
        source.seen().keys()
    });
    one.retain(|keys| other.contains(keys));
    assert!(one.is_empty(), "both sources have seen the same keys");
    assert!(repeated > 0, "no connection was reused");
    // An exchange is counted a moment after its user has the answer.
    let ok = || pool.metric("nts_pool_ke_same_source_retry_total{result=\"ok\"}");
    eventually("the last count", || (ok() >= repeated).then_some(())).await;
    assert_eq!(ok(), repeated);
}

/// Row 10 holds for kept connections alone: a fresh one that ends without an answer is no accident.
#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_connection_that_dies_is_not_retried() {
    let lab = Lab::new();
    let script = Script {
        info: Answer::without(8),
        fixed_key: Answer::Cut,
        ..Script::default()
    };
    let source = lab.faulty_source(loopback(2), script).await;
    let pool = lab.pool(vec![source.entry()]);
    for users in 1..=3 {
        assert_refused(&answer(&lab, &pool).await, ERROR_2, "cut off");
        assert_eq!(source.seen().keys().len(), users, "asked again");
    }
}

/// When one kept connection turns out to be dead in silence, the others of the same source are not
/// tried with the keys of more users.
#[tokio::test(flavor = "multi_thread")]
async fn one_dead_connection_is_enough() {
    const USERS: usize = 4;
    let lab = Lab::new();
    let (first, second) = (Gate::new(), Gate::new());
    let script = Script::on_fixed_key(Answer::Held(first.clone()));
    let source = lab.faulty_source(loopback(2), script).await;
    let pool = lab.pool_with(vec![source.entry()], |config| {
        config.key_exchange_timeout = SHORT * 2;
        config.upstream.idle_per_source = USERS;
    });
    let come = || {
        let mut users = JoinSet::new();
        for _ in 0..USERS {
            let (user, address) = (lab.user(), pool.address);
            users.spawn(async move {
                let request = plain_request();
                user.key_exchange(address, POOL_NAME, &request).await
            });
        }
        users
    };
    let users = come();
    let all_have_sent = |seen: &Seen, more| seen.count(Kind::FixedKey) == USERS + more;
    source
        .wait_for("all users", |seen| all_have_sent(seen, 0))
        .await;
    first.open();
    for user in users.join_all().await {
        user.expect("cookies");
    }
    let old = source.seen().connections;
    let gate = second.clone();
    source.follow(Script::on_fixed_key(Answer::decided(
        move |seen| match seen.requests.last() {
            Some(asked) if asked.connection < old => Answer::Silence,
            _ => Answer::Held(gate.clone()),
        },
    )));
    assert_refused(&answer(&lab, &pool).await, ERROR_2, "a dead connection");
    let users = come();
    source
        .wait_for("all users again", |seen| all_have_sent(seen, 1 + USERS))
        .await;
    second.open();
    for user in users.join_all().await {
        user.expect("cookies over new connections");
    }
}

/// Row 11. If the source is gone by then, that is all: nobody else gets the keys.
#[tokio::test(flavor = "multi_thread")]
async fn retry_ends_with_a_dead_source() {
    let lab = Lab::new();
    let [dying, other] = [
        lab.faulty_source(loopback(2), cut_if_reused()).await,
        lab.faulty_source(loopback(3), Script::default()).await,
    ];
    let pool = lab.pool(vec![dying.entry(), other.entry()]);
    while dying.seen().count(Kind::FixedKey) == 0 {
        exchange(&lab, &pool).await.expect("cookies");
    }
    dying.follow(Script {
        connect: Connect::Refuse,
        ..cut_if_reused()
    });
    let before = dying.seen().count(Kind::FixedKey);
    while dying.seen().count(Kind::FixedKey) == before {
        let answer = answer(&lab, &pool).await;
        if dying.seen().count(Kind::FixedKey) > before {
            assert_refused(&answer, ERROR_2, "its source is dead");
        } else {
            assert!(answer.octets.len() > 100, "the other serves");
        }
    }
    let [gone, others] = [&dying, &other].map(|source| source.seen().keys());
    assert_eq!(gone.len(), before + 1, "it was asked once");
    assert!(gone.iter().all(|keys| !others.contains(keys)));
    let failed = pool.metric("nts_pool_ke_same_source_retry_total{result=\"failed\"}");
    assert_eq!(failed, 1);
    for _ in 0..20 {
        exchange(&lab, &pool).await.expect("cookies from the other");
    }
}

/// Row 13.
#[tokio::test(flavor = "multi_thread")]
async fn no_keepalive_source() {
    let lab = Lab::new();
    let script = Script {
        info: Answer::without(8),
        fixed_key: Answer::without(8),
        ..Script::default()
    };
    let source = lab.faulty_source(loopback(2), script).await;
    let pool = lab.pool(vec![source.entry()]);
    let label = source.address();
    let waiting = format!("nts_pool_ke_source_idle_connections{{source=\"{label}\"}}");
    for _ in 0..5 {
        exchange(&lab, &pool).await.expect("cookies all the same");
        assert_eq!(pool.metric(&waiting), 0, "nobody promised to keep it");
    }
    let seen = source.seen();
    assert_eq!(seen.count(Kind::FixedKey), 5);
    let mut connections: Vec<_> = seen.requests.iter().map(|asked| asked.connection).collect();
    connections.dedup();
    assert_eq!(connections.len(), seen.requests.len());
}
