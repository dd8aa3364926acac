use std::sync::atomic::Ordering::SeqCst;

use tokio::task::yield_now;
use tokio::time::advance;

use super::*;
use crate::testing::TestResolver;

const NAME: &str = "a.test";

fn named(resolver: &Arc<TestResolver>, deny_private: bool) -> Addresses {
    let name = ServerName::try_from(NAME).unwrap();
    Addresses::new(&name, 4460, deny_private, Arc::clone(resolver) as _)
}

fn with_port(addresses: &[&str]) -> Vec<SocketAddr> {
    let address = |text: &&str| SocketAddr::new(text.parse().unwrap(), 4460);
    addresses.iter().map(address).collect()
}

/// What the addresses are now; a look-up that this starts has ended when this returns.
async fn now(addresses: &Addresses) -> Result<Vec<SocketAddr>, String> {
    let found = addresses.get().await;
    yield_now().await;
    found
        .map(|found| found.to_vec())
        .map_err(|error| error.to_string())
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn a_name_is_looked_up_once_a_minute() {
    let resolver = TestResolver::finding(&["192.0.2.1"]);
    let addresses = named(&resolver, false);
    for _ in 0..10 {
        assert_eq!(now(&addresses).await, Ok(with_port(&["192.0.2.1"])));
    }
    resolver.find(&["192.0.2.2"]);
    advance(seconds(59)).await;
    assert_eq!(now(&addresses).await, Ok(with_port(&["192.0.2.1"])));
    assert_eq!(resolver.asked.load(SeqCst), 1);
    advance(seconds(1)).await;
    // Nobody waits for what is new.
    assert_eq!(now(&addresses).await, Ok(with_port(&["192.0.2.1"])));
    assert_eq!(now(&addresses).await, Ok(with_port(&["192.0.2.2"])));
    assert_eq!(resolver.asked.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn dns_stale() {
    let resolver = TestResolver::finding(&["192.0.2.1"]);
    let addresses = named(&resolver, false);
    now(&addresses).await.unwrap();
    resolver.fail();
    for _ in 0..23 {
        advance(seconds(3600)).await;
        assert_eq!(now(&addresses).await, Ok(with_port(&["192.0.2.1"])));
    }
    advance(seconds(3599)).await;
    assert_eq!(now(&addresses).await, Ok(with_port(&["192.0.2.1"])));
    advance(seconds(1)).await;
    assert_eq!(
        now(&addresses).await,
        Err("its name could not be resolved: timed out".to_owned())
    );
    resolver.find(&["192.0.2.2"]);
    advance(RETRY).await;
    assert_eq!(now(&addresses).await, Ok(with_port(&["192.0.2.2"])));
}

#[tokio::test(start_paused = true)]
async fn a_failed_look_up_is_repeated_soon_but_not_at_once() {
    let resolver = Arc::new(TestResolver::default());
    resolver.fail();
    let addresses = named(&resolver, false);
    for _ in 0..10 {
        assert!(now(&addresses).await.is_err());
    }
    assert_eq!(resolver.asked.load(SeqCst), 1);
    resolver.find(&["192.0.2.1"]);
    advance(RETRY).await;
    assert!(now(&addresses).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn all_wait_for_the_same_look_up_and_none_for_ever() {
    let resolver = Arc::new(TestResolver::default());
    let addresses = Arc::new(named(&resolver, false));
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let addresses = Arc::clone(&addresses);
        waiting.spawn(async move { tokio::time::timeout(seconds(1), addresses.get()).await });
    }
    assert!(waiting.join_all().await.iter().all(Result::is_err));
    assert_eq!(resolver.asked.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_resolver_does_not_hold_up_those_who_know_addresses() {
    let resolver = TestResolver::finding(&["192.0.2.1"]);
    let addresses = named(&resolver, false);
    now(&addresses).await.unwrap();
    resolver.be_silent();
    for _ in 0..10 {
        advance(seconds(100)).await;
        assert_eq!(now(&addresses).await, Ok(with_port(&["192.0.2.1"])));
    }
    assert_eq!(resolver.asked.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn private_addresses_are_left_out_where_they_are_denied() {
    let resolver = TestResolver::finding(&["10.0.0.1", "1.1.1.1", "fe80::1"]);
    let addresses = named(&resolver, true);
    assert_eq!(now(&addresses).await, Ok(with_port(&["1.1.1.1"])));
    let everything = with_port(&["10.0.0.1", "1.1.1.1", "fe80::1"]);
    assert_eq!(now(&named(&resolver, false)).await, Ok(everything));
}

/// What a name led to before is no better than what it leads to now: whoever moves it there may
/// have let go of the old addresses.
#[tokio::test(start_paused = true)]
async fn a_name_that_moves_to_private_addresses_is_refused_at_once() {
    let resolver = TestResolver::finding(&["1.1.1.1"]);
    let addresses = named(&resolver, true);
    now(&addresses).await.unwrap();
    resolver.find(&["127.0.0.1", "169.254.169.254"]);
    advance(REFRESH).await;
    now(&addresses).await.unwrap();
    let refused = Err(UpstreamError::PrivateAddress.to_string());
    assert_eq!(now(&addresses).await, refused);
    resolver.fail();
    advance(RETRY).await;
    now(&addresses).await.unwrap_err();
    resolver.find(&["1.1.1.1"]);
    advance(RETRY).await;
    assert_eq!(now(&addresses).await, Ok(with_port(&["1.1.1.1"])));
}

#[tokio::test(start_paused = true)]
async fn a_name_without_addresses_is_a_failure() {
    let resolver = TestResolver::finding(&[]);
    assert_eq!(
        now(&named(&resolver, false)).await,
        Err("its name could not be resolved: it has no address".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn an_address_needs_no_look_up() {
    let resolver = Arc::new(TestResolver::default());
    let fixed = |text: &str, deny_private| {
        let name = ServerName::try_from(text).unwrap();
        Addresses::new(&name, 4460, deny_private, Arc::clone(&resolver) as _)
    };
    let addresses = fixed("127.0.0.1", false);
    assert_eq!(now(&addresses).await, Ok(with_port(&["127.0.0.1"])));
    advance(2 * STALE).await;
    assert_eq!(now(&addresses).await, Ok(with_port(&["127.0.0.1"])));
    assert!(now(&fixed("127.0.0.1", true)).await.is_err());
    assert!(now(&fixed("2606:4700::1111", true)).await.is_ok());
    assert_eq!(resolver.asked.load(SeqCst), 0);
}
