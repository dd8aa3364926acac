use std::time::Duration;

use super::*;
use crate::config::{SourceConfig, UpstreamConfig};
use crate::testing::{Authority, budget, means, ordinary_request};
use crate::upstream::Class;

/// For exchanges that never come to keys.
struct NoKeys;

impl ExportKeys for NoKeys {
    fn export(self, _: &Negotiated) -> Result<SessionKeys, ExchangeError> {
        Err(ExchangeError::Export)
    }
}

/// Sources that nobody looks after and nothing is known of.
fn sources(count: u16) -> Vec<Arc<Source>> {
    let means = means(&Authority::new(), UpstreamConfig::default());
    let source = |port| SourceConfig::new("127.0.0.1", port).unwrap();
    (1..=count)
        .map(|port| Arc::new(Source::new(source(port), Arc::clone(&means))))
        .collect()
}

fn of(sources: &[Arc<Source>]) -> Sources<'_> {
    Sources {
        all: sources,
        attempts: 3,
    }
}

fn set_aside(source: &Source) {
    for _ in 0..2 {
        source.failed(Event::FailedBeforeKeys, Class::Reach);
    }
}

fn exchange<'a>(
    request: &'a KeyExchangeRequest,
    sources: &'a [Arc<Source>],
) -> Exchange<PreKey<'a, NoKeys>> {
    let budget = budget(Duration::from_secs(1));
    Exchange::new(request, NoKeys, of(sources), budget).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_time_for_a_source_depends_on_the_others() {
    let request = ordinary_request();
    let sources = sources(3);
    let mut exchange = exchange(&request, &sources);
    assert_eq!(exchange.state.pick().unwrap().1, Trial::Short);
    set_aside(&sources[0]);
    set_aside(&sources[1]);
    let (pick, trial) = exchange.state.pick().unwrap();
    assert_eq!((pick.index, trial), (2, Trial::Long));
    // Those that failed lately are as good as each other.
    exchange.state.excluded[2] = Some(Excluded::Tried);
    let (pick, trial) = exchange.state.pick().unwrap();
    assert_eq!(trial, Trial::Short);
    exchange.state.excluded[pick.index] = Some(Excluded::Tried);
    assert_eq!(exchange.state.pick().unwrap().1, Trial::Last);
}

#[test]
fn only_slow_sources_are_readmitted_and_only_once() {
    let request = ordinary_request();
    let sources = sources(3);
    let mut exchange = exchange(&request, &sources);
    exchange.state.excluded = vec![
        Some(Excluded::Tried),
        Some(Excluded::Slow),
        Some(Excluded::Mismatch(Refusal::NoCommonProtocol)),
    ];
    assert!(exchange.state.pick().is_none());
    assert!(exchange.state.readmit_slow());
    let (pick, trial) = exchange.state.pick().unwrap();
    assert_eq!((pick.index, trial), (1, Trial::Last));
    exchange.state.excluded[1] = Some(Excluded::Tried);
    assert!(!exchange.state.readmit_slow());
}

#[tokio::test]
async fn without_time_no_source_is_tried() {
    let request = ordinary_request();
    let sources = sources(1);
    let budget = budget(Duration::ZERO);
    let exchange = Exchange::new(&request, NoKeys, of(&sources), budget);
    let mut exchange = exchange.unwrap_or_else(|error| panic!("{error}"));
    let mut report = Report::default();
    let found = exchange.find_candidate(&mut report).await;
    assert!(matches!(found, Err(ExchangeError::BeforeKeysTimeout)));
    assert!(report.picks.is_empty());
}

#[test]
fn sources_that_differ_in_what_they_refuse_are_told_by_the_better() {
    let request = ordinary_request();
    let sources = sources(2);
    let mut exchange = exchange(&request, &sources);
    assert!(matches!(
        exchange.state.nothing_left(),
        ExchangeError::NoSource
    ));
    let refusals = [
        Refusal::NoCommonProtocol,
        Refusal::NoCommonAlgorithm(ProtocolId::Ntpv4),
    ];
    for order in [[0, 1], [1, 0]] {
        let mismatch = |index: usize| Some(Excluded::Mismatch(refusals[index]));
        exchange.state.excluded = order.map(mismatch).to_vec();
        let error = exchange.state.nothing_left();
        assert_eq!(error.answer(), Some(refusals[1]));
    }
}
