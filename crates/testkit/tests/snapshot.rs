//! Sources that a registry lists (pool design §6.6, failure table row 21): what is forged, old or gone
//! costs no user anything.
#![cfg(feature = "unstable_nts-pool")]

use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use nts_pool_ke::config::Config;
use nts_pool_ke::pool::Pool;
use nts_pool_ke::program;
use nts_pool_ke::reload::Reloader;
use nts_pool_ke::snapshot::{Header, SigningKey, sign, with_signature};
use nts_pool_ke::wall_clock::SystemClock;
use nts_proto::code_points::ErrorCode;
use nts_service::exit::ExitCode;
use serde_json::{Map, Value, json};
use testkit::Lab;
use testkit::deadline::{eventually, within};
use testkit::file_pool::{FilePool, PoolFiles};
use testkit::lab::{POOL_NAME, RealSource, by_token, loopback};
use testkit::registry::{REGISTRY_TOKEN, Registry, Reply, token_secret};
use testkit::user::plain_request;
use testkit::wire::{http_get, records};

const SERIAL: &str = "nts_pool_ke_snapshot_serial";
const AGE: &str = "nts_pool_ke_snapshot_age_seconds";
const UNCONFIRMED: &str = "nts_pool_ke_snapshot_unconfirmed_seconds";

/// A registry with its key, sources that know the pool by derived tokens, and the pool's files.
struct World {
    lab: Lab,
    key: SigningKey,
    registry: Registry,
    sources: Vec<RealSource>,
}

impl World {
    /// With so many sources, whose first list has serial 1.
    async fn new(sources: u8) -> Self {
        let lab = Lab::new();
        let secret = token_secret();
        let source = |last: u8| {
            let ip = loopback(2 + last);
            let domain = ip.to_string().parse().expect("a name");
            let token = secret.text(&id(usize::from(last)), &domain, 0);
            lab.source_with(ip, by_token(&token), |_| {})
        };
        let sources = (0..sources).map(source).collect();
        let mut world = Self {
            lab,
            key: SigningKey::generate().expect("a key"),
            registry: Registry::start("").await,
            sources,
        };
        world.publish(1);
        world
    }

    /// What a list holds with the first so many sources.
    fn entries(&self, count: usize) -> Map<String, Value> {
        let sources = self.sources.iter().take(count).enumerate();
        let sources: Vec<_> = sources
            .map(|(number, source)| {
                json!({
                    "id": id(number), "domain": source.ke.ip(), "port": source.ke.port(),
                    "token-generation": 0,
                })
            })
            .collect();
        Map::from_iter([("sources".to_owned(), sources.into())])
    }

    /// A list of all sources, as it is published.
    fn list(&self, serial: u32) -> Vec<u8> {
        self.signed(serial, self.entries(self.sources.len()))
    }

    fn signed(&self, serial: u32, entries: Map<String, Value>) -> Vec<u8> {
        let header = header(serial);
        let list = sign(&header, entries, &self.key).expect("a list");
        list.octets().to_vec()
    }

    fn publish(&mut self, serial: u32) {
        self.registry.publish(self.list(serial));
    }

    /// The files of a pool that follows the registry.
    fn files(&self) -> PoolFiles {
        let files = PoolFiles::new(&self.lab, &[], "");
        self.registry.lead(&files, &self.key.public());
        files
    }

    /// A pool of these files.
    async fn pool(&self, files: PoolFiles) -> FilePool {
        FilePool::of(files, Arc::new(SystemClock)).await
    }

    /// Waits until users get cookies: a list is counted a moment before they meet it.
    async fn until_served(&self, pool: &FilePool) {
        let (user, request) = (self.lab.user(), plain_request());
        let served = async {
            while user
                .key_exchange(pool.address, POOL_NAME, &request)
                .await
                .is_err()
            {}
        };
        within("a user who is served", served).await;
    }

    async fn assert_served(&self, pool: &FilePool, what: &str) {
        for _ in 0..3 {
            let user = self.lab.user();
            let request = plain_request();
            let served = user.key_exchange(pool.address, POOL_NAME, &request).await;
            served.unwrap_or_else(|failure| panic!("{what}: {failure:?}\n{}", pool.page()));
        }
    }
}

fn id(number: usize) -> String {
    format!("source-{number}")
}

/// All lists were made at one moment, so that two of the same serial are the same.
fn header(serial: u32) -> Header {
    static MADE: LazyLock<SystemTime> =
        LazyLock::new(|| SystemTime::now() - Duration::from_secs(100));
    Header {
        pool: POOL_NAME.to_owned(),
        serial: serial.into(),
        issued: *MADE,
    }
}

async fn until_serial(pool: &FilePool, serial: u32) {
    let serial = f64::from(serial);
    eventually("the list", || (pool.value(SERIAL) == serial).then_some(())).await;
}

/// Waits until this list is on the disk.
async fn until_kept(pool: &FilePool, list: &[u8]) {
    let copy = pool.files.path("list.signed");
    let kept = || (fs::read(&copy).ok()? == list).then_some(());
    eventually("the copy", kept).await;
}

/// Whether the pool refuses a user with Error 2.
async fn gives_error_2(lab: &Lab, pool: SocketAddr) -> bool {
    let request = plain_request().encode();
    let answer = lab.user().converse(pool, POOL_NAME, request.as_ref()).await;
    let error = ErrorCode::InternalServerError.code().to_be_bytes();
    records(&answer.octets)
        .iter()
        .any(|record| record.wire_type & 0x7fff == 2 && record.body == error)
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_rollback() {
    let world = World::new(5).await;
    let pool = world.pool(world.files()).await;
    until_serial(&pool, 1).await;
    world.until_served(&pool).await;
    assert_eq!(pool.sources(), 5);
    assert!(pool.value(AGE) >= 100.0);
    let first = world.list(1);
    until_kept(&pool, &first).await;
    let copy = || fs::read(pool.files.path("list.signed")).expect("a copy");
    // Whatever is forged is not taken, and changes nothing.
    let good = world.list(2);
    let flipped = |at: usize| {
        let mut octets = good.clone();
        octets[at] ^= 1;
        octets
    };
    let text = String::from_utf8(good.clone()).expect("text");
    let (line, json) = text.split_once('\n').expect("two parts");
    let (first_line, _) = std::str::from_utf8(&first)
        .expect("text")
        .split_once('\n')
        .expect("two parts");
    let mut other_pool = header(2);
    other_pool.pool = "other.test".to_owned();
    let other_pool = sign(&other_pool, world.entries(5), &world.key).expect("a list");
    let stranger = SigningKey::generate().expect("a key");
    let resigned = |text: &str| with_signature(text, &world.key).into_bytes();
    let mut with_token = world.entries(5);
    with_token["sources"][0]["auth-token-path"] = "/etc/passwd".into();
    let forged: [(&str, Vec<u8>, &str); 14] = [
        (
            "another key",
            with_signature(json, &stranger).into(),
            "signature",
        ),
        (
            "an old signature",
            format!("{first_line}\n{json}").into(),
            "signature",
        ),
        ("a flipped octet", flipped(good.len() / 2), "signature"),
        ("a flipped octet of the mark", flipped(3), "malformed"),
        ("cut off", good[..good.len() - 1].into(), "signature"),
        ("cut off early", good[..20].into(), "malformed"),
        ("no signature", json.into(), "malformed"),
        ("nothing", Vec::new(), "malformed"),
        (
            "a blank too many",
            resigned(&json.replacen(':', ": ", 1)),
            "malformed",
        ),
        (
            "another schema",
            resigned(&json.replace("\"schema\":1", "\"schema\":2")),
            "schema",
        ),
        ("another pool", other_pool.octets().into(), "other_pool"),
        (
            "a bad weight",
            resigned(&json.replace("\"token", "\"weight\":-1,\"token")),
            "malformed",
        ),
        (
            "an unknown key",
            resigned(&json.replace("\"port\"", "\"poet\"")),
            "unusable",
        ),
        (
            "a file of this machine",
            world.signed(2, with_token),
            "unusable",
        ),
    ];
    assert_eq!(line.len(), first_line.len());
    for (what, octets, outcome) in forged {
        world.registry.publish(octets);
        // One that was asked before does not count.
        pool.until_fetched(outcome).await;
        pool.until_fetched(outcome).await;
        assert_eq!((pool.value(SERIAL), pool.sources()), (1.0, 5), "{what}");
        world.assert_served(&pool, what).await;
        assert_eq!(copy(), first, "{what}");
    }
    assert!(pool.refused("snapshot") >= 5.0);
    // The next good one is taken, and then no older one, nor another of the same number.
    world.registry.publish(good.clone());
    until_serial(&pool, 2).await;
    until_kept(&pool, &good).await;
    let another = world.signed(2, world.entries(4));
    for old in [first, another] {
        world.registry.publish(old);
        pool.until_fetched("rolled_back").await;
        pool.until_fetched("rolled_back").await;
        assert_eq!((pool.value(SERIAL), pool.sources()), (2.0, 5));
        world.assert_served(&pool, "rolled back").await;
        assert_eq!(copy(), good);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_gone_costs_no_user_anything() {
    let mut world = World::new(2).await;
    let pool = world.pool(world.files()).await;
    until_serial(&pool, 1).await;
    world.until_served(&pool).await;
    pool.until_fetched("unchanged").await;
    assert!(world.registry.spared() > 0);
    let shown = format!("authorization: Bearer {REGISTRY_TOKEN}\r\n");
    assert!(world.registry.last_request().contains(&shown));
    for reply in [
        Reply::Nothing,
        Reply::Status("500 Internal Server Error"),
        Reply::Status("302 Found"),
    ] {
        world.registry.reply(reply);
        pool.until_fetched("unreachable").await;
        pool.until_fetched("unreachable").await;
        world.assert_served(&pool, "an ill registry").await;
    }
    let (before, age) = (pool.value(UNCONFIRMED), pool.value(AGE));
    pool.until_fetched("unreachable").await;
    assert!(pool.value(UNCONFIRMED) > before && pool.value(AGE) > age);
    assert_eq!(pool.readyz().await.1, "ready");
    // It comes back.
    world.publish(2);
    until_serial(&pool, 2).await;
    until_kept(&pool, &world.list(2)).await;
    // A restart without it: the copy on the disk serves.
    let World {
        lab,
        key,
        registry,
        sources,
    } = world;
    drop(registry);
    let FilePool { files, .. } = pool;
    assert_eq!(program::check(&files.path("pool.toml")), ExitCode::Success);
    let world = World {
        lab,
        key,
        registry: Registry::start("").await,
        sources,
    };
    let pool = world.pool(files).await;
    assert_eq!((pool.value(SERIAL), pool.sources()), (2.0, 2));
    pool.until_fetched("unreachable").await;
    world.assert_served(&pool, "the copy on the disk").await;
    assert_eq!(pool.readyz().await.1, "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_without_any_list_heals_by_itself() {
    let mut world = World::new(2).await;
    let files = world.files();
    let good = world.list(7);
    let mut damaged = good.clone();
    *damaged.last_mut().expect("octets") = b' ';
    let half = good[..good.len() / 2].to_vec();
    world.registry.reply(Reply::Nothing);
    let mut pool = world.pool(files).await;
    for (serial, broken) in [(8, damaged), (9, half), (10, Vec::new())] {
        pool.until_fetched("unreachable").await;
        assert_eq!(pool.sources(), 0);
        assert!(gives_error_2(&world.lab, pool.address).await);
        let (status, reason) = pool.readyz().await;
        assert!(status.contains(" 503 "), "{status}");
        assert_eq!(reason, "sources: the registry has given no list yet");
        // The registry comes back, and what it gives is kept on the disk.
        world.publish(serial);
        until_serial(&pool, serial).await;
        world.until_served(&pool).await;
        world.assert_served(&pool, "the registry is back").await;
        until_kept(&pool, &world.list(serial)).await;
        // A restart without it, and with a copy that is no good.
        world.registry.reply(Reply::Nothing);
        let FilePool { files, .. } = pool;
        files.write("list.signed", broken);
        assert_eq!(program::check(&files.path("pool.toml")), ExitCode::Config);
        pool = world.pool(files).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_serial_of_the_copy_counts_after_a_restart() {
    let mut world = World::new(3).await;
    world.publish(5);
    let pool = world.pool(world.files()).await;
    until_serial(&pool, 5).await;
    let fifth = world.list(5);
    until_kept(&pool, &fifth).await;
    let FilePool { files, .. } = pool;
    world.publish(4);
    let pool = world.pool(files).await;
    pool.until_fetched("rolled_back").await;
    assert_eq!(pool.value(SERIAL), 5.0);
    world.assert_served(&pool, "after a restart").await;
    // By signal neither the registry nor the disk turns it back.
    pool.files.write("list.signed", world.list(4));
    assert!(pool.hang_up().await);
    until_kept(&pool, &fifth).await;
    pool.until_fetched("rolled_back").await;
    assert_eq!((pool.value(SERIAL), pool.sources()), (5.0, 3));
    world.assert_served(&pool, "after a signal").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn most_sources_go_from_a_signed_list_only_if_it_says_so() {
    let world = World::new(5).await;
    let pool = world.pool(world.files()).await;
    until_serial(&pool, 1).await;
    until_kept(&pool, &world.list(1)).await;
    world.registry.publish(world.signed(2, world.entries(1)));
    pool.until_fetched("mass_removal").await;
    assert_eq!((pool.value(SERIAL), pool.sources()), (1.0, 5));
    // It is not what a restart begins with.
    let FilePool { files, .. } = pool;
    let pool = world.pool(files).await;
    assert_eq!((pool.value(SERIAL), pool.sources()), (1.0, 5));
    pool.until_fetched("mass_removal").await;
    world.assert_served(&pool, "most would go").await;
    assert!(pool.hang_up().await);
    until_serial(&pool, 2).await;
    assert_eq!(pool.sources(), 1);
    world.registry.publish(world.list(3));
    until_serial(&pool, 3).await;
    let mut entries = world.entries(1);
    entries.insert("allow-mass-removal".to_owned(), true.into());
    world.registry.publish(world.signed(4, entries));
    until_serial(&pool, 4).await;
    assert_eq!(pool.sources(), 1);
    world.assert_served(&pool, "one is left").await;
    // What the operator wants does not depend on whether the registry is there at that moment.
    world.registry.publish(world.list(5));
    until_serial(&pool, 5).await;
    world.registry.reply(Reply::Nothing);
    pool.until_fetched("unreachable").await;
    assert!(pool.hang_up().await);
    pool.until_fetched("unreachable").await;
    world.registry.publish(world.signed(6, world.entries(1)));
    until_serial(&pool, 6).await;
    // He wants it once.
    world.registry.publish(world.list(7));
    until_serial(&pool, 7).await;
    world.registry.publish(world.signed(8, world.entries(1)));
    pool.until_fetched("mass_removal").await;
    assert_eq!((pool.value(SERIAL), pool.sources()), (7.0, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_are_heard_while_a_list_is_looked_at() {
    let world = World::new(1).await;
    let files = world.files();
    let path = files.path("pool.toml");
    let mut config = Config::load(&path).expect("a configuration").value;
    config.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))].into();
    config.observability.metrics_exporter_listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut pool = Pool::start(config).expect("a pool");
    let status = pool.metrics_address().expect("a place for its state");
    let mut reloader = Reloader::new(&path, &pool).await;
    // Between these two steps the program hears what else there is.
    for serial in [0, 1] {
        let due = within("a list", reloader.due()).await;
        reloader.take_in(due, &mut pool).await;
        let page = pool.registry().render();
        assert!(page.contains(&format!("\n{SERIAL} {serial}\n")), "{page}");
        let document: Value = serde_json::from_str(&http_get(status, "/status").await.1).unwrap();
        let list = &document["signed_list"];
        assert_eq!(list.is_null(), serial == 0, "{list}");
        if serial > 0 {
            assert_eq!(
                (&list["pool"], &list["serial"]),
                (&POOL_NAME.into(), &serial.into())
            );
            assert!(list["seconds_ago"].as_u64().unwrap() >= 100, "{list}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_cannot_be_kept_holds_up_nothing_and_is_tried_again() {
    let mut world = World::new(2).await;
    let files = world.files();
    let copy = files.path("list.signed");
    // Whoever opens it to read waits for somebody who writes.
    mkfifo(&copy, Mode::S_IRWXU).expect("a pipe");
    let pool = world.pool(files).await;
    until_serial(&pool, 1).await;
    world.publish(2);
    until_serial(&pool, 2).await;
    assert!(pool.hang_up().await);
    world.until_served(&pool).await;
    assert!(!copy.metadata().expect("a pipe").is_file());
    // No new list and no signal is needed.
    pool.until_fetched("unchanged").await;
    fs::remove_file(&copy).expect("a pipe that can go");
    until_kept(&pool, &world.list(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_and_its_key_can_be_changed_while_users_are_served() {
    let mut world = World::new(2).await;
    world.registry.reply(Reply::Nothing);
    // Before the registry there was a file.
    let tokens = token_secret();
    let files = PoolFiles::new(&world.lab, &[], "");
    let list = world.sources.iter().enumerate().map(|(number, source)| {
        let domain = source.ke.ip().to_string().parse().expect("a name");
        json!({
            "id": id(number), "domain": source.ke.ip(), "port": source.ke.port(),
            "auth-token": *tokens.text(&id(number), &domain, 0),
        })
    });
    let list: Value = list.collect();
    files.write("sources.json", list.to_string());
    let text = fs::read_to_string(files.path("pool.toml")).expect("text");
    files.write("pool.toml", text.replace("sources.toml", "sources.json"));
    let pool = world.pool(files).await;
    world.assert_served(&pool, "a file").await;
    assert_eq!(pool.value(SERIAL), 1.0);
    world.registry.lead(&pool.files, &world.key.public());
    assert!(pool.hang_up().await);
    pool.until_fetched("unreachable").await;
    assert_eq!((pool.value(SERIAL), pool.sources()), (0.0, 2));
    world.assert_served(&pool, "no list yet").await;
    world.publish(7);
    until_serial(&pool, 7).await;
    world.assert_served(&pool, "the first list").await;
    // Another key: the list of the old one is in use until there is one of the new.
    world.key = SigningKey::generate().expect("a key");
    world.registry.lead(&pool.files, &world.key.public());
    assert!(pool.hang_up().await);
    pool.until_fetched("signature").await;
    assert_eq!((pool.value(SERIAL), pool.sources()), (0.0, 2));
    world.assert_served(&pool, "another key").await;
    world.publish(3);
    until_serial(&pool, 3).await;
    world.assert_served(&pool, "its first list").await;
    until_kept(&pool, &world.list(3)).await;
    // Without the secret no list could be used: the whole change is refused.
    let text = fs::read_to_string(pool.files.path("pool.toml")).expect("text");
    let without = text.lines().filter(|line| !line.contains("token-secret"));
    pool.files
        .write("pool.toml", without.collect::<Vec<_>>().join("\n"));
    assert!(!pool.hang_up().await);
    assert_eq!(pool.refused("config"), 1.0);
    assert_eq!(pool.value(SERIAL), 3.0);
    world.assert_served(&pool, "no secret").await;
    // And back to a file.
    pool.files.write(
        "pool.toml",
        text.split("[snapshot]").next().expect("text").replace(
            "token-secret-path",
            &format!(
                "key-exchange-servers-path = {:?}\ntoken-secret-path",
                pool.files.path("sources.json")
            ),
        ),
    );
    assert!(pool.hang_up().await);
    assert!(!pool.page().contains(&format!("\n{UNCONFIRMED} ")));
    world.assert_served(&pool, "a file again").await;
}
