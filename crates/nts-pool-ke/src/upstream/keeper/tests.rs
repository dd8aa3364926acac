use nts_proto::code_points::ErrorCode;
use nts_proto::ke::number_set::NumberSet;
use nts_proto::ke::token::AuthenticationToken;

use super::*;
use crate::config::SourceConfig;
use crate::source::State;
use crate::testing::{Authority, Script, TestPool, TestSource};
use crate::upstream::{Class, Dialect};

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
    let known = pool.sources[0].board.learn().await;
    known
        .map(|known| (known.phrasing.number_set, known.phrasing.modern))
        .map_err(|error| error.class())
}

#[tokio::test]
async fn present_numbers_are_tried_first() {
    let (source, pool) = kept(Script::default(), |_| {}).await;
    assert_eq!(phrasing(&pool).await, Ok((NumberSet::Ietf, true)));
    assert_eq!(source.seen.lock().unwrap().info_requests, 1);
    assert_eq!(pool.sources[0].state(Instant::now()), State::InUse);
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
    pool.sources[0].board.contradicted();
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
    assert_eq!(pool.sources[0].idle.len(), 0);
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
async fn a_source_that_does_not_accept_us_is_set_aside_and_comes_back() {
    let script = refusing(ErrorCode::BadRequest);
    let (source, pool) = kept(script, with_dialect(Dialect::Ietf)).await;
    assert_eq!(phrasing(&pool).await, Err(Class::Auth));
    assert_eq!(pool.sources[0].state(Instant::now()), State::Aside);
    let asked = source.seen.lock().unwrap().info_requests;
    // It is not asked again at once, however many users come.
    for _ in 0..100 {
        assert_eq!(phrasing(&pool).await, Err(Class::Auth));
    }
    assert_eq!(source.seen.lock().unwrap().info_requests, asked);
    source.script.lock().unwrap().info_error = None;
    while phrasing(&pool).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(pool.sources[0].state(Instant::now()), State::InUse);
}

#[tokio::test]
async fn one_check_serves_all_who_wait() {
    let (source, pool) = kept(Script::default(), |_| {}).await;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let source = Arc::clone(&pool.sources[0]);
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
        pool.sources[0].board.contradicted();
        phrasing(&pool).await.unwrap();
    }
    assert_eq!(pool.sources[0].idle.len(), 1);
    assert_eq!(source.seen.lock().unwrap().keys.len(), 0);
}
