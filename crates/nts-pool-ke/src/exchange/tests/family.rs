//! Sources that have to be asked over the family of the user's address.

use super::*;
use crate::selection::Family;

#[tokio::test]
async fn a_source_is_asked_over_the_users_family_where_that_matters() {
    let authority = Authority::new();
    let identity = authority.identity("a.test");
    let source = TestSource::start(&identity, Script::default()).await;
    let resolver = TestResolver::finding(&["127.0.0.1"]);
    let means = means_with(&authority, UpstreamConfig::default(), resolver);
    let mut config = SourceConfig::new("a.test", source.address.port()).unwrap();
    config.match_family = true;
    let pool = TestPool::with_means(vec![config], &means);
    pool.settle().await;
    assert_eq!(pool.source(0).idle.len(), 1);
    let of = |family| Origin {
        family,
        ..somewhere()
    };
    let request = ordinary_request();
    let ask = async |family| {
        let mut report = Report::default();
        let budget = budget(PLENTY);
        let sources = &pool.sources;
        run(
            &request,
            KeysOf(7),
            of(family),
            sources,
            budget,
            &mut report,
        )
        .await
    };
    let refused = ask(Family::V6).await.unwrap_err();
    assert!(
        matches!(&refused, ExchangeError::BeforeKeys(error) if error.class() == Class::Local),
        "{refused}"
    );
    // The connection that is kept is of the other family, and stays.
    assert_eq!(pool.source(0).idle.len(), 1);
    ask(Family::V4).await.unwrap();
    assert_eq!(source.seen.lock().unwrap().connections, 1 + 1);
    assert_eq!(source.keys().len(), 1);
}
