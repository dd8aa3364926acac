//! The document as a table for people.

use std::time::Duration;

use nts_service::printable::printable;
use nts_service::table;

use super::document::{Document, ErrorStatus, ListStatus, SourceStatus};
use crate::age;

const HEAD: [&str; 8] = [
    "SOURCE",
    "STATE",
    "WEIGHT",
    "SHARE",
    "SUCCESS",
    "RTT",
    "CONNECTIONS",
    "LAST ERROR",
];

/// The whole page.
pub(super) fn page(document: &Document) -> String {
    let Document {
        version,
        ready,
        panic,
        signed_list,
        sources,
        omitted,
    } = document;
    let good = sources
        .iter()
        .filter(|source| ["healthy", "ramp"].contains(&source.state.as_str()))
        .count();
    let readiness = if *ready {
        "ready"
    } else {
        "no time source works"
    };
    let mut page = format!(
        "nts-pool-ke {}: {readiness}, {good} of {} sources healthy\n",
        printable(version),
        sources.len() + omitted
    );
    page += &signed_list.as_ref().map(list).unwrap_or_default();
    if sources.is_empty() && *omitted == 0 {
        page += "There are no sources: the list names none, or the registry has given none yet; \
                 /readyz and the log say which.\n";
    } else if *panic {
        page += "Most sources fail at once, or none is in service: LAST ERROR says what they have in \
                 common, be it this machine's network or this pool's token. Users for whom nobody is \
                 left get a source that fails.\n";
    }
    page.push('\n');
    let rows: Vec<_> = sources.iter().map(row).collect();
    page += &table::render(&HEAD, &rows);
    if *omitted > 0 {
        page += &format!("\n{omitted} more sources are not shown.\n");
    }
    page
}

fn list(list: &ListStatus) -> String {
    format!(
        "signed list for {}: serial {}, made {} ago\n",
        printable(&list.pool),
        list.serial,
        age::shown(Duration::from_secs(list.seconds_ago))
    )
}

fn row(source: &SourceStatus) -> Vec<String> {
    vec![
        printable(&source.id),
        printable(&source.state),
        source.weight.to_string(),
        percent(source.share),
        success(source),
        source.rtt_seconds.map_or_else(nothing, milliseconds),
        format!(
            "{} busy, {} idle",
            source.connections_busy, source.connections_idle
        ),
        source.last_error.as_ref().map_or_else(nothing, error),
    ]
}

fn success(source: &SourceStatus) -> String {
    match source.success {
        None => nothing(),
        Some(success) => format!("{} of {}", percent(success), source.exchanges.min(128)),
    }
}

fn error(error: &ErrorStatus) -> String {
    let ago = age::shown(Duration::from_secs(error.seconds_ago));
    format!(
        "{ago} ago, {}: {}",
        printable(&error.occasion),
        printable(&error.text)
    )
}

fn percent(part: f64) -> String {
    let percent = part * 100.0;
    // Something is not nothing, and not everything is not everything.
    match percent {
        ..=0.0 => "0 %".to_owned(),
        ..0.1 => "< 0.1 %".to_owned(),
        100.0.. => "100 %".to_owned(),
        _ => format!("{:.1} %", percent.min(99.9)),
    }
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1000.0)
}

fn nothing() -> String {
    "–".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> SourceStatus {
        SourceStatus {
            id: "a.test:4460".to_owned(),
            state: "healthy".to_owned(),
            weight: 10,
            share: 0.4,
            success: Some(0.9921875),
            exchanges: 5000,
            failures: 3,
            rtt_seconds: Some(0.0123),
            connections_busy: 1,
            connections_idle: 2,
            last_error: Some(ErrorStatus {
                occasion: "check".to_owned(),
                text: "no answer in time".to_owned(),
                seconds_ago: 200,
            }),
        }
    }

    fn document(sources: Vec<SourceStatus>) -> Document {
        Document {
            version: "0.1.0".to_owned(),
            ready: true,
            panic: false,
            signed_list: None,
            sources,
            omitted: 0,
        }
    }

    #[test]
    fn a_page_of_two_sources() {
        let unknown = SourceStatus {
            id: "new\u{1b}[2J".to_owned(),
            state: "unknown".to_owned(),
            share: 0.0,
            success: None,
            rtt_seconds: None,
            last_error: None,
            ..source()
        };
        assert_eq!(
            page(&document(vec![source(), unknown])),
            "nts-pool-ke 0.1.0: ready, 1 of 2 sources healthy\n\
             \n\
             \x20 SOURCE        STATE    WEIGHT  SHARE   SUCCESS        RTT      CONNECTIONS     LAST ERROR\n\
             \x20 a.test:4460   healthy  10      40.0 %  99.2 % of 128  12.3 ms  1 busy, 2 idle  3 min ago, check: no answer in time\n\
             \x20 new\\u{1b}[2J  unknown  10      0 %     –              –        1 busy, 2 idle  –\n"
        );
    }

    #[test]
    fn what_is_bad_is_said_first() {
        let text = page(&Document {
            ready: false,
            panic: true,
            omitted: 3,
            ..document(vec![])
        });
        assert!(
            text.starts_with(
                "nts-pool-ke 0.1.0: no time source works, 0 of 3 sources healthy\nMost "
            ),
            "{text}"
        );
        assert!(
            text.ends_with("\n3 more sources are not shown.\n"),
            "{text}"
        );
    }

    #[test]
    fn a_pool_without_sources_is_not_said_to_have_a_bad_network() {
        let text = page(&Document {
            ready: false,
            panic: true,
            ..document(vec![])
        });
        assert!(
            text.starts_with(
                "nts-pool-ke 0.1.0: no time source works, 0 of 0 sources healthy\nThere are no \
                 sources: "
            ),
            "{text}"
        );
    }

    #[test]
    fn a_signed_list_is_named() {
        let text = page(&Document {
            signed_list: Some(ListStatus {
                pool: "pool.test\n".to_owned(),
                serial: 7,
                seconds_ago: 180,
            }),
            ..document(vec![source()])
        });
        assert!(
            text.starts_with(
                "nts-pool-ke 0.1.0: ready, 1 of 1 sources healthy\n\
                 signed list for pool.test\\u{a}: serial 7, made 3 min ago\n\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn parts_are_not_rounded_to_all_or_nothing() {
        for (part, text) in [
            (0.0, "0 %"),
            (0.0001, "< 0.1 %"),
            (0.5, "50.0 %"),
            (0.9999, "99.9 %"),
            (1.0, "100 %"),
        ] {
            assert_eq!(percent(part), text);
        }
    }
}
