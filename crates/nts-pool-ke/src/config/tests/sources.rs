use super::*;
use crate::selection::{AllDenied, MAX_SOURCES};

const BY_FILE: &str = r#"[nts-pool-ke-server]
listen = "127.0.0.1:4460"
certificate-authority-path = "DIR/ca.pem"
certificate-chain-path = "DIR/end.pem"
private-key-path = "DIR/end.key"
key-exchange-servers-path = "DIR/FILE"
"#;

/// A file of this name and content, and a configuration that names it.
fn by_file(name: &str, content: &str) -> (Files, String) {
    let files = Files::new();
    files.write(name, &content.replace("DIR", &files.here()), 0o600);
    (files, BY_FILE.replace("FILE", name))
}

/// The sources of a file, as the effective configuration shows them.
fn shown(name: &str, content: &str) -> Vec<String> {
    let (files, text) = by_file(name, content);
    let config = files.parse(&text).unwrap().value;
    assert_eq!(
        config.sources.file.map(|file| file.into_inner()),
        Some(files.path(name))
    );
    config
        .sources
        .sources
        .iter()
        .map(|source| source.shown(&config.groups).to_string())
        .collect()
}

fn problems(name: &str, content: &str) -> Vec<String> {
    let (files, text) = by_file(name, content);
    let problems = files.problems(&text);
    problems.lines().map(str::to_owned).collect()
}

#[test]
fn a_file_is_toml_or_json_with_the_same_keys() {
    let expected = [
        r#"{ id = "first", domain = "a.test", port = 4460, weight = 3, dialect = "ietf", ipv4 = true, ipv6 = true }"#,
        r#"{ id = "b.test:8080", domain = "b.test", port = 8080, weight = 1, auth-token-path = "DIR/token", dialect = "auto", ipv4 = true, ipv6 = true }"#,
    ];
    for (name, content) in [
        (
            "sources.toml",
            r#"
[[key-exchange-servers]]
id = "first"
domain = "a.test"
weight = 3
dialect = "ietf"

[[key-exchange-servers]]
domain = "b.test"
port = 8080
auth-token-path = "DIR/token"
"#,
        ),
        (
            "sources.json",
            r#"{"key-exchange-servers": [
    {"id": "first", "domain": "a.test", "weight": 3, "dialect": "ietf"},
    {"domain": "b.test", "port": 8080, "auth-token-path": "DIR/token"}
]}"#,
        ),
    ] {
        let (files, text) = by_file(name, content);
        files.write("token", GOOD_TOKEN, 0o600);
        let config = files.parse(&text).unwrap().value;
        let shown = config.to_string().replace(&files.here(), "DIR");
        let list = format!(
            "# from key-exchange-servers-path = \"DIR/{name}\":\nkey-exchange-servers = [\n    \
             {},\n    {},\n]\n",
            expected[0], expected[1]
        );
        assert!(shown.contains(&list), "{shown}");
    }
}

#[test]
fn a_list_of_the_first_nts_pool_is_taken_over() {
    assert_eq!(
        shown(
            "servers.json",
            r#"[
    {"uuid": "5a3f-01", "domain": "a.test", "port": 4460, "weight": 2},
    {"uuid": "5a3f-02", "domain": "b.test", "port": 8080, "auth-token": null}
]"#
        ),
        [
            r#"{ id = "5a3f-01", domain = "a.test", port = 4460, weight = 2, dialect = "auto", ipv4 = true, ipv6 = true }"#,
            r#"{ id = "5a3f-02", domain = "b.test", port = 8080, weight = 1, dialect = "auto", ipv4 = true, ipv6 = true }"#,
        ]
    );
}

#[test]
fn all_problems_of_a_file_are_listed_at_once_beside_those_of_the_configuration() {
    let (files, text) = by_file(
        "sources.json",
        r#"[
    {"domain": "a.test", "weight": 1001},
    {"domain": "A.test."},
    {"domain": "b.test", "id": "a.test:4460", "wieght": 2},
    {"domain": "c.test", "id": "x", "uuid": "y"},
    {"id": "a b", "domain": "d.test", "ntp-names": ["not a name"]},
    {"domain": "e.test", "enabled": 1}
]"#,
    );
    let text = text.replace("DIR/end.key", "DIR/missing.key");
    let entry = |line: usize, rest: &str| {
        format!(
            "error: DIR/sources.json:{line}: key-exchange-servers[{}].{rest}",
            line - 1
        )
    };
    let problems = files.problems(&text);
    let problems: Vec<_> = problems.lines().collect();
    assert_eq!(
        problems,
        [
            entry(
                2,
                "weight = 1001: out of range; write a number from 0 to 1000"
            ),
            entry(
                3,
                "domain = \"A.test.\": the same domain and port as entry 1; take one of them out"
            ),
            entry(
                4,
                "id = \"a.test:4460\": the same id as entry 1; give one of them another"
            ),
            entry(4, "wieght: unknown key; did you mean `weight`?"),
            entry(
                5,
                "uuid = \"y\": means the same as `id`; take one of them out"
            ),
            entry(
                6,
                "id = \"a b\": no id; write 1 to 255 ASCII letters, digits or signs without blanks"
            ),
            entry(
                6,
                "ntp-names[1] = \"not a name\": neither a DNS name nor an IP address; write a \
                 name like `time.example.org` (letters, digits, `-`, `.`) or an address like \
                 `192.0.2.1` or `2001:db8::1`"
            ),
            entry(
                7,
                "enabled = 1: wrong type; write true or false, without quotes"
            ),
            "error: pool.toml:5: nts-pool-ke-server.private-key-path: there is no file \
             `DIR/missing.key`; correct the path"
                .to_owned(),
        ]
    );
}

#[test]
fn sources_stand_in_one_place_only() {
    let files = Files::new();
    files.write("sources.json", "[]", 0o600);
    let text = with_sources(
        ONE_SOURCE,
        "key-exchange-servers-path = \"DIR/sources.json\"",
    );
    assert_eq!(
        files.problems(&text),
        "error: pool.toml:9: nts-pool-ke-server.key-exchange-servers-path = \"DIR/sources.json\": \
         both `key-exchange-servers` and `key-exchange-servers-path`; take one of them out"
    );
}

#[test]
fn a_file_must_be_there_and_hold_a_list() {
    assert_eq!(
        problems("sources.toml", ""),
        [
            "error: DIR/sources.toml:1: key-exchange-servers: missing; add \
          `key-exchange-servers = …` to this section"
        ]
    );
    assert_eq!(
        problems("sources.json", "{\"key-exchange-servers\": 1}"),
        [
            "error: DIR/sources.json:1: key-exchange-servers = 1: a whole number where a list \
          belongs; write `[ … ]`"
        ]
    );
    assert_eq!(
        Files::new().problems(&BY_FILE.replace("FILE", "none.json")),
        "error: pool.toml:6: nts-pool-ke-server.key-exchange-servers-path: there is no file \
         `DIR/none.json`; correct the path"
    );
}

#[test]
fn a_file_without_a_source_to_pick_is_loudly_accepted() {
    for content in [
        "[]",
        r#"[{"domain": "a.test", "weight": 0}]"#,
        r#"[{"domain": "a.test", "enabled": false}]"#,
    ] {
        let (files, text) = by_file("sources.json", content);
        assert_eq!(
            files.warnings(&text),
            "warning: DIR/sources.json:1: no source in this list can be picked, so every user will be \
             refused; add sources, or give them weight",
            "{content}"
        );
    }
}

#[test]
fn sources_that_are_not_enabled_are_checked_and_left_out() {
    let files = Files::new();
    let sources = r#"{ domain = "a.test", enabled = false }, { domain = "b.test" }"#;
    let config = files.parse(&with_sources(sources, "")).unwrap().value;
    let [source] = config.sources.sources.as_slice() else {
        panic!("one source");
    };
    assert_eq!(source.id(), "b.test:4460");
    let sources = r#"{ domain = "a.test", enabled = false }"#;
    assert_eq!(
        files.problems(&with_sources(sources, "")),
        "error: pool.toml:6: nts-pool-ke-server.key-exchange-servers = …: no source is enabled; \
         enable at least one"
    );
    let sources = r#"{ domain = "a.test", enabled = false }, { domain = "a.test" }"#;
    assert_eq!(
        files.problems(&with_sources(sources, "")),
        "error: pool.toml:7: nts-pool-ke-server.key-exchange-servers[2].domain = \"a.test\": the \
         same domain and port as entry 1; take one of them out"
    );
}

#[test]
fn there_are_at_most_100_000_sources() {
    let many = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
    assert_eq!(
        problems("sources.json", &many(MAX_SOURCES + 1)),
        [
            "error: DIR/sources.json:1: key-exchange-servers = …: more than 100000 sources; divide \
          them over several pools"
        ]
    );
}

#[test]
fn a_file_with_tokens_that_everybody_can_read_is_noted() {
    let (files, text) = by_file(
        "sources.json",
        &format!(r#"[{{"domain": "a.test", "auth-token": "{GOOD_TOKEN}"}}]"#),
    );
    assert_eq!(files.warnings(&text), "");
    let content = fs::read_to_string(files.path("sources.json")).unwrap();
    files.write("sources.json", &content, 0o644);
    assert_eq!(
        files.warnings(&text),
        "warning: DIR/sources.json:1: key-exchange-servers[1].auth-token: this file holds a secret \
         and every user of this machine can read it; run `chmod o-r 'DIR/sources.json'`"
    );
}

#[test]
fn where_and_by_whom_a_source_is_run() {
    let source = r#"{ domain = "a.test", regions = ["de", "Europe", "country:NA"], operator = "Example e.V.", ipv6 = false }"#;
    let files = Files::new();
    let config = files.parse(&with_sources(source, "")).unwrap().value;
    assert_eq!(
        config.sources.sources[0].shown(&config.groups).to_string(),
        r#"{ id = "a.test:4460", domain = "a.test", port = 4460, weight = 1, dialect = "auto", ipv4 = true, ipv6 = false, regions = ["DE", "europe", "country:NA"], operator = "Example e.V." }"#
    );
    let again = with_sources(
        &config.sources.sources[0].shown(&config.groups).to_string(),
        "[selection]\nall-denied = \"error\"",
    );
    let again = files.parse(&again).unwrap().value;
    assert_eq!(
        again.sources.sources[0].regions,
        config.sources.sources[0].regions
    );
    assert_eq!(again.selection.all_denied, AllDenied::Error);
}

#[test]
fn lists_of_the_first_pool_name_families_in_their_way() {
    let list =
        r#"[{ "uuid": "1", "domain": "a.test", "ipv4-capable": false, "ipv6-capable": true }]"#;
    assert_eq!(
        shown("sources.json", list),
        [
            r#"{ id = "1", domain = "a.test", port = 4460, weight = 1, dialect = "auto", ipv4 = false, ipv6 = true }"#
        ]
    );
}

#[test]
fn regions_and_operators_that_are_none_are_told() {
    let files = Files::new();
    let source = r#"{ domain = "a.test", regions = ["NA", "atlantis"], operator = "" }"#;
    let problems = files.problems(&with_sources(source, ""));
    for part in [
        "is a country and a continent",
        "no region `atlantis`",
        "1 to 255 characters",
    ] {
        assert!(problems.contains(part), "{part} not in\n{problems}");
    }
}
