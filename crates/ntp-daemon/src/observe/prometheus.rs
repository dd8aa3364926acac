//! The status as metrics in Prometheus' text format, under the names that monitoring of ntpd-rs
//! knows. A value that is not known yet has no line.

use std::fmt::Write as _;

use nts_service::telemetry::metrics::push_label_value;

use super::state::{KeServerStats, LeapIndicator, ObservableState, ServerStats, SourceState};

/// Renders all metrics.
#[must_use]
pub fn render(state: &ObservableState) -> String {
    let mut page = Page::default();
    program(&mut page, state);
    system(&mut page, state);
    clock(&mut page, state);
    sources(&mut page, state);
    servers(&mut page, state);
    ke_servers(&mut page, state);
    cookie_keys(&mut page, state);
    page.text + "# EOF\n"
}

#[derive(Default)]
struct Page {
    text: String,
}

/// Name and value of each label of one line.
type Labels<'a> = &'a [(&'a str, &'a str)];

impl Page {
    /// Begins a metric.
    fn metric(&mut self, name: &str, kind: &str, unit: Option<&str>, help: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        if let Some(unit) = unit {
            let _ = writeln!(self.text, "# UNIT {name} {unit}");
        }
    }

    /// One value of the metric begun last.
    fn value(&mut self, name: &str, labels: Labels<'_>, value: impl std::fmt::Display) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, text)| labelled(label, text))
            .collect();
        let labels = match labels.as_slice() {
            [] => String::new(),
            labels => format!("{{{}}}", labels.join(",")),
        };
        let _ = writeln!(self.text, "{name}{labels} {value}");
    }

    /// A metric with one value and no labels.
    fn single(
        &mut self,
        name: &str,
        unit: Option<&str>,
        help: &str,
        value: impl std::fmt::Display,
    ) {
        self.metric(name, "gauge", unit, help);
        self.value(name, &[], value);
    }
}

fn labelled(label: &str, text: &str) -> String {
    let mut labelled = format!("{label}=\"");
    push_label_value(&mut labelled, text);
    labelled.push('"');
    labelled
}

fn program(page: &mut Page, state: &ObservableState) {
    let program = &state.program;
    let name = "ntp_uptime_seconds";
    page.metric(
        name,
        "gauge",
        Some("seconds"),
        "Time that the daemon has been running.",
    );
    let labels = [
        ("version", program.version.as_str()),
        ("build_commit", &program.build_commit),
        ("build_commit_date", &program.build_commit_date),
    ];
    page.value(name, &labels, program.uptime_seconds);
}

fn system(page: &mut Page, state: &ObservableState) {
    let system = &state.system;
    let seconds = Some("seconds");
    if let Some(shortest) = state.sources.iter().map(poll_seconds).reduce(f64::min) {
        page.single(
            "ntp_system_poll_interval_seconds",
            seconds,
            "Shortest poll interval of all sources (deprecated).",
            shortest,
        );
    }
    page.single(
        "ntp_system_accumulated_steps_seconds",
        seconds,
        "Sum of all steps of the clock but the first.",
        system.accumulated_steps,
    );
    page.single(
        "ntp_system_accumulated_steps_threshold_seconds",
        seconds,
        "Greatest sum of steps that is allowed (-1: no limit).",
        system.accumulated_steps_threshold.unwrap_or(-1.0),
    );
    page.single(
        "ntp_system_leap_indicator",
        None,
        "Leap second announced (0: none, 1: 61 s, 2: 59 s, 3: not synchronised).",
        match system.leap_indicator {
            LeapIndicator::NoWarning => 0,
            LeapIndicator::Leap61 => 1,
            LeapIndicator::Leap59 => 2,
            LeapIndicator::Unknown | LeapIndicator::Unsynchronized => 3,
        },
    );
    page.single(
        "ntp_system_root_delay_seconds",
        seconds,
        "Delay to the primary server.",
        system.root_delay,
    );
    page.single(
        "ntp_system_root_dispersion_seconds",
        seconds,
        "Bound of the clock's error without the delay's share.",
        system.root_dispersion(state.program.now),
    );
    page.single(
        "ntp_system_stratum",
        None,
        "Stratum that is served (16: not synchronised).",
        system.stratum,
    );
}

/// Our own: the clock that is kept, if one is.
fn clock(page: &mut Page, state: &ObservableState) {
    let Some(clock) = &state.system.clock else {
        return;
    };
    page.single(
        "ntp_clock_synchronized",
        None,
        "Whether the clock is synchronised to the sources.",
        u8::from(clock.synchronized),
    );
    let used = state.sources.iter().filter(|source| source.state.is_used());
    page.single(
        "ntp_clock_sources_used",
        None,
        "Sources by which the clock is kept.",
        used.count(),
    );
    if let (Some(offset), Some(deviation)) = (clock.offset, clock.offset_uncertainty) {
        let seconds = Some("seconds");
        page.single(
            "ntp_clock_offset_seconds",
            seconds,
            "How far true time was ahead of the clock after the last correction.",
            offset,
        );
        page.single(
            "ntp_clock_offset_deviation_seconds",
            seconds,
            "Standard deviation of the error of that.",
            deviation,
        );
    }
    page.single(
        "ntp_clock_frequency_ppm",
        None,
        "How much faster than by itself the clock is made to run, without slews.",
        clock.frequency * 1e6,
    );
    page.metric(
        "ntp_clock_steps_total",
        "counter",
        None,
        "Steps of the clock.",
    );
    page.value("ntp_clock_steps_total", &[], clock.steps);
}

fn poll_seconds(source: &SourceState) -> f64 {
    f64::from(source.poll_interval).exp2()
}

/// What is told about each source: name, unit, help, value.
type SourceMetric = (
    &'static str,
    Option<&'static str>,
    &'static str,
    fn(&SourceState) -> Option<f64>,
);

const SOURCE_METRICS: [SourceMetric; 8] = [
    (
        "ntp_source_poll_interval_seconds",
        Some("seconds"),
        "Time between two requests.",
        |source| Some(poll_seconds(source)),
    ),
    (
        "ntp_source_unanswered_polls",
        None,
        "Requests without an answer since the last answer, at most 8.",
        |source| Some(f64::from(source.unanswered_polls)),
    ),
    (
        "ntp_source_nts_cookies_available",
        None,
        "NTS cookies held.",
        |source| source.nts_cookies.map(|cookies| cookies as f64),
    ),
    (
        "ntp_source_offset_seconds",
        Some("seconds"),
        "How far the source's clock is ahead of ours.",
        |source| source.offset,
    ),
    (
        "ntp_source_delay_seconds",
        Some("seconds"),
        "Round trip to the source.",
        |source| source.delay,
    ),
    (
        "ntp_source_uncertainty_seconds",
        Some("seconds"),
        "Bound of the error of the offset.",
        |source| source.uncertainty,
    ),
    (
        "ntp_source_root_delay_seconds",
        Some("seconds"),
        "Delay that the source reports to its primary server.",
        |source| source.remote_delay,
    ),
    (
        "ntp_source_root_dispersion_seconds",
        Some("seconds"),
        "Bound of its error that the source reports.",
        |source| source.remote_uncertainty,
    ),
];

fn sources(page: &mut Page, state: &ObservableState) {
    for (name, unit, help, value) in SOURCE_METRICS {
        let known = state
            .sources
            .iter()
            .filter_map(|source| Some((source, value(source)?)));
        let known: Vec<_> = known.collect();
        if known.is_empty() {
            continue;
        }
        page.metric(name, "gauge", unit, help);
        for (source, value) in known {
            let (address, id) = (source.address.to_string(), source.id.to_string());
            let labels = [
                ("name", source.name.as_str()),
                ("address", &address),
                ("id", &id),
            ];
            page.value(name, &labels, value);
        }
    }
}

/// What each server counts: name, help, value.
type ServerMetric = (&'static str, &'static str, fn(&ServerStats) -> u64);

const SERVER_METRICS: [ServerMetric; 16] = [
    (
        "ntp_server_received_packets_total",
        "Datagrams received.",
        |stats| stats.received_packets,
    ),
    (
        "ntp_server_accepted_packets_total",
        "Requests answered with time.",
        |stats| stats.accepted_packets,
    ),
    (
        "ntp_server_denied_packets_total",
        "Requests answered with DENY.",
        |stats| stats.denied_packets,
    ),
    (
        "ntp_server_ignored_packets_total",
        "Datagrams without an answer.",
        |stats| stats.ignored_packets,
    ),
    (
        "ntp_server_rate_limited_packets_total",
        "Requests refused by the rate limit.",
        |stats| stats.rate_limited_packets,
    ),
    (
        "ntp_server_response_send_errors_total",
        "Answers that could not be sent.",
        |stats| stats.response_send_errors,
    ),
    (
        "ntp_server_nts_received_packets_total",
        "Requests received with NTS.",
        |stats| stats.nts_received_packets,
    ),
    (
        "ntp_server_nts_accepted_packets_total",
        "NTS requests answered with time.",
        |stats| stats.nts_accepted_packets,
    ),
    (
        "ntp_server_nts_denied_packets_total",
        "NTS requests answered with DENY.",
        |stats| stats.nts_denied_packets,
    ),
    (
        "ntp_server_nts_rate_limited_packets_total",
        "NTS requests refused by the rate limit.",
        |stats| stats.nts_rate_limited_packets,
    ),
    (
        "ntp_server_nts_nak_packets_total",
        "Requests answered with an NTS NAK.",
        |stats| stats.nts_nak_packets,
    ),
    (
        "ntp_server_nts_nak_limited_packets_total",
        "Requests that got no NTS NAK because their network got many already.",
        |stats| stats.nts_nak_limited_packets,
    ),
    (
        "ntp_server_accepted_v3_packets_total",
        "Requests of NTPv3 answered with time.",
        |stats| stats.accepted_v3_packets,
    ),
    (
        "ntp_server_malformed_packets_total",
        "Datagrams that are no NTP packets.",
        |stats| stats.malformed_packets,
    ),
    (
        "ntp_server_wrong_mode_packets_total",
        "Packets that are not requests.",
        |stats| stats.wrong_mode_packets,
    ),
    (
        "ntp_server_wrong_version_packets_total",
        "Requests of versions that are not accepted.",
        |stats| stats.wrong_version_packets,
    ),
];

fn servers(page: &mut Page, state: &ObservableState) {
    if state.servers.is_empty() {
        return;
    }
    for (name, help, value) in SERVER_METRICS {
        page.metric(name, "counter", None, help);
        for server in &state.servers {
            let address = server.address.to_string();
            page.value(name, &[("listen_address", &address)], value(&server.stats));
        }
    }
}

/// What each key exchange server counts: the value of the label `outcome`, and the count.
type Outcome = (&'static str, fn(&KeServerStats) -> u64);

const CONNECTIONS: [Outcome; 6] = [
    ("accepted", |stats| stats.accepted_connections),
    ("refused", |stats| stats.refused_connections),
    ("rate_limited", |stats| stats.rate_limited_connections),
    ("silent", |stats| stats.silent_connections),
    ("no_handshake", |stats| stats.failed_handshakes),
    ("abandoned", |stats| stats.abandoned_connections),
];

const REQUESTS: [Outcome; 4] = [
    ("key_exchange", |stats| stats.key_exchanges),
    ("fixed_key", |stats| stats.fixed_key_requests),
    ("info", |stats| stats.info_requests),
    ("refused", |stats| stats.refused_requests),
];

fn ke_servers(page: &mut Page, state: &ObservableState) {
    if state.nts_ke_servers.is_empty() {
        return;
    }
    let metrics = [
        (
            "ntp_ke_server_connections_total",
            "Connections of the key exchange server, by what became of them; an accepted one may end \
             without handshake or abandoned.",
            &CONNECTIONS[..],
        ),
        (
            "ntp_ke_server_requests_total",
            "Requests of the key exchange server, by what they got.",
            &REQUESTS[..],
        ),
    ];
    for (name, help, outcomes) in metrics {
        page.metric(name, "counter", None, help);
        for server in &state.nts_ke_servers {
            let address = server.address.to_string();
            for (outcome, value) in outcomes {
                let labels = [("listen_address", address.as_str()), ("outcome", outcome)];
                page.value(name, &labels, value(&server.stats));
            }
        }
    }
}

fn cookie_keys(page: &mut Page, state: &ObservableState) {
    let Some(keys) = &state.cookie_keys else {
        return;
    };
    let seconds = Some("seconds");
    page.single(
        "ntp_cookie_keys",
        None,
        "Keys that open cookies.",
        keys.count,
    );
    page.single(
        "ntp_cookie_key_age_seconds",
        seconds,
        "Time since the present key began to seal cookies.",
        keys.age_seconds,
    );
    page.single(
        "ntp_cookie_key_next_rotation_seconds",
        seconds,
        "Time until another key seals cookies.",
        keys.next_rotation_seconds,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::state::tests::example;

    #[test]
    fn names_and_labels_are_those_that_monitoring_knows() {
        let page = render(&example());
        for line in [
            "ntp_uptime_seconds{version=\"0.1.0\",build_commit=\"unknown\",build_commit_date=\"unknown\"} 192.4",
            "ntp_system_poll_interval_seconds 16",
            "ntp_system_accumulated_steps_seconds 0",
            "ntp_system_accumulated_steps_threshold_seconds -1",
            "ntp_system_leap_indicator 0",
            "ntp_system_root_delay_seconds 0.001",
            "ntp_system_root_dispersion_seconds 0.0001",
            "ntp_system_stratum 2",
            "ntp_clock_synchronized 1",
            "ntp_clock_sources_used 1",
            "ntp_clock_offset_seconds 0.0000042",
            "ntp_clock_steps_total 1",
            "ntp_source_poll_interval_seconds{name=\"pool.test:4460\",address=\"192.0.2.1:123\",id=\"1\"} 16",
            "ntp_source_unanswered_polls{name=\"ntp.test:123\",address=\"192.0.2.9:123\",id=\"2\"} 8",
            "ntp_source_nts_cookies_available{name=\"pool.test:4460\",address=\"192.0.2.1:123\",id=\"1\"} 8",
            "ntp_source_offset_seconds{name=\"pool.test:4460\",address=\"192.0.2.1:123\",id=\"1\"} 0.00001234",
            "ntp_server_received_packets_total{listen_address=\"[::]:123\"} 10",
            "ntp_server_nts_nak_packets_total{listen_address=\"[::]:123\"} 0",
            "ntp_ke_server_connections_total{listen_address=\"[::]:4460\",outcome=\"accepted\"} 4",
            "ntp_ke_server_requests_total{listen_address=\"[::]:4460\",outcome=\"fixed_key\"} 2",
            "ntp_cookie_keys 9",
            "ntp_cookie_key_age_seconds 7200",
            "ntp_cookie_key_next_rotation_seconds 79200",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        assert!(page.ends_with("\n# EOF\n"));
    }

    #[test]
    fn what_is_not_known_has_no_line() {
        let page = render(&example());
        let lines = |name: &str| page.lines().filter(|line| line.starts_with(name)).count();
        assert_eq!(lines("ntp_source_offset_seconds{"), 1);
        assert_eq!(lines("ntp_source_nts_cookies_available{"), 1);
        assert_eq!(lines("ntp_source_unanswered_polls{"), 2);
    }

    #[test]
    fn each_metric_has_its_help_and_type_before_its_first_value() {
        let mut described = String::new();
        for line in render(&example()).lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                described = rest.split(' ').next().unwrap().to_owned();
            } else if !line.starts_with('#') {
                let name = line.split(['{', ' ']).next().unwrap();
                assert_eq!(name, described);
            }
        }
    }

    #[test]
    fn labels_are_escaped() {
        assert_eq!(
            labelled("x", "a\\b\"c\nd\re"),
            "x=\"a\\\\b\\\"c\\nd\\\\u{d}e\""
        );
    }
}
