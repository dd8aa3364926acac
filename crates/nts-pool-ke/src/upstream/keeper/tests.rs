use nts_proto::code_points::ErrorCode;
use nts_proto::ke::number_set::NumberSet;
use nts_proto::ke::token::AuthenticationToken;

use super::*;
use crate::config::{SourceConfig, UpstreamConfig};
use crate::fleet::State;
use crate::testing::{
    Authority, Script, TestPool, TestResolver, TestSource, means, means_with, untended,
};
use crate::upstream::{Class, Dialect, IdleShare, Node, SystemResolver};

/// One source and the pool that keeps it.
async fn kept(script: Script, configure: impl FnOnce(&mut SourceConfig)) -> (TestSource, TestPool) {
    let authority = Authority::new();
    let source = TestSource::start(&authority.identity("127.0.0.1"), script).await;
    let mut config = source.config();
    configure(&mut config);
    let pool = TestPool::new(&authority, vec![config]);
    (source, pool)
}

fn with_dialect(dialect: Dialect) -> impl FnOnce(&mut SourceConfig) {
    move |config| config.dialect = dialect
}

fn old_numbers() -> Script {
    Script {
        number_set: NumberSet::Draft,
        ..Script::default()
    }
}

fn refusing(code: ErrorCode) -> Script {
    Script {
        info_error: Some(code),
        ..Script::default()
    }
}

async fn phrasing(pool: &TestPool) -> Result<(NumberSet, bool), Class> {
    let known = pool.source(0).board.learn().await;
    known
        .map(|known| (known.phrasing.number_set, known.phrasing.modern))
        .map_err(|error| error.class())
}

#[tokio::test]
async fn present_numbers_are_tried_first() {
    let (source, pool) = kept(Script::default(), |_| {}).await;
    assert_eq!(phrasing(&pool).await, Ok((NumberSet::Ietf, true)));
    assert_eq!(source.seen.lock().unwrap().info_requests, 1);
    assert_eq!(pool.source(0).state(), State::Healthy);
}

#[tokio::test]
async fn old_numbers_are_found_out() {
    let (_source, pool) = kept(old_numbers(), |_| {}).await;
    assert_eq!(phrasing(&pool).await, Ok((NumberSet::Draft, true)));
}

#[tokio::test]
async fn a_source_that_moves_to_other_numbers_is_found_again() {
    let (source, pool) = kept(old_numbers(), |_| {}).await;
    assert_eq!(phrasing(&pool).await, Ok((NumberSet::Draft, true)));
    source.script.lock().unwrap().number_set = NumberSet::Ietf;
    pool.source(0).board.mistrust();
    assert_eq!(phrasing(&pool).await, Ok((NumberSet::Ietf, true)));
}

#[tokio::test]
async fn a_configured_dialect_is_kept_to() {
    let (source, pool) = kept(old_numbers(), with_dialect(Dialect::Ietf)).await;
    assert_eq!(phrasing(&pool).await, Err(Class::Auth));
    assert_eq!(source.seen.lock().unwrap().connections, 1);
}

#[tokio::test]
async fn the_first_implementation_is_asked_for_algorithms_only() {
    let script = Script {
        protocol_list: false,
        keep_alive: false,
        ..old_numbers()
    };
    let (_source, pool) = kept(script, with_dialect(Dialect::DraftMtls)).await;
    assert_eq!(phrasing(&pool).await, Ok((NumberSet::Draft, false)));
    assert_eq!(pool.source(0).idle.len(), 0);
}

#[tokio::test]
async fn the_token_goes_into_every_request_but_not_beside_client_certificates() {
    let token = AuthenticationToken::new("0123456789abcdef0123456789abcdef").unwrap();
    for dialect in [Dialect::Auto, Dialect::DraftToken, Dialect::DraftMtls] {
        let script = if dialect == Dialect::Auto {
            Script::default()
        } else {
            old_numbers()
        };
        let (source, pool) = kept(script, |config| {
            config.dialect = dialect;
            config.auth_token = Some(token.clone());
        })
        .await;
        phrasing(&pool).await.unwrap();
        let seen = source.seen.lock().unwrap();
        for sent in &seen.tokens {
            let sent = sent.as_ref().is_some_and(|sent| sent.matches(&token));
            assert_eq!(sent, dialect != Dialect::DraftMtls, "{dialect:?}");
        }
        assert!(!seen.tokens.is_empty());
    }
}

#[tokio::test]
async fn a_source_that_does_not_accept_us_is_asked_again_by_itself() {
    let script = refusing(ErrorCode::BadRequest);
    let (source, pool) = kept(script, with_dialect(Dialect::Ietf)).await;
    assert_eq!(phrasing(&pool).await, Err(Class::Auth));
    assert!(!pool.sources.directory().is_ready());
    let asked = || source.seen.lock().unwrap().info_requests;
    let before = asked();
    // By the timetable, which may be due just now, however many users come.
    for _ in 0..10 {
        assert_eq!(phrasing(&pool).await, Err(Class::Auth));
    }
    let meanwhile = asked() - before;
    assert!(meanwhile <= 1, "{meanwhile} questions for 10 users");
    source.script.lock().unwrap().info_error = None;
    let ready = async {
        while !pool.sources.directory().is_ready() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), ready).await.unwrap();
    assert!(phrasing(&pool).await.is_ok());
}

#[tokio::test]
async fn one_check_serves_all_who_wait() {
    let (source, pool) = kept(Script::default(), |_| {}).await;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let source = Arc::clone(pool.source(0));
        waiting.spawn(async move { source.board.learn().await.is_ok() });
    }
    assert!(waiting.join_all().await.into_iter().all(|ok| ok));
    assert_eq!(source.seen.lock().unwrap().info_requests, 1);
}

#[tokio::test]
async fn a_check_that_is_wanted_leaves_one_warm_connection() {
    let (source, pool) = kept(Script::default(), |_| {}).await;
    phrasing(&pool).await.unwrap();
    for _ in 0..3 {
        pool.source(0).board.mistrust();
        phrasing(&pool).await.unwrap();
    }
    assert_eq!(pool.source(0).idle.len(), 1);
    assert_eq!(source.seen.lock().unwrap().keys.len(), 0);
}

/// Time that passes at once. What is due in it happens after it.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn connections_to_addresses_that_the_source_has_left_are_closed() {
    let authority = Authority::new();
    let identity = authority.identity("a.test");
    let source = TestSource::start_at("0.0.0.0", &identity, Script::default()).await;
    let resolver = TestResolver::finding(&["127.0.0.1"]);
    let means = means_with(&authority, UpstreamConfig::default(), resolver.clone());
    let config = SourceConfig::new("a.test", source.address.port()).unwrap();
    let pool = TestPool::with_means(vec![config], &means);
    phrasing(&pool).await.unwrap();
    let peer = async || loop {
        if let Some(connection) = pool.source(0).idle.take(None, Instant::now(), &mut 0) {
            let peer = connection.peer().unwrap().ip().to_string();
            assert!(pool.source(0).idle.park(connection).is_none());
            return peer;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(peer().await, "127.0.0.1");
    // Another address does not make the first a worse one.
    resolver.find(&["127.0.0.1", "127.0.0.2"]);
    pass(Duration::from_secs(61)).await;
    pool.source(0).board.mistrust();
    phrasing(&pool).await.unwrap();
    assert_eq!(peer().await, "127.0.0.1");
    resolver.find(&["127.0.0.2"]);
    pass(Duration::from_secs(61)).await;
    pool.source(0).board.mistrust();
    phrasing(&pool).await.unwrap();
    while peer().await == "127.0.0.1" {
        tokio::task::yield_now().await;
    }
    assert_eq!(peer().await, "127.0.0.2");
    assert_eq!(pool.source(0).idle.len(), 1);
}

#[tokio::test]
async fn what_is_known_for_five_minutes_is_renewed_when_it_is_used() {
    let authority = Authority::new();
    let identity = authority.identity("127.0.0.1");
    let source = TestSource::start(&identity, Script::default()).await;
    let policy = UpstreamConfig {
        info_interval: Duration::from_secs(1800),
        ..UpstreamConfig::default()
    };
    let pool = TestPool::with_policy(&authority, vec![source.config()], policy);
    let info_requests = || source.seen.lock().unwrap().info_requests;
    phrasing(&pool).await.unwrap();
    pass(Duration::from_secs(299)).await;
    phrasing(&pool).await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!(info_requests(), 1);
    pass(Duration::from_secs(1)).await;
    // Nobody waits for it.
    let before = pool.source(0).board.known(Instant::now()).unwrap().learnt;
    assert_eq!(pool.source(0).board.learn().await.unwrap().learnt, before);
    while info_requests() < 2 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_source_that_waits_for_its_first_check_is_checked_when_a_user_comes() {
    let authority = Authority::new();
    let identity = authority.identity("127.0.0.1");
    let source = TestSource::start(&identity, Script::default()).await;
    let means = means(&authority, UpstreamConfig::default());
    let sources = untended(vec![source.config()], &means);
    let kept = Arc::clone(&sources.all()[0]);
    let (_present, present) = watch::channel(Arc::clone(&kept));
    let all = Arc::new(crate::sources::Present::new(sources));
    let metrics = Arc::new(Metrics::new(&Default::default(), all));
    let keeper = tokio::spawn(keep(present, metrics));
    assert!(kept.board.known(Instant::now()).is_none());
    assert!(kept.board.learn().await.is_ok());
    keeper.abort();
}

#[tokio::test]
async fn nobody_waits_in_vain_for_a_source_that_is_not_wanted_any_more() {
    let authority = Authority::new();
    let identity = authority.identity("127.0.0.1");
    let source = TestSource::start(&identity, Script::default()).await;
    for somebody_waits in [true, false] {
        let means = means(&authority, UpstreamConfig::default());
        let sources = untended(vec![source.config()], &means);
        let kept = Arc::clone(&sources.all()[0]);
        let all = Arc::new(crate::sources::Present::new(sources));
        let metrics = Arc::new(Metrics::new(&Default::default(), all));
        let (present, keeping) = watch::channel(Arc::clone(&kept));
        let keeper = tokio::spawn(keep(keeping, metrics));
        if somebody_waits {
            kept.board.want_check();
        }
        drop(present);
        timeout(CHECK_LIMIT * 2, keeper).await.unwrap().unwrap();
        let learnt = timeout(CHECK_LIMIT, kept.board.learn()).await.unwrap();
        assert_eq!(learnt.is_ok(), somebody_waits);
    }
}

#[tokio::test]
async fn all_sources_together_keep_no_more_idle_connections_than_files_allow() {
    let authority = Authority::new();
    let identity = authority.identity("127.0.0.1");
    let policy = UpstreamConfig::default();
    let mut means = Arc::into_inner(means(&authority, policy)).unwrap();
    let resolver = Arc::new(SystemResolver::default());
    means.node = Arc::new(Node::new(IdleShare::new(2), resolver));
    let means = Arc::new(means);
    let mut sources = Vec::new();
    for _ in 0..4 {
        sources.push(TestSource::start(&identity, Script::default()).await);
    }
    let configs = sources.iter().map(TestSource::config).collect();
    let pool = TestPool::with_means(configs, &means);
    pool.settle().await;
    let idle = || {
        pool.sources
            .all()
            .iter()
            .map(|it| it.idle.len())
            .sum::<usize>()
    };
    assert_eq!(idle(), 2);
    // Whoever takes one makes room for another.
    let has_one = |it: &&Arc<Source>| it.idle.len() == 1;
    let taken = pool.sources.all().iter().find(has_one).unwrap();
    let connection = taken.idle.take(None, Instant::now(), &mut 0).unwrap();
    assert_eq!(idle(), 1);
    assert!(taken.idle.park(connection).is_none());
    let other = pool
        .sources
        .all()
        .iter()
        .find(|it| it.idle.len() == 0)
        .unwrap();
    let surplus = other.idle.park(other.open(None).await.unwrap());
    assert!(surplus.is_some());
    assert_eq!(idle(), 2);
}
