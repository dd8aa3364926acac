//! Who gets which source, through a running pool: countries, numbered names, denials, operators.
#![cfg(feature = "unstable_nts-pool")]

use std::collections::BTreeSet;
use std::net::IpAddr;

use nts_pool_ke::SourceConfig;
use nts_pool_ke::config::Config;
use nts_pool_ke::selection::{AllDenied, MAX_SOURCES};
use nts_proto::ke::request::KeyExchangeRequest;
use testkit::deadline::eventually;
use testkit::faulty_source::{Connect, Script};
use testkit::lab::{NUMBERED_NAMES, POOL_NAME, RunningPool, loopback};
use testkit::places::{self, GERMANY, JAPAN, NETHERLANDS, NOWHERE, UNITED_STATES};
use testkit::user::plain_request;
use testkit::{FaultySource, Lab};

/// So many users decide whether somebody gets users at all: that chance hides one of two sources
/// happens once in 10¹².
const MANY: usize = 40;

/// Good sources at 127.0.0.10 and so on, one for each `P`, and a pool of them that knows where its
/// users are.
struct World {
    lab: Lab,
    sources: Vec<FaultySource>,
    pool: RunningPool,
}

/// What a source is listed with.
struct Listed {
    region: Option<&'static str>,
    operator: Option<&'static str>,
}

fn in_region(region: &'static str) -> Listed {
    Listed {
        region: Some(region),
        operator: None,
    }
}

fn run_by(operator: &'static str) -> Listed {
    Listed {
        region: None,
        operator: Some(operator),
    }
}

fn anywhere() -> Listed {
    Listed {
        region: None,
        operator: None,
    }
}

impl World {
    async fn new(listed: Vec<Listed>, change: impl FnOnce(&mut Config)) -> Self {
        let lab = Lab::new();
        let (mut sources, mut entries) = (Vec::new(), Vec::new());
        for (last, listed) in (10..).zip(listed) {
            let source = lab.faulty_source(loopback(last), Script::default()).await;
            let mut entry = source.entry();
            entry.regions = listed.region.map(places::region).into_iter().collect();
            entry.operator = listed.operator.map(str::to_owned);
            entries.push(entry);
            sources.push(source);
        }
        let pool = lab.pool_with(entries, |config| {
            config.geo = Some(places::database());
            change(config);
        });
        Self { lab, sources, pool }
    }

    /// One user at `address` who calls the pool by `name`: the last number of his source's address.
    async fn ask(&self, address: IpAddr, name: &str, request: &KeyExchangeRequest) -> u8 {
        let user = self.lab.user().at(address);
        let session = user.key_exchange(self.pool.address, name, request).await;
        let server = session.expect("cookies").ntp_server();
        match server.ip() {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(_) => panic!("{server} is no source"),
        }
    }

    /// Whom so many users like this get.
    async fn given(&self, address: IpAddr, name: &str, denied: &[u8]) -> BTreeSet<u8> {
        let mut request = plain_request();
        let names = denied.iter().map(|last| loopback(*last).to_string());
        let names = names.map(|name| name.parse().expect("a name"));
        request.denied = names.collect();
        let mut given = BTreeSet::new();
        for _ in 0..MANY {
            given.insert(self.ask(address, name, &request).await);
        }
        given
    }

    async fn given_at(&self, address: IpAddr) -> BTreeSet<u8> {
        self.given(address, POOL_NAME, &[]).await
    }

    fn picks(&self, tier: &str, level: &str) -> u64 {
        let labels = format!("tier=\"{tier}\",level=\"{level}\"");
        self.pool
            .metric(&format!("nts_pool_ke_pick_total{{{labels}}}"))
    }
}

fn set<const N: usize>(sources: [u8; N]) -> BTreeSet<u8> {
    BTreeSet::from(sources)
}

#[tokio::test(flavor = "multi_thread")]
async fn users_get_sources_of_their_country_then_of_their_continent_then_of_all() {
    let listed = ["DE", "DE", "NL", "US"].map(in_region);
    let world = World::new(listed.into(), |_| {}).await;
    assert_eq!(world.pool.metric("nts_pool_ke_geo_loaded"), 1);
    assert_eq!(world.given_at(GERMANY).await, set([10, 11]));
    assert_eq!(world.given_at(NETHERLANDS).await, set([12]));
    assert_eq!(world.given_at(UNITED_STATES).await, set([13]));
    assert_eq!(world.picks("t2", "country"), 3 * MANY as u64);
    assert_eq!(world.given_at(JAPAN).await, set([10, 11, 12, 13]));
    assert_eq!(world.given_at(NOWHERE).await, set([10, 11, 12, 13]));
    assert_eq!(world.picks("t2", "global"), 2 * MANY as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_country_with_too_few_sources_is_widened() {
    let listed = ["DE", "NL", "US"].map(in_region);
    let world = World::new(listed.into(), |config| {
        config.selection.local_min_sources = 2;
    })
    .await;
    assert_eq!(world.given_at(GERMANY).await, set([10, 11]));
    assert_eq!(world.picks("t2", "continent"), MANY as u64);
    assert_eq!(world.given_at(UNITED_STATES).await, set([10, 11, 12]));
}

/// P8.
#[tokio::test(flavor = "multi_thread")]
async fn the_only_source_of_a_country_is_denied() {
    let listed = ["DE", "NL", "US"].map(in_region);
    let world = World::new(listed.into(), |_| {}).await;
    assert_eq!(world.given_at(GERMANY).await, set([10]));
    let others = world.given(GERMANY, POOL_NAME, &[10]).await;
    assert_eq!(others, set([11, 12]));
    assert_eq!(world.given(GERMANY, POOL_NAME, &[10, 11]).await, set([12]));
    let denied = world.picks("t3", "country") + world.picks("t3", "global");
    assert_eq!(denied, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn country_outage() {
    let listed = ["DE", "DE", "NL", "US"].map(in_region);
    let world = World::new(listed.into(), |config| {
        config.health = testkit::lab::quick_health();
    })
    .await;
    assert_eq!(world.given_at(GERMANY).await, set([10, 11]));
    let go = async |sources: &[usize], connect| {
        for source in sources {
            world.sources[*source].follow(Script::on_connect(connect));
            world.sources[*source].drop_connections().await;
        }
    };
    go(&[0, 1], Connect::Refuse).await;
    assert_eq!(world.given_at(GERMANY).await, set([12]));
    assert!(world.picks("t2", "continent") >= MANY as u64);
    go(&[2], Connect::Refuse).await;
    assert_eq!(world.given_at(GERMANY).await, set([13]));
    go(&[0, 1, 2], Connect::Serve).await;
    let mut back = BTreeSet::new();
    while back != set([10, 11]) {
        let given = world.ask(GERMANY, POOL_NAME, &plain_request()).await;
        back.insert(given);
        back.remove(&12);
        back.remove(&13);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_numbered_name_stands_for_a_quarter() {
    let world = World::new((0..8).map(|_| anywhere()).collect(), |_| {}).await;
    let mut all = BTreeSet::new();
    for name in NUMBERED_NAMES {
        let quarter = world.given(NOWHERE, name, &[]).await;
        assert_eq!(quarter.len(), 2, "{name}: {quarter:?}");
        assert!(all.is_disjoint(&quarter), "{name}: {quarter:?}");
        all.extend(quarter);
    }
    assert_eq!(all.len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_numbered_name_without_a_source_of_its_own_gives_any() {
    let world = World::new(vec![anywhere(), anywhere()], |_| {}).await;
    for (name, expected) in NUMBERED_NAMES.into_iter().zip([1, 1, 2, 2]) {
        let given = world.given(NOWHERE, name, &[]).await;
        assert_eq!(given.len(), expected, "{name}: {given:?}");
    }
    // Nor is a source that is down, or denied, an error under its number.
    let own = world.given(NOWHERE, NUMBERED_NAMES[0], &[]).await;
    let own = own.into_iter().next().expect("a source");
    let other = set([21 - own]);
    let denied = world.given(NOWHERE, NUMBERED_NAMES[0], &[own]).await;
    assert_eq!(denied, other);
    let dying = &world.sources[usize::from(own - 10)];
    dying.follow(Script::on_connect(Connect::Refuse));
    dying.drop_connections().await;
    assert_eq!(world.given(NOWHERE, NUMBERED_NAMES[0], &[]).await, other);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_number_stays_near_and_the_others_go_wide() {
    let mut listed = vec![in_region("DE")];
    listed.extend((0..7).map(|_| in_region("US")));
    let world = World::new(listed, |_| {}).await;
    let near = world.given(GERMANY, NUMBERED_NAMES[0], &[]).await;
    assert_eq!(near, set([10]));
    let mut wide = BTreeSet::new();
    for name in &NUMBERED_NAMES[1..] {
        wide.extend(world.given(GERMANY, name, &[]).await);
    }
    assert!(wide.len() >= 5, "{wide:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_denies_a_source_gets_another_operator_as_long_as_there_is_one() {
    let listed = || ["a", "a", "b"].map(run_by).into();
    let world = World::new(listed(), |_| {}).await;
    assert_eq!(world.given(NOWHERE, POOL_NAME, &[10]).await, set([12]));
    assert_eq!(world.picks("t1", "global"), MANY as u64);
    assert_eq!(world.given(NOWHERE, POOL_NAME, &[10, 12]).await, set([11]));
    assert_eq!(world.picks("t2", "global"), MANY as u64);
    let all = world.given(NOWHERE, POOL_NAME, &[10, 11, 12]).await;
    assert_eq!(all, set([10, 11, 12]));
    assert_eq!(world.picks("t3", "global"), MANY as u64);
    let indifferent = World::new(listed(), |config| {
        config.selection.operator_diversity = false;
    })
    .await;
    let given = indifferent.given(NOWHERE, POOL_NAME, &[10]).await;
    assert_eq!(given, set([11, 12]));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_denies_everybody_may_be_sent_away() {
    let world = World::new(vec![anywhere()], |config| {
        config.selection.all_denied = AllDenied::Error;
    })
    .await;
    let mut request = plain_request();
    request.denied = vec!["127.0.0.10".parse().expect("a name")];
    let user = world.lab.user();
    let refused = user
        .converse(world.pool.address, POOL_NAME, request.encode().as_ref())
        .await;
    assert_eq!(hex::encode(refused.octets), "80020002000280000000");
    assert_eq!(world.sources[0].seen().keys(), [[0; 0]; 0]);
    eventually("it to be counted", || {
        let series =
            "nts_pool_ke_exchanges_total{outcome=\"no_source\",family=\"ipv4\",kind=\"user\"}";
        (world.pool.metric(series) == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_source_gets_no_user_but_checks() {
    let world = World::new(vec![anywhere(), anywhere()], |config| {
        config.sources.sources[0].weight = 0;
    })
    .await;
    assert_eq!(world.given(NOWHERE, POOL_NAME, &[]).await, set([11]));
    assert_eq!(world.given(NOWHERE, POOL_NAME, &[11]).await, set([11]));
    world.sources[0]
        .wait_for("a check", |seen| !seen.requests.is_empty())
        .await;
    assert_eq!(world.sources[0].seen().keys(), [[0; 0]; 0]);
}

/// Of a hundred thousand sources two have weight: they get all users, and nobody notices the
/// others. Lists that cannot be are refused by the configuration.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_sources() {
    let lab = Lab::new();
    let one = lab.faulty_source(loopback(2), Script::default()).await;
    let two = lab.faulty_source(loopback(3), Script::default()).await;
    let mut entries = vec![one.entry(), two.entry()];
    for number in 2..MAX_SOURCES {
        let [.., high, middle, low] = number.to_be_bytes();
        let idle = SourceConfig::new(&format!("127.{}.{middle}.{low}", 100 + high), 9);
        let mut idle = idle.expect("an address");
        idle.weight = 0;
        entries.push(idle);
    }
    let pool = lab.pool(entries);
    for _ in 0..40 {
        let user = lab.user();
        user.key_exchange(pool.address, POOL_NAME, &plain_request())
            .await
            .expect("cookies");
    }
    let shares = [one, two].map(|source| source.seen().keys().len());
    assert_eq!(shares.iter().sum::<usize>(), 40, "{shares:?}");
}
