use super::*;

const SOURCE: &str = r#"{ domain = "a.test" }"#;

fn limits(text: &str) -> LimitsConfig {
    let text = with_sources(SOURCE, text);
    Files::new().parse(&text).unwrap().value.limits
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn without_the_section_there_are_limits_too() {
    let limits = limits("");
    assert_eq!(limits, LimitsConfig::default());
    let prefixes = &limits.prefixes;
    assert_eq!(
        (prefixes.rate, prefixes.burst, prefixes.concurrency),
        (50, 500, 64)
    );
    assert!(!prefixes.exempt.is_empty());
}

#[test]
fn connections_follow_the_open_files_unless_a_number_is_given() {
    let counts = [256, 1024, 1 << 20].map(|files| LimitsConfig::default().connections(files));
    assert_eq!(counts, [153, 612, 16_384]);
    let limits = limits("[limits]\nmax-connections = 50000");
    assert_eq!(limits.connections(256), 50_000);
}

#[test]
fn times_are_within_that_of_the_exchange() {
    let default = LimitsConfig::default();
    for (budget, first_byte) in [(500, 250), (1000, 500), (5000, 2000)] {
        assert_eq!(default.first_byte(ms(budget)), ms(first_byte));
        assert_eq!(default.handshake(ms(budget)), ms(budget));
        assert_eq!(default.request(ms(budget)), ms(budget));
    }
    let limits = limits(
        "[limits]
first-byte-timeout-ms = 300
handshake-timeout-ms = 400
request-timeout-ms = 3000",
    );
    let times = |budget| {
        [
            limits.first_byte(budget),
            limits.handshake(budget),
            limits.request(budget),
        ]
    };
    assert_eq!(times(ms(5000)), [ms(300), ms(400), ms(3000)]);
    assert_eq!(times(ms(200)), [ms(200); 3]);
}

#[test]
fn networks_stand_in_place_of_the_default_ones() {
    let exempt = |text: &str| {
        let exempt = limits(&format!("[limits]\nexempt-prefixes = {text}"))
            .prefixes
            .exempt;
        exempt.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(exempt("[]").is_empty());
    assert_eq!(
        exempt(r#"["192.0.2.0/24", "2001:db8::/32"]"#),
        ["192.0.2.0/24", "2001:db8::/32"]
    );
}

#[test]
fn what_is_wrong_is_said_with_the_cure() {
    let text = with_sources(
        SOURCE,
        r#"[limits]
max-connections = 0
prefix-rate = 0
prefix-burst = 0
prefix-concurrency = 2000000
exempt-prefixes = ["192.0.2.0/24", "192.0.2.1"]
first-byte-timeout-ms = 9
handshake-timeout-ms = 60001
request-timeout-ms = 0
prefix-brust = 1"#,
    );
    let section = "error: pool.toml:";
    let range = |line: usize, key: &str, value: &str, bounds: &str| {
        format!(
            "{section}{line}: limits.{key} = {value}: out of range; write a number from {bounds}"
        )
    };
    assert_eq!(
        Files::new().problems(&text).lines().collect::<Vec<_>>(),
        [
            range(10, "max-connections", "0", "1 to 1000000"),
            range(11, "prefix-rate", "0", "1 to 1000000"),
            range(12, "prefix-burst", "0", "1 to 1000000"),
            range(13, "prefix-concurrency", "2000000", "1 to 1000000"),
            format!(
                "{section}14: limits.exempt-prefixes[2]: no network; write an address and a length \
                 like `192.0.2.0/24` or `2001:db8::/32`"
            ),
            range(15, "first-byte-timeout-ms", "9", "10 to 60000 milliseconds"),
            range(
                16,
                "handshake-timeout-ms",
                "60001",
                "10 to 60000 milliseconds"
            ),
            range(17, "request-timeout-ms", "0", "10 to 60000 milliseconds"),
            format!(
                "{section}18: limits.prefix-brust: unknown key; take it out, or see the manual for the keys of this section"
            ),
        ]
    );
}
