use std::collections::HashSet;
use std::time::Duration;

use nts_proto::code_points::{AeadAlgorithm, ErrorCode};

use super::*;
use crate::config::{SourceConfig, UpstreamConfig};
use crate::fleet::State;
use crate::key_rule::Patience;
use crate::selection::{Denial, Family, Location, Snapshot, User};
use crate::testing::{Authority, budget, means, ordinary_request, untended};
use crate::upstream::Class;

/// For exchanges that never come to keys.
struct NoKeys;

impl ExportKeys for NoKeys {
    fn export(self, _: &Negotiated) -> Result<SessionKeys, ExchangeError> {
        Err(ExchangeError::Export)
    }
}

/// So many sources that nobody looks after and nothing is known of.
fn sources(count: u16) -> Arc<Sources> {
    let source = |port| SourceConfig::new("127.0.0.1", port).unwrap();
    let means = means(&Authority::new(), UpstreamConfig::default());
    Arc::new(untended((1..=count).map(source).collect(), &means))
}

/// Fails as many checks as it takes.
fn eject(source: &Source) {
    for _ in 0..2 {
        source.report(Event::CheckFailed(Class::Reach));
    }
    assert_eq!(source.state(), State::Ejected);
}

struct Ground {
    request: KeyExchangeRequest,
    sources: Arc<Sources>,
    snapshot: Arc<Snapshot>,
}

impl Ground {
    fn new(sources: &Arc<Sources>) -> Self {
        Self {
            request: ordinary_request(),
            snapshot: sources.snapshot(),
            sources: Arc::clone(sources),
        }
    }

    fn exchange(&self, time: Duration) -> Exchange<PreKey<'_, NoKeys>> {
        let choice = self.snapshot.choose(User {
            family: Family::V4,
            location: Location::default(),
            label: None,
            denial: Denial::default(),
        });
        let budget = budget(time);
        Exchange::new(&self.request, NoKeys, &self.sources, choice, budget)
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

#[tokio::test]
async fn a_source_without_a_free_slot_comes_last() {
    let ground = Ground::new(&sources(3));
    let busy = &ground.sources.all()[2];
    let mut slots = Vec::new();
    while busy.slots.is_free() {
        slots.push(busy.slots.take().await);
    }
    let mut exchange = ground.exchange(Duration::from_secs(1));
    let attempts = std::iter::from_fn(|| exchange.state.next());
    let attempts: Vec<_> = attempts
        .map(|it| (it.attempt.pick.source.get(), it.attempt.patience))
        .collect();
    assert_eq!(attempts[2], (2, Patience::Last));
    assert_eq!(attempts[0].1, Patience::Short);
    assert_eq!(attempts[1].1, Patience::Long);
}

#[tokio::test]
async fn ejected_sources_are_not_picked_by_anybody() {
    let sources = sources(9);
    for source in &sources.all()[..3] {
        eject(source);
    }
    let ground = Ground::new(&sources);
    let mut picked = HashSet::new();
    for _ in 0..200 {
        let mut exchange = ground.exchange(Duration::from_secs(1));
        while let Some(tried) = exchange.state.next() {
            picked.insert(tried.attempt.pick.source.get());
        }
    }
    assert_eq!(picked, HashSet::from([3, 4, 5, 6, 7, 8]));
}

#[tokio::test]
async fn without_time_no_source_is_tried() {
    let ground = Ground::new(&sources(1));
    let mut exchange = ground.exchange(Duration::ZERO);
    let mut report = Report::default();
    let found = exchange.find_candidate(&mut report).await;
    assert!(matches!(found, Err(ExchangeError::BeforeKeysTimeout)));
    assert!(report.picks.is_empty());
}

#[tokio::test]
async fn nothing_is_in_common_only_if_that_is_known_of_every_source() {
    let ground = Ground::new(&sources(2));
    let exchange = ground.exchange(Duration::from_secs(1));
    let answer = || exchange.state.nothing_left().answer();
    let failure = Some(Refusal::Error(ErrorCode::InternalServerError));
    assert_eq!(answer(), failure);
    let [one, other] = ground.sources.all() else {
        panic!("two sources");
    };
    one.board.learn_in_test(&[AeadAlgorithm::AesSivCmac512]);
    assert_eq!(answer(), failure);
    other.board.learn_in_test(&[AeadAlgorithm::AesSivCmac512]);
    let refusal = Refusal::NoCommonAlgorithm(ProtocolId::Ntpv4);
    assert_eq!(answer(), Some(refusal));
    // It could serve, but may not be picked.
    other.board.learn_in_test(&[AeadAlgorithm::AesSivCmac256]);
    assert_eq!(answer(), failure);
}
