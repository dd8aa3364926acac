//! Requests and the exact octets that answer them, on real TLS: exactly one Error record, then
//! close_notify, from the pool and from the time source alike.
#![cfg(feature = "unstable_nts-pool")]

use std::net::SocketAddr;
use std::time::Duration;

use testkit::Lab;
use testkit::lab::{POOL_NAME, RealSource, RunningPool, TOKEN, by_certificate, by_token, loopback};
use testkit::user::{Failure, User, plain_request};
use testkit::wire::{End, Record, Transcript, message, records};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const ERROR_0: &str = "80020002000080000000";
const ERROR_1: &str = "80020002000180000000";
const NO_PROTOCOL: &str = "8001000080000000";
const NO_ALGORITHM: &str = "8001000200008004000080000000";

/// Protocol 0 and AEAD 15, without End of Message.
const CHOSEN: &str = "80010002000080040002000f";
const SOURCE_NAME: &str = "127.0.0.2";

/// How long the servers of these tests wait for a request.
const PATIENCE: Duration = Duration::from_millis(1500);

struct Scene {
    lab: Lab,
    source: RealSource,
    pool: RunningPool,
}

impl Scene {
    fn new() -> Self {
        Self::with_patience(Duration::from_secs(10))
    }

    fn with_patience(patience: Duration) -> Self {
        let lab = Lab::new();
        let source = lab.source_with(loopback(2), by_token(TOKEN), |config| {
            config.key_exchange_timeout = patience;
        });
        let pool = lab.pool_with(vec![source.entry()], |config| {
            config.key_exchange_timeout = patience;
        });
        Self { lab, source, pool }
    }

    /// Both servers with the names that their certificates have.
    fn servers(&self) -> [(SocketAddr, &'static str); 2] {
        [
            (self.pool.address, POOL_NAME),
            (self.source.ke, SOURCE_NAME),
        ]
    }
}

#[track_caller]
fn assert_answer(answer: &Transcript, expected: &str, what: &str) {
    assert_eq!(hex::encode(&answer.octets), expected, "{what}");
    assert_eq!(answer.end, End::CloseNotify, "{what}");
}

fn octets(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    hex::decode(digits).expect("hexadecimal digits")
}

/// What no server serves, with its answer.
fn refused_everywhere() -> Vec<(String, &'static str)> {
    let end = "80000000";
    let list = [
        // Malformed.
        ("80010002000080000000", ERROR_1),
        ("8001000080040002000f80000000", ERROR_1),
        ("8001000300000080040002000f80000000", ERROR_1),
        ("80010002000080040003000f0080000000", ERROR_1),
        ("8001000200008004000080000000", ERROR_1),
        ("80000000", ERROR_1),
        ("80010002000080010002000080040002000f80000000", ERROR_1),
        ("80010002000080040002000f80040002000f80000000", ERROR_1),
        ("80010002000080040002000f800200020001 80000000", ERROR_1),
        ("80010002000080040002000f800300020001 80000000", ERROR_1),
        ("80010002000080040002000f0005000200018000 0000", ERROR_1),
        ("80010002000080040002000f0400000100 80000000", ERROR_1),
        ("80010002000080040002000f 8000000100", ERROR_1),
        ("80010002000080040002000f 80000000 00", ERROR_1),
        // Not NTS-KE: an HTTP request, ones.
        ("474554202f20485454502f312e310d0a0d0a", ERROR_1),
        ("ffffffffffffffff", ERROR_1),
        // A record that announces more than is read.
        ("00057000", ERROR_1),
        // Unknown and critical, alone and beside everything else that is wrong.
        ("80010002000080040002000f803200016180000000", ERROR_0),
        ("ffff000080000000", ERROR_0),
        ("80320000 800200020001 80000000", ERROR_0),
        (
            "000e00036b6579cf0100047575696480010002000080040002000f80000000",
            ERROR_0,
        ),
        // For authorised pools only, under every number.
        ("8009000080000000", ERROR_0),
        ("800a000080000000", ERROR_0),
        ("800b000080000000", ERROR_0),
        ("c001000080000000", ERROR_0),
        ("c004000080000000", ERROR_0),
        ("c005000080000000", ERROR_0),
        ("c006000080000000", ERROR_0),
        ("80090000800a00000008000080000000", ERROR_0),
        ("000e00026b6b80090000800a00000008000080000000", ERROR_0),
        // Nothing in common.
        ("80010002800180040002000f80000000", NO_PROTOCOL),
        ("80010002000080040002001e80000000", NO_ALGORITHM),
        ("80010002000080040004001e001f80000000", NO_ALGORITHM),
    ];
    let keys = "aa".repeat(64);
    let mut list: Vec<_> = list
        .map(|(request, reply)| (request.to_owned(), reply))
        .into();
    list.push((format!("800c0040{keys}{CHOSEN}{end}"), ERROR_0));
    list.push((format!("c0020040{keys}{CHOSEN}{end}"), ERROR_0));
    list.push((
        format!("{CHOSEN}0032{:04x}{}{end}", 16384, "00".repeat(16384)),
        ERROR_1,
    ));
    list
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_get_one_error_record() {
    let scene = Scene::new();
    let user = scene.lab.user();
    for (address, name) in scene.servers() {
        for (request, reply) in refused_everywhere() {
            let answer = user.converse(address, name, &octets(&request)).await;
            assert_answer(&answer, reply, &format!("{name}: {request}"));
        }
    }
}

/// What is odd, but no reason to refuse.
#[tokio::test(flavor = "multi_thread")]
async fn harmless_requests_are_served() {
    let scene = Scene::new();
    let user = scene.lab.user();
    for (address, name) in scene.servers() {
        for request in [
            "80010002000080040002000f80000000",
            // Critical bits missing, an unknown record, Keep Alive, a token, wishes, bad denials.
            "00010002000000040002000f00000000",
            "80010002000080040002000f003200016180000000",
            "80010002000080040002000f0008000080000000",
            "000e00026b6b80010002000080040002000f80000000",
            "80010002000080040002000f00060001610007000200 7b80000000",
            "80010002000080040002000f000d0002fe61000d00026120000d000080000000",
            "800100040000800180040004001e000f80000000",
            // AEAD 30 with record 1024, which neither server has by default.
            "80010002000080040004001e000f0400000080000000",
        ] {
            let answer = user.converse(address, name, &octets(request)).await;
            assert_eq!(answer.end, End::CloseNotify, "{name}: {request}");
            let records = records(&answer.octets);
            let bodies: Vec<_> = records
                .iter()
                .take(2)
                .map(|record| &record.body[..])
                .collect();
            assert_eq!(bodies, [[0, 0], [0, 15]], "{name}: {request}");
            let keep_alive = records.iter().any(|record| record.record_type() == 8);
            assert!(!keep_alive, "{name}: {request}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn incomplete_requests_get_error_1_when_time_is_over() {
    let scene = Scene::with_patience(PATIENCE);
    let mut users = tokio::task::JoinSet::new();
    for (address, name) in scene.servers() {
        for request in [
            "",
            "80",
            "8001000200008004",
            CHOSEN,
            "16030100c8010000c40303",
        ] {
            let user = scene.lab.user();
            users.spawn(async move {
                let mut connection = user.connect(address, name).await.expect("TLS");
                connection.send(&octets(request)).await;
                let answer = connection.receive_all().await;
                assert_answer(&answer, ERROR_1, &format!("{name}: {request}"));
            });
        }
    }
    users.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_who_have_finished_sending_are_still_answered() {
    let scene = Scene::new();
    let user = scene.lab.user();
    for (address, name) in scene.servers() {
        let mut connection = user.connect(address, name).await.expect("TLS");
        connection.send(&octets("8001000200008004")).await;
        connection.finish_sending().await;
        assert_answer(&connection.receive_all().await, ERROR_1, name);
        let mut connection = user.connect(address, name).await.expect("TLS");
        connection
            .send(&octets("80010002000080040002000f80000000"))
            .await;
        connection.finish_sending().await;
        let answer = connection.receive_all().await;
        assert_eq!(answer.end, End::CloseNotify, "{name}");
        assert!(answer.octets.starts_with(&octets(CHOSEN)), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_may_come_octet_by_octet() {
    let scene = Scene::new();
    let user = scene.lab.user();
    for (address, name) in scene.servers() {
        let mut connection = user.connect(address, name).await.expect("TLS");
        for octet in octets("80010002000080040002000f80000000") {
            connection.send(&[octet]).await;
        }
        let answer = connection.receive_all().await;
        assert!(answer.octets.starts_with(&octets(CHOSEN)), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_without_alpn_get_nothing() {
    let scene = Scene::new();
    let user = scene.lab.user().without_alpn();
    for (address, name) in scene.servers() {
        match user.key_exchange(address, name, &plain_request()).await {
            Err(Failure::Connect(_)) => {}
            Err(Failure::NoAnswer(answer)) => assert!(answer.octets.is_empty(), "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

fn length(octets: &[u8]) -> [u8; 2] {
    u16::try_from(octets.len())
        .expect("a short message")
        .to_be_bytes()
}

/// A ClientHello as TLS 1.2 has it: no extension names a later version.
fn tls_1_2_client_hello() -> Vec<u8> {
    let mut body = octets("0303");
    body.extend([0x5a; 32]);
    // No session; ECDHE-ECDSA and ECDHE-RSA with AES-128-GCM; no compression.
    body.extend(octets("00 0004c02bc02f 0100"));
    // Groups, point formats, signature algorithms, ALPN ntske/1.
    let extensions =
        octets("000a00040002001d 000b00020100 000d00060004 04030804 0010000a0008076e74736b652f31");
    body.extend(length(&extensions));
    body.extend(extensions);
    let mut handshake = vec![1];
    handshake.push(0);
    handshake.extend(length(&body));
    handshake.extend(body);
    let mut record = octets("160301");
    record.extend(length(&handshake));
    record.extend(handshake);
    record
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_2_is_refused() {
    let scene = Scene::new();
    for (address, name) in scene.servers() {
        let talk = async {
            let mut stream = TcpStream::connect(address).await.expect("TCP");
            stream
                .write_all(&tls_1_2_client_hello())
                .await
                .expect("TCP");
            let mut answer = Vec::new();
            stream
                .read_to_end(&mut answer)
                .await
                .expect("an orderly end");
            answer
        };
        let answer = testkit::deadline::within("an alert", talk).await;
        // Alert, fatal, protocol_version.
        assert_eq!(hex::encode(answer), "15030300020246", "{name}");
    }
}

/// What pools ask of a source, and the source's exact answers.
#[tokio::test(flavor = "multi_thread")]
async fn sources_answer_authorised_pools() {
    let scene = Scene::new();
    let user = scene.lab.user();
    let token = Record::new(0x000e, TOKEN.as_bytes());
    let draft_token = Record::new(0x4005, TOKEN.as_bytes());
    let keys = "0040".to_owned() + &"5a".repeat(64);
    for (token, request, reply) in [
        (
            &token,
            "80090000800a0000",
            "800900020000800a0008000f00200011004080000000",
        ),
        (&token, "800b0000", "80000000"),
        (
            &draft_token,
            "c0040000c0010000",
            "c00400020000c0010008000f00200011004080000000",
        ),
        (&draft_token, "c0010000", "c0010008000f00200011004080000000"),
        // Mixed numbers, companions that must not be there, keys of a wrong length.
        (&token, "c0040000", ERROR_1),
        (&token, "800a0000 80010002000080040002000f", ERROR_1),
        (
            &token,
            &format!("800c003e{}{CHOSEN}", "5a".repeat(62)),
            ERROR_1,
        ),
        (
            &token,
            &format!("800c{keys}80010002000080040004000f0011"),
            ERROR_1,
        ),
        (&token, &format!("800c{keys}800100020000"), ERROR_1),
        (&token, &format!("800c{keys}{CHOSEN}800a0000"), ERROR_1),
        (&token, "800c00025a5a80010002000080040002000f", ERROR_1),
        // Nothing in common, whatever the length of the keys.
        (&token, "800c00025a5a80010002000080040002001e", NO_ALGORITHM),
        (&token, "800c00025a5a80010002800180040002000f", NO_PROTOCOL),
    ] {
        let mut octets = message(std::slice::from_ref(token));
        octets.truncate(octets.len() - 4);
        octets.extend(self::octets(request));
        octets.extend([0x80, 0, 0, 0]);
        let answer = user.converse(scene.source.ke, SOURCE_NAME, &octets).await;
        assert_answer(&answer, reply, request);
    }
}

/// A request with this token, these records, and Keep Alive.
fn gated(token: &str, records: &[Record]) -> Vec<u8> {
    let mut all = vec![Record::new(0x000e, token.as_bytes())];
    all.extend_from_slice(records);
    all.push(Record::new(0x0008, []));
    message(&all)
}

fn info() -> [Record; 2] {
    [Record::new(0x8009, []), Record::new(0x800a, [])]
}

fn fixed_keys() -> [Record; 3] {
    [
        Record::new(0x800c, [0x5a; 64]),
        Record::new(0x8001, [0, 0]),
        Record::new(0x8004, [0, 15]),
    ]
}

const INFO_KEPT: &str = "800900020000800a0008000f0020001100400008000080000000";

async fn kept_alive(user: &User, source: SocketAddr) -> testkit::wire::RawClient {
    let mut connection = user.connect(source, SOURCE_NAME).await.expect("TLS");
    connection.send(&gated(TOKEN, &info())).await;
    assert_eq!(hex::encode(connection.receive().await), INFO_KEPT);
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_alive_connection_carries_many_requests_and_no_key_export() {
    let scene = Scene::new();
    let user = scene.lab.user();
    let mut connection = kept_alive(&user, scene.source.ke).await;
    for _ in 0..5 {
        connection.send(&gated(TOKEN, &fixed_keys())).await;
        let answer = records(&connection.receive().await);
        assert_eq!(
            answer
                .iter()
                .filter(|record| record.record_type() == 5)
                .count(),
            8
        );
        assert_eq!(answer.last(), Some(&Record::new(0x0008, [])));
        connection.send(&gated(TOKEN, &info())).await;
        assert_eq!(hex::encode(connection.receive().await), INFO_KEPT);
    }
    connection
        .send(&octets("80010002000080040002000f80000000"))
        .await;
    assert_answer(
        &connection.receive_all().await,
        ERROR_1,
        "an ordinary exchange",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_checked_in_every_request() {
    let scene = Scene::new();
    let user = scene.lab.user();
    for token in ["", "another-token-0123456789abcdef"] {
        let mut connection = kept_alive(&user, scene.source.ke).await;
        let mut request = gated(token, &fixed_keys());
        if token.is_empty() {
            request.drain(..4);
        }
        connection.send(&request).await;
        assert_answer(&connection.receive_all().await, ERROR_0, token);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_keep_alive_is_the_last() {
    let scene = Scene::new();
    let mut connection = kept_alive(&scene.lab.user(), scene.source.ke).await;
    let mut request = gated(TOKEN, &info());
    request.drain(request.len() - 8..request.len() - 4);
    connection.send(&request).await;
    let without = "800900020000800a0008000f00200011004080000000";
    assert_answer(
        &connection.receive_all().await,
        without,
        "no Keep Alive asked for",
    );
}

/// Long-lived connections have slots of their own; without one, the answer is the last.
#[tokio::test(flavor = "multi_thread")]
async fn keep_alive_is_granted_as_long_as_there_are_slots() {
    let lab = Lab::new();
    let source = lab.source_with(loopback(2), by_token(TOKEN), |config| {
        config.concurrent_connections = 2;
        config.longlived_connections = 2;
    });
    let user = lab.user();
    let first = kept_alive(&user, source.ke).await;
    let _second = kept_alive(&user, source.ke).await;
    let third = user
        .converse(source.ke, SOURCE_NAME, &gated(TOKEN, &info()))
        .await;
    let without = "800900020000800a0008000f00200011004080000000";
    assert_answer(&third, without, "no slot left");
    // Ordinary users have their own.
    user.key_exchange(source.ke, SOURCE_NAME, &plain_request())
        .await
        .expect("a free slot");
    drop(first);
    let granted = async {
        loop {
            let mut connection = user.connect(source.ke, SOURCE_NAME).await.expect("TLS");
            connection.send(&gated(TOKEN, &info())).await;
            if hex::encode(connection.receive().await) == INFO_KEPT {
                return;
            }
        }
    };
    testkit::deadline::within("the slot to be free again", granted).await;
}

/// The certificate authorises the whole connection; ordinary users come to the same port without.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_authorises_like_a_token() {
    let lab = Lab::new();
    let known = lab.authority().client("pool.test");
    let source = lab.source_with(loopback(2), by_certificate(known.certificate()), |_| {});
    let request = message(&info());
    let trust = lab.authority().trust();
    let answer_to = async |credentials: Option<testkit::Credentials>| {
        let identity = credentials.map(|it| it.identity());
        let tls = nts_service::tls::client_config(&trust, identity.as_ref());
        let connected = testkit::wire::RawClient::connect(tls, source.ke, SOURCE_NAME).await;
        let mut connection = connected.expect("TLS");
        connection.send(&request).await;
        hex::encode(connection.receive_all().await.octets)
    };
    let supported = "800900020000800a0008000f00200011004080000000";
    assert_eq!(answer_to(Some(known)).await, supported);
    // The same name, the same authority, but not the same certificate.
    assert_eq!(
        answer_to(Some(lab.authority().client("pool.test"))).await,
        ERROR_0
    );
    assert_eq!(answer_to(None).await, ERROR_0);
    let user = lab.user();
    user.key_exchange(source.ke, SOURCE_NAME, &plain_request())
        .await
        .expect("an ordinary user");
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_list_the_name_they_give_to_users() {
    let lab = Lab::new();
    let source = lab.source_with(loopback(2), by_token(TOKEN), |config| {
        config.ntp_server = Some("ntp1.a.test".parse().unwrap());
    });
    let request = gated(TOKEN, &[Record::new(0x800b, [])]);
    let mut connection = lab
        .user()
        .connect(source.ke, SOURCE_NAME)
        .await
        .expect("TLS");
    connection.send(&request).await;
    let answer = hex::encode(connection.receive().await);
    assert_eq!(answer, "8006000b6e7470312e612e746573740008000080000000");
}
