mod groups;
mod limits;
mod overview;
mod snapshot;
mod sources;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::testing::Authority;
use crate::upstream::Dialect;

/// A directory with `ca.pem`, `end.pem`, `end.key` and whatever a test adds.
struct Files {
    directory: TempDir,
    authority: Authority,
}

impl Files {
    fn new() -> Self {
        let files = Self {
            directory: tempfile::tempdir().unwrap(),
            authority: Authority::new(),
        };
        let end = files.authority.issue_pem("pool.test");
        files.write("ca.pem", &files.authority.pem(), 0o644);
        files.write("end.pem", &end.certificate, 0o644);
        files.write("end.key", &end.key, 0o600);
        files
    }

    fn write(&self, name: &str, content: &str, mode: u32) {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn here(&self) -> String {
        self.directory.path().display().to_string()
    }

    /// Parses `text`, in which `DIR` stands for this directory.
    fn parse(&self, text: &str) -> Result<Loaded<Config>, Problems> {
        Config::parse("pool.toml", &text.replace("DIR", &self.here()))
    }

    /// The problems of `text`, in which `DIR` stands for this directory again.
    fn problems(&self, text: &str) -> String {
        let problems = self.parse(text).map(|_| ()).unwrap_err();
        problems.to_string().replace(&self.here(), "DIR")
    }

    fn warnings(&self, text: &str) -> String {
        let loaded = self.parse(text).unwrap();
        loaded.warnings.to_string().replace(&self.here(), "DIR")
    }
}

/// A good configuration with this list of sources, and more keys of the pool after it.
fn with_sources(sources: &str, more: &str) -> String {
    format!(
        r#"[nts-pool-ke-server]
listen = "127.0.0.1:4460"
certificate-authority-path = "DIR/ca.pem"
certificate-chain-path = "DIR/end.pem"
private-key-path = "DIR/end.key"
key-exchange-servers = [
{sources}
]
{more}
"#
    )
}

const ONE_SOURCE: &str = r#"{ domain = "a.test" }"#;
const GOOD_TOKEN: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn the_simple_form_has_these_defaults() {
    let files = Files::new();
    let loaded = files.parse(&with_sources(ONE_SOURCE, "")).unwrap();
    assert!(loaded.warnings.is_empty());
    let config = loaded.value;
    assert_eq!(config.listen.to_string(), "[\"127.0.0.1:4460\"]");
    assert_eq!(config.key_exchange_timeout, Duration::from_millis(1000));
    assert_eq!(config.observability, ObservabilityConfig::default());
    assert_eq!(config.upstream, UpstreamConfig::default());
    let [source] = config.sources.sources.as_slice() else {
        panic!("one source");
    };
    assert_eq!(source.domain().as_str(), "a.test");
    assert_eq!((source.port(), source.weight), (4460, 1));
    assert_eq!(source.dialect, Dialect::Auto);
    assert!(source.auth_token.is_none());
    assert_eq!(
        config.tls.upstream_identity.certificate(),
        config.tls.identity.certificate()
    );
}

#[test]
fn a_name_that_ends_in_a_number_is_a_warning() {
    let files = Files::new();
    let sources = r#"{ domain = "nts.server.1", port = 8081 },
{ domain = "nts.server.2", port = 8080 },"#;
    let loaded = files.parse(&with_sources(sources, "")).unwrap();
    let names: Vec<_> = loaded
        .value
        .sources
        .sources
        .iter()
        .map(|source| source.domain().as_str())
        .collect();
    assert_eq!(names, ["nts.server.1", "nts.server.2"]);
    assert!(
        loaded
            .value
            .sources
            .sources
            .iter()
            .all(|source| source.server_name().is_none())
    );
    let warnings = loaded.warnings.to_string();
    for (line, name) in [(7, "nts.server.1"), (8, "nts.server.2")] {
        let warning = format!("warning: pool.toml:{line}: ");
        assert!(
            warnings.contains(&warning) && warnings.contains(name),
            "{warnings}"
        );
    }
    for wrong in [
        "1.2.3",
        "1.2.3.256",
        "a..1",
        "1",
        ".1",
        "a.1.2",
        "-a.1",
        "a b.1",
    ] {
        assert!(SourceConfig::new(wrong, 1).is_err(), "{wrong}");
    }
}

#[test]
fn the_effective_configuration_names_every_key_and_no_secret() {
    let files = Files::new();
    files.write("token", &format!("{GOOD_TOKEN}\n"), 0o600);
    let client = files.authority.issue_pem("client.test");
    files.write("client.pem", &client.certificate, 0o644);
    files.write("client.key", &client.key, 0o600);
    let sources = format!(
        r#"{{ id = "A.test:8081", domain = "A.test", port = 8081, weight = 7, auth-token = "{GOOD_TOKEN}" }},
{{ domain = "2001:db8::1", auth-token-path = "DIR/token", dialect = "draft-token", max-concurrency = 20, allow-private = false,
    id = "second", ntp-names = ["ntp.b.test.", "2001:DB8::2"] }},"#
    );
    let text = with_sources(
        &sources,
        r#"upstream-certificate-chain-path = "DIR/client.pem"
upstream-private-key-path = "DIR/client.key"
key-exchange-timeout-ms = 5000
[selection]
local-min-sources = 4
operator-share-max = 0.25
diversity = "none"
[health]
failures = 5
ramp-s = 60
[upstream]
attempts = 2
idle-per-source = 0
info-interval-s = 30
same-source-retry = false
deny-private-addresses = true
name-policy = "verified"
[limits]
prefix-rate = 10
exempt-prefixes = ["192.0.2.0/24", "2001:db8::/32"]
handshake-timeout-ms = 2500
[proxy-protocol]
mode = "required"
allow = ["192.0.2.1/32"]
[shutdown]
drain-delay-ms = 10000
[observability]
log-level = "debug"
log-format = "json"
log-client-address = "prefix"
monitor-prefixes = ["2001:db8::/48"]
metrics-exporter-listen = "127.0.0.1:9976"
"#,
    );
    let config = files.parse(&text).unwrap().value;
    let shown = config.to_string();
    assert_eq!(
        shown.replace(&files.here(), "DIR"),
        r#"[nts-pool-ke-server]
listen = ["127.0.0.1:4460"]
certificate-authority-mode = "only"
certificate-authority-path = "DIR/ca.pem"
certificate-chain-path = "DIR/end.pem"
# 1: CN=rcgen self signed cert, issued by CN=rcgen self signed cert, for pool.test, good until Jan  1 00:00:00 4096 +00:00
private-key-path = "DIR/end.key"
upstream-certificate-chain-path = "DIR/client.pem"
# 1: CN=rcgen self signed cert, issued by CN=rcgen self signed cert, for client.test, good until Jan  1 00:00:00 4096 +00:00
upstream-private-key-path = "DIR/client.key"
key-exchange-timeout-ms = 5000
key-exchange-servers = [
    { id = "A.test:8081", domain = "A.test", port = 8081, weight = 7, auth-token = "<redacted>", dialect = "auto", ipv4 = true, ipv6 = true },
    { id = "second", domain = "2001:db8::1", port = 4460, weight = 1, auth-token-path = "DIR/token", dialect = "draft-token", ipv4 = true, ipv6 = true, ntp-names = ["ntp.b.test", "2001:db8::2"], max-concurrency = 20, allow-private = false },
]
# 2 sources:
# region  sources  operators  weight   IPv4   IPv6  first source of users there
# global        2          2       8      2      2  from here

[selection]
local-min-sources = 4
local-min-operators = 1
wide-min-sources = 16
operator-share-max = 0.25
diversity = "none"
all-denied = "serve"

[health]
failures = 5
hard-failures = 2
unknown-failures = 2
ratio-at-least = 20
ratio-window-s = 30
hold-s = 30
hold-max-s = 1800
forgive-after-s = 600
probes = 2
probe-pause-min-s = 2
probe-pause-max-s = 5
ramp-s = 60
ramp-after-hard-s = 600
keep-sources = 3
outage-at-least = 4
outage-window-s = 30
outage-max-s = 300
checks-per-second = 500

[upstream]
attempts = 2
source-concurrency = 8
idle-per-source = 0
idle-timeout-s = 300
max-age-s = 3600
info-interval-s = 30
same-source-retry = false
deny-private-addresses = true
name-policy = "verified"

[limits]
# max-connections: 60 % of the open files, at most 16384
prefix-rate = 10
prefix-burst = 500
prefix-concurrency = 64
exempt-prefixes = ["192.0.2.0/24", "2001:db8::/32"]
first-byte-timeout-ms = 2000
handshake-timeout-ms = 2500
request-timeout-ms = 5000
max-request-bytes = 16384
max-denied = 32

[proxy-protocol]
mode = "required"
allow = ["192.0.2.1/32"]

[shutdown]
drain-delay-ms = 10000
timeout-ms = 5000

[observability]
log-level = "debug"
log-format = "json"
log-client-address = "prefix"
monitor-prefixes = ["2001:db8::/48"]
metrics-exporter-listen = "127.0.0.1:9976"
"#
    );
    files.write("effective.toml", &shown, 0o600);
    let part = load_observability(&files.path("effective.toml")).unwrap();
    assert_eq!(part, config.observability);
    let debug = format!("{config:?}");
    assert!(!debug.contains(GOOD_TOKEN) && !shown.contains(GOOD_TOKEN));
    let [_, second] = config.sources.sources.as_slice() else {
        panic!("two sources");
    };
    let token = nts_proto::ke::token::AuthenticationToken::new(GOOD_TOKEN).unwrap();
    assert!(second.auth_token.as_ref().unwrap().matches(&token));
}

#[test]
fn what_is_said_about_upstream_has_its_bounds() {
    let files = Files::new();
    let source = r#"{ domain = "a.test", max-concurrency = 0 }"#;
    let text = with_sources(
        source,
        r#"[upstream]
attempts = 0
source-concurrency = 1001
idle-per-source = 51
idle-timeout-s = 0
max-age-s = 3601
info-interval-s = 1
same-source-retry = 1
name-policy = "all"
attemps = 3"#,
    );
    let section = "error: pool.toml:";
    let range = |line: usize, key: &str, bounds: &str| {
        format!("{section}{line}: {key}: out of range; write a number from {bounds}")
    };
    let problems = files.problems(&text);
    assert_eq!(
        problems.lines().collect::<Vec<_>>(),
        [
            range(
                7,
                "nts-pool-ke-server.key-exchange-servers[1].max-concurrency = 0",
                "1 to 1000"
            ),
            range(10, "upstream.attempts = 0", "1 to 10"),
            range(11, "upstream.source-concurrency = 1001", "1 to 1000"),
            range(12, "upstream.idle-per-source = 51", "0 to 50"),
            range(13, "upstream.idle-timeout-s = 0", "1 to 3600 seconds"),
            range(14, "upstream.max-age-s = 3601", "10 to 3600 seconds"),
            range(15, "upstream.info-interval-s = 1", "5 to 1800 seconds"),
            format!(
                "{section}16: upstream.same-source-retry = 1: wrong type; write true or false, \
                 without quotes"
            ),
            format!(
                "{section}17: upstream.name-policy = \"all\": unknown word; known are `any` or \
                 `verified`"
            ),
            format!(
                "{section}18: upstream.attemps: unknown key; take it out, or see the manual for \
                 the keys of this section"
            ),
        ]
    );
}

#[test]
fn what_is_said_about_selection_and_health_has_its_bounds() {
    let files = Files::new();
    let text = with_sources(
        ONE_SOURCE,
        r#"geo-database-path = "DIR/end.pem"
[selection]
wide-min-sources = 0
operator-share-max = 1.5
[health]
failures = 0
hold-s = 60
hold-max-s = 30"#,
    );
    let problems = files.problems(&text);
    for part in [
        "nts-pool-ke-server.geo-database-path",
        "not a sound database",
        "selection.wide-min-sources = 0: out of range; write a number from 1 to 1000",
        "selection.operator-share-max = 1.5: no share",
        "health.failures = 0: out of range; write a number from 1 to 1000",
        "health.hold-max-s = 30: shorter than `hold-s`",
    ] {
        assert!(problems.contains(part), "{part} not in\n{problems}");
    }
    assert_eq!(problems.lines().count(), 5, "{problems}");
}

#[test]
fn a_geo_database_is_read() {
    let files = Files::new();
    let database = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/geo.mmdb");
    let key = format!("geo-database-path = {database:?}\n");
    let config = files.parse(&with_sources(ONE_SOURCE, &key)).unwrap().value;
    assert_eq!(*config.geo.as_ref().unwrap().file, Path::new(database));
    assert!(config.geo.as_ref().unwrap().geo.is_some());
    assert!(config.to_string().contains(key.trim()));
}

#[test]
fn without_a_good_geo_database_there_is_a_warning_and_no_geo() {
    let files = Files::new();
    for (file, fault) in [
        ("end.pem", "not a sound database"),
        ("missing.mmdb", "there is no file"),
    ] {
        let key = format!("geo-database-path = \"DIR/{file}\"\n");
        let loaded = files.parse(&with_sources(ONE_SOURCE, &key)).unwrap();
        let warnings = loaded.warnings.to_string();
        assert!(warnings.starts_with("warning: "), "{warnings}");
        assert!(warnings.contains(fault), "{warnings}");
        assert!(
            warnings.ends_with("nobody knows where users are"),
            "{warnings}"
        );
        assert!(loaded.value.geo.unwrap().geo.is_none());
    }
}

#[test]
fn listen_takes_a_list() {
    let files = Files::new();
    let text = with_sources(ONE_SOURCE, "");
    let text = text.replace("\"127.0.0.1:4460\"", "[\"0.0.0.0:4460\", \"[::]:4460\"]");
    let listen = files.parse(&text).unwrap().value.listen;
    let addresses = ["0.0.0.0:4460", "[::]:4460"].map(|text| text.parse().unwrap());
    assert_eq!(listen, addresses.to_vec().into());
    let text = with_sources(ONE_SOURCE, "").replace("\"127.0.0.1:4460\"", "[]");
    assert_eq!(
        files.problems(&text),
        "error: pool.toml:2: nts-pool-ke-server.listen = []: an empty list; write at least one \
         address like `0.0.0.0:4460`"
    );
    let twice = "[\"[::]:4460\", \"[0::0]:4460\"]";
    let text = with_sources(ONE_SOURCE, "").replace("\"127.0.0.1:4460\"", twice);
    assert_eq!(
        files.problems(&text),
        "error: pool.toml:2: nts-pool-ke-server.listen[2]: [::]:4460 stands there twice; take one \
         of them out"
    );
}

#[test]
fn metrics_are_not_shown_where_users_connect() {
    let files = Files::new();
    let at = |port: &str| {
        let more = format!("[observability]\nmetrics-exporter-listen = \"127.0.0.1:{port}\"\n");
        with_sources(ONE_SOURCE, "") + &more
    };
    assert!(files.parse(&at("4461")).is_ok());
    let problems = files.problems(&at("4460"));
    let cure = "observability.metrics-exporter-listen = \"127.0.0.1:4460\": users connect there \
                (`listen`); write another port";
    assert!(problems.ends_with(cure), "{problems}");
}

#[test]
fn all_problems_are_listed_at_once() {
    let files = Files::new();
    let text = r#"[nts-pool-ke-server]
lisen = "127.0.0.1:4460"
listen = "127.0.0.1:0"
certificate-authority-path = "DIR/missing.pem"
certificate-chain-path = "DIR/end.pem"
key-exchange-timeout-ms = 0
key-exchange-servers = [
    { domain = "not a name", port = 4460 },
    { domain = "b.test", port = 0 },
    { domain = "b.test", weigth = 1 },
    { domain = "b.test", weight = 1001 },
]
limits = {}
"#;
    let prefix = "error: pool.toml:";
    let expected = [
        "1: nts-pool-ke-server.private-key-path: missing; add `private-key-path = …` to this \
         section",
        "2: nts-pool-ke-server.lisen: unknown key; take it out, or see the manual for the keys of \
         this section",
        "3: nts-pool-ke-server.listen = \"127.0.0.1:0\": port 0 means any port, so nobody would \
         find it; write the port to listen on, like 4460 for NTS-KE or 123 for NTP",
        "4: nts-pool-ke-server.certificate-authority-path: there is no file `DIR/missing.pem`; \
         correct the path",
        "6: nts-pool-ke-server.key-exchange-timeout-ms = 0: out of range; write a number from 100 \
         to 60000 milliseconds",
        "8: nts-pool-ke-server.key-exchange-servers[1].domain = \"not a name\": neither a DNS name \
         nor an IP address; write a name like `time.example.org` (letters, digits, `-`, `.`) or \
         an address like `192.0.2.1` or `2001:db8::1`",
        "9: nts-pool-ke-server.key-exchange-servers[2].port = 0: no such port; write a number from \
         1 to 65535",
        "10: nts-pool-ke-server.key-exchange-servers[3].weigth: unknown key; did you mean \
         `weight`?",
        "11: nts-pool-ke-server.key-exchange-servers[4].weight = 1001: out of range; write a \
         number from 0 to 1000",
        "11: nts-pool-ke-server.key-exchange-servers[4].domain = \"b.test\": the same domain and \
         port as entry 3; take one of them out",
        "13: nts-pool-ke-server.limits: unknown key; take it out, or see the manual for the keys \
         of this section",
    ];
    let problems = files.problems(text);
    let problems: Vec<_> = problems.lines().collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|line| format!("{prefix}{line}"))
        .collect();
    assert_eq!(problems, expected);
}

#[test]
fn a_list_without_a_source_to_pick_is_refused() {
    let files = Files::new();
    assert_eq!(
        files.problems(&with_sources("", "")),
        "error: pool.toml:6: nts-pool-ke-server.key-exchange-servers = []: no time source; add at \
         least one like `{ domain = \"nts.example.org\", port = 4460 }`"
    );
    assert_eq!(
        files.problems(&with_sources(r#"{ domain = "a.test", weight = 0 }"#, "")),
        "error: pool.toml:6: nts-pool-ke-server.key-exchange-servers = …: every source has weight \
         0, so none could be picked; give at least one a weight from 1 to 1000"
    );
    let without = with_sources(ONE_SOURCE, "");
    let start = without.find("key-exchange-servers").unwrap();
    assert_eq!(
        files.problems(&without[..start]),
        "error: pool.toml:1: nts-pool-ke-server.key-exchange-servers: missing; add \
         `key-exchange-servers = …` to this section"
    );
}

#[test]
fn one_source_may_be_drained() {
    let files = Files::new();
    let sources = r#"{ domain = "a.test", weight = 0 }, { domain = "a.test", port = 4461 }"#;
    let config = files.parse(&with_sources(sources, "")).unwrap().value;
    assert_eq!(config.sources.sources[0].weight, 0);
}

#[test]
fn duplicates_are_found_in_any_spelling() {
    let files = Files::new();
    let sources = r#"{ domain = "a.test" }, { domain = "A.TEST.", port = 4460 }"#;
    assert_eq!(
        files.problems(&with_sources(sources, "")),
        "error: pool.toml:7: nts-pool-ke-server.key-exchange-servers[2].domain = \"A.TEST.\": the \
         same domain and port as entry 1; take one of them out"
    );
}

#[test]
fn the_key_must_belong_to_the_certificate() {
    let files = Files::new();
    let other = files.authority.issue_pem("other.test");
    files.write("end.key", &other.key, 0o600);
    let problems = files.problems(&with_sources(ONE_SOURCE, ""));
    assert!(
        problems.starts_with(
            "error: pool.toml:5: nts-pool-ke-server.private-key-path: `DIR/end.key`: the private \
             key does not belong to the certificate of"
        ),
        "{problems}"
    );
}

#[test]
fn a_port_in_a_domain_has_a_key_of_its_own() {
    let files = Files::new();
    assert_eq!(
        files.problems(&with_sources(r#"{ domain = "a.test:8081" }"#, "")),
        "error: pool.toml:7: nts-pool-ke-server.key-exchange-servers[1].domain = \"a.test:8081\": \
         a port does not belong here; write it as `port = 8081`"
    );
}

#[test]
fn an_expired_certificate_is_refused() {
    let files = Files::new();
    let old = files.authority.issue_expired_pem("pool.test");
    files.write("end.pem", &old.certificate, 0o644);
    files.write("end.key", &old.key, 0o600);
    let problems = files.problems(&with_sources(ONE_SOURCE, ""));
    assert!(
        problems.starts_with("error: pool.toml:4: nts-pool-ke-server.certificate-chain-path: ")
            && problems.contains("expired")
            && problems.lines().count() == 1,
        "{problems}"
    );
}

#[test]
fn a_token_stands_in_one_place_only() {
    let files = Files::new();
    files.write("token", GOOD_TOKEN, 0o600);
    let both = format!(
        r#"{{ domain = "a.test", auth-token = "{GOOD_TOKEN}", auth-token-path = "DIR/token" }}"#
    );
    assert_eq!(
        files.problems(&with_sources(&both, "")),
        "error: pool.toml:7: nts-pool-ke-server.key-exchange-servers[1].auth-token-path = \
         \"DIR/token\": both `auth-token` and `auth-token-path`; take one of them out"
    );
}

#[test]
fn tokens_can_follow_from_a_secret_of_the_pool() {
    let files = Files::new();
    files.write("secret", GOOD_TOKEN, 0o600);
    let sources = r#"{ domain = "a.test", token-generation = 1 },
{ domain = "b.test", token-generation = 1 }, { domain = "c.test" }"#;
    let text = with_sources(sources, r#"token-secret-path = "DIR/secret""#);
    let config = files.parse(&text).unwrap().value;
    let secret = config.token_secret.as_ref().unwrap();
    let tokens: Vec<_> = config
        .sources
        .sources
        .iter()
        .map(|it| &it.auth_token)
        .collect();
    for (token, domain) in tokens.iter().zip(["a.test", "b.test"]) {
        let (id, domain) = (format!("{domain}:4460"), domain.parse().unwrap());
        let derived = secret.token(&id, &domain, 1);
        assert!(token.as_ref().unwrap().matches(&derived), "{id}");
    }
    assert!(tokens[2].is_none());
    let shown = config.to_string();
    assert!(shown.contains("token-secret-path = "), "{shown}");
    assert!(
        shown.contains("weight = 1, token-generation = 1, dialect"),
        "{shown}"
    );
    assert!(!shown.contains("auth-token"), "{shown}");
}

#[test]
fn a_generation_needs_a_secret_and_no_other_token() {
    let files = Files::new();
    let key = "error: pool.toml:7: nts-pool-ke-server.key-exchange-servers[1].token-generation";
    assert_eq!(
        files.problems(&with_sources(
            r#"{ domain = "a.test", token-generation = 1 }"#,
            ""
        )),
        format!(
            "{key} = 1: there is no secret to derive the token from; see to `token-secret-path` in \
             `[nts-pool-ke-server]`, or give the source an `auth-token-path`"
        )
    );
    let both =
        format!(r#"{{ domain = "a.test", auth-token = "{GOOD_TOKEN}", token-generation = 1 }}"#);
    assert_eq!(
        files.problems(&with_sources(&both, "")),
        format!("{key} = 1: the token is given as well; take one of the two out")
    );
    files.write("secret", "short", 0o600);
    let text = with_sources(ONE_SOURCE, r#"token-secret-path = "DIR/secret""#);
    assert_eq!(
        files.problems(&text),
        "error: pool.toml:9: nts-pool-ke-server.token-secret-path: the secret in `DIR/secret` has 5 \
         octets, which could be guessed; make one of 32 or more with `openssl rand -hex 32`"
    );
}

#[test]
fn token_files_of_others_are_refused_and_readable_ones_noted() {
    let files = Files::new();
    let text = with_sources(
        r#"{ domain = "a.test", auth-token-path = "DIR/token" }"#,
        "",
    );
    files.write("token", GOOD_TOKEN, 0o620);
    assert_eq!(
        files.problems(&text),
        "error: pool.toml:7: nts-pool-ke-server.key-exchange-servers[1].auth-token-path: other \
         users can write to `DIR/token` (mode 620), so its secret cannot be trusted; run `chmod \
         600 'DIR/token'` and make a new secret"
    );
    files.write("token", GOOD_TOKEN, 0o644);
    assert_eq!(
        files.warnings(&text),
        "warning: pool.toml:7: nts-pool-ke-server.key-exchange-servers[1].auth-token-path: every \
         user of this machine can read `DIR/token` (mode 644); run `chmod 600 'DIR/token'`"
    );
    files.write(
        "token",
        &format!("{GOOD_TOKEN}\n# the old one:\nabc\n"),
        0o600,
    );
    assert_eq!(
        files.warnings(&text),
        "warning: pool.toml:7: nts-pool-ke-server.key-exchange-servers[1].auth-token-path = \
         \"DIR/token\": the token has a line break or another control character in it, which is \
         hardly meant; write one token on one line"
    );
    files.write("token", "\n", 0o600);
    assert_eq!(
        files.problems(&text),
        "error: pool.toml:7: nts-pool-ke-server.key-exchange-servers[1].auth-token-path = \
         \"DIR/token\": a token is 1 to 512 ASCII characters without NUL; make one with `openssl \
         rand -hex 32`"
    );
}

#[test]
fn a_literal_token_never_appears_in_a_problem() {
    let files = Files::new();
    let text = with_sources(r#"{ domain = "a.test", auth-token = "s3cr3t" }"#, "");
    assert_eq!(
        files.warnings(&text),
        "warning: pool.toml:7: nts-pool-ke-server.key-exchange-servers[1].auth-token: a token of 6 \
         characters can be guessed; make one with `openssl rand -hex 32`"
    );
    let text = with_sources(r#"{ domain = "a.test", auth-token = "s3cr3t\u0000" }"#, "");
    assert_eq!(
        files.problems(&text),
        "error: pool.toml:7: nts-pool-ke-server.key-exchange-servers[1].auth-token: a token is 1 \
         to 512 ASCII characters without NUL; make one with `openssl rand -hex 32`"
    );
}

#[test]
fn a_config_with_a_token_that_everybody_can_read_is_noted() {
    let files = Files::new();
    let source = format!(r#"{{ domain = "a.test", auth-token = "{GOOD_TOKEN}" }}"#);
    let text = with_sources(&source, "").replace("DIR", &files.here());
    files.write("pool.toml", &text, 0o644);
    let loaded = Config::load(files.path("pool.toml")).unwrap();
    assert_eq!(
        loaded.warnings.to_string().replace(&files.here(), "DIR"),
        "warning: DIR/pool.toml:7: nts-pool-ke-server.key-exchange-servers[1].auth-token: this file \
         holds a secret and every user of this machine can read it; run `chmod o-r \
         'DIR/pool.toml'`"
    );
    files.write("pool.toml", &text, 0o640);
    assert!(
        Config::load(files.path("pool.toml"))
            .unwrap()
            .warnings
            .is_empty()
    );
}

#[test]
fn a_token_beside_a_dialect_without_tokens_is_noted() {
    let files = Files::new();
    let source =
        format!(r#"{{ domain = "a.test", auth-token = "{GOOD_TOKEN}", dialect = "draft-mtls" }}"#);
    assert_eq!(
        files.warnings(&with_sources(&source, "")),
        "warning: pool.toml:7: nts-pool-ke-server.key-exchange-servers[1].dialect = \
         \"draft-mtls\": the token is not used: this dialect proves itself by client certificate \
         only; take the token out, or write \"draft-token\""
    );
}

#[test]
fn the_upstream_pair_comes_whole_or_not_at_all() {
    let files = Files::new();
    let more = "upstream-private-key-path = \"DIR/end.key\"";
    assert_eq!(
        files.problems(&with_sources(ONE_SOURCE, more)),
        "error: pool.toml:9: nts-pool-ke-server.upstream-private-key-path: does nothing without \
         `upstream-certificate-chain-path`; write both or none"
    );
}

#[test]
fn the_authority_mode_decides_whether_a_file_is_needed() {
    let files = Files::new();
    let text = with_sources(ONE_SOURCE, "certificate-authority-mode = \"system\"");
    assert_eq!(
        files.problems(&text),
        "error: pool.toml:3: nts-pool-ke-server.certificate-authority-path: not read with \
         `certificate-authority-mode = \"system\"`; take it out, or write \"system-and-file\""
    );
    let without = |mode: &str| {
        let text = with_sources(
            ONE_SOURCE,
            &format!("certificate-authority-mode = {mode:?}"),
        );
        text.replace("certificate-authority-path = \"DIR/ca.pem\"", "")
    };
    assert_eq!(
        files.problems(&without("system-and-file")),
        "error: pool.toml:1: nts-pool-ke-server.certificate-authority-path: missing; add \
         `certificate-authority-path = …` to this section"
    );
}

#[test]
fn a_missing_file_is_a_problem_too() {
    let problems = Config::load("/nonexistent/pool.toml").unwrap_err();
    assert_eq!(
        problems.to_string(),
        "error: /nonexistent/pool.toml: there is no file `/nonexistent/pool.toml`; correct the \
         path"
    );
}
