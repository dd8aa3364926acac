//! What the pool counts (pool design §8). Labels are bounded: never an address of a user, an error
//! text, a cookie or a token.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nts_service::telemetry::metrics::{Counter, Exposition, Histogram, Kind, Registry};
use nts_service::telemetry::throttle::Throttle;
use tokio::time::Instant;

use crate::error::ExchangeError;
use crate::exchange::Phases;
use crate::outcome::Outcome;
use crate::selection::{Family, LevelKind, Tier};
use crate::source::Source;
use crate::sources::{Present, Sources};
use crate::upstream::{Class, UpstreamError};

/// More sources than that have no series of their own.
const MOST_SOURCES: usize = 2000;
/// Log lines about failed exchanges, per reason and second.
const LINES_PER_SECOND: u32 = 10;

/// All instruments of a pool.
pub(crate) struct Metrics {
    registry: Registry,
    outcomes: BTreeMap<&'static str, OutcomeInstruments>,
    phases: [Histogram; 5],
    picks: BTreeMap<(Tier, LevelKind), Counter>,
    failovers: Counter,
    retries: [Counter; 2],
}

/// What belongs to one outcome label.
struct OutcomeInstruments {
    ipv4: Counter,
    ipv6: Counter,
    throttle: Throttle,
}

impl Metrics {
    /// Instruments in `registry`, and gauges that look at `sources` when they are read.
    pub(crate) fn new(registry: Registry, sources: Arc<Present>) -> Self {
        let outcomes = std::iter::once(Outcome::OK).chain(ExchangeError::LABELS.iter().copied());
        let outcomes = outcomes
            .map(|label| (label, OutcomeInstruments::new(&registry, label)))
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
        let failovers = registry.counter(
            "nts_pool_ke_failover_total",
            "Sources replaced by another within an exchange, before keys were sent.",
            &[],
        );
        registry.collect(move |page| show_sources(&sources.get(), page));
        Self {
            registry,
            outcomes,
            phases,
            picks,
            failovers,
            retries,
        }
    }

    /// Counts one user's connection, and logs it: failures for the operator, but no flood of them.
    pub(crate) fn record(&self, outcome: &Outcome) {
        let instruments = self.outcomes.get(outcome.label());
        if let Some(instruments) = instruments {
            match outcome.family {
                Family::V4 => instruments.ipv4.increment(),
                Family::V6 => instruments.ipv6.increment(),
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
        self.failovers.add(outcome.report.failovers());
        if let Some(succeeded) = outcome.report.same_source_retry {
            self.retries[usize::from(succeeded)].increment();
        }
        for (source, result) in &outcome.report.asked {
            self.count_request(source, "exchange", *result);
        }
        log(
            outcome,
            instruments.map(|instruments| &instruments.throttle),
        );
    }

    /// Counts one key-free check of a source.
    pub(crate) fn source_checked(&self, source: &Source, result: Result<(), &UpstreamError>) {
        self.count_request(source, "check", result.map_err(UpstreamError::class));
    }

    fn count_request(&self, source: &Source, kind: &str, result: Result<(), Class>) {
        let outcome = result.map_or_else(Class::label, |()| Outcome::OK);
        let labels = [
            ("source", source.label()),
            ("kind", kind),
            ("outcome", outcome),
        ];
        let help = "Requests to time sources, by source, kind and outcome.";
        self.registry
            .counter("nts_pool_ke_source_requests_total", help, &labels)
            .increment();
    }
}

impl OutcomeInstruments {
    fn new(registry: &Registry, outcome: &str) -> Self {
        let counter = |family: Family| {
            registry.counter(
                "nts_pool_ke_exchanges_total",
                "Users' exchanges, by outcome and address family.",
                &[("outcome", outcome), ("family", family.label())],
            )
        };
        Self {
            ipv4: counter(Family::V4),
            ipv6: counter(Family::V6),
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

/// Writes what is looked up rather than counted.
fn show_sources(sources: &Sources, page: &mut Exposition) {
    const PANIC: &str = "nts_pool_ke_panic_mode";
    page.family(
        PANIC,
        Kind::Gauge,
        "1 while users for whom no time source is left get one that fails.",
    );
    let panic = u8::from(sources.directory().is_in_panic());
    page.sample(PANIC, &[], f64::from(panic));
    let now = Instant::now();
    let all = sources.all().iter().take(MOST_SOURCES);
    let mut gauge = |name, help, value: &dyn Fn(&Source) -> Option<f64>| {
        page.family(name, Kind::Gauge, help);
        for source in all.clone() {
            if let Some(value) = value(source) {
                page.sample(name, &[("source", source.label())], value);
            }
        }
    };
    gauge(
        "nts_pool_ke_source_state",
        "0 unknown, 1 healthy, 2 ejected, 3 probing, 4 ramp, 5 drained (weight 0).",
        &|source| Some(f64::from(source.state().number())),
    );
    gauge(
        "nts_pool_ke_source_idle_connections",
        "Connections that wait for a request.",
        &|source| u32::try_from(source.idle.len()).ok().map(f64::from),
    );
    gauge(
        "nts_pool_ke_source_rtt_seconds",
        "Smoothed round-trip time.",
        &|source| source.round_trip().map(|time| time.as_secs_f64()),
    );
    gauge(
        "nts_pool_ke_source_unusual_cookies",
        "1 if the last cookies of the source were such that some users drop them.",
        &|source| Some(f64::from(u8::from(!source.cookie_quirks()?.is_none()))),
    );
    gauge(
        "nts_pool_ke_capability_age_seconds",
        "Since the source last said what it supports.",
        &|source| Some((now - source.board.known(now)?.learnt).as_secs_f64()),
    );
}
