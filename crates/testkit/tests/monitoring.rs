//! The dashboards and alerts in `monitoring/` speak of nothing that the programs do not show.
#![cfg(feature = "unstable_nts-pool")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ntp_daemon::client::Client;
use ntp_daemon::clock::Keeper;
use ntp_daemon::config::{Config, ServerConfig};
use ntp_daemon::observe;
use ntp_daemon::time_source::TimeSource;
use nts_pool_ke::reload::Reloader;
use testkit::Lab;
use testkit::lab::{POOL_NAME, loopback};
use testkit::user::plain_request;

/// What a page of metrics shows: by name, the values of each label.
type Shown = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// The metrics of a pool that has served a user, and of a daemon.
async fn shown() -> Shown {
    let lab = Lab::new();
    let source = lab.source(loopback(2));
    let pool = lab.pool(vec![source.entry()]);
    lab.user()
        .key_exchange(pool.address, POOL_NAME, &plain_request())
        .await
        .expect("a good source");
    // It counts too; the file that it would read again is not looked at here.
    let _reloader = Reloader::new(Path::new("/nowhere/pool.toml"), &pool.running).await;
    let mut shown = Shown::new();
    read(&pool.running.registry().render(), &mut shown);
    read(&daemon(), &mut shown);
    shown
}

/// The metrics of a daemon with a server and a source.
fn daemon() -> String {
    let config = Config {
        servers: vec![ServerConfig::new(
            "127.0.0.2:0".parse().expect("an address"),
        )],
        ..Config::default()
    };
    let time_source = TimeSource::start(&config).expect("a free port");
    let keeper = Keeper::of_own_clock(&config.synchronization).expect("our own clock");
    let client = Client::spawn(&[], &keeper);
    let tell = observe::snapshot(&config.synchronization, &time_source, None, &client);
    let mut state = tell();
    // What is not known yet is not shown.
    let source = serde_json::json!({
        "name": "a.test:4460", "address": "192.0.2.1:123", "id": 1,
        "offset": 0.0, "uncertainty": 0.0, "delay": 0.0,
        "remote_delay": 0.0, "remote_uncertainty": 0.0, "last_update": null,
        "unanswered_polls": 0, "poll_interval": 4, "nts_cookies": 8,
    });
    let source = serde_json::from_value(source).expect("a source of which all is known");
    state.sources.push(source);
    observe::prometheus::render(&state)
}

fn read(page: &str, shown: &mut Shown) {
    for line in page.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let name = declared.split(' ').next().unwrap_or_default();
            shown.entry(name.to_owned()).or_default();
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            let family = family(name, shown).unwrap_or_else(|| panic!("no type: {line}"));
            for (label, value) in labels(line) {
                let values = shown.entry(family.clone()).or_default();
                values.entry(label).or_default().insert(value);
            }
        }
    }
}

/// The family that a name belongs to, if there is one.
fn family(name: &str, shown: &Shown) -> Option<String> {
    let suffixes = ["", "_bucket", "_sum", "_count"];
    let families = suffixes
        .iter()
        .filter_map(|suffix| name.strip_suffix(suffix));
    families
        .map(str::to_owned)
        .find(|family| shown.contains_key(family))
}

/// Each `label="value"` of a text.
fn labels(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("=\"") {
        let start = before.rfind(|it: char| !it.is_ascii_lowercase() && it != '_');
        let label = &before[start.map_or(0, |at| at + 1)..];
        let (value, after) = after.split_once('"').expect("a closed quotation");
        found.push((label.to_owned(), value.to_owned()));
        rest = after;
    }
    found
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let testkit = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = testkit.ancestors().nth(2).expect("a workspace");
    let folder = root.join("monitoring").join(folder);
    let entries = fs::read_dir(&folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = paths
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    files.sort();
    assert_eq!(files.len(), 2, "{}", folder.display());
    files
}

/// Each metric of our programs that a text speaks of, with the part of the text up to the next one.
fn mentions(text: &str) -> Vec<(&str, &str)> {
    let is_name = |it: char| it.is_ascii_alphanumeric() || it == '_';
    let mut starts = Vec::new();
    for prefix in ["nts_pool_ke_", "ntp_"] {
        for (at, _) in text.match_indices(prefix) {
            if !text[..at].ends_with(is_name) {
                starts.push(at);
            }
        }
    }
    starts.sort_unstable();
    let ends = starts.iter().copied().skip(1).chain([text.len()]);
    let pieces = starts
        .iter()
        .zip(ends)
        .map(|(start, end)| &text[*start..end]);
    pieces
        .map(|piece| {
            let end = piece.find(|it| !is_name(it)).unwrap_or(piece.len());
            piece.split_at(end)
        })
        .collect()
}

/// Makes sure that a query speaks of metrics and label values that exist.
fn check_query(query: &str, shown: &Shown, place: &str) {
    let mentions = mentions(query);
    assert!(!mentions.is_empty(), "{place}: no metric of ours: {query}");
    for (name, selector) in mentions {
        let Some(family) = family(name, shown) else {
            panic!("{place}: nobody shows {name}");
        };
        let Some((selector, _)) = selector
            .strip_prefix('{')
            .and_then(|selector| selector.split_once('}'))
        else {
            continue;
        };
        for (label, value) in labels(&selector.replace("=~\"", "=\"").replace("!=\"", "=\"")) {
            // That one Prometheus adds.
            if label == "instance" {
                continue;
            }
            let values = shown[&family].get(&label);
            let values = values.unwrap_or_else(|| panic!("{place}: {name} has no label {label}"));
            for value in value.split('|') {
                assert!(
                    values.contains(value),
                    "{place}: {name} has no {label} {value}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_speak_of_metrics_that_exist() {
    let shown = shown().await;
    let mut count = 0;
    for file in files("prometheus", ".rules.yml") {
        let text = fs::read_to_string(&file).expect("text");
        // An expression goes on until the next key of its rule.
        for rule in text.split("- alert: ").skip(1) {
            let name = rule.lines().next().unwrap_or_default();
            let query = rule.split("expr: ").nth(1).expect("an expression");
            let lines: Vec<_> = query
                .lines()
                .take_while(|line| !line.starts_with("        for:") && !line.contains("labels:"))
                .collect();
            check_query(&lines.join(" "), &shown, name);
            count += 1;
        }
    }
    assert!(count > 20, "only {count} alerts");
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboards_speak_of_metrics_that_exist() {
    let shown = Arc::new(shown().await);
    for file in files("grafana", ".json") {
        let text = fs::read_to_string(&file).expect("text");
        let dashboard: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let panels = dashboard["panels"].as_array().expect("panels");
        let mut ids = BTreeSet::new();
        for panel in panels {
            let title = panel["title"].as_str().expect("a title");
            assert!(ids.insert(panel["id"].as_u64()), "{title}: an id twice");
            for target in panel["targets"].as_array().into_iter().flatten() {
                let query = target["expr"].as_str().expect("an expression");
                check_query(query, &shown, title);
            }
        }
        assert!(ids.len() > 10, "{}", file.display());
        for variable in dashboard["templating"]["list"]
            .as_array()
            .expect("variables")
        {
            if let Some(definition) = variable["definition"].as_str() {
                check_query(definition, &shown, "a variable");
            }
        }
    }
}
