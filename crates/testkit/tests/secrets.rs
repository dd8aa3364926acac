//! A full run at the level `trace` logs none of its secrets, in no form.
//!
//! One test, because the log belongs to the whole process.
#![cfg(feature = "unstable_nts-pool")]

use std::fs;
use std::sync::Arc;

use clap::Parser;
use ntp_daemon::client::Client;
use ntp_daemon::clock::Keeper;
use ntp_daemon::config::{
    PollLimits, RemoteAddress, SourceConfig, SourceMode, SynchronizationConfig,
};
use nts_pool_ke::Dialect;
use nts_pool_ke::commands::Command;
use nts_pool_ke::snapshot::SigningKey;
use nts_pool_ke::wall_clock::SystemClock;
use nts_proto::code_points::AeadAlgorithm;
use nts_service::exit::ExitCode;
use testkit::Lab;
use testkit::deadline::eventually;
use testkit::faulty_source::{Answer, Script};
use testkit::file_pool::{FilePool, PoolFiles};
use testkit::lab::{POOL_NAME, TOKEN, by_certificate, by_token, entry, loopback, token};
use testkit::log::CapturedLog;
use testkit::registry::{REGISTRY_TOKEN, Registry, Reply, SECRET, token_secret};
use testkit::secrets::found_in;
use testkit::user::{Session, plain_request};

const OLD_TOKEN: &str = "old-token-fedcba9876543210fedcba98";
const WRONG_TOKEN: &str = "wrong-token-5555aaaa5555aaaa5555aa";

/// The pool's program.
#[derive(Parser)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

type Secrets = Vec<(&'static str, Vec<u8>)>;

fn note(secrets: &mut Secrets, session: &Session) {
    secrets.push(("a C2S key", session.keys.c2s().to_vec()));
    secrets.push(("an S2C key", session.keys.s2c().to_vec()));
    // Whoever shows one shows the first or the last.
    let cookies = &session.response.cookies;
    for cookie in cookies.first().into_iter().chain(cookies.last()) {
        secrets.push(("a cookie", cookie.as_bytes().to_vec()));
    }
}

/// Users with both algorithms, at pools that prove themselves in every way; with time at the end.
async fn good_exchanges(lab: &Lab, secrets: &mut Secrets) {
    let mut authorization = by_token(TOKEN);
    authorization.tokens.push(token(OLD_TOKEN));
    let by_tokens = lab.source_with(loopback(2), authorization, |_| {});
    let certificate = by_certificate(lab.pool_certificate());
    let by_certificate = lab.source_with(loopback(3), certificate, |_| {});
    let mut old = by_tokens.entry();
    old.auth_token = Some(token(OLD_TOKEN));
    old.dialect = Dialect::DraftToken;
    let mut without = by_certificate.entry();
    without.auth_token = None;
    without.dialect = Dialect::DraftMtls;
    for entry in [by_tokens.entry(), old, without] {
        let pool = lab.pool(vec![entry]);
        for algorithm in [15, 17] {
            let mut request = plain_request();
            request.algorithms = vec![AeadAlgorithm::from(algorithm)];
            let session = lab
                .user()
                .key_exchange(pool.address, POOL_NAME, &request)
                .await;
            let session = session.expect("cookies");
            note(secrets, &session);
            let server = session.ntp_server();
            assert!(session.ask_time(server).await.authenticated);
        }
        pool.running.shutdown().await;
    }
    let user = lab.user();
    let session = user
        .key_exchange(by_tokens.ke, "127.0.0.2", &plain_request())
        .await
        .expect("cookies from the source itself");
    note(secrets, &session);
    let keys = by_tokens.cookie_keys();
    assert!(!keys.is_empty());
    secrets.extend(keys.into_iter().map(|key| ("a key of cookies", key)));
    secrets.push(("the pool's private key", lab.pool_private_key()));
    by_tokens.stop().await;
}

/// A pool whose sources a registry lists: by tokens that follow from a secret, and with another for
/// the registry. The list is made by the program, and then forged.
async fn listed_sources(lab: &Lab, secrets: &mut Secrets) {
    let source = {
        let token = token_secret().text("source", &"127.0.0.7".parse().expect("a name"), 0);
        secrets.push(("a derived token", token.as_bytes().to_vec()));
        lab.source_with(loopback(7), by_token(&token), |_| {})
    };
    let files = PoolFiles::new(lab, &[], "");
    let list = format!(
        "[{{\"id\":\"source\",\"domain\":\"{}\",\"port\":{},\"token-generation\":0}}]",
        source.ke.ip(),
        source.ke.port()
    );
    files.write("sources.json", list);
    let run = |line: &str| {
        let directory = files.path("").display().to_string();
        let words = line.replace("DIR/", &directory);
        let arguments = std::iter::once("snapshot").chain(words.split(' '));
        let program = Program::try_parse_from(arguments).expect("good arguments");
        let (mut out, mut problems) = (Vec::new(), Vec::new());
        let code = program.command.run(&mut out, &mut problems);
        let said = [out, problems].concat();
        tracing::info!("{}", String::from_utf8_lossy(&said));
        assert_eq!(code, ExitCode::Success);
    };
    run("snapshot keygen --private-key-path DIR/list.key");
    run(&format!(
        "snapshot sign DIR/sources.json --pool {POOL_NAME} --private-key-path DIR/list.key \
         --output DIR/pool.signed"
    ));
    let pem = fs::read(files.path("list.key")).expect("a key");
    let line = pem.split(|octet| *octet == b'\n').nth(1);
    secrets.push(("a signing key", line.expect("base64").to_vec()));
    secrets.push(("the secret of tokens", SECRET.as_bytes().to_vec()));
    secrets.push(("a registry's token", REGISTRY_TOKEN.as_bytes().to_vec()));
    let key = SigningKey::from_pem(&pem).expect("a key");
    let registry = Registry::start(fs::read(files.path("pool.signed")).expect("a list")).await;
    registry.lead(&files, &key.public());
    let pool = FilePool::of(files, Arc::new(SystemClock)).await;
    pool.until_fetched("unchanged").await;
    let user = lab.user();
    let request = plain_request();
    let exchange = user.key_exchange(pool.address, POOL_NAME, &request);
    note(secrets, &exchange.await.expect("cookies"));
    registry.publish("nts-pool-snapshot ed25519 x\n");
    pool.until_fetched("malformed").await;
    registry.reply(Reply::Nothing);
    pool.until_fetched("unreachable").await;
    assert!(pool.hang_up().await);
    source.stop().await;
}

/// Whatever goes wrong, with keys and tokens under way.
async fn failed_exchanges(lab: &Lab, secrets: &mut Secrets) {
    for answer in [
        Answer::Cut,
        Answer::Half,
        Answer::without(5),
        Answer::with_body(4, &[0, 17]),
        Answer::with_record(0x8032, &[]),
        Answer::Octets(vec![0xc3; 5000]),
    ] {
        let source = lab
            .faulty_source(loopback(4), Script::on_fixed_key(answer))
            .await;
        let pool = lab.pool(vec![source.entry()]);
        let exchange = lab
            .user()
            .key_exchange(pool.address, POOL_NAME, &plain_request())
            .await;
        exchange.expect_err("this source gives no cookies");
        let keys = source.seen().keys();
        assert!(!keys.is_empty());
        secrets.extend(
            keys.into_iter()
                .map(|keys| ("keys for a faulty source", keys)),
        );
    }
    // A pool that the source does not know, and one that sends its keys and token twice.
    let source = lab.source(loopback(5));
    let mut stranger = entry(source.ke);
    stranger.auth_token = Some(token(WRONG_TOKEN));
    let pool = lab.pool(vec![stranger]);
    let exchange = lab
        .user()
        .key_exchange(pool.address, POOL_NAME, &plain_request())
        .await;
    exchange.expect_err("this source does not know the pool");
    let twice = format!(
        "000e0020{0}000e0020{0}800c0040{1}80000000",
        hex::encode(&TOKEN[..32]),
        "5a".repeat(64)
    );
    let octets = hex::decode(twice).expect("hexadecimal digits");
    lab.user().converse(source.ke, "127.0.0.5", &octets).await;
    lab.user().converse(pool.address, POOL_NAME, &octets).await;
    // The cookies of faulty sources, which no user may get.
    secrets.extend((0xc0..=0xc7).map(|octet| ("a rejected cookie", vec![octet; 104])));
    secrets.push(("keys of a bad request", vec![0x5a; 64]));
}

/// The daemon as a user. What keys and cookies it has, only a faulty source can tell.
async fn daemon_exchange(lab: &Lab, secrets: &mut Secrets) {
    let real = lab.source(loopback(6));
    let port = real.ntp.port().to_be_bytes();
    let script = Script::on_fixed_key(Answer::with_record(0x8007, &port));
    let source = lab.faulty_source(loopback(6), script).await;
    let pool = lab.pool(vec![source.entry()]);
    let keeper = Keeper::of_own_clock(&SynchronizationConfig::default()).expect("our own clock");
    let config = SourceConfig {
        mode: SourceMode::NtsPool {
            count: 1,
            trust: lab.authority().trust(),
        },
        address: RemoteAddress {
            host: "127.0.0.1".to_owned(),
            port: pool.address.port(),
        },
        poll_interval_limits: PollLimits::default(),
        initial_poll_interval: PollLimits::default().min,
        burst: true,
    };
    let _client = Client::spawn(&[config], &keeper);
    eventually("a request with a cookie of the faulty source", || {
        (real.ntp_counts().nts_nak_packets > 0).then_some(())
    })
    .await;
    let keys = source.seen().keys();
    secrets.extend(keys.into_iter().map(|keys| ("keys of the daemon", keys)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_run_logs_no_secret() {
    let log = CapturedLog::install();
    let lab = Lab::new();
    let mut secrets: Secrets = [TOKEN, OLD_TOKEN, WRONG_TOKEN]
        .map(|token| ("a token", token.as_bytes().to_vec()))
        .into();
    good_exchanges(&lab, &mut secrets).await;
    failed_exchanges(&lab, &mut secrets).await;
    listed_sources(&lab, &mut secrets).await;
    daemon_exchange(&lab, &mut secrets).await;

    let text = log.text();
    // It is a log at all, of everybody: the pool, the source, and the TLS library beneath them.
    for target in [
        "nts_pool_ke::",
        "ntp_daemon::client",
        "ntp_daemon::ke_server",
        "rustls::",
        "TRACE",
        "INFO",
    ] {
        assert!(
            text.contains(target),
            "nothing from {target} in {} octets of log",
            text.len()
        );
    }
    let found = found_in(&text, secrets);
    assert!(found.is_empty(), "{found:#?}");
    // The search does find what is there.
    tracing::error!(secret = ?TOKEN.as_bytes(), "on purpose");
    let found = found_in(&log.text(), [("a token", TOKEN.as_bytes().to_vec())]);
    assert_eq!(found.len(), 1);
}
