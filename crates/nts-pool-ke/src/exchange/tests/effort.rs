//! Sources that take long, and how much is done about them.

use tokio::net::TcpListener;

use super::*;
use crate::sources::Sources;
use crate::testing::{means, untended};

/// A source that says nothing and another that is well, of both of which it is known what they
/// support. The first one is far away, and picked by almost every user.
struct Ground {
    _silent: TcpListener,
    good: TestSource,
    sources: Sources,
}

impl Ground {
    async fn new() -> Self {
        let authority = Authority::new();
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = sources(&authority, vec![Script::default()]).await.remove(0);
        let port = silent.local_addr().unwrap().port();
        let mut config = SourceConfig::new("127.0.0.1", port).unwrap();
        config.weight = 1000;
        let means = means(&authority, UpstreamConfig::default());
        let sources = untended(vec![config, good.config()], &means);
        for source in sources.all() {
            source.board.learn_in_test(&[AeadAlgorithm::AesSivCmac256]);
        }
        // Four of these are less than what is left after another one has been tried.
        sources.all()[0].note_round_trip(SECOND);
        Self {
            _silent: silent,
            good,
            sources,
        }
    }

    async fn exchange(&self) -> (bool, Report, Duration) {
        let started = Instant::now();
        let mut report = Report::default();
        let (request, budget) = (ordinary_request(), budget(PLENTY));
        let sources = &self.sources;
        let result = run(
            &request,
            KeysOf(7),
            somewhere(),
            sources,
            budget,
            &mut report,
        )
        .await;
        (result.is_ok(), report, started.elapsed())
    }
}

#[tokio::test]
async fn another_source_is_got_ready_beside_one_that_takes_long() {
    let ground = Ground::new().await;
    loop {
        let (served, report, took) = ground.exchange().await;
        assert!(served);
        assert_eq!(report.picks.len(), 1);
        assert_eq!(ground.good.keys().len(), 1);
        if report.hedges == 1 {
            assert!(took >= Duration::from_millis(150), "{took:?}");
            assert!(took < 4 * SECOND, "it waited for the silent one: {took:?}");
            break;
        }
        // The good one was picked first, once in a thousand times.
        ground.good.seen.lock().unwrap().keys.clear();
    }
    // It was not given its time.
    assert_eq!(ground.sources.all()[0].state(), State::Unknown);
}

#[tokio::test]
async fn where_hedges_are_used_up_a_source_that_takes_long_gets_its_time() {
    let ground = Ground::new().await;
    let now = || Instant::now().into_std();
    loop {
        while ground.sources.effort().may_hedge(now()) {}
        let (served, report, took) = ground.exchange().await;
        assert!(served);
        assert_eq!(report.hedges, 0);
        if report.failovers() == [Stage::Time] {
            assert!(took >= 4 * SECOND, "{took:?}");
            break;
        }
    }
}

#[tokio::test]
async fn where_failovers_are_used_up_the_first_failure_is_the_last() {
    let authority = Authority::new();
    let dead = SourceConfig::new("127.0.0.1", closed_port().await).unwrap();
    let others = vec![dead.clone(), {
        let mut other = SourceConfig::new("127.0.0.1", closed_port().await).unwrap();
        other.weight = 2;
        other
    }];
    let means = means(&authority, UpstreamConfig::default());
    let sources = untended(others, &means);
    for source in sources.all() {
        source.board.learn_in_test(&[AeadAlgorithm::AesSivCmac256]);
    }
    let mut tried = Vec::new();
    for allowed in [true, false] {
        let now = Instant::now().into_std();
        while !allowed && sources.effort().may_fail_over(now) {}
        let mut report = Report::default();
        let (request, budget) = (ordinary_request(), budget(PLENTY));
        let result = run(
            &request,
            KeysOf(7),
            somewhere(),
            &sources,
            budget,
            &mut report,
        )
        .await;
        assert!(matches!(result, Err(ExchangeError::BeforeKeys(_))));
        assert_eq!(report.failover_refused, !allowed);
        tried.push((report.asked.len(), report.failovers().to_vec()));
    }
    // Whoever is not replaced is not counted as such.
    assert_eq!(tried, [(2, vec![Stage::Connect]), (1, vec![])]);
}
