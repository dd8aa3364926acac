use super::*;

/// A daemon in the middle of its work: one good source, one place free, servers.
pub(crate) fn example() -> ObservableState {
    ObservableState {
        program: ProgramState {
            version: "0.1.0".into(),
            build_commit: "unknown".into(),
            build_commit_date: "unknown".into(),
            uptime_seconds: 192.4,
            now: Timestamp { timestamp: 7 },
        },
        system: SystemState {
            stratum: 2,
            reference_id: u32::from_be_bytes([192, 0, 2, 1]),
            accumulated_steps_threshold: None,
            precision: 1e-6,
            root_delay: 1e-3,
            root_variance_base_time: Timestamp { timestamp: 0 },
            root_variance_base: 1e-8,
            root_variance_linear: 0.0,
            root_variance_quadratic: 0.0,
            root_variance_cubic: 0.0,
            leap_indicator: LeapIndicator::NoWarning,
            accumulated_steps: 0.0,
            clock_control: true,
            clock: Some(ClockState {
                synchronized: true,
                reason: None,
                offset: Some(4.2e-6),
                offset_uncertainty: Some(2.1e-6),
                frequency: -3.21e-6,
                frequency_uncertainty: Some(0.012e-6),
                slew: 50e-6,
                steps: 1,
                last_update: Some(Timestamp { timestamp: 6 }),
            }),
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
        cookie_keys: Some(CookieKeysState {
            shared: true,
            count: 9,
            sealing_id: 0x0123_abcd,
            age_seconds: 7200.0,
            next_rotation_seconds: 79_200.0,
        }),
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
        state: SourceCondition::Best,
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
