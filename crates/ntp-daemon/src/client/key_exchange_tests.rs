use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::date_time_ymd;
use tokio::net::TcpListener;

use super::*;
use crate::client::tests::support::{Answer, ScriptedServer, address, time_source, trust};
use crate::clock::LastTime;
use crate::fixtures::{Issued, Pki};

/// A user who asks `host` at the port of `server`, and trusts the authority of `pki`.
fn user(pki: &Pki, host: &str, server: SocketAddr) -> KeyExchangeClient {
    let remote = RemoteAddress {
        host: host.to_owned(),
        port: server.port(),
    };
    KeyExchangeClient::new(remote, &trust(pki), None)
}

/// What that user is told.
async fn told(pki: &Pki, host: &str, server: SocketAddr) -> String {
    let result = user(pki, host, server).run(Vec::new()).await;
    result.unwrap_err().to_string()
}

/// A server that must never be sent a request.
async fn unasked(issued: &Issued) -> ScriptedServer {
    ScriptedServer::start("127.0.0.1", issued, |_, _| {
        panic!("a request was sent to a server that is not trusted")
    })
    .await
}

#[tokio::test]
async fn a_certificate_for_another_name() {
    let pki = Pki::new();
    let server = unasked(&pki.issue("a.test")).await;
    assert_eq!(
        told(&pki, "127.0.0.1", server.address).await,
        "the peer's certificate is for `a.test`, not for `127.0.0.1`; use a name it is for, or \
         have one made for `127.0.0.1`"
    );
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn an_expired_certificate() {
    let pki = Pki::new();
    let issued = pki.issue_with("127.0.0.1", |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
    });
    let server = unasked(&issued).await;
    let told = told(&pki, "127.0.0.1", server.address).await;
    assert!(
        told.starts_with("the peer's certificate expired on Feb  1 00:00:00 2020"),
        "{told}"
    );
    assert!(told.contains("its operator must renew it"), "{told}");
}

#[tokio::test]
async fn a_machine_that_starts_in_the_past_checks_certificates_by_the_last_time_it_knew() {
    let pki = Pki::new();
    let (hours, now) = (
        |hours: u64| Duration::from_secs(hours * 3600),
        SystemTime::now(),
    );
    let issued = pki.issue_with("127.0.0.1", |params| {
        params.not_before = (now + hours(24)).into();
        params.not_after = (now + hours(72)).into();
    });
    let source = Arc::new(time_source("127.0.0.2", ""));
    let server =
        ScriptedServer::start("127.0.0.1", &issued, move |_, _| Answer::source(&source)).await;
    let remote = || RemoteAddress {
        host: "127.0.0.1".to_owned(),
        port: server.address.port(),
    };
    let told = told(&pki, "127.0.0.1", server.address).await;
    assert!(
        told.contains("not valid before") || told.contains("not yet valid"),
        "{told}"
    );
    assert!(told.contains("this machine's clock"), "{told}");
    for (known, good) in [(hours(48), true), (hours(96), false)] {
        let path = pki.path("time");
        let known = now.duration_since(UNIX_EPOCH).unwrap() + known;
        std::fs::write(&path, known.as_secs().to_string()).unwrap();
        let time: Arc<dyn TimeProvider> = Arc::new(LastTime::open(&path));
        let client = KeyExchangeClient::new(remote(), &trust(&pki), Some(time));
        assert_eq!(client.run(Vec::new()).await.is_ok(), good);
    }
}

#[tokio::test]
async fn a_certificate_of_an_unknown_issuer() {
    let server = unasked(&Pki::new().issue("127.0.0.1")).await;
    let told = told(&Pki::new(), "127.0.0.1", server.address).await;
    assert!(told.contains("authority"), "{told}");
    assert!(told.contains("trusted here"), "{told}");
}

#[tokio::test]
async fn the_server_and_port_of_the_answer_are_where_ntp_is_asked() {
    let pki = Pki::new();
    let source = Arc::new(time_source("127.0.0.2", ""));
    let expected = address(&source);
    let server = ScriptedServer::start("127.0.0.1", &pki.issue("127.0.0.1"), move |_, _| {
        Answer::source(&source)
    })
    .await;
    let denied = vec!["b.test".parse().unwrap()];
    let user = user(&pki, "127.0.0.1", server.address);
    let exchanged = user.run(denied).await.unwrap();
    assert_eq!(exchanged.name.as_str(), "127.0.0.2");
    assert_eq!((exchanged.address, exchanged.named), (expected, true));
    // Once under each of the numbers that deny records have had; the server counts them once.
    assert_eq!(server.denied(), [vec!["b.test".to_owned()]]);
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let told = told(&Pki::new(), "127.0.0.1", address).await;
    assert!(
        told.starts_with(&format!("cannot connect: {address}: ")),
        "{told}"
    );
    assert!(told.contains("refused"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_given_up_after_five_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(
        told(&Pki::new(), "127.0.0.1", address).await,
        "timed out after 5 s: the server accepted the connection but not the TLS handshake"
    );
}

#[tokio::test]
async fn a_name_that_does_not_exist() {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
    let told = told(&Pki::new(), "nowhere.invalid", nowhere).await;
    assert!(
        told.starts_with("cannot look up nowhere.invalid: "),
        "{told}"
    );
}
