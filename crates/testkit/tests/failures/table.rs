//! Every test that `docs/failures.md` names is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The names in the last column of each line of the table.
fn named(table: &str) -> Vec<Vec<String>> {
    let lines = table.lines().filter(|line| line.starts_with("| "));
    let last = |line: &str| {
        line.trim_end_matches(" |")
            .rsplit(" | ")
            .next()
            .map(str::to_owned)
    };
    let names = |cell: String| {
        let quoted = cell.split('`').skip(1).step_by(2);
        quoted.map(str::to_owned).collect()
    };
    // After the heads and the rule below them.
    lines.skip(2).filter_map(last).map(names).collect()
}

/// Adds the names of all tests below `directory`.
fn collect(directory: &Path, tests: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, tests);
        } else if path.extension().is_some_and(|it| it == "rs") {
            tests.extend(tests_in(&fs::read_to_string(path).expect("text")));
        }
    }
}

fn tests_in(source: &str) -> Vec<String> {
    let mut is_test = false;
    let mut tests = Vec::new();
    for line in source.lines().map(str::trim) {
        let function = line.strip_prefix("async ").unwrap_or(line);
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(rest) = function.strip_prefix("fn ") {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            tests.extend(is_test.then(|| name.to_owned()));
            is_test = false;
        }
    }
    tests
}

#[test]
fn every_failure_has_its_tests() {
    let table = fs::read_to_string(root().join("docs/failures.md")).expect("the table");
    let rows = named(&table);
    assert!(rows.len() > 20, "{rows:?}");
    let mut tests = BTreeSet::new();
    collect(&root().join("crates"), &mut tests);
    for names in rows {
        assert!(!names.is_empty(), "a line names no test");
        for name in names {
            assert!(tests.contains(&name), "there is no test `{name}`");
        }
    }
}

/// The tests that the pool's design wants for the faults of the node itself (rows 18 to 35).
const OF_THE_NODE: [&str; 18] = [
    "geo_corrupt_reload",
    "reload_broken_keeps_old",
    "snapshot_rollback",
    "cert_expiry_ready",
    "cert_half_renewed",
    "emfile_survives",
    "slowloris_10k",
    "idle_10k_memory",
    "slow_bytes",
    "critical_unknown",
    "sigterm_no_reset",
    "reload_under_load",
    "proxy_eof_no_spin",
    "proxy_allowlist",
    "dns_stale",
    "ssrf_private",
    "clock_jump",
    "panic_isolated",
];

#[test]
fn the_table_has_every_fault_of_the_node() {
    let table = fs::read_to_string(root().join("docs/failures.md")).expect("the table");
    let named: BTreeSet<String> = named(&table).into_iter().flatten().collect();
    for name in OF_THE_NODE {
        assert!(named.contains(name), "`{name}` stands in no line");
    }
}

#[test]
fn a_test_that_is_not_there_would_be_seen() {
    let rows = named("| a | b |\n| --- | --- |\n| c `d` | `e`, `f` |\n| g | none |");
    assert_eq!(rows, [vec!["e".to_owned(), "f".to_owned()], vec![]]);
    let source = "#[test]\nfn a() {}\nfn b() {}\n#[tokio::test(x)]\n#[y]\nasync fn c() {}";
    assert_eq!(tests_in(source), ["a", "c"]);
}
