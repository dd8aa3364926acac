use std::time::Duration;

use ntp_sync::config::{Algorithm, StepThreshold};
use nts_service::telemetry::logging::Level;

use super::*;

#[test]
fn an_empty_file_is_all_defaults() {
    let Loaded {
        config,
        warnings,
        notices,
    } = good("");
    assert!(config.sources.is_empty() && config.servers.is_empty() && config.ke_servers.is_empty());
    assert_eq!(config.keyset, KeysetConfig::default());
    assert_eq!(config.synchronization, SynchronizationConfig::default());
    assert_eq!(config.observability, ObservabilityConfig::default());
    assert!(warnings.is_empty() && notices.is_empty());
}

#[test]
fn every_key_of_a_plain_client_and_server() {
    let text = r#"
        [source-defaults]
        poll-interval-limits = { min = 5, max = 9 }
        initial-poll-interval = 6

        [[source]]
        mode = "server"
        address = "time.example.org"

        [[source]]
        mode = "pool"
        address = "[2001:db8::1]:124"
        count = 6
        ignore = ["192.0.2.1", "::ffff:192.0.2.2"]
        ntp-version = "auto"
        poll-interval-limits = { max = 5 }

        [[server]]
        listen = "[::]:123"
        rate-limiting-cache-size = 32
        rate-limiting-cutoff-ms = 1500
        rate-limiting-burst = 20
        rate-limiting-kiss = "nts"
        threads = 0
        allowlist = { filter = ["192.168.1.1/24", "::/0"], action = "deny" }
        denylist = { filter = [], action = "ignore" }
        require-nts = "deny"
        accept-ntp-versions = [4]

        [keyset]
        stale-key-count = 3
        key-rotation-interval = 3600
        key-storage-path = "keys"

        [synchronization]
        minimum-agreeing-sources = 2
        single-step-panic-threshold = 0.5
        startup-step-panic-threshold = { forward = 0, backward = "inf" }
        accumulated-step-panic-threshold = 60
        local-stratum = 10
        reference-id = "GPS"
        warn-on-jump = false
        control-clock = false

        [synchronization.algorithm]
        step-threshold = 1
        ignore-server-dispersion = true

        [observability]
        log-level = "debug"
        log-path = "log"
        ansi-colors = false
        observation-path = "observe"
        observation-permissions = 0o660
        metrics-exporter-listen = "127.0.0.1:9976"

        [clock]
        timestamp-mode = "kernel-recv"
    "#;
    let Loaded {
        config, warnings, ..
    } = good(text);
    assert_eq!(warnings.to_string(), "");

    let [server, pool] = &config.sources[..] else {
        panic!("{:?}", config.sources)
    };
    assert!(matches!(server.mode, SourceMode::Server));
    assert_eq!(server.address.to_string(), "time.example.org:123");
    assert_eq!(server.poll_interval_limits, PollLimits { min: 5, max: 9 });
    assert_eq!(server.initial_poll_interval, 6);
    let SourceMode::Pool { count, ignore } = &pool.mode else {
        panic!("{pool:?}")
    };
    assert_eq!(*count, 6);
    assert_eq!(format!("{ignore:?}"), "[192.0.2.1, 192.0.2.2]");
    assert_eq!(
        (pool.address.host.as_str(), pool.address.port),
        ("2001:db8::1", 124)
    );
    assert_eq!(pool.address.to_string(), "[2001:db8::1]:124");
    assert_eq!(pool.poll_interval_limits, PollLimits { min: 5, max: 5 });
    assert_eq!(pool.initial_poll_interval, 5);

    let server = &config.servers[0];
    assert_eq!(server.listen.to_string(), "[::]:123");
    assert_eq!(server.rate_limiting_cache_size, 32);
    assert_eq!(server.rate_limiting_cutoff, Duration::from_millis(1500));
    assert_eq!(server.rate_limiting_burst, 20);
    assert_eq!(server.rate_limiting_kiss, RateKiss::Nts);
    assert_eq!(server.threads, 0);
    let allow = server.allowlist.as_ref().unwrap();
    assert_eq!(format!("{:?}", allow.filter), "[192.168.1.1/24, ::/0]");
    assert_eq!(allow.action, FilterAction::Deny);
    assert_eq!(
        server.denylist.as_ref().unwrap().action,
        FilterAction::Ignore
    );
    assert_eq!(server.require_nts, Some(FilterAction::Deny));
    assert_eq!(
        server.accept_ntp_versions,
        AcceptedVersions {
            v3: false,
            v4: true
        }
    );

    assert_eq!(config.keyset.stale_key_count, 3);
    assert_eq!(
        config.keyset.key_rotation_interval,
        Duration::from_secs(3600)
    );
    assert_eq!(
        config.keyset.key_storage_path.as_deref(),
        Some(Path::new("keys"))
    );

    let synchronization = &config.synchronization;
    assert_eq!(synchronization.minimum_agreeing_sources, 2);
    assert_eq!(synchronization.local_stratum, 10);
    assert_eq!(synchronization.reference_id, Some(ReferenceId(*b"GPS\0")));
    assert!(!synchronization.warn_on_jump && !synchronization.control_clock);
    let half = Some(Duration::from_millis(500));
    assert_eq!(
        synchronization.single_step_panic_threshold,
        StepThreshold {
            forward: half,
            backward: half
        }
    );
    assert_eq!(
        synchronization.startup_step_panic_threshold,
        StepThreshold {
            forward: Some(Duration::ZERO),
            backward: None
        }
    );
    let limit = Some(Duration::from_secs(60));
    assert_eq!(synchronization.accumulated_step_panic_threshold, limit);
    assert_eq!(
        synchronization.algorithm,
        Algorithm {
            step_threshold: 1.0,
            ignore_server_dispersion: true,
            ..Algorithm::default()
        }
    );

    let observability = &config.observability;
    assert_eq!(observability.log_level, Level::Debug);
    assert_eq!(observability.log_path.as_deref(), Some(Path::new("log")));
    assert_eq!(observability.ansi_colors, Some(false));
    assert_eq!(
        observability.observation_path.as_deref(),
        Some(Path::new("observe"))
    );
    assert_eq!(observability.observation_permissions, 0o660);
    assert_eq!(
        observability.metrics_exporter_listen.to_string(),
        "127.0.0.1:9976"
    );
}

#[test]
fn thresholds_may_be_numbers_words_or_tables() {
    let seconds = |s| Some(Duration::from_secs(s));
    for (written, forward, backward) in [
        ("1800", seconds(1800), seconds(1800)),
        ("\"inf\"", None, None),
        ("inf", None, None),
        ("{ backward = 5 }", None, seconds(5)),
        (
            "{ forward = \"inf\", backward = 86400.0 }",
            None,
            seconds(86_400),
        ),
    ] {
        let text = format!("[synchronization]\nsingle-step-panic-threshold = {written}");
        let threshold = good(&text)
            .config
            .synchronization
            .single_step_panic_threshold;
        assert_eq!(threshold, StepThreshold { forward, backward }, "{written}");
    }
    let off = "[synchronization]\naccumulated-step-panic-threshold = 0";
    assert_eq!(
        good(off)
            .config
            .synchronization
            .accumulated_step_panic_threshold,
        None
    );
}

#[test]
fn require_nts_is_a_switch_or_an_action() {
    for (written, action) in [
        ("false", None),
        ("true", Some(FilterAction::Ignore)),
        ("\"ignore\"", Some(FilterAction::Ignore)),
        ("\"deny\"", Some(FilterAction::Deny)),
    ] {
        let text = format!("[[server]]\nlisten = '0.0.0.0:123'\nrequire-nts = {written}");
        assert_eq!(
            good(&text).config.servers[0].require_nts,
            action,
            "{written}"
        );
    }
}

#[test]
fn keys_without_effect_are_named_once_for_each_reason() {
    let text = "\
[clock]
timestamp-mode = 'software'
";
    let notices: Vec<_> = good(text).notices.iter().map(ToString::to_string).collect();
    assert_eq!(
        notices,
        [
            "timestamps are taken as well as the kernel can, so these keys have no effect: \
             clock.timestamp-mode (line 2)",
        ]
    );
}

#[test]
fn observability_alone_needs_no_other_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ntp.toml");
    let text = "\
[[source]]
mode = 'nts'
certificate-authority = 'nowhere.pem'
[[nts-ke-server]]
private-key-path = '/root/secret.key'
[observability]
observation-path = 'observe'
";
    std::fs::write(&path, text).unwrap();
    let observability = load_observability(&path).unwrap();
    assert_eq!(
        observability.observation_path.as_deref(),
        Some(Path::new("observe"))
    );
    std::fs::write(&path, "[observability]\nobservation-pth = 'observe'").unwrap();
    assert_eq!(
        load_observability(&path).unwrap_err().to_string(),
        format!(
            "error: {}:2: observability.observation-pth: unknown key; \
             did you mean `observation-path`?",
            path.display()
        )
    );
}

/// The files of the first implementation of pools, as they were.
#[test]
#[cfg(feature = "unstable_nts-pool")]
fn files_of_the_first_pool_implementation_are_taken_as_they_are() {
    let pki = crate::fixtures::Pki::new();
    let end = pki.issue("localhost");
    let client = format!(
        "[[source]]\nmode = \"nts-pool\"\naddress = \"localhost:4460\"\n\
         certificate-authority = {:?}\ncount = 1\n\
         [synchronization]\nminimum-agreeing-sources = 1\nsingle-step-panic-threshold = 10\n\
         startup-step-panic-threshold = {{ forward=\"inf\", backward = 86400 }}\n\
         [observability]\nlog-level = \"info\"\nobservation-path = \"/tmp/observe\"\n",
        pki.path("ca.pem")
    );
    let server = format!(
        "[[source]]\nmode = \"pool\"\naddress = \"ntpd-rs.pool.ntp.org\"\ncount = 4\n\
         [[server]]\nlisten = \"0.0.0.0:123\"\n\
         [synchronization]\nsingle-step-panic-threshold = 10\n\
         startup-step-panic-threshold = {{ forward = 0, backward = 86400 }}\n\
         [[nts-ke-server]]\nlisten = \"0.0.0.0:4460\"\n{}\
         authorized-pool-server-certificates = [{:?}]\nkey-exchange-timeout-ms = 1000\n",
        end.toml(),
        end.chain_path,
    );
    let plain = "[[source]]\nmode = \"pool\"\naddress = \"ntpd-rs.pool.ntp.org\"\ncount = 4\n";
    for text in [client.as_str(), &server, plain] {
        let Loaded {
            config,
            warnings,
            notices,
        } = good(text);
        assert_eq!(warnings.to_string(), "", "{text}");
        assert!(notices.is_empty(), "{notices:?}");
        assert_eq!(config.sources.len(), 1);
    }
    let limits = good(&server)
        .config
        .synchronization
        .startup_step_panic_threshold;
    assert_eq!(limits.forward, Some(Duration::ZERO));
}
