//! What the pool counts (pool design §8). Labels are bounded: never an address of a user, an error
//! text, a cookie or a token.

mod levels;
mod requests;
mod sources;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nts_service::telemetry::metrics::{Counter, Histogram, Registry};
use nts_service::telemetry::throttle::Throttle;

use crate::error::ExchangeError;
use crate::exchange::Phases;
use crate::outcome::{Kind, Outcome};
use crate::selection::{Family, LevelKind, Tier};
use crate::source::Source;
use crate::sources::Present;
use crate::upstream::{Stage, UpstreamError};

/// Log lines about failed exchanges, per reason and second.
const LINES_PER_SECOND: u32 = 10;

pub(crate) use requests::{RequestKind, Requests};

/// All instruments of a pool.
pub(crate) struct Metrics {
    outcomes: BTreeMap<&'static str, OutcomeInstruments>,
    phases: [Histogram; 5],
    picks: BTreeMap<(Tier, LevelKind), Counter>,
    failovers: [Counter; Stage::ALL.len()],
    failovers_refused: Counter,
    hedges: Counter,
    retries: [Counter; 2],
}

/// What belongs to one outcome label.
struct OutcomeInstruments {
    /// By kind, then family.
    counters: [[Counter; 2]; 2],
    throttle: Throttle,
}

impl Metrics {
    /// Instruments in `registry`, and gauges that look at `sources` when they are read.
    pub(crate) fn new(registry: &Registry, sources: Arc<Present>) -> Self {
        let outcomes = std::iter::once(Outcome::OK).chain(ExchangeError::LABELS.iter().copied());
        let outcomes = outcomes
            .map(|label| (label, OutcomeInstruments::new(registry, label)))
            .collect();
        let phases = Phases::LABELS.map(|phase| {
            registry.histogram(
                "nts_pool_ke_exchange_seconds",
                "Duration of users' exchanges, by phase.",
                &[("phase", phase)],
                Histogram::EXCHANGE_SECONDS,
            )
        });
        let picks = Tier::ALL
            .into_iter()
            .flat_map(|tier| LevelKind::ALL.map(|level| (tier, level)))
            .map(|(tier, level)| {
                let counter = registry.counter(
                    "nts_pool_ke_pick_total",
                    "Time sources picked, by how good a pick they were and from how far it came.",
                    &[("tier", tier.label()), ("level", level.label())],
                );
                ((tier, level), counter)
            })
            .collect();
        let retries = ["failed", "ok"].map(|result| {
            registry.counter(
                "nts_pool_ke_same_source_retry_total",
                "Fixed Key Requests repeated to the same source on a fresh connection.",
                &[("result", result)],
            )
        });
        let failovers = Stage::ALL.map(|stage| {
            registry.counter(
                "nts_pool_ke_failover_total",
                "Sources replaced by another within an exchange, before keys were sent, by how far it \
                 came with them.",
                &[("stage", stage.label())],
            )
        });
        let failovers_refused = registry.counter(
            "nts_pool_ke_failover_refused_total",
            "Exchanges that failed because too many others had tried another source.",
            &[],
        );
        let hedges = registry.counter(
            "nts_pool_ke_hedge_total",
            "Sources got ready beside one that took long, before keys were sent.",
            &[],
        );
        registry.collect(move |page| {
            let sources = sources.get();
            sources::show(&sources, page);
            levels::show(&sources, page);
        });
        Self {
            outcomes,
            phases,
            picks,
            failovers,
            failovers_refused,
            hedges,
            retries,
        }
    }

    /// Counts one user's connection, and logs it: failures for the operator, but no flood of them.
    pub(crate) fn record(&self, outcome: &Outcome) {
        let instruments = self.outcomes.get(outcome.label());
        if let Some(instruments) = instruments {
            let [ipv4, ipv6] = &instruments.counters[outcome.kind as usize];
            match outcome.family {
                Family::V4 => ipv4.increment(),
                Family::V6 => ipv6.increment(),
            }
        }
        let durations = outcome.report.phases.in_order(outcome.total);
        for (histogram, duration) in self.phases.iter().zip(durations) {
            if let Some(duration) = duration {
                histogram.observe(duration);
            }
        }
        for pick in &outcome.report.picks {
            if let Some(counter) = self.picks.get(pick) {
                counter.increment();
            }
        }
        for stage in outcome.report.failovers() {
            self.failovers[*stage as usize].increment();
        }
        let refused = u64::from(outcome.report.failover_refused);
        self.failovers_refused.add(refused);
        self.hedges.add(outcome.report.hedges);
        if let Some(succeeded) = outcome.report.same_source_retry {
            self.retries[usize::from(succeeded)].increment();
        }
        for (source, result) in &outcome.report.asked {
            source.requests.count(RequestKind::Exchange, *result);
        }
        log(
            outcome,
            instruments.map(|instruments| &instruments.throttle),
        );
    }

    /// Counts one key-free check of a source.
    pub(crate) fn source_checked(&self, source: &Source, result: Result<(), &UpstreamError>) {
        let result = result.map_err(UpstreamError::class);
        source.requests.count(RequestKind::Check, result);
    }
}

impl OutcomeInstruments {
    fn new(registry: &Registry, outcome: &str) -> Self {
        let counter = |kind: Kind, family: Family| {
            let labels = [
                ("outcome", outcome),
                ("family", family.label()),
                ("kind", kind.label()),
            ];
            registry.counter(
                "nts_pool_ke_exchanges_total",
                "Exchanges, by outcome, address family, and whose they were.",
                &labels,
            )
        };
        Self {
            counters: Kind::ALL
                .map(|kind| [Family::V4, Family::V6].map(|family| counter(kind, family))),
            throttle: Throttle::new(LINES_PER_SECOND, Duration::from_secs(1)),
        }
    }
}

fn log(outcome: &Outcome, throttle: Option<&Throttle>) {
    let source = outcome.report.last_source().map(|source| source.label());
    let ms = u64::try_from(outcome.total.as_millis()).unwrap_or(u64::MAX);
    match &outcome.result {
        Ok(()) => tracing::debug!(source, ms, "exchange succeeded"),
        Err(error) => {
            if let Some(held_back) = throttle.and_then(Throttle::pass) {
                let reason = error.label();
                tracing::info!(source, ms, reason, held_back, "exchange failed: {error}");
            }
        }
    }
}
