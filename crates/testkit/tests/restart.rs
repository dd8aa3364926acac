//! The end of the program under load, and a restart that no user notices.
#![cfg(feature = "unstable_nts-pool")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nix::sys::signal::Signal;
use tempfile::TempDir;
use testkit::Lab;
use testkit::deadline::{eventually, within};
use testkit::lab::{POOL_NAME, RealSource, TOKEN, loopback};
use testkit::managed::{self, Manager};
use testkit::user::{User, plain_request};
use testkit::wire::{RawClient, connect_from};
use tokio::task::JoinSet;

/// Users at the same time.
const USERS: usize = 64;

/// Not a test by itself but where the children of others begin.
#[test]
fn a_pool_begins_here() {
    managed::run_if_managed();
}

/// A pool of one source, and its files.
fn manager(lab: &Lab, source: &RealSource) -> (Manager, TempDir) {
    let files = tempfile::tempdir().expect("a directory");
    let config = files.path().join("pool.toml");
    std::fs::write(&config, configuration(lab, source, files.path())).expect("a file");
    let manager = Manager::new(config, &["--exact", "a_pool_begins_here"]);
    (manager, files)
}

fn configuration(lab: &Lab, source: &RealSource, directory: &Path) -> String {
    let authority = lab.authority().write(directory, "ca");
    let credentials = lab.authority().server(&[POOL_NAME]);
    let (chain, key) = credentials.write(directory, "pool");
    let (ip, port) = (source.ke.ip(), source.ke.port());
    format!(
        "[nts-pool-ke-server]
listen = \"systemd\"
certificate-authority-path = {authority:?}
certificate-chain-path = {chain:?}
private-key-path = {key:?}
key-exchange-servers = [{{ domain = \"{ip}\", port = {port}, auth-token = \"{TOKEN}\" }}]
key-exchange-timeout-ms = 20000
[upstream]
source-concurrency = {USERS}
[shutdown]
timeout-ms = 20000
"
    )
}

async fn exchange(user: &User, pool: SocketAddr) {
    let session = user.key_exchange(pool, POOL_NAME, &plain_request()).await;
    session.unwrap_or_else(|failure| panic!("{failure:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_no_reset() {
    let lab = Lab::new();
    let source = lab.source(loopback(2));
    let (manager, _files) = manager(&lab, &source);
    let mut program = manager.start();
    let pool = manager.address();
    exchange(&lab.user(), pool).await;
    // All are connected, but nobody has said anything when the end comes.
    let mut users = JoinSet::new();
    let mut connected = Vec::new();
    for _ in 0..USERS {
        connected.push(connect_from(loopback(1), pool).await.unwrap());
    }
    program.tell(Signal::SIGTERM);
    for stream in connected {
        let tls = lab.user().tls();
        users.spawn(async move {
            let mut user = RawClient::over(stream, tls, POOL_NAME).await.unwrap();
            user.send(plain_request().encode().as_ref()).await;
            user.receive_all().await
        });
    }
    for answer in within("all answers", users.join_all()).await {
        assert!(answer.octets.len() > 100, "{answer:?}");
    }
    assert!(program.end().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_inherited_sockets_fails_no_user() {
    let lab = Lab::new();
    let source = lab.source(loopback(2));
    let (manager, _files) = manager(&lab, &source);
    let mut program = manager.start();
    let pool = manager.address();
    let (enough, served) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut users = JoinSet::new();
    for _ in 0..USERS {
        let (user, enough, served) = (lab.user(), Arc::clone(&enough), Arc::clone(&served));
        users.spawn(async move {
            while !enough.load(Ordering::Relaxed) {
                exchange(&user, pool).await;
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let more = async |count: usize| {
        let target = served.load(Ordering::Relaxed) + count;
        let look = || (served.load(Ordering::Relaxed) >= target).then_some(());
        eventually("served users", look).await;
    };
    for _ in 0..2 {
        more(USERS).await;
        program.tell(Signal::SIGTERM);
        assert!(program.end().await.success());
        program = manager.start();
    }
    more(USERS).await;
    enough.store(true, Ordering::Relaxed);
    within("the last users", users.join_all()).await;
    program.tell(Signal::SIGINT);
    assert!(program.end().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_program_at_once() {
    let lab = Lab::new();
    let source = lab.source(loopback(2));
    let (manager, _files) = manager(&lab, &source);
    let mut program = manager.start();
    let pool = manager.address();
    exchange(&lab.user(), pool).await;
    // He could stay for 20 s.
    let mut waiting = lab.user().connect(pool, POOL_NAME).await.unwrap();
    program.tell(Signal::SIGTERM);
    let begun = std::time::Instant::now();
    let look = || {
        program.tell(Signal::SIGTERM);
        program.ended()
    };
    eventually("the end of the program", look).await;
    assert!(begun.elapsed().as_secs() < 15);
    assert!(waiting.receive_all().await.octets.is_empty());
}
