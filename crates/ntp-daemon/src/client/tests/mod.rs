//! The whole client against time sources in this process: real TLS, real UDP, port 0.

pub(super) mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nts_proto::code_points::ErrorCode;
use nts_proto::ke::response::Refusal;
use nts_service::tls::TrustAnchors;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use crate::config::{SourceMode, SynchronizationConfig};
use crate::fixtures::Pki;
use crate::observe;
use crate::observe::state::{SourceCondition, SourceMode as Mode};
use support::{
    Answer, ScriptedServer, address, authenticated, source_config, spawn, time_source, trust,
    wait_for,
};

/// Offsets between clocks of one machine are below this, even on a busy one.
const SMALL: f64 = 0.1;

/// A section that has a server refuse everybody.
const DENY_ALL: &str = "denylist = { filter = [\"0.0.0.0/0\"], action = \"deny\" }";

#[tokio::test(flavor = "multi_thread")]
async fn plain_time_from_one_server() {
    let source = time_source("127.0.0.2", "");
    let client = spawn(&[source_config(address(&source), SourceMode::Server)]);
    let rows = wait_for(&client, |rows| rows.iter().any(|row| row.offset.is_some())).await;
    let row = &rows[0];
    assert!(row.offset.unwrap().abs() < SMALL, "{row:?}");
    assert_eq!(
        (row.mode, row.state, row.authenticated, row.nts_cookies),
        (Mode::Server, SourceCondition::Reachable, false, None)
    );
    assert_eq!((row.address, row.stratum), (address(&source), Some(1)));
    assert_eq!((row.reach & 1, row.unanswered_polls), (1, 0));
    assert_eq!(row.last_error, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn authenticated_time_from_one_server() {
    let pki = Pki::new();
    let source = Arc::new(time_source("127.0.0.2", ""));
    let answer = Arc::clone(&source);
    let server = ScriptedServer::start("127.0.0.1", &pki.issue("127.0.0.1"), move |_, _| {
        Answer::source(&answer)
    })
    .await;
    let mode = SourceMode::Nts { trust: trust(&pki) };
    let client = spawn(&[source_config(server.address, mode)]);
    let rows = wait_for(&client, |rows| {
        authenticated(rows, 1) && rows[0].nts_cookies == Some(8)
    })
    .await;
    let row = &rows[0];
    assert!(row.offset.unwrap().abs() < SMALL, "{row:?}");
    assert!(row.uncertainty.unwrap() > 0.0 && row.delay.unwrap() > 0.0);
    assert_eq!(row.address, address(&source));
    assert_eq!(
        (row.mode, row.state),
        (Mode::Nts, SourceCondition::Reachable)
    );
    assert_eq!(row.remote_name, "127.0.0.2");
    assert_eq!(row.name, server.address.to_string());
    assert_eq!(server.denied(), [Vec::<String>::new()]);
    let configured = client.board().configured_sources();
    assert_eq!((configured[0].wanted, configured[0].held), (1, 1));
    assert_eq!(configured[0].last_error, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_server_record_means_the_host_itself() {
    let pki = Pki::new();
    let source = Arc::new(time_source("127.0.0.1", ""));
    let server = ScriptedServer::start("127.0.0.1", &pki.issue("127.0.0.1"), move |_, _| {
        Answer::Source {
            source: Arc::clone(&source),
            name: Some(String::new()),
            port: None,
        }
    })
    .await;
    let mode = SourceMode::Nts { trust: trust(&pki) };
    let client = spawn(&[source_config(server.address, mode)]);
    let rows = wait_for(&client, |rows| authenticated(rows, 1)).await;
    assert_eq!(rows[0].remote_name, "127.0.0.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_gives_different_sources_and_one_that_refuses_is_replaced() {
    let pki = Pki::new();
    let refusing = Arc::new(time_source("127.0.0.2", DENY_ALL));
    let others = ["127.0.0.3", "127.0.0.4"].map(|host| Arc::new(time_source(host, "")));
    let addresses = others.each_ref().map(|source| address(source));
    let sources = [refusing, others[0].clone(), others[1].clone()];
    // As a pool does: the first source that the user does not deny.
    let server = ScriptedServer::start("127.0.0.1", &pki.issue("127.0.0.1"), move |_, request| {
        let denied = |source: &&Arc<_>| {
            let host = address(source).ip().to_string();
            request.denied.iter().any(|name| name.as_str() == host)
        };
        Answer::source(sources.iter().find(|source| !denied(source)).unwrap())
    })
    .await;
    let mode = SourceMode::NtsPool {
        count: 2,
        trust: trust(&pki),
    };
    let client = spawn(&[source_config(server.address, mode)]);
    // The wait after a source that never answered is some ten seconds.
    let rows = wait_for(&client, |rows| authenticated(rows, 2)).await;
    let mut found: Vec<_> = rows.iter().map(|row| row.address).collect();
    found.sort_unstable();
    assert_eq!(found, addresses);
    assert_eq!(
        server.denied(),
        [
            vec![],
            vec!["127.0.0.2".to_owned()],
            vec!["127.0.0.3".to_owned(), "127.0.0.2".to_owned()]
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_a_pool_repeats_is_dropped_and_the_wait_told() {
    let pki = Pki::new();
    let source = Arc::new(time_source("127.0.0.2", ""));
    let server = ScriptedServer::start("127.0.0.1", &pki.issue("127.0.0.1"), move |_, _| {
        Answer::source(&source)
    })
    .await;
    let mode = SourceMode::NtsPool {
        count: 2,
        trust: trust(&pki),
    };
    let client = spawn(&[source_config(server.address, mode)]);
    let board = client.board();
    let waiting = || {
        let row = board.configured_sources().into_iter().next();
        row.and_then(|row| row.last_error)
    };
    wait_for(&client, |rows| {
        authenticated(rows, 1) && waiting().is_some()
    })
    .await;
    let row = &board.configured_sources()[0];
    assert_eq!((row.wanted, row.held), (2, 1));
    assert_eq!(
        row.last_error.as_deref(),
        Some("the pool named 127.0.0.2 again, so it seems to have no other now")
    );
    let wait = row.next_try_seconds.unwrap();
    assert!((5.0..=12.5).contains(&wait), "{wait}");
    assert_eq!(server.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_without_sources_is_asked_again_later() {
    let pki = Pki::new();
    let server = ScriptedServer::start("127.0.0.1", &pki.issue("127.0.0.1"), |_, _| {
        Answer::Refuse(Refusal::Error(ErrorCode::InternalServerError))
    })
    .await;
    let mode = SourceMode::NtsPool {
        count: 2,
        trust: trust(&pki),
    };
    let client = spawn(&[source_config(server.address, mode)]);
    let board = client.board();
    wait_for(&client, |_| {
        let rows = board.configured_sources();
        rows.iter().any(|row| row.last_error.is_some())
    })
    .await;
    let row = &board.configured_sources()[0];
    assert_eq!(
        row.last_error.as_deref(),
        Some(
            "key exchange failed: the server reports an internal error (a pool: it has no time \
             source to give now)"
        )
    );
    assert!(row.next_try_seconds.unwrap() > 5.0);
    assert_eq!(server.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lost_its_cookie_keys_gets_a_new_key_exchange() {
    let pki = Pki::new();
    let source = Arc::new(time_source("127.0.0.2", ""));
    let answer = Arc::clone(&source);
    let server = ScriptedServer::start("127.0.0.1", &pki.issue("127.0.0.1"), move |_, _| {
        Answer::source(&answer)
    })
    .await;
    let mode = SourceMode::Nts { trust: trust(&pki) };
    let client = spawn(&[source_config(server.address, mode)]);
    let rows = wait_for(&client, |rows| authenticated(rows, 1)).await;
    let (id, before) = (rows[0].id, rows[0].last_update.unwrap());
    // More rotations than old keys are kept: all cookies are void.
    for _ in 0..10 {
        source.keys().rotate();
    }
    let rows = wait_for(&client, |rows| {
        server.count() == 2 && rows[0].last_update != Some(before) && rows[0].last_error.is_none()
    })
    .await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].id, id, "the same source goes on with new keys");
}

/// A restart with the cookies of the run before; `between` happens while the daemon is away.
async fn restart(between: impl FnOnce(&crate::time_source::TimeSource)) -> (usize, Vec<u8>) {
    restart_trusting(trust, between).await
}

/// The same, after which those are trusted that `then` gives.
async fn restart_trusting(
    then: impl FnOnce(&Pki) -> TrustAnchors,
    between: impl FnOnce(&crate::time_source::TimeSource),
) -> (usize, Vec<u8>) {
    let pki = Pki::new();
    let path = pki.path("cookies");
    let source = Arc::new(time_source("127.0.0.2", ""));
    let answer = Arc::clone(&source);
    let server = ScriptedServer::start("127.0.0.1", &pki.issue("127.0.0.1"), move |_, _| {
        Answer::source(&answer)
    })
    .await;
    let mode = SourceMode::Nts { trust: trust(&pki) };
    let sources = [source_config(server.address, mode)];
    let first = support::spawn_with(&sources, &path);
    wait_for(&first, |rows| {
        authenticated(rows, 1) && rows[0].nts_cookies == Some(8)
    })
    .await;
    first.stop().await;
    let left = std::fs::read(&path).unwrap();
    between(&source);
    let mode = SourceMode::Nts { trust: then(&pki) };
    let sources = [source_config(server.address, mode)];
    let second = support::spawn_with(&sources, &path);
    wait_for(&second, |rows| authenticated(rows, 1)).await;
    assert!(!path.exists(), "gone before it is used");
    (server.count(), left)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_needs_no_key_exchange() {
    let (exchanges, left) = restart(|_| {}).await;
    assert_eq!(exchanges, 1);
    // Eight cookies of 104 octets, two keys of 32.
    assert!(left.len() > 8 * 104 + 2 * 32, "{}", left.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_of_before_the_restart_that_are_void_bring_a_new_key_exchange() {
    let forget = |source: &crate::time_source::TimeSource| {
        for _ in 0..10 {
            source.keys().rotate();
        }
    };
    assert_eq!(restart(forget).await.0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_trusts_others_since_the_restart_asks_them_for_keys() {
    let others = |pki: &Pki| {
        let authorities = [pki, &Pki::new()]
            .map(|pki| CertificateDer::from_pem_file(pki.path("ca.pem")).unwrap());
        TrustAnchors::only(authorities).unwrap()
    };
    assert_eq!(restart_trusting(others, |_| {}).await.0, 2);
}

/// Stands between a user and its source, and answers each request with a forged NAK before the
/// genuine answer comes.
async fn forger(
    source: &crate::time_source::TimeSource,
) -> (u16, Arc<AtomicUsize>, JoinHandle<()>) {
    let front = UdpSocket::bind((address(source).ip(), 0)).await.unwrap();
    let port = front.local_addr().unwrap().port();
    let back = UdpSocket::bind((address(source).ip(), 0)).await.unwrap();
    back.connect(address(source)).await.unwrap();
    let forged = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&forged);
    let task = tokio::spawn(async move {
        let mut buffer = [0; 2048];
        loop {
            let (length, user) = front.recv_from(&mut buffer).await.unwrap();
            front.send_to(&nak(&buffer[..length]), user).await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            back.send(&buffer[..length]).await.unwrap();
            let length = back.recv(&mut buffer).await.unwrap();
            front.send_to(&buffer[..length], user).await.unwrap();
        }
    });
    (port, forged, task)
}

/// A NAK with the origin and the unique identifier of `request` (RFC 8915 §5.7).
fn nak(request: &[u8]) -> Vec<u8> {
    let mut nak = vec![0xe4];
    nak.resize(12, 0);
    nak.extend_from_slice(b"NTSN");
    nak.resize(24, 0);
    nak.extend_from_slice(&request[40..48]);
    nak.resize(48, 0);
    nak.extend_from_slice(&request[48..84]);
    nak
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_naks_change_nothing_as_long_as_genuine_answers_come() {
    let pki = Pki::new();
    let source = Arc::new(time_source("127.0.0.2", ""));
    let (port, forged, task) = forger(&source).await;
    let server = ScriptedServer::start("127.0.0.1", &pki.issue("127.0.0.1"), move |_, _| {
        Answer::Source {
            source: Arc::clone(&source),
            name: None,
            port: Some(port),
        }
    })
    .await;
    let mode = SourceMode::Nts { trust: trust(&pki) };
    let client = spawn(&[source_config(server.address, mode)]);
    let rows = wait_for(&client, |rows| {
        authenticated(rows, 1) && rows[0].reach & 0b111 == 0b111
    })
    .await;
    assert_eq!(rows[0].state, SourceCondition::Reachable);
    assert!(forged.load(Ordering::SeqCst) >= 3);
    assert_eq!(server.count(), 1);
    task.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_port_is_no_more_than_lost_packets() {
    // A port that is closed at first: reserved, then let go.
    let reserved = std::net::UdpSocket::bind("127.0.0.9:0").unwrap();
    let closed = reserved.local_addr().unwrap();
    drop(reserved);
    let client = spawn(&[source_config(closed, SourceMode::Server)]);
    // The first poll is out, and was refused, when the next is due in two seconds.
    wait_for(&client, |rows| {
        let next = rows.first().and_then(|row| row.next_poll_seconds);
        next.is_some_and(|wait| wait > 0.5)
    })
    .await;
    let socket = UdpSocket::bind(closed).await.unwrap();
    let mut buffer = [0; 64];
    let asked = tokio::time::timeout(support::DEADLINE, socket.recv_from(&mut buffer));
    asked.await.unwrap().unwrap();
    let rows = client.board().sources();
    assert_eq!((rows.len(), rows[0].id), (1, 1), "still the first source");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_only_server_that_refuses_is_not_asked_again() {
    let source = time_source("127.0.0.2", DENY_ALL);
    let client = spawn(&[source_config(address(&source), SourceMode::Server)]);
    let board = client.board();
    wait_for(&client, |rows| {
        rows.is_empty()
            && board.configured_sources().first().is_some_and(|row| {
                row.last_error.as_deref()
                    == Some("the server refused service; it is not asked again")
                    && row.next_try_seconds.is_none()
            })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_observation_socket_tells_of_sources_and_servers() {
    let source = time_source("127.0.0.2", "");
    let client = spawn(&[source_config(address(&source), SourceMode::Server)]);
    wait_for(&client, |rows| rows.iter().any(|row| row.offset.is_some())).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("observe");
    let synchronization = SynchronizationConfig::default();
    let snapshot = observe::snapshot(&synchronization, &source, None, &client);
    let _socket = observe::ObservationSocket::bind(&path, 0o600, snapshot).unwrap();
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let state = observe::read_state(&mut stream).await.unwrap();
    assert_eq!(state.system.stratum, 1);
    assert_eq!(state.sources[0].address, address(&source));
    assert_eq!(state.configured_sources[0].held, 1);
    assert_eq!(state.servers[0].address, address(&source));
    assert!(state.servers[0].stats.accepted_packets >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_client_ends_all_its_tasks() {
    let source = time_source("127.0.0.2", "");
    let client = spawn(&[source_config(address(&source), SourceMode::Server)]);
    wait_for(&client, |rows| !rows.is_empty()).await;
    let board = client.board();
    drop(client);
    // Each task holds the board as long as it lives.
    let deadline = tokio::time::Instant::now() + support::DEADLINE;
    while Arc::strong_count(&board) > 1 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    assert_eq!(board.sources(), []);
}
