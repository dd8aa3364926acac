use super::*;
use crate::observe::state::{KeServerStats, ProgramState, ServerStats, Timestamp};

/// A daemon in the middle of its work: one good source, one place free, servers.
pub(in crate::ctl) fn example() -> ObservableState {
    ObservableState {
        program: ProgramState {
            version: "0.1.0".into(),
            build_commit: "unknown".into(),
            build_commit_date: "unknown".into(),
            uptime_seconds: 192.4,
            now: Timestamp { timestamp: 7 },
        },
        system: SystemState {
            stratum: 16,
            reference_id: u32::from_be_bytes(*b"INIT"),
            accumulated_steps_threshold: None,
            precision: 1e-6,
            root_delay: 0.0,
            root_variance_base_time: Timestamp { timestamp: 0 },
            root_variance_base: 0.0,
            root_variance_linear: 0.0,
            root_variance_quadratic: 0.0,
            root_variance_cubic: 0.0,
            leap_indicator: LeapIndicator::Unsynchronized,
            accumulated_steps: 0.0,
            clock_control: false,
        },
        sources: vec![good_source(), plain_source()],
        configured_sources: vec![ConfiguredSourceState {
            name: "pool.test:4460".into(),
            mode: SourceMode::NtsPool,
            wanted: 2,
            held: 1,
            last_error: Some(
                "the pool named a.test again, so it seems to have no other now".into(),
            ),
            next_try_seconds: Some(8.2),
        }],
        servers: vec![ServerState {
            address: "[::]:123".parse().unwrap(),
            stats: ServerStats {
                received_packets: 10,
                accepted_packets: 7,
                nts_accepted_packets: 5,
                ignored_packets: 3,
                ..ServerStats::default()
            },
        }],
        nts_ke_servers: vec![KeServerState {
            address: "[::]:4460".parse().unwrap(),
            stats: KeServerStats {
                accepted_connections: 4,
                key_exchanges: 1,
                fixed_key_requests: 2,
                info_requests: 1,
                ..KeServerStats::default()
            },
        }],
    }
}

fn good_source() -> SourceState {
    SourceState {
        offset: Some(12.34e-6),
        uncertainty: Some(80.12e-6),
        delay: Some(160.2e-6),
        remote_delay: Some(0.0),
        remote_uncertainty: Some(15.0e-6),
        last_update: Some(Timestamp { timestamp: 6 }),
        unanswered_polls: 0,
        poll_interval: 4,
        nts_cookies: Some(8),
        name: "pool.test:4460".into(),
        address: "192.0.2.1:123".parse().unwrap(),
        id: 1,
        mode: SourceMode::NtsPool,
        remote_name: "a.test".into(),
        state: SourceCondition::Reachable,
        authenticated: true,
        stratum: Some(1),
        reference_id: Some(u32::from_be_bytes(*b"GPS\0")),
        reach: 0o377,
        jitter: Some(3e-6),
        next_poll_seconds: Some(4.0),
        last_error: None,
    }
}

fn plain_source() -> SourceState {
    SourceState {
        offset: None,
        uncertainty: None,
        delay: None,
        remote_delay: None,
        remote_uncertainty: None,
        last_update: None,
        unanswered_polls: 8,
        nts_cookies: None,
        name: "ntp.test:123".into(),
        id: 2,
        mode: SourceMode::Server,
        remote_name: "ntp.test".into(),
        address: "192.0.2.9:123".parse().unwrap(),
        state: SourceCondition::Starting,
        authenticated: false,
        stratum: None,
        reference_id: None,
        reach: 0,
        jitter: None,
        last_error: Some("cannot send: \x1b[31mno route".into()),
        ..good_source()
    }
}

#[test]
fn the_whole_page() {
    let page = "\
ntp-daemon 0.1.0, running for 3 min 12 s, does not steer the clock
Not synchronised, root delay 0 µs, root dispersion 0 µs

Sources
  SOURCE          MODE      SERVER                NTS            REACH  POLL  OFFSET ± ERROR      DELAY   COOKIES  STATE
  pool.test:4460  nts-pool  a.test 192.0.2.1:123  authenticated  377    16 s  +12.3 µs ± 80.1 µs  160 µs  8/8      reachable, stratum 1
  ntp.test:123    server    192.0.2.9:123         no             000    16 s  –                   –       –        no answer yet: cannot send:  [31mno route
  pool.test:4460  nts-pool  –                     –              –      –     –                   –       –        1 of 2 held: the pool named a.test again, so it seems to have no other now; next try in 9 s

Servers
  ADDRESS   RECEIVED  ANSWERED  WITH NTS  NTS NAK  DENIED  RATE-LIMITED  IGNORED  NOT SENT
  [::]:123  10        7         5         0        0       0             3        0

NTS key exchange servers
  ADDRESS    CONNECTIONS  USERS SERVED  SERVED FOR POOLS  POOLS' QUESTIONS  REFUSED  NO HANDSHAKE  ABANDONED
  [::]:4460  4            1             2                 1                 0        0             0
";
    assert_eq!(render(&example()), page);
}

#[test]
fn a_daemon_without_sources_says_so() {
    let state = ObservableState {
        sources: Vec::new(),
        configured_sources: Vec::new(),
        servers: Vec::new(),
        nts_ke_servers: Vec::new(),
        ..example()
    };
    assert!(render(&state).ends_with("\nSources\n  none configured\n"));
}

#[test]
fn a_server_that_serves_its_own_clock() {
    let mut system = example().system;
    system.stratum = 1;
    system.leap_indicator = LeapIndicator::NoWarning;
    assert_eq!(synchronization(&system), "Serves stratum 1");
}
