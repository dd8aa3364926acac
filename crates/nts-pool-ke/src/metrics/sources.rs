//! What the page of metrics says about sources: looked up when it is made.

use nts_service::telemetry::metrics::{Exposition, Kind};
use tokio::time::Instant;

use super::requests::RequestCounts;
use crate::source::Source;
use crate::sources::Sources;

/// More sources than that have no series of their own, but one together.
const MOST_SOURCES: usize = 2000;
/// The label of that.
const OTHER: &str = "other";

/// Writes all about `sources`.
pub(super) fn show(sources: &Sources, page: &mut Exposition) {
    show_all_together(sources, page);
    let all = sources.all();
    let (shown, others) = all.split_at(all.len().min(MOST_SOURCES));
    show_requests(shown, others, page);
    let mut gauge = |name, help, value: &dyn Fn(&Source) -> Option<f64>| {
        page.family(name, Kind::Gauge, help);
        for source in shown {
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
}

fn show_all_together(sources: &Sources, page: &mut Exposition) {
    let mut gauge = |name, help, value: f64| {
        page.family(name, Kind::Gauge, help);
        page.sample(name, &[], value);
    };
    gauge(
        "nts_pool_ke_panic_mode",
        "1 while users for whom no time source is left get one that fails.",
        f64::from(u8::from(sources.directory().is_in_panic())),
    );
    gauge(
        "nts_pool_ke_snapshot_serial",
        "Serial of the signed list of sources; or how often the list was taken in since the start.",
        sources.serial() as f64,
    );
    gauge(
        "nts_pool_ke_snapshot_age_seconds",
        "Since the signed list of sources was made; or since the list was taken in.",
        sources.age().as_secs_f64(),
    );
    let now = Instant::now();
    let known = sources.all().iter().filter_map(|it| it.board.known(now));
    let oldest = known.map(|known| now - known.learnt).max();
    gauge(
        "nts_pool_ke_capability_age_seconds",
        "Since the source that said so longest ago said what it supports.",
        oldest.unwrap_or_default().as_secs_f64(),
    );
}

fn show_requests(
    shown: &[std::sync::Arc<Source>],
    others: &[std::sync::Arc<Source>],
    page: &mut Exposition,
) {
    const NAME: &str = "nts_pool_ke_source_requests_total";
    page.family(
        NAME,
        Kind::Counter,
        "Requests to time sources, by source, kind and outcome.",
    );
    let mut show = |source: &str, counts: RequestCounts| {
        for (kind, outcome, count) in counts.all() {
            let labels = [("source", source), ("kind", kind), ("outcome", outcome)];
            page.sample(NAME, &labels, count);
        }
    };
    for source in shown {
        show(source.label(), source.requests.get());
    }
    let mut together = RequestCounts::default();
    for source in others {
        together.add(source.requests.get());
    }
    show(OTHER, together);
}
