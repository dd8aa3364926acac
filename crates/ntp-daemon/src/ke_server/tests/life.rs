use nts_service::proxy_protocol::ProxyProtocol;

use super::*;
use tokio::time::Instant;

/// Protocols with Keep Alive, after the token, and the answer.
fn info() -> (String, String) {
    (
        format!("{TOKEN_RECORD}80090000{KEEP_ALIVE}{END}"),
        format!("800900020000{KEEP_ALIVE}{END}"),
    )
}

#[tokio::test]
async fn who_is_silent_or_leaves_half_a_request_is_told_so() {
    let lab = Lab::new();
    for begun in ["", &ORDINARY[..10]] {
        let mut user = lab.connect().await;
        user.send(begun).await;
        let start = pause();
        assert_eq!(user.receive().await, ERROR_1);
        check_time(start, 5);
        assert_eq!(user.receive().await, "");
        tokio::time::resume();
    }
    // A slow handshake gets nothing, as nothing can be said; one that does not begin is not waited
    // for.
    let mut octets = Vec::new();
    for (begin, seconds) in [(&b"\x16"[..], 5), (b"", 2)] {
        let mut tcp = lab.tcp().await;
        tcp.write_all(begin).await.unwrap();
        let start = pause();
        assert_eq!(tcp.read_to_end(&mut octets).await.unwrap(), 0);
        check_time(start, seconds);
        tokio::time::resume();
    }
    let counted = lab.counted();
    assert_eq!(counted.refused_requests, 2);
    assert_eq!(
        (counted.failed_handshakes, counted.silent_connections),
        (1, 1)
    );
}

/// From here on the clock runs ahead whenever all tasks wait.
fn pause() -> Instant {
    tokio::time::pause();
    Instant::now()
}

fn check_time(start: Instant, seconds: u64) {
    let waited = start.elapsed();
    let limits = Duration::from_secs(seconds - 1)..Duration::from_secs(seconds + 1);
    assert!(limits.contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn the_time_limit_counts_for_each_request_of_a_kept_alive_connection() {
    let lab = Lab::new();
    let (request, answer) = info();
    let mut pool = lab.connect().await;
    for _ in 0..3 {
        assert_eq!(pool.ask(&request).await, answer);
        // Idle for longer than an exchange may take.
        pause();
        tokio::time::sleep(Duration::from_secs(60)).await;
        tokio::time::resume();
    }
    pool.send(&request[..10]).await;
    let start = pause();
    assert_eq!(pool.receive().await, ERROR_1);
    check_time(start, 5);
    assert_eq!(pool.receive().await, "");
}

#[tokio::test]
async fn a_connection_that_is_in_use_is_closed_after_an_hour() {
    let lab = Lab::new();
    let (request, answer) = info();
    let mut pool = lab.connect().await;
    for _ in 0..14 {
        assert_eq!(pool.ask(&request).await, answer);
        pause();
        tokio::time::sleep(Duration::from_secs(250)).await;
        tokio::time::resume();
    }
    assert_eq!(pool.ask(&request).await, answer);
    let start = pause();
    assert_eq!(pool.receive().await, "");
    check_time(start, 100);
}

#[tokio::test]
async fn half_a_request_and_close_notify_is_a_bad_request() {
    let lab = Lab::new();
    let mut user = lab.connect().await;
    user.send(&ORDINARY[..10]).await;
    user.0.shutdown().await.unwrap();
    assert_eq!(user.receive().await, ERROR_1);
}

#[tokio::test]
async fn who_leaves_without_a_word_costs_nothing() {
    let lab = Lab::new();
    let mut user = lab.connect().await;
    user.0.shutdown().await.unwrap();
    assert_eq!(user.receive().await, "");
    assert_eq!(lab.counted().abandoned_connections, 1);
}

#[tokio::test]
async fn who_stays_after_the_answer_is_left() {
    let lab = Lab::new();
    let mut user = lab.connect().await;
    let answer = user.ask(ORDINARY).await;
    lab.check_cookies(&answer, CHOSEN, END, 15, &user.export(15));
    let start = pause();
    // close_notify, if it has not been read with the answer, and the end of the connection.
    let mut rest = Vec::new();
    let tcp = user.0.get_mut().0;
    tcp.read_to_end(&mut rest).await.unwrap();
    assert!(rest.len() < 30, "{rest:?}");
    // Long before the time of the exchange is over.
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_five_minutes() {
    let (request, answer) = info();
    // However long before its last request it was kept alive.
    for used_for in [0, 1, 299] {
        let lab = Lab::new();
        let mut pool = lab.connect().await;
        assert_eq!(pool.ask(&request).await, answer);
        pause();
        tokio::time::sleep(Duration::from_secs(used_for)).await;
        tokio::time::resume();
        assert_eq!(pool.ask(&request).await, answer);
        let start = pause();
        assert_eq!(pool.receive().await, "");
        check_time(start, 300);
        tokio::time::resume();
    }
}

#[tokio::test]
async fn idle_connections_end_at_once_at_shutdown() {
    let lab = Lab::new();
    let (request, answer) = info();
    let mut pool = lab.connect().await;
    assert_eq!(pool.ask(&request).await, answer);
    lab.trigger.fire();
    assert_eq!(pool.receive().await, "");
    let address = lab.server.local_address().unwrap();
    drop(pool);
    lab.server.finished().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn clients_must_offer_the_application_protocol() {
    let lab = Lab::new();
    let config = tls::client_config(&lab.trust(), None);
    let mut config = Arc::unwrap_or_clone(config);
    config.alpn_protocols = Vec::new();
    let name = "localhost".try_into().unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    // The handshake may succeed on the client's side, but nothing is said then.
    if let Ok(mut stream) = connector.connect(name, lab.tcp().await).await {
        let mut octets = Vec::new();
        let _ = stream.read_to_end(&mut octets).await;
        assert!(octets.is_empty());
    }
    assert_eq!(lab.counted().failed_handshakes, 1);
}

#[tokio::test]
async fn a_reload_exchanges_certificate_and_tokens() {
    let lab = Lab::new();
    let (request, answer) = info();
    let mut old = lab.connect().await;
    assert_eq!(old.ask(&request).await, answer);
    let mut config = lab.config.clone();
    config.identity = identity(&lab.pki, "localhost");
    let other = "fedcba9876543210fedcba9876543210";
    config.authorization.tokens = vec![AuthenticationToken::new(other).unwrap()];
    lab.server.reload(&config);

    let mut new = lab.connect().await;
    let shown = |peer: &Peer| tls::peer_certificate(peer.0.get_ref().1).cloned();
    assert_eq!(shown(&new).as_ref(), config.identity.certificate());
    assert_ne!(shown(&old), shown(&new));
    let with_other = request.replace(&hex::encode(TOKEN), &hex::encode(other));
    assert_eq!(new.ask(&with_other).await, answer);
    // What a pool may do is decided anew for each request, also on old connections.
    assert_eq!(old.ask_last(&request).await, ERROR_0);
}

#[tokio::test]
async fn a_taken_address_is_tried_again() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let lab = Lab::with(|config, _| config.listen = address);
    assert_eq!(lab.server.local_address(), None);
    drop(taken);
    pause();
    while lab.server.local_address().is_none() {
        tokio::time::sleep(BIND_PAUSE).await;
    }
    tokio::time::resume();
    let mut user = lab.connect().await;
    let answer = user.ask(ORDINARY).await;
    lab.check_cookies(&answer, CHOSEN, END, 15, &user.export(15));
}

#[tokio::test]
async fn beyond_the_slots_connections_are_closed_at_once_and_counted() {
    let lab = Lab::with(|config, _| config.concurrent_connections = 1);
    let mut first = lab.connect().await;
    let mut octets = Vec::new();
    // The end, or a reset where the kernel had more to say.
    let _ = lab.tcp().await.read_to_end(&mut octets).await;
    assert!(octets.is_empty());
    let counted = lab.counted();
    assert_eq!(
        (counted.accepted_connections, counted.refused_connections),
        (1, 1)
    );
    let answer = first.ask(ORDINARY).await;
    lab.check_cookies(&answer, CHOSEN, END, 15, &first.export(15));
}

#[tokio::test]
async fn who_cannot_finish_before_the_end_gets_error_2() {
    let lab = Lab::with(|config, _| config.key_exchange_timeout = Duration::from_secs(60));
    let mut user = lab.connect().await;
    user.send(&ORDINARY[..10]).await;
    lab.trigger.fire();
    let start = pause();
    assert_eq!(user.receive().await, ERROR_2);
    check_time(start, 2);
    lab.server.finished().await;
}

#[tokio::test]
async fn behind_a_balancer_only_the_balancer_may_connect() {
    let networks = |text: &str| ProxyProtocol::from_networks([text.parse().unwrap()]);
    let mut lab = Lab::with(|config, _| config.proxy_protocol = networks("127.0.0.0/8"));
    // A header for a user at 198.51.100.7, and his request.
    let header = "0d0a0d0a000d0a515549540a2111000cc6336407c00002019c40116c";
    let mut tcp = lab.tcp().await;
    tcp.write_all(&hex::decode(header).unwrap()).await.unwrap();
    let client = tls::client_config(&lab.trust(), None);
    let name = "localhost".try_into().unwrap();
    let mut user = Peer(tls::connect(client, name, tcp).await.unwrap());
    assert!(user.ask(ORDINARY).await.starts_with(CHOSEN));
    // After a reload somebody else is the balancer.
    lab.config.proxy_protocol = networks("192.0.2.0/24");
    lab.server.reload(&lab.config);
    let mut stranger = lab.tcp().await;
    assert_eq!(stranger.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn an_address_that_connects_too_often_is_turned_away_before_the_handshake() {
    let lab = Lab::with(|config, _| {
        config.rate_limit_interval = Duration::from_secs(3600);
        config.rate_limit_burst = 2;
    });
    for _ in 0..2 {
        let mut user = lab.connect().await;
        user.send(ORDINARY).await;
        assert!(user.receive().await.starts_with(CHOSEN));
    }
    let mut tcp = lab.tcp().await;
    tcp.write_all(b"\x16").await.unwrap();
    let mut octets = Vec::new();
    // Closed with what it sent unread: an end or a reset.
    let _ = tcp.read_to_end(&mut octets).await;
    assert_eq!(octets, b"");
    let counted = lab.counted();
    assert_eq!(counted.rate_limited_connections, 1);
    assert_eq!((counted.key_exchanges, counted.failed_handshakes), (2, 0));
}

#[tokio::test]
async fn a_balancer_may_ask_for_itself_as_often_as_it_likes() {
    const LOCAL: &str = "0d0a0d0a000d0a515549540a20000000";
    const USER: &str = "0d0a0d0a000d0a515549540a2111000cc6336407c00002019c40116c";
    let lab = Lab::with(|config, _| {
        let balancers = "127.0.0.0/8".parse().unwrap();
        config.proxy_protocol = ProxyProtocol::from_networks([balancers]);
        config.rate_limit_interval = Duration::from_secs(3600);
        config.rate_limit_burst = 1;
    });
    let exchange = async |header: &str| {
        let mut tcp = lab.tcp().await;
        tcp.write_all(&hex::decode(header).unwrap()).await.unwrap();
        let client = tls::client_config(&lab.trust(), None);
        let name = "localhost".try_into().unwrap();
        let mut peer = Peer(tls::connect(client, name, tcp).await.ok()?);
        Some(peer.ask(ORDINARY).await.starts_with(CHOSEN))
    };
    for header in [LOCAL, LOCAL, LOCAL, USER] {
        assert_eq!(exchange(header).await, Some(true));
    }
    assert_eq!(exchange(USER).await, None);
    assert_eq!(lab.counted().rate_limited_connections, 1);
}
