//! What the effective configuration says about all sources together, and that it can be read back.

use proptest::prelude::*;

use super::*;

/// The overview of a few sources in five countries, with more keys of the pool.
fn overview(more: &str) -> Vec<String> {
    let files = Files::new();
    let geo = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/geo.mmdb");
    fs::copy(geo, files.path("geo.mmdb")).unwrap();
    let text = with_sources(
        r#"{ domain = "a.test", regions = ["DE"], weight = 5, operator = "x" },
{ domain = "b.test", regions = ["DE"], weight = 5, operator = "x", ipv6 = false },
{ domain = "c.test", regions = ["AT"] },
{ domain = "d.test", regions = ["FR"], weight = 1000 },
{ domain = "e.test", regions = ["JP"], weight = 0 },
{ domain = "f.test" },"#,
        &format!(
            r#"{more}
[selection]
local-min-sources = 2
[[selection.groups]]
name = "d-a-ch"
countries = ["DE", "AT", "CH"]"#
        ),
    );
    let shown = files.parse(&text).unwrap().value.to_string();
    let lines = shown
        .lines()
        .skip_while(|line| !line.starts_with("# 6 sources"));
    let lines = lines.take_while(|line| line.starts_with("# "));
    lines.map(str::to_owned).collect()
}

#[test]
fn the_overview_says_where_users_get_their_first_source() {
    assert_eq!(
        overview("geo-database-path = \"DIR/geo.mmdb\""),
        [
            "# 6 sources, 1 of them without weight. The others:",
            "# region  sources  operators  weight   IPv4   IPv6  first source of users there",
            "# global        5          4    1012      5      4  from here, if from nowhere nearer",
            "# europe        4          3    1011      4      3  from here",
            "# asia          0          0       0      0      0  from farther away",
            "# d-a-ch        3          2      11      3      2  from here",
            "# FR            1          1    1000      1      1  from farther away",
            "# DE            2          1      10      2      1  from here for IPv4, from farther away for IPv6",
            "# AT            1          1       1      1      1  from farther away",
            "# JP            0          0       0      0      0  from farther away",
        ]
    );
}

#[test]
fn without_a_geo_database_the_overview_says_that_regions_are_of_no_use() {
    let overview = overview("");
    let nearby = "# FR            1          1    1000      1      1  from anywhere, since there is no geo database";
    assert_eq!(overview[6], nearby);
    assert!(overview[2].ends_with("  from here"));
}

/// One entry of a list of sources.
fn any_entry() -> impl Strategy<Value = String> {
    let key = |name: &'static str, values: &'static [&'static str]| {
        let value = prop::sample::select(values);
        prop::option::of(value).prop_map(move |value| {
            value.map_or(String::new(), |value| format!(", {name} = {value}"))
        })
    };
    let keys = [
        key("weight", &["0", "1", "7", "1000"]),
        key("port", &["1", "4461", "65535"]),
        key("ipv4", &["true", "false"]),
        key("ipv6", &["true", "false"]),
        key(
            "regions",
            &["[]", "[\"DE\"]", "[\"country:NA\", \"asia\", \"alps\"]"],
        ),
        key("operator", &["\"one\"", "\"a \\\"b\\\" c\"", "\"ü\""]),
        key(
            "dialect",
            &["\"auto\"", "\"ietf\"", "\"draft-token\"", "\"draft-mtls\""],
        ),
        key(
            "ntp-names",
            &["[\"ntp.test\"]", "[\"192.0.2.1\", \"2001:db8::1\"]"],
        ),
        key("max-concurrency", &["1", "1000"]),
        key("allow-private", &["true", "false"]),
        key("match-family", &["true", "false"]),
        key("auth-token", &["\"0123456789abcdef0123456789abcdef\""]),
    ];
    keys.prop_map(|keys| keys.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn p14_what_is_shown_can_be_read_back(
        entries in prop::collection::vec(any_entry(), 1..12),
    ) {
        let files = Files::new();
        let entries = (0..).zip(entries);
        let entries = entries.map(|(at, keys)| format!("{{ domain = \"s{at}.test\"{keys} }},"));
        let mut list: Vec<_> = entries.collect();
        list.push("{ domain = \"last.test\" }".to_owned());
        let groups = "[[selection.groups]]\nname = \"alps\"\ncountries = [\"AT\", \"CH\"]";
        let config = files.parse(&with_sources(&list.join("\n"), groups)).unwrap().value;
        let shown = config.to_string();
        let again = files.parse(&shown).unwrap().value;
        prop_assert_eq!(again.to_string(), shown);
        let entries = |config: &Config| -> Vec<_> {
            config.sources.sources.iter().map(SourceConfig::entry).collect()
        };
        prop_assert_eq!(entries(&again), entries(&config));
    }

    #[test]
    fn p14_no_list_makes_the_reader_panic(
        json in any::<bool>(),
        text in r#"[\[\]{}:,"=a-z0-9.\n \-]{0,200}"#,
    ) {
        let files = Files::new();
        let name = if json { "sources.json" } else { "sources.toml" };
        files.write(name, &text, 0o600);
        let path = format!("key-exchange-servers-path = \"DIR/{name}\"\n#");
        let _ = files.parse(&with_sources("", "").replace("key-exchange-servers = [", &path));
    }
}
