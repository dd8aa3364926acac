//! The status as a page that a person reads at a glance.

use nts_service::printable::printable;
use nts_service::table;

use super::units::{short, signed, span};
use crate::observe::state::{
    ClockState, ConfiguredSourceState, CookieKeysState, KeServerState, LeapIndicator,
    ObservableState, ServerState, SourceCondition, SourceMode, SourceState, SystemState,
};

/// Cookies that a source holds when all is well.
const MAX_COOKIES: usize = nts_proto::association::MAX_COOKIES;

/// Nothing to show.
const NONE: &str = "–";

/// Renders all that the daemon tells.
pub(super) fn render(state: &ObservableState) -> String {
    let mut text = head(state);
    text += "\nSources\n";
    text += &sources(state);
    if !state.servers.is_empty() {
        text += "\nServers\n";
        text += &servers(&state.servers);
    }
    if !state.nts_ke_servers.is_empty() {
        text += "\nNTS key exchange servers\n";
        text += &ke_servers(&state.nts_ke_servers);
    }
    if let Some(keys) = &state.cookie_keys {
        text += "\nCookie keys\n";
        text += &cookie_keys(keys);
    }
    text
}

fn head(state: &ObservableState) -> String {
    let ObservableState {
        program, system, ..
    } = state;
    let (delay, dispersion) = (system.root_delay, system.root_dispersion(program.now));
    let synchronised = system.leap_indicator != LeapIndicator::Unsynchronized;
    let mut lines = vec![("clock", whose_clock(system).to_owned())];
    if let Some(clock) = &system.clock {
        lines.extend(offset(clock).map(|offset| ("offset", offset)));
        lines.push(("frequency", frequency(clock)));
    }
    if synchronised {
        let bound = short(delay / 2.0 + dispersion);
        let parts = format!(
            "root delay {}, root dispersion {}",
            short(delay),
            short(dispersion)
        );
        lines.push(("error", format!("at most {bound} ({parts})")));
        lines.push(("leap", leap(system.leap_indicator).to_owned()));
    }
    let (version, uptime) = (printable(&program.version), span(program.uptime_seconds));
    lines.push((
        "daemon",
        format!("ntp-daemon {version}, running for {uptime}"),
    ));
    let mut text = format!("{}\n", synchronization(state));
    for (name, value) in lines {
        text += &format!("  {name:<9}  {value}\n");
    }
    text
}

/// The first line: whether all is well, and if not, why.
fn synchronization(state: &ObservableState) -> String {
    let system = &state.system;
    let Some(clock) = &system.clock else {
        return match system.leap_indicator {
            LeapIndicator::Unsynchronized | LeapIndicator::Unknown => {
                "Not synchronised: no sources are configured".into()
            }
            _ => format!("Serves stratum {}, without sources", system.stratum),
        };
    };
    if clock.synchronized {
        let best = state
            .sources
            .iter()
            .find(|source| source.state == SourceCondition::Best);
        let best = best.map(|best| match used(state) {
            1 => format!(", by 1 source: {}", server(best)),
            used => format!(", by {used} sources, best {}", server(best)),
        });
        return format!(
            "Synchronised, stratum {}{}",
            system.stratum,
            best.unwrap_or_default()
        );
    }
    let reason = clock.reason.as_deref().unwrap_or("the reason is not known");
    let mut line = format!("NOT SYNCHRONISED: {}", printable(reason));
    if !matches!(system.leap_indicator, LeapIndicator::Unsynchronized) {
        line += &format!("; served as stratum {} all the same", system.stratum);
    }
    line
}

fn used(state: &ObservableState) -> usize {
    let used = state.sources.iter().filter(|source| source.state.is_used());
    used.count()
}

fn whose_clock(system: &SystemState) -> &'static str {
    match (&system.clock, system.clock_control) {
        (Some(_), true) => "the system's, steered by this daemon",
        (Some(_), false) => "the daemon's own; the system's clock is left alone",
        (None, _) => "the system's, left alone",
    }
}

fn offset(clock: &ClockState) -> Option<String> {
    let (offset, error) = (clock.offset?, clock.offset_uncertainty?);
    Some(format!("{} ± {}", signed(offset), short(error)))
}

fn frequency(clock: &ClockState) -> String {
    let mut text = format!("{:+.3} ppm", clock.frequency * 1e6);
    if let Some(error) = clock.frequency_uncertainty {
        text += &format!(" ± {:.3} ppm", error * 1e6);
    }
    if clock.slew != 0.0 {
        text += &format!(
            ", for now {:+.3} ppm more to make up for the offset",
            clock.slew * 1e6
        );
    }
    text
}

fn leap(leap: LeapIndicator) -> &'static str {
    match leap {
        LeapIndicator::NoWarning => "no leap second is announced",
        LeapIndicator::Leap61 => "the month ends with a second more (UTC)",
        LeapIndicator::Leap59 => "the month ends with a second less (UTC)",
        LeapIndicator::Unknown | LeapIndicator::Unsynchronized => "not known",
    }
}

fn sources(state: &ObservableState) -> String {
    if state.sources.is_empty() && state.configured_sources.is_empty() {
        return "  none configured\n".into();
    }
    let head = [
        "SOURCE",
        "MODE",
        "SERVER",
        "NTS",
        "REACH",
        "POLL",
        "OFFSET ± ERROR",
        "DELAY",
        "JITTER",
        "COOKIES",
        "STATE",
    ];
    let mut rows: Vec<Vec<String>> = state.sources.iter().map(source).collect();
    let missing = state
        .configured_sources
        .iter()
        .filter(|configured| configured.held < configured.wanted);
    rows.extend(missing.map(missing_source));
    table::render(&head, &rows)
}

fn source(source: &SourceState) -> Vec<String> {
    let nts = match (source.nts_cookies, source.authenticated) {
        (None, _) => "no",
        (Some(_), true) => "authenticated",
        (Some(_), false) => "not yet",
    };
    let offset = match (source.offset, source.uncertainty) {
        (Some(offset), Some(error)) => format!("{} ± {}", signed(offset), short(error)),
        _ => NONE.into(),
    };
    vec![
        printable(&source.name),
        mode(source.mode).into(),
        server(source),
        nts.into(),
        format!("{:03o}", source.reach),
        span(f64::from(source.poll_interval).exp2()),
        offset,
        source.delay.map_or_else(|| NONE.into(), short),
        source.jitter.map_or_else(|| NONE.into(), short),
        source
            .nts_cookies
            .map_or_else(|| NONE.into(), |held| format!("{held}/{MAX_COOKIES}")),
        condition(source),
    ]
}

/// The address, and the name if that tells more than the other columns.
fn server(source: &SourceState) -> String {
    let (name, address) = (&source.remote_name, source.address.to_string());
    if address.contains(name.as_str()) || source.name.starts_with(name.as_str()) {
        address
    } else {
        format!("{} {address}", printable(name))
    }
}

fn condition(source: &SourceState) -> String {
    let state = match source.state {
        SourceCondition::Best => "best",
        SourceCondition::Selected => "selected",
        SourceCondition::Starting => "no answer yet",
        SourceCondition::Reachable => "reachable",
        SourceCondition::Measuring => "measuring",
        SourceCondition::Falseticker => "falseticker: contradicts the others",
        SourceCondition::NoConsensus => "no consensus: too few sources agree",
        SourceCondition::StratumTooHigh => "stratum too high",
        SourceCondition::TooFar => "too far from a reference clock",
        SourceCondition::Uncertain => "too uncertain",
        SourceCondition::Unusable => "unusable",
        SourceCondition::Unreachable => "unreachable",
    };
    let state = match source.stratum {
        Some(stratum) => format!("{state}, stratum {stratum}"),
        None => state.into(),
    };
    match &source.last_error {
        Some(error) => format!("{state}: {}", printable(error)),
        None => state,
    }
}

/// The line for the places of a configured source that are free.
fn missing_source(configured: &ConfiguredSourceState) -> Vec<String> {
    let missing = match configured.wanted {
        1 => "none yet".to_owned(),
        wanted => format!("{} of {wanted} held", configured.held),
    };
    let why = match &configured.last_error {
        Some(error) => format!("{missing}: {}", printable(error)),
        None => missing,
    };
    let state = match configured.next_try_seconds {
        Some(wait) => format!("{why}; next try in {}", span(wait.ceil())),
        None => why,
    };
    let mut row = vec![printable(&configured.name), mode(configured.mode).into()];
    row.resize(10, NONE.into());
    row.push(state);
    row
}

fn mode(mode: SourceMode) -> &'static str {
    match mode {
        SourceMode::Server => "server",
        SourceMode::Pool => "pool",
        SourceMode::Nts => "nts",
        SourceMode::NtsPool => "nts-pool",
    }
}

fn servers(servers: &[ServerState]) -> String {
    let head = [
        "ADDRESS",
        "RECEIVED",
        "ANSWERED",
        "WITH NTS",
        "NTS NAK",
        "DENIED",
        "RATE-LIMITED",
        "IGNORED",
        "NOT SENT",
    ];
    let rows: Vec<Vec<String>> = servers
        .iter()
        .map(|server| {
            let stats = &server.stats;
            let mut row = vec![server.address.to_string()];
            row.extend(
                [
                    stats.received_packets,
                    stats.accepted_packets,
                    stats.nts_accepted_packets,
                    stats.nts_nak_packets,
                    stats.denied_packets,
                    stats.rate_limited_packets,
                    stats.ignored_packets,
                    stats.response_send_errors,
                ]
                .map(|count| count.to_string()),
            );
            row
        })
        .collect();
    table::render(&head, &rows)
}

fn ke_servers(servers: &[KeServerState]) -> String {
    let head = [
        "ADDRESS",
        "CONNECTIONS",
        "RATE-LIMITED",
        "USERS SERVED",
        "SERVED FOR POOLS",
        "POOLS' QUESTIONS",
        "REFUSED",
        "NO HANDSHAKE",
        "ABANDONED",
    ];
    let rows: Vec<Vec<String>> = servers
        .iter()
        .map(|server| {
            let stats = &server.stats;
            let mut row = vec![server.address.to_string()];
            row.extend(
                [
                    stats.accepted_connections,
                    stats.rate_limited_connections,
                    stats.key_exchanges,
                    stats.fixed_key_requests,
                    stats.info_requests,
                    stats.refused_requests,
                    stats.failed_handshakes,
                    stats.abandoned_connections,
                ]
                .map(|count| count.to_string()),
            );
            row
        })
        .collect();
    table::render(&head, &rows)
}

fn cookie_keys(keys: &CookieKeysState) -> String {
    let whose = match keys.shared {
        true => "shared with other nodes",
        false => "of this daemon alone",
    };
    let (age, next) = (span(keys.age_seconds), span(keys.next_rotation_seconds));
    format!(
        "  {} keys, {whose}; {:08x} has been sealing for {age}, the next one will in {next}\n",
        keys.count, keys.sealing_id
    )
}

#[cfg(test)]
#[path = "plain_tests.rs"]
mod tests;
