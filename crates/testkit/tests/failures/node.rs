//! What goes wrong with the node itself: its clock and its own defects.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use nts_pool_ke::wall_clock::WallClock;
use testkit::Lab;
use testkit::deadline::eventually;
use testkit::faulty_source::{Answer, Gate, Kind, Script};
use testkit::lab::{POOL_NAME, RunningPool, loopback};
use testkit::log::CapturedLog;
use testkit::user::{Failure, plain_request};
use testkit::wire::End;

use crate::support::{ERROR_2, WITHOUT_WAITING, answer, assert_refused, exchange};

const HOUR: Duration = Duration::from_secs(3600);

/// The machine's clock, with something added or taken away.
#[derive(Debug)]
struct ShiftedClock(Mutex<i64>);

impl ShiftedClock {
    fn shift(&self, seconds: i64) {
        *self.0.lock().expect("no test panics here") += seconds;
    }
}

impl WallClock for ShiftedClock {
    fn now(&self) -> SystemTime {
        let shift = *self.0.lock().expect("no test panics here");
        let by = Duration::from_secs(shift.unsigned_abs());
        match shift < 0 {
            true => SystemTime::now() - by,
            false => SystemTime::now() + by,
        }
    }
}

/// A source that keeps no connection, so that each exchange looks at a certificate.
fn keeps_nothing() -> Script {
    Script {
        info: Answer::without(8),
        fixed_key: Answer::without(8),
        ..Script::default()
    }
}

/// Row 34. Nothing but certificates goes by the wall clock: users are served on as if nothing had
/// happened, and the operator hears of it.
#[tokio::test(flavor = "multi_thread")]
async fn clock_jump() {
    const YEARS: i64 = 30 * 365 * 24 * 3600;
    let log = CapturedLog::of_operators();
    let lab = Lab::new();
    let clock = Arc::new(ShiftedClock(Mutex::new(0)));
    let source = lab.faulty_source(loopback(2), keeps_nothing()).await;
    let pool = lab.pool_by(clock.clone(), vec![source.entry()], |_| {});
    let jumps = || pool.metric("nts_pool_ke_clock_jumps_total");
    for (jump, counted) in [
        (1800, 0),
        (7200, 1),
        (-7200, 2),
        (YEARS, 3),
        (-2 * YEARS, 4),
    ] {
        clock.shift(jump);
        for _ in 0..5 {
            let begun = Instant::now();
            exchange(&lab, &pool).await.expect("cookies");
            assert!(begun.elapsed() < WITHOUT_WAITING, "after {jump} s");
        }
        eventually("an alarm", || (jumps() == counted).then_some(())).await;
    }
    for way in ["ahead", "back"] {
        let alarm = format!("this machine's clock jumped {way} by");
        eventually("two lines in the log", || {
            (log.text().matches(&alarm).count() == 2).then_some(())
        })
        .await;
    }
}

/// Row 34, where a certificate is expired by the clock of the moment: it is refused, and good again
/// when the clock is right again.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_checked_by_the_wall_clock() {
    let lab = Lab::new();
    let clock = Arc::new(ShiftedClock(Mutex::new(0)));
    let source = lab.faulty_source(loopback(2), keeps_nothing()).await;
    source.show(&lab.authority().valid_for(&["127.0.0.2"], HOUR).identity());
    let pool = lab.pool_by(clock.clone(), vec![source.entry()], |_| {});
    exchange(&lab, &pool).await.expect("cookies");
    source
        .wait_for("both questions", |seen| seen.count(Kind::Info) >= 2)
        .await;
    clock.shift(7200);
    let octets = source.seen().octets;
    assert_refused(&answer(&lab, &pool).await, ERROR_2, "expired");
    assert_eq!(
        source.seen().octets,
        octets,
        "not even the token went there"
    );
    clock.shift(-7200);
    served_again(&lab, &pool).await;
}

async fn served_again(lab: &Lab, pool: &RunningPool) {
    let begun = Instant::now();
    while let Err(failure) = exchange(lab, pool).await {
        assert!(matches!(failure, Failure::Response(_)), "{failure:?}");
        assert!(begun.elapsed() < 5 * WITHOUT_WAITING, "not served again");
    }
}

/// A clock that panics when it is asked the next time.
#[derive(Debug, Default)]
struct Trap(AtomicBool);

impl WallClock for Trap {
    fn now(&self) -> SystemTime {
        let set = self.0.swap(false, Ordering::SeqCst);
        assert!(!set, "the trap that this test has set");
        SystemTime::now()
    }
}

/// Row 35. A panic in one exchange is that user's loss alone. More of them panic than the source
/// may have exchanges at a time, so nothing of theirs is held for ever.
#[tokio::test(flavor = "multi_thread")]
async fn panic_isolated() {
    const PANICS: usize = 10;
    const OTHERS: usize = 3;
    let lab = Lab::new();
    let trap = Arc::new(Trap::default());
    let gate = Gate::new();
    let source = lab.faulty_source(loopback(2), keeps_nothing()).await;
    let slow = Script::on_fixed_key(Answer::Held(gate.clone()));
    let pool = lab.pool_by(trap.clone(), vec![source.entry()], |_| {});
    exchange(&lab, &pool).await.expect("cookies");

    source.follow(slow);
    let before = source.seen().count(Kind::FixedKey);
    let mut others = tokio::task::JoinSet::new();
    for _ in 0..OTHERS {
        let (user, address) = (lab.user(), pool.address);
        others.spawn(async move {
            let request = plain_request();
            user.key_exchange(address, POOL_NAME, &request).await
        });
    }
    source
        .wait_for("the others", |seen| {
            seen.count(Kind::FixedKey) == before + OTHERS
        })
        .await;
    source.follow(keeps_nothing());

    let mut panicked = 0;
    while panicked < PANICS {
        trap.0.store(true, Ordering::SeqCst);
        match exchange(&lab, &pool).await {
            // Somebody else fell into the trap, who goes on too.
            Ok(_) => {}
            Err(Failure::NoAnswer(answer)) => {
                assert_eq!((answer.octets.len(), answer.end), (0, End::Cut));
                panicked += 1;
            }
            Err(failure) => panic!("{failure:?}"),
        }
    }
    trap.0.store(false, Ordering::SeqCst);
    gate.open();
    for other in others.join_all().await {
        other.expect("cookies, late");
    }
    for _ in 0..10 {
        exchange(&lab, &pool).await.expect("cookies");
    }
    let counted = pool.metric("nts_pool_ke_connections_panicked_total");
    assert_eq!(counted, PANICS as u64);
    assert_eq!(source.seen().keys().len(), 1 + OTHERS + 10);
}

/// Row 35: a panic ends what panicked because the programs are built so.
#[test]
fn panics_unwind() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let manifest = fs::read_to_string(manifest).expect("the workspace's manifest");
    let manifest: toml::Table = manifest.parse().expect("TOML");
    let profiles = manifest["profile"].as_table().expect("profiles");
    for (name, profile) in profiles {
        assert!(profile.get("panic").is_none(), "profile {name}");
    }
}
