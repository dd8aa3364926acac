//! How a pool deals with its time sources: where it connects to, and what it takes from them.
#![cfg(feature = "unstable_nts-pool")]

use nts_pool_ke::SourceConfig;
use nts_pool_ke::config::NamePolicy;
use nts_proto::code_points::ErrorCode;
use nts_proto::error::ResponseError;
use testkit::deadline::eventually;
use testkit::faulty_source::{Answer, Kind, Script, Setup};
use testkit::lab::{POOL_NAME, entry, loopback};
use testkit::log::CapturedLog;
use testkit::user::{Failure, plain_request};
use testkit::{FaultySource, Lab};

/// Whoever lists a source says where the pool connects to. Not to the pool's own network, by name
/// or by address, where that is denied; and no user notices.
#[tokio::test(flavor = "multi_thread")]
async fn ssrf_private() {
    let lab = Lab::new();
    let by_address = lab.faulty_source(loopback(2), Script::default()).await;
    let setup = Setup::new(lab.authority(), &["localhost"]);
    let by_name = FaultySource::with_setup(loopback(1), setup, Script::default()).await;
    let port = by_name.address().port();
    let allowed = lab.source(loopback(3));
    let mut allowed_entry = allowed.entry();
    allowed_entry.allow_private = Some(true);
    let sources = vec![
        by_address.entry(),
        SourceConfig::new("localhost", port).expect("a name"),
        allowed_entry,
    ];
    let pool = lab.pool_with(sources, |config| {
        config.upstream.deny_private_addresses = true;
    });
    for _ in 0..50 {
        let user = lab.user();
        let session = user
            .key_exchange(pool.address, POOL_NAME, &plain_request())
            .await
            .expect("cookies from the source that may be connected to");
        assert_eq!(session.ntp_server(), allowed.ntp);
    }
    assert_eq!(by_address.seen().connections, 0);
    assert_eq!(by_name.seen().connections, 0);

    // The same names are good where nothing is denied.
    let pool = lab.pool(vec![entry(by_address.address())]);
    let user = lab.user();
    let session = user
        .key_exchange(pool.address, POOL_NAME, &plain_request())
        .await;
    assert!(session.is_ok());
}

/// A source that sends users to somebody else could have thousands of them ask a victim. Where it
/// must keep to its own names, such an answer reaches no user, and counts against the source.
#[tokio::test(flavor = "multi_thread")]
async fn name_policy() {
    const SERVER: u16 = 0x8006;
    const PORT: u16 = 0x8007;
    let log = CapturedLog::of_operators();
    let lab = Lab::new();
    let names: [(&[u8], bool); 7] = [
        (b"127.0.0.2", true),
        (b"ntp.a.test", true),
        (b"NTP.A.test.", true),
        (b"192.0.2.7", true),
        (b"victim.test", false),
        (b"192.0.2.8", false),
        (b"127.0.0.3", false),
    ];
    for (name, own) in names {
        for (policy, allowed) in [(NamePolicy::Verified, own), (NamePolicy::Any, true)] {
            let script = Script::on_fixed_key(Answer::with_record(SERVER, name));
            let source = lab.faulty_source(loopback(2), script).await;
            let mut entry = source.entry();
            entry.ntp_names = ["ntp.a.test", "192.0.2.7"]
                .map(|name| name.parse().expect("a name"))
                .to_vec();
            let pool = lab.pool_with(vec![entry], |config| config.upstream.name_policy = policy);
            let user = lab.user();
            let outcome = user
                .key_exchange(pool.address, POOL_NAME, &plain_request())
                .await;
            let name = String::from_utf8_lossy(name);
            let what = format!("{name} under {policy:?}");
            assert_eq!(source.seen().count(Kind::FixedKey), 1, "{what}");
            match (outcome, allowed) {
                (Ok(session), true) => {
                    let given = session.response.server.expect("a server");
                    assert_eq!(given.as_str(), name);
                }
                (Err(Failure::Response(error)), false) => {
                    let told = ResponseError::Error(ErrorCode::InternalServerError);
                    assert_eq!(error, told, "{what}");
                    let address = source.address();
                    eventually("the blame", || {
                        (pool.requests(address, "exchange", "protocol") == 1).then_some(())
                    })
                    .await;
                    let warning = format!("misdirects users: its answer names `{name}`");
                    let log = log.text();
                    let source = format!("source=\"{address}\"");
                    let mut lines = log.lines();
                    assert!(
                        lines.any(|line| line.contains(&warning) && line.contains(&source)),
                        "{what}: {log}"
                    );
                }
                (outcome, _) => panic!("{what}: {outcome:?}"),
            }
        }
    }
    for (port, allowed) in [
        (123, true),
        (1024, true),
        (122, false),
        (53, false),
        (1023, false),
    ] {
        let script = Script::on_fixed_key(Answer::with_record(PORT, &u16::to_be_bytes(port)));
        let source = lab.faulty_source(loopback(2), script).await;
        let pool = lab.pool(vec![source.entry()]);
        let user = lab.user();
        let outcome = user
            .key_exchange(pool.address, POOL_NAME, &plain_request())
            .await;
        assert_eq!(outcome.is_ok(), allowed, "port {port}");
    }
}

/// Cookies that some users drop are good ones nevertheless: users get them, and operators are told.
#[tokio::test(flavor = "multi_thread")]
async fn unusual_cookies_are_flagged() {
    const COOKIE: u16 = 5;
    let lab = Lab::new();
    for (length, unusual) in [(104, 0), (192, 0), (196, 1), (103, 1)] {
        let cookie = vec![0xc0; length];
        let script = Script::on_fixed_key(Answer::with_body(COOKIE, &cookie));
        let source = lab.faulty_source(loopback(2), script).await;
        let pool = lab.pool(vec![source.entry()]);
        let user = lab.user();
        let session = user
            .key_exchange(pool.address, POOL_NAME, &plain_request())
            .await
            .expect("cookies");
        assert_eq!(session.response.cookies[0].as_bytes(), cookie);
        let page = pool.running.registry().render();
        let gauge = "nts_pool_ke_source_unusual_cookies{";
        let line = page.lines().find(|line| line.starts_with(gauge));
        let line = line.expect("a line for the source");
        assert!(line.ends_with(&format!("}} {unusual}")), "{length}: {line}");
    }
}
