//! The pool's judgement of its sources, as users meet it: who gets none, and who gets them back.
#![cfg(feature = "unstable_nts-pool")]

use nts_pool_ke::fleet::State;
use nts_pool_ke::selection::Families;
use testkit::Lab;
use testkit::faulty_source::{Connect, Kind, Script};
use testkit::lab::{POOL_NAME, RealSource, RunningPool, loopback, quick_health};
use testkit::user::plain_request;

async fn serve_one(lab: &Lab, pool: &RunningPool) -> String {
    let session = lab
        .user()
        .key_exchange(pool.address, POOL_NAME, &plain_request())
        .await
        .expect("cookies");
    session.response.server.expect("a server").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ejected_source_gets_users_back_after_checks_that_cost_none_of_them() {
    let lab = Lab::new();
    let bad = lab
        .faulty_source(loopback(2), Script::on_connect(Connect::Close))
        .await;
    let good = [3, 4, 5].map(|last| lab.source(loopback(last)));
    let mut entries = vec![bad.entry()];
    entries.extend(good.iter().map(RealSource::entry));
    let pool = lab.pool_with(entries, |config| config.health = quick_health());
    while !pool.is_in(bad.address(), State::Ejected) {
        serve_one(&lab, &pool).await;
    }
    bad.follow(Script::default());
    while bad.seen().count(Kind::FixedKey) == 0 {
        serve_one(&lab, &pool).await;
    }
    let seen = bad.seen();
    let kinds = seen.requests.iter().map(|asked| asked.kind);
    let before_users = kinds.take_while(|kind| *kind != Kind::FixedKey).count();
    assert!(
        before_users >= 2,
        "it got users after {before_users} checks"
    );
    while !pool.is_in(bad.address(), State::Healthy) {
        serve_one(&lab, &pool).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_get_no_source_of_the_other_family() {
    let lab = Lab::new();
    let sources = [2, 3].map(|last| lab.source(loopback(last)));
    let [mut six, four] = sources.each_ref().map(RealSource::entry);
    six.families = Families {
        v4: false,
        v6: true,
    };
    let pool = lab.pool(vec![six, four]);
    for _ in 0..20 {
        assert_eq!(serve_one(&lab, &pool).await, "127.0.0.3");
    }
}
