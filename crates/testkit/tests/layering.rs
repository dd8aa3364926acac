//! The arrows between the crates, as ARCHITECTURE.md draws them: read from the manifests, so that
//! a new one is a decision and not an accident.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each crate, and which of our crates it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("nts-proto", &[]),
    ("ntp-sync", &["nts-proto"]),
    ("nts-service", &["nts-proto"]),
    ("nts-pool-ke", &["nts-proto", "nts-service"]),
    ("ntp-daemon", &["nts-proto", "ntp-sync", "nts-service"]),
    ("nts-bench", &["nts-proto", "nts-service"]),
    (
        "testkit",
        &[
            "nts-proto",
            "ntp-sync",
            "nts-service",
            "nts-pool-ke",
            "ntp-daemon",
        ],
    ),
];

/// The crates that do no I/O, and everything else that they may use: ciphers and digests, which
/// compute, and help with secrets and errors. Nothing that reads, waits, or draws a random number.
const PURE: &[(&str, &[&str])] = &[
    (
        "nts-proto",
        &[
            "aes",
            "aes-gcm-siv",
            "hkdf",
            "md-5",
            "rand_core",
            "sha2",
            "subtle",
            "thiserror",
            "zeroize",
        ],
    ),
    ("ntp-sync", &["libm", "thiserror"]),
];

fn root() -> PathBuf {
    let testkit = Path::new(env!("CARGO_MANIFEST_DIR"));
    testkit
        .ancestors()
        .nth(2)
        .expect("crates/testkit lies in the workspace")
        .to_owned()
}

fn manifest(path: &Path) -> toml::Table {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The manifests of the workspace by crate.
fn manifests() -> BTreeMap<String, toml::Table> {
    let entries = fs::read_dir(root().join("crates")).expect("the workspace has crates");
    let paths = entries.map(|entry| entry.expect("a readable directory").path());
    paths
        .filter(|path| path.join("Cargo.toml").exists())
        .map(|path| {
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, manifest(&path.join("Cargo.toml")))
        })
        .collect()
}

/// The packages in all sections of a manifest that end in one of `sections`, those for single
/// targets included; by their real names where they are renamed.
fn dependencies(manifest: &toml::Table, sections: &[&str]) -> BTreeSet<String> {
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let tables = targets
        .into_iter()
        .flatten()
        .filter_map(|(_, target)| target.as_table());
    let mut found = BTreeSet::new();
    for table in tables.chain([manifest]) {
        for section in sections {
            let Some(entries) = table.get(*section).and_then(toml::Value::as_table) else {
                continue;
            };
            for (name, entry) in entries {
                let renamed = entry.get("package").and_then(toml::Value::as_str);
                found.insert(renamed.unwrap_or(name).to_owned());
            }
        }
    }
    found
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

fn ours() -> BTreeSet<String> {
    ARROWS.iter().map(|(name, _)| (*name).to_owned()).collect()
}

#[test]
fn every_crate_has_its_place() {
    let found: BTreeSet<_> = manifests().into_keys().collect();
    assert_eq!(found, ours());
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the drawing");
    for name in found {
        let row = format!("| `crates/{name}` |");
        assert!(
            architecture.contains(&row),
            "ARCHITECTURE.md has no row for {name}"
        );
    }
}

/// Everything that a crate uses of ours in these sections must be in the table.
fn check_arrows(sections: &[&str]) {
    let manifests = manifests();
    for (name, allowed) in ARROWS {
        let used = dependencies(&manifests[*name], sections);
        let excess = &(&used & &ours()) - &names(allowed);
        assert!(
            excess.is_empty(),
            "{name} must not depend on {excess:?} ({sections:?})"
        );
    }
}

#[test]
fn arrows_point_down() {
    check_arrows(&["dependencies", "build-dependencies"]);
}

#[test]
fn tests_keep_to_the_arrows_too() {
    check_arrows(&["dev-dependencies"]);
}

#[test]
fn pure_crates_stay_pure() {
    let manifests = manifests();
    for (name, others) in PURE {
        let used = dependencies(&manifests[*name], &["dependencies", "build-dependencies"]);
        let excess = &used - &(&names(others) | &ours());
        assert!(excess.is_empty(), "{name} must not depend on {excess:?}");
    }
}

#[test]
fn nothing_shipped_is_for_development_only() {
    let workspace = manifest(&root().join("Cargo.toml"));
    let members = workspace["workspace"]["default-members"]
        .as_array()
        .expect("a list");
    let shipped: Vec<_> = members.iter().filter_map(toml::Value::as_str).collect();
    for name in ["crates/testkit", "crates/nts-bench"] {
        assert!(
            !shipped.contains(&name),
            "a plain build must not build {name}"
        );
    }
    assert_eq!(shipped.len(), ARROWS.len() - 2);
}

#[test]
fn lints_hold_everywhere() {
    let workspace = manifest(&root().join("Cargo.toml"));
    let unsafe_code = workspace["workspace"]["lints"]["rust"]["unsafe_code"].as_str();
    assert_eq!(unsafe_code, Some("forbid"));
    for (name, manifest) in manifests() {
        let inherits = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"));
        assert_eq!(
            inherits,
            Some(&toml::Value::Boolean(true)),
            "{name}: [lints] workspace = true"
        );
    }
}

#[test]
fn an_arrow_up_would_be_seen() {
    let manifest: toml::Table = "
        [dependencies]
        tokio.workspace = true
        [target.'cfg(unix)'.dependencies]
        daemon = { package = 'ntp-daemon', path = 'x' }
        [build-dependencies]
        nts-proto = '1'
    "
    .parse()
    .unwrap();
    let used = dependencies(&manifest, &["dependencies", "build-dependencies"]);
    assert_eq!(used, names(&["ntp-daemon", "nts-proto", "tokio"]));
}
