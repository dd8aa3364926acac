//! Named groups of countries.

use super::*;
use crate::selection::{Region, RegionError};

const NORDIC: &str = r#"
[selection]
all-denied = "error"
[[selection.groups]]
name = "Nordic Countries"
countries = ["dk", "FI", "SE"]
[[selection.groups]]
name = "alps"
countries = ["AT", "CH"]"#;

const LISTED: &str =
    r#"{ domain = "a.test", regions = ["SE", "nordic-countries", "ALPS"], match-family = true }"#;

#[test]
fn a_source_may_be_listed_for_a_group() {
    let files = Files::new();
    let config = files.parse(&with_sources(LISTED, NORDIC)).unwrap().value;
    let spelling = |region: &Region| region.spelling(&config.groups);
    let source = &config.sources.sources[0];
    let regions: Vec<_> = source.regions.iter().map(spelling).collect();
    assert_eq!(regions, ["SE", "nordic-countries", "alps"]);
    assert!(source.match_family);
}

#[test]
fn groups_are_shown_as_they_are_read() {
    let files = Files::new();
    let config = files.parse(&with_sources(LISTED, NORDIC)).unwrap().value;
    let shown = config.to_string();
    assert!(
        shown.contains(
            r#"
[[selection.groups]]
name = "nordic-countries"
countries = ["DK", "FI", "SE"]

[[selection.groups]]
name = "alps"
countries = ["AT", "CH"]
"#
        ),
        "{shown}"
    );
    let again = files.parse(&shown).unwrap().value;
    assert_eq!(again.to_string(), shown);
    assert_eq!(again.groups, config.groups);
}

#[test]
fn groups_that_cannot_be_are_told() {
    let files = Files::new();
    let problems = files.problems(&with_sources(
        r#"{ domain = "a.test", regions = ["atlantis"] }"#,
        r#"[[selection.groups]]
name = "europe"
countries = ["DE"]
[[selection.groups]]
name = "one"
countries = ["FR", "BE"]
[[selection.groups]]
name = "two"
countries = ["NL", "BE"]
[[selection.groups]]
name = "three"
countries = []
[[selection.groups]]
name = "four"
countries = ["NL", "XX", "Sweden"]
[[selection.groups]]
name = "five"
[[selection.groups]]
countries = ["IT"]
land = "IT""#,
    ));
    let unknown = RegionError::Unknown("atlantis".to_owned());
    for part in [
        "groups[1].name = \"europe\": a group cannot be called `europe`",
        "groups[3].countries = …: BE is in two groups, `one` and `two`: it can be in one",
        "groups[4].countries = []: the group `three` has no country",
        "`XX` is no ISO 3166-1 country code such as `DE`",
        "`Sweden` is no ISO 3166-1",
        "groups[6].countries: missing",
        "groups[7].name: missing",
        "land",
        &unknown.to_string(),
    ] {
        assert!(problems.contains(part), "{part} not in\n{problems}");
    }
}
