//! How a pool deals with its time sources: where it connects to, and what it takes from them.
#![cfg(feature = "unstable_nts-pool")]

use nts_pool_ke::SourceConfig;
use testkit::faulty_source::{Script, Setup};
use testkit::lab::{POOL_NAME, entry, loopback};
use testkit::user::plain_request;
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
