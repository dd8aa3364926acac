//! `[selection]`: how a user's source is chosen.

use nts_service::config::Section;
use serde::Deserialize;

use crate::selection::{AllDenied, OperatorShare, SelectionPolicy};

/// More sources in a level than that are none that anybody waits for.
const MOST_SOURCES: usize = 1000;

/// How sources of the same operator are seen.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Diversity {
    /// Who denies a source gets one of another operator, if there is one.
    Operator,
    /// They are as good as any.
    None,
}

/// What a user gets who denies everything.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Denied {
    Serve,
    Error,
}

/// Reads the section.
pub(super) fn read(section: &Section<'_>) -> SelectionPolicy {
    let default = SelectionPolicy::default();
    let count = |key, default| section.number(key, default, 1..=MOST_SOURCES, "");
    SelectionPolicy {
        local_min_sources: count("local-min-sources", default.local_min_sources),
        local_min_operators: count("local-min-operators", default.local_min_operators),
        wide_min_sources: count("wide-min-sources", default.wide_min_sources),
        operator_share_max: read_share(section),
        operator_diversity: section.or("diversity", Diversity::Operator) == Diversity::Operator,
        all_denied: match section.or("all-denied", Denied::Serve) {
            Denied::Serve => AllDenied::Serve,
            Denied::Error => AllDenied::Error,
        },
    }
}

fn read_share(section: &Section<'_>) -> OperatorShare {
    let share = section.checked("operator-share-max", |fraction: f64| {
        OperatorShare::from_fraction(fraction)
            .ok_or_else(|| "no share; write a number above 0 and up to 1.0".to_owned())
    });
    share.unwrap_or(OperatorShare::UNLIMITED)
}
