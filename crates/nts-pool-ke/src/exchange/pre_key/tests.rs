use std::collections::HashSet;
use std::time::Duration;

use nts_proto::code_points::{AeadAlgorithm, ErrorCode};

use super::*;
use crate::config::{SourceConfig, UpstreamConfig};
use crate::fleet::State;
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
    denial: Denial,
}

impl Ground {
    fn new(sources: &Arc<Sources>) -> Self {
        Self {
            request: ordinary_request(),
            snapshot: sources.snapshot(),
            sources: Arc::clone(sources),
            denial: Denial::default(),
        }
    }

    fn exchange(&self, time: Duration) -> Exchange<PreKey<'_, NoKeys>> {
        let choice = self.snapshot.choose(User {
            family: Family::V4,
            location: Location::default(),
            label: None,
            denial: &self.denial,
        });
        let budget = budget(time);
        Exchange::new(&self.request, NoKeys, &self.sources, choice, budget)
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

#[tokio::test]
async fn the_time_for_a_source_depends_on_the_others() {
    let ground = Ground::new(&sources(3));
    let mut exchange = ground.exchange(Duration::from_secs(1));
    for trial in [Trial::Short, Trial::Short, Trial::Last] {
        assert_eq!(exchange.state.pick().unwrap().2, trial);
    }
    assert!(exchange.state.pick().is_none());
    // One whose slots are all taken is not as good.
    let busy = &ground.sources.all()[2];
    let mut slots = Vec::new();
    while busy.slots.is_free() {
        slots.push(busy.slots.take().await);
    }
    let mut exchange = ground.exchange(Duration::from_secs(1));
    for trial in [Trial::Short, Trial::Long, Trial::Last] {
        assert_eq!(exchange.state.pick().unwrap().2, trial);
    }
}

#[tokio::test]
async fn ejected_sources_are_not_picked_by_anybody() {
    let sources = sources(9);
    for source in &sources.all()[..3] {
        eject(source);
    }
    let ground = Ground::new(&sources);
    let mut exchange = ground.exchange(Duration::from_secs(1));
    let picks = std::iter::from_fn(|| exchange.state.pick());
    let picked: HashSet<_> = picks.map(|(pick, ..)| pick.source.get()).collect();
    assert_eq!(picked, HashSet::from([3, 4, 5, 6, 7, 8]));
}

#[tokio::test]
async fn only_slow_sources_are_readmitted_and_only_once() {
    let ground = Ground::new(&sources(3));
    let mut exchange = ground.exchange(Duration::from_secs(1));
    let slow = exchange.state.pick().unwrap().0.source;
    while exchange.state.pick().is_some() {}
    exchange.state.slow.push(slow);
    assert!(exchange.state.readmit_slow());
    let (pick, _, trial) = exchange.state.pick().unwrap();
    assert_eq!((pick.source, trial), (slow, Trial::Last));
    assert!(!exchange.state.readmit_slow());
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
