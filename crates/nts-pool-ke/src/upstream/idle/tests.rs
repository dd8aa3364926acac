use tokio::time::{advance, pause};

use super::*;
use crate::config::UpstreamConfig;
use crate::source::Source;
use crate::testing::{Authority, Script, TestSource, means, untended};

/// A source that keeps `idle_per_source` connections, or three while it is busy.
async fn source(idle_per_source: usize) -> (TestSource, Arc<Source>) {
    let authority = Authority::new();
    let identity = authority.identity("127.0.0.1");
    let remote = TestSource::start(&identity, Script::default()).await;
    let policy = UpstreamConfig {
        source_concurrency: 3,
        idle_per_source,
        ..UpstreamConfig::default()
    };
    let sources = untended(vec![remote.config()], &means(&authority, policy));
    let source = Arc::clone(&sources.all()[0]);
    (remote, source)
}

async fn connections(source: &Source, count: usize) -> Vec<Connection> {
    let mut open = Vec::new();
    for _ in 0..count {
        open.push(source.open(None).await.unwrap());
    }
    open
}

/// How many of these were sent away.
fn park(source: &Source, connections: Vec<Connection>) -> usize {
    let parked = connections.into_iter();
    parked.filter_map(|it| source.idle.park(it)).count()
}

#[tokio::test]
async fn a_busy_source_keeps_what_it_uses_at_a_time() {
    let (_remote, source) = source(1).await;
    let open = connections(&source, 4).await;
    assert_eq!(park(&source, open), 1);
    assert_eq!(source.idle.len(), 3);
}

#[tokio::test]
async fn surplus_connections_that_nobody_needs_go_soon() {
    let (_remote, source) = source(1).await;
    let open = connections(&source, 3).await;
    pause();
    assert_eq!(park(&source, open), 0);
    advance(SURPLUS_LIMIT / 2).await;
    assert_eq!(source.idle.renew(None, Instant::now()).len(), 0);
    advance(SURPLUS_LIMIT / 2).await;
    // One by one while there are users, and at once when the source is checked.
    let taken = source.idle.take(None, Instant::now(), &mut 0).unwrap();
    assert_eq!(park(&source, vec![taken]), 1);
    assert_eq!(source.idle.len(), 2);
    assert_eq!(source.idle.renew(None, Instant::now()).len(), 1);
    assert_eq!(source.idle.len(), 1);
    advance(Duration::from_secs(60)).await;
    assert_eq!(source.idle.renew(None, Instant::now()).len(), 0);
}

#[tokio::test]
async fn who_wants_none_to_wait_gets_none() {
    let (_remote, source) = source(0).await;
    let open = connections(&source, 2).await;
    assert_eq!(park(&source, open), 2);
    assert_eq!(source.idle.len(), 0);
}
