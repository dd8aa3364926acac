//! Sources that are not who they should be, and sources that do not know this pool.

use nts_pool_ke::fleet::State;
use testkit::deadline::eventually;
use testkit::faulty_source::{Script, Setup};
use testkit::lab::{TOKEN, loopback, quick_health, token};
use testkit::log::CapturedLog;
use testkit::{CertificateAuthority, Credentials, FaultySource, Lab};
use tokio::task::JoinSet;

use crate::support::{ERROR_1, ERROR_2, OneOfFour, answer, assert_refused, octets, server_of};

/// Whether a line of the log has all of these.
fn logged(log: &CapturedLog, words: &[&str]) -> bool {
    let text = log.text();
    text.lines()
        .any(|line| words.iter().all(|word| line.contains(word)))
}

/// Row 4. Not an octet goes to whoever shows a certificate that is not good for the source's name.
#[tokio::test(flavor = "multi_thread")]
async fn bad_cert_never_gets_token() {
    let mut cases = JoinSet::new();
    type Issue = fn(&Lab) -> Credentials;
    let cases_by_name: [(&str, Issue); 4] = [
        ("of another name", |lab| {
            lab.authority().server(&["127.0.0.9"])
        }),
        ("expired", |lab| lab.authority().expired(&["127.0.0.2"])),
        ("for later", |lab| {
            lab.authority().not_yet_valid(&["127.0.0.2"])
        }),
        ("of a foreign authority", |_| {
            CertificateAuthority::new().server(&["127.0.0.2"])
        }),
    ];
    for (what, issue) in cases_by_name {
        cases.spawn(async move {
            let world = OneOfFour::new(Script::default()).await;
            world.bad.show(&issue(&world.lab).identity());
            check_impostor(what, &world).await;
        });
    }
    cases.join_all().await;
}

async fn check_impostor(what: &str, world: &OneOfFour) {
    let log = CapturedLog::of_operators();
    let impostor = &world.bad;
    let address = impostor.address();
    let pool = world.lab.pool_with(world.entries(), |config| {
        config.health = quick_health();
    });
    world.serve_until_ejected(&pool).await;
    let by_users = pool.requests(address, "exchange", "identity");
    let by_checks = pool.requests(address, "check", "identity");
    assert!(by_checks > 0, "{what}");
    assert!(by_users <= 2, "{what}: {by_users} users met it");
    let source = format!("source=\"{address}\"");
    assert!(logged(&log, &[&source, "check", "certificate"]), "{what}");
    assert!(logged(&log, &[&source, "ejected"]), "{what}");
    world.serve_many_by_good(&pool, 10).await;
    let seen = impostor.seen();
    assert!(seen.failed_handshakes > 0, "{what}");
    assert_eq!(seen.octets.len(), 0, "{what}: it got octets");
    // The right certificate brings it back, by checks alone.
    let right = world.lab.authority().server(&["127.0.0.2"]);
    impostor.show(&right.identity());
    world.warm_up(&pool).await;
}

/// Row 4, when there is no other.
#[tokio::test(flavor = "multi_thread")]
async fn an_impostor_alone_is_error_2() {
    let lab = Lab::new();
    let setup = Setup::new(lab.authority(), &["127.0.0.9"]);
    let impostor = FaultySource::with_setup(loopback(2), setup, Script::default()).await;
    let pool = lab.pool(vec![impostor.entry()]);
    assert_refused(&answer(&lab, &pool).await, ERROR_2, "only an impostor");
    impostor
        .wait_for("the pool to turn away", |seen| seen.failed_handshakes > 0)
        .await;
    assert_eq!(impostor.seen().octets.len(), 0);
}

/// Row 5. A source that does not know the pool's token says so before keys are sent, and no user
/// notices.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_token_prekey() {
    let log = CapturedLog::of_operators();
    let world = OneOfFour::new(Script::default()).await;
    let mut entries = world.entries();
    entries[0].auth_token = Some(token("another-token-0123456789abcdef"));
    let pool = world
        .lab
        .pool_with(entries, |config| config.health = quick_health());
    world.serve_until_ejected(&pool).await;
    world.serve_many_by_good(&pool, 20).await;
    let address = world.bad.address();
    assert!(pool.requests(address, "check", "auth") > 0);
    assert_eq!(pool.requests(address, "exchange", "ok"), 0);
    assert_eq!(world.bad.seen().keys(), [[0; 0]; 0]);
    let source = format!("source=\"{address}\"");
    assert!(logged(&log, &[&source, "does it know this pool's token"]));
    assert!(!log.text().contains(TOKEN));
}

/// Row 5. When a source drops the pool's token, users whose keys it has by then get an Error 2; all
/// others go elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn token_revoked_midway() {
    let world = OneOfFour::new(Script::default()).await;
    let pool = world.lab.pool(world.entries());
    world.warm_up(&pool).await;
    let before = world.bad.seen().keys().len();
    world.bad.follow(Script {
        info: octets(ERROR_1),
        fixed_key: octets(ERROR_1),
        ..Script::default()
    });
    let mut failed = 0;
    for _ in 0..60 {
        let answer = answer(&world.lab, &pool).await;
        if answer.octets.len() < 100 {
            assert_refused(&answer, ERROR_2, "the token was revoked");
            failed += 1;
        }
    }
    assert!(failed <= 1, "{failed} of 60 users failed");
    assert_eq!(world.bad.seen().keys().len(), before + failed);
    let address = world.bad.address();
    eventually("it to be ejected", || {
        pool.is_in(address, State::Ejected).then_some(())
    })
    .await;
    let by_users = pool.requests(address, "exchange", "auth");
    assert!(pool.requests(address, "check", "auth") + by_users >= 2);
    assert!(server_of(&world.lab, &pool).await.ip() != loopback(2));
}
