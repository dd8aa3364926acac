//! Users who send what nobody should (failure table rows 27 and 28).
#![cfg(feature = "unstable_nts-pool")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use testkit::Lab;
use testkit::deadline::within;
use testkit::lab::{POOL_NAME, RunningPool, loopback};
use testkit::user::plain_request;
use testkit::wire::{End, RawClient, Record, connect_from, message};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

const ERROR_0: &str = "80020002000080000000";

/// NTPv4 and AEAD 15.
const CHOSEN: [(u16, [u8; 2]); 2] = [(0x8001, [0, 0]), (0x8004, [0, 15])];

/// NTP Server Deny of the draft.
const DENY: u16 = 13;

fn chosen() -> Vec<Record> {
    CHOSEN
        .map(|(number, body)| Record::new(number, body))
        .into()
}

async fn answer(lab: &Lab, pool: &RunningPool, records: &[Record]) -> (String, End) {
    let user = lab.user();
    let answer = user
        .converse(pool.address, POOL_NAME, &message(records))
        .await;
    (hex::encode(answer.octets), answer.end)
}

#[tokio::test(flavor = "multi_thread")]
async fn critical_unknown() {
    let lab = Lab::new();
    let source = lab.source(loopback(2));
    let pool = lab.pool(vec![source.entry()]);
    for number in [0x0032, 0x0010, 0x3fff, 0x4123, 0x7fff] {
        let unknown = |critical: u16| Record::new(number | critical, "?");
        for position in 0..=2 {
            let mut records = chosen();
            records.insert(position, unknown(0x8000));
            let refused = answer(&lab, &pool, &records).await;
            assert_eq!(
                refused,
                (ERROR_0.to_owned(), End::CloseNotify),
                "{number:x}"
            );
            records[position] = unknown(0);
            let (served, end) = answer(&lab, &pool, &records).await;
            assert!(served.len() > 800 && end == End::CloseNotify, "{served}");
        }
    }
}

/// A user's request with these denied names.
fn denying(names: impl Iterator<Item = String>) -> Vec<Record> {
    let mut records = chosen();
    records.extend(names.map(|name| Record::new(DENY, name)));
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn deny_floods() {
    const USERS: usize = 8;
    let lab = Lab::new();
    let sources = [lab.source(loopback(2)), lab.source(loopback(3))];
    let pool = lab.pool(sources.iter().map(|it| it.entry()).collect());
    let others = |count: usize| (0..count).map(|it| format!("{it}.test"));
    let a = sources[0].ke.ip().to_string();
    // Which sources serve somebody who denies these.
    let servers = async |records: Vec<Record>, times: usize| {
        let octets = message(&records);
        let mut servers = BTreeSet::new();
        for _ in 0..times {
            let user = lab.user();
            let reply = user.converse(pool.address, POOL_NAME, &octets).await;
            let records = testkit::wire::records(&reply.octets);
            let server = records.into_iter().find(|it| it.record_type() == 6);
            let server = server.expect("a pool always names the server");
            servers.insert(String::from_utf8(server.body).expect("a name"));
        }
        servers
    };
    // The 32nd counts, further ones do not.
    let within_limit = denying(others(31).chain([a.clone()]));
    let b = sources[1].ke.ip().to_string();
    assert_eq!(servers(within_limit, 20).await, BTreeSet::from([b]));
    let beyond = denying(others(32).chain([a.clone()]));
    assert!(servers(beyond, 60).await.contains(&a));
    // As much as fits into a request, from many at once: all are served, and soon.
    let flood = message(&denying(others(1300)));
    assert!((15_000..=16_384).contains(&flood.len()), "{}", flood.len());
    let flood: Arc<[u8]> = flood.into();
    let begun = std::time::Instant::now();
    let mut users = JoinSet::new();
    for _ in 0..USERS {
        let (user, address, flood) = (lab.user(), pool.address, Arc::clone(&flood));
        users.spawn(async move {
            for _ in 0..5 {
                let answer = user.converse(address, POOL_NAME, &flood).await;
                assert!(answer.octets.len() > 400, "{answer:?}");
            }
        });
    }
    within("all users", users.join_all()).await;
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// The user's TLS with so many octets of application protocols before the one that counts.
fn verbose(lab: &Lab, octets: usize) -> Arc<ClientConfig> {
    let mut tls = ClientConfig::clone(&lab.user().tls());
    let filler = (0..octets / 200).map(|number| format!("{number:0199}").into_bytes());
    let protocols = filler.chain(tls.alpn_protocols);
    tls.alpn_protocols = protocols.collect();
    Arc::new(tls)
}

#[tokio::test(flavor = "multi_thread")]
async fn client_hellos_of_16_kib() {
    let lab = Lab::new();
    let source = lab.source(loopback(2));
    let pool = lab.pool_with(vec![source.entry()], |config| {
        config.limits.handshake_timeout = Some(Duration::from_millis(500));
    });
    // Whole: unusual, but a user.
    let stream = connect_from(loopback(1), pool.address).await.unwrap();
    let mut user = RawClient::over(stream, verbose(&lab, 12_000), POOL_NAME)
        .await
        .expect("TLS");
    user.send(plain_request().encode().as_ref()).await;
    let answer = user.receive_all().await;
    assert!(answer.octets.len() > 400, "{answer:?}");
    // Records that are announced with 16 KiB, over and over, and never make a greeting.
    let mut floods = JoinSet::new();
    for number in 0..50 {
        let address = pool.address;
        floods.spawn(async move {
            let mut stream = connect_from(loopback(100 + number), address).await.unwrap();
            // A ClientHello of 16 MiB - 1.
            let mut record = vec![0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff];
            record.resize(5 + 0x4000, 0);
            let mut sent = 0;
            while stream.write_all(&record).await.is_ok() {
                sent += record.len();
                record[5..9].fill(0);
                assert!(sent < 64 << 20, "nobody takes so much");
            }
            let _ = within("the end", stream.read_to_end(&mut Vec::new())).await;
        });
    }
    within("the end of all floods", floods.join_all()).await;
    let page = pool.running.registry().render();
    let failed = page
        .lines()
        .filter(|line| line.starts_with("nts_pool_ke_exchanges_total{outcome=\"t"))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u32>().ok());
    assert_eq!(failed.sum::<u32>(), 50, "{page}");
    let session = lab
        .user()
        .key_exchange(pool.address, POOL_NAME, &plain_request())
        .await;
    session.expect("cookies");
}
