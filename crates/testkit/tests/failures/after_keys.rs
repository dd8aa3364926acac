//! Sources that fail when they have the keys: the user is told, and nobody else gets them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nts_pool_ke::fleet::State;
use testkit::deadline::eventually;
use testkit::faulty_source::{Answer, Gate, Kind, Script, Seen};
use testkit::lab::loopback;
use testkit::{FaultySource, Lab};

use crate::support::{ERROR_2, OneOfFour, SHORT, WITHOUT_WAITING, answer, assert_refused, octets};

/// Users of each fault, one after the other.
const USERS: usize = 2;

/// A source that takes the keys and then fails costs an Error 2. No second source sees the keys, the
/// failure counts as `class`, and the connection is not used again.
async fn assert_no_second_source(what: &str, fault: &Answer, class: &str) {
    let lab = Lab::new();
    let script = || Script::on_fixed_key(fault.clone());
    let sources = [
        lab.faulty_source(loopback(2), script()).await,
        lab.faulty_source(loopback(3), script()).await,
    ];
    let entries = sources.iter().map(FaultySource::entry).collect();
    let pool = lab.pool_with(entries, |config| config.key_exchange_timeout = SHORT);
    for _ in 0..USERS {
        assert_refused(&answer(&lab, &pool).await, ERROR_2, what);
    }
    let addresses = sources.each_ref().map(FaultySource::address);
    eventually(what, || {
        let counted = addresses.map(|it| pool.requests(it, "exchange", class));
        (counted.iter().sum::<u64>() == USERS as u64).then_some(())
    })
    .await;
    let seen = sources.each_ref().map(FaultySource::seen);
    let [one, other] = seen.each_ref().map(|seen| {
        let sent = seen.keys();
        let keys: BTreeSet<_> = sent.iter().cloned().collect();
        assert!(sent.len() <= 2 * keys.len(), "{what}: sent too often");
        assert!(keys.iter().all(|keys| keys.len() == 64), "{what}");
        assert_keys_are_last(what, seen);
        keys
    });
    assert!(one.is_disjoint(&other), "{what}: both have seen keys");
    assert_eq!(one.len() + other.len(), USERS, "{what}");
}

/// On no connection anything comes after keys.
fn assert_keys_are_last(what: &str, seen: &Seen) {
    let mut over = BTreeSet::new();
    for asked in &seen.requests {
        assert!(!over.contains(&asked.connection), "{what}: used again");
        if asked.kind == Kind::FixedKey {
            over.insert(asked.connection);
        }
    }
}

/// Row 3. The user hears of it just before his time is over; the third is the last.
#[tokio::test(flavor = "multi_thread")]
async fn slow_post_key_error_not_eof() {
    const BUDGET: Duration = Duration::from_secs(1);
    const RESERVE: Duration = Duration::from_millis(50);
    let held = Answer::Held(Gate::new());
    tokio::join!(
        assert_no_second_source("silent", &Answer::Silence, "reach"),
        assert_no_second_source("held back", &held, "reach"),
    );
    let world = OneOfFour::new(Script::on_fixed_key(Answer::Silence)).await;
    let pool = world.pool(BUDGET);
    let address = world.bad.address();
    let mut failed = 0;
    let mut served = 0;
    while !pool.is_in(address, State::Ejected) || served < 20 {
        let begun = Instant::now();
        let answer = answer(&world.lab, &pool).await;
        let time = begun.elapsed();
        if hex::encode(&answer.octets) == ERROR_2 {
            assert_refused(&answer, ERROR_2, "slow");
            assert!(time >= BUDGET - RESERVE, "{time:?}");
            assert!(time < BUDGET + WITHOUT_WAITING, "{time:?}");
            failed += 1;
        } else {
            assert!(answer.octets.len() > 100);
            served += 1;
        }
    }
    assert_eq!(pool.requests(address, "exchange", "reach"), 3);
    // Whom this machine itself held up is nothing to blame a source for.
    let unfair = pool.requests(address, "exchange", "local");
    assert_eq!(failed, 3 + unfair);
    assert_eq!(world.bad.seen().keys().len() as u64, failed);
}

/// Row 6.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_no_second_source() {
    for (what, fault, class) in [
        ("cut off", Answer::Cut, "reach"),
        ("cut off in the middle", Answer::Half, "reach"),
        (
            "garbage",
            octets("474554202f20485454502f312e310d0a"),
            "protocol",
        ),
        (
            "more than a message",
            octets("800100020000800000008000"),
            "protocol",
        ),
        (
            "endless cookies",
            Answer::with_body(5, &[0xaa; 4096]),
            "protocol",
        ),
        (
            "unknown and critical",
            Answer::with_record(0x8032, &[]),
            "protocol",
        ),
        (
            "a name with a blank",
            Answer::with_record(0x8006, b"a b"),
            "protocol",
        ),
        ("port 0", Answer::with_record(0x8007, &[0, 0]), "protocol"),
    ] {
        assert_no_second_source(what, &fault, class).await;
    }
}

/// Row 7.
#[tokio::test(flavor = "multi_thread")]
async fn reply_mismatch_blocked() {
    let keep_alive_only = Answer::edited(|records| {
        records.retain(|record| [0, 8].contains(&record.record_type()));
    });
    for (what, fault) in [
        ("another algorithm", Answer::with_body(4, &[0, 17])),
        (
            "an algorithm nobody offered",
            Answer::with_body(4, &[0, 30]),
        ),
        ("another protocol", Answer::with_body(1, &[0x80, 1])),
        ("two algorithms", Answer::with_body(4, &[0, 15, 0, 17])),
        ("no algorithm", Answer::without(4)),
        ("no protocol", Answer::without(1)),
        ("no cookies", Answer::without(5)),
        ("empty cookies", Answer::with_body(5, &[])),
        ("Keep Alive only", keep_alive_only),
        (
            "a list nobody asked for",
            Answer::with_record(0x8009, &[0, 0]),
        ),
    ] {
        assert_no_second_source(what, &fault, "protocol").await;
    }
}

/// Row 7, where the answer is a refusal.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_says_no_to_keys_is_not_replaced() {
    for (what, fault, class) in [
        (
            "a warning",
            Answer::with_record(0x8003, &[0, 1]),
            "protocol",
        ),
        ("error 0", octets("80020002000080000000"), "auth"),
        ("error 1", octets("80020002000180000000"), "auth"),
        ("error 2", octets("80020002000280000000"), "busy"),
        (
            "a private error",
            octets("80020002f00180000000"),
            "protocol",
        ),
        ("nothing in common", octets("8001000080000000"), "protocol"),
        (
            "no common algorithm",
            octets("8001000200008004000080000000"),
            "protocol",
        ),
    ] {
        assert_no_second_source(what, &fault, class).await;
    }
}

/// Rows 6 to 8: after two hard failures no user is sent there any more, though key-free checks find
/// nothing wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_fails_its_users_is_ejected_after_two() {
    let world = OneOfFour::new(Script::on_fixed_key(Answer::without(5))).await;
    let pool = world.lab.pool(world.entries());
    let mut failed = 0;
    for _ in 0..60 {
        let answer = answer(&world.lab, &pool).await;
        failed += usize::from(hex::encode(answer.octets) == ERROR_2);
    }
    assert_eq!(failed, 2);
    assert_eq!(world.bad.seen().count(Kind::FixedKey), failed);
    assert!(pool.is_in(world.bad.address(), State::Ejected));
}
