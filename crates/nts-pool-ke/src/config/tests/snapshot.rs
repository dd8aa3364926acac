//! `[snapshot]`, and what a signed list may say.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::*;
use crate::snapshot::{DiskCopy, Document, Header, SigningKey, sign};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A good configuration with `more` in `[snapshot]`.
fn config(more: &str) -> String {
    format!(
        r#"[nts-pool-ke-server]
listen = "127.0.0.1:4460"
certificate-authority-path = "DIR/ca.pem"
certificate-chain-path = "DIR/end.pem"
private-key-path = "DIR/end.key"
token-secret-path = "DIR/secret"
[snapshot]
cache-path = "DIR/list"
{more}
"#
    )
}

/// The same with the key, and with the list that is signed with it on the disk.
fn with_list(files: &Files, entries: Value) -> String {
    let key = SigningKey::generate().unwrap();
    let header = Header {
        pool: "pool.test".to_owned(),
        serial: 7,
        issued: UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    };
    let Value::Object(entries) = entries else {
        panic!("no object");
    };
    write(files, &sign(&header, entries, &key).unwrap());
    let key = key.public();
    config(&format!(
        "url = \"https://registry.test/list\"\ncertificate-authority-path = \"DIR/ca.pem\"\n\
         public-key = \"{key}\""
    ))
}

fn write(files: &Files, list: &Document) {
    let text = std::str::from_utf8(list.octets()).unwrap();
    files.write("list", text, 0o644);
    files.write("secret", SECRET, 0o600);
}

#[test]
fn the_list_on_the_disk_is_loaded_with_all_that_it_says() {
    let files = Files::new();
    let entries = json!({
        "sources": [
            { "domain": "a.test", "token-generation": 3, "regions": ["nordic"] },
            { "domain": "b.test", "weight": 0, "allow-private": false },
            { "domain": "c.test", "enabled": false },
        ],
        "regions": [{ "name": "nordic", "countries": ["SE", "FI"] }],
        "policy": { "local-min-sources": 4, "operator-share-max": 0.25 },
        "allow-mass-removal": true,
    });
    let text = with_list(&files, entries);
    let loaded = files.parse(&text).unwrap();
    assert_eq!(loaded.warnings.to_string(), "");
    let config = loaded.value;
    let header = config.sources.signed.as_ref().unwrap().header();
    assert_eq!((header.serial, header.pool.as_str()), (7, "pool.test"));
    assert_eq!(config.sources.sources.len(), 2);
    assert!(config.sources.allow_mass_removal);
    let secret = config.token_secret.as_ref().unwrap();
    let token = config.sources.sources[0].auth_token.as_ref().unwrap();
    assert!(token.matches(&secret.token("a.test:4460", &"a.test".parse().unwrap(), 3)));
    assert_eq!(config.selection.local_min_sources, 4);
    assert_eq!(config.groups.all().len(), 1);
    // Strangers list their sources there.
    assert!(config.upstream.deny_private_addresses);
    assert_eq!(config.upstream.name_policy, NamePolicy::Verified);
    assert_eq!(config.sources.sources[0].allow_private, None);
    assert_eq!(config.sources.sources[1].allow_private, Some(false));
    let snapshot = config.snapshot.as_ref().unwrap();
    assert_eq!(snapshot.disk_copy, DiskCopy::Good);
    assert_eq!(snapshot.interval, Duration::from_secs(30));
    let shown = config.to_string().replace(&files.here(), "DIR");
    for line in [
        "# from the signed list for \"pool.test\", serial 7, made on Jan 15 08:00:00 2027 +00:00 (",
        "[snapshot]\nurl = \"https://registry.test/list\"\npublic-key = [\"",
        "\ncache-path = \"DIR/list\"\ninterval-s = 30\ncertificate-authority-path = \"DIR/ca.pem\"\n",
    ] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
    // What the operator of the pool says about addresses and names counts.
    let own = "[upstream]\ndeny-private-addresses = false\nname-policy = \"any\"";
    let config = files.parse(&format!("{text}\n{own}")).unwrap().value;
    assert!(!config.upstream.deny_private_addresses);
    assert_eq!(config.upstream.name_policy, NamePolicy::Any);
}

#[test]
fn a_list_that_is_no_good_does_not_keep_a_pool_from_starting() {
    let files = Files::new();
    let cases = [
        json!({ "sources": [{ "domain": "a b" }] }),
        json!({ "sources": [{ "domain": "a.test", "auth-token": "a-token-of-22-characters" }] }),
        json!({ "sources": [{ "domain": "a.test", "auth-token-path": "/etc/passwd" }] }),
        json!({ "sources": [{ "domain": "a.test" }, { "domain": "a.test" }] }),
        json!({ "sources": [{ "domain": "a.test", "wieght": 3 }] }),
        json!({ "sources": { "domain": "a.test" } }),
        json!({ "sources": [], "policy": { "diversity": "no" } }),
        json!({ "sources": [], "regions": [{ "name": "europe", "countries": ["SE"] }] }),
        json!({ "sources": [], "signed": true }),
        json!({}),
    ];
    for entries in cases {
        let text = with_list(&files, entries.clone());
        let loaded = files.parse(&text).unwrap();
        let copy = loaded.value.snapshot.as_ref().unwrap().disk_copy;
        assert_eq!(copy, DiskCopy::Refused, "{entries}");
        assert!(loaded.value.sources.signed.is_none());
        let warnings = loaded.warnings.to_string();
        assert!(warnings.contains("/list:1: "), "{entries}: {warnings}");
        assert!(!warnings.contains("22-char"), "{warnings}");
    }
    // Without the secret no token follows, and that is said where it stands.
    let text = with_list(
        &files,
        json!({ "sources": [{ "domain": "a.test", "token-generation": 1 }] }),
    );
    let text = text.replace("token-secret-path = \"DIR/secret\"\n", "");
    let warnings = files.warnings(&text);
    assert_eq!(
        warnings,
        "warning: DIR/list:1: sources[1].token-generation: there is no secret to derive the token \
         from; see to `token-secret-path` in `[nts-pool-ke-server]`"
    );
    let text = with_list(&files, json!({ "sources": [] }));
    let missing = files.warnings(&text.replace("DIR/list", "DIR/none"));
    assert_eq!(
        missing,
        "warning: pool.toml:8: snapshot.cache-path: there is no list of sources in `DIR/none` yet; \
         users get Error 2 until the registry gives one"
    );
    let elsewhere = text.replace("[snapshot]\n", "[snapshot]\npool = \"other.test\"\n");
    assert!(files.warnings(&elsewhere).contains(
        "is not taken: it is properly signed, but for the pool `pool.test`, not for `other.test`"
    ));
}

#[test]
fn there_is_one_list_and_one_place_that_says_how_sources_are_chosen() {
    let files = Files::new();
    let text = with_list(&files, json!({ "sources": [] }));
    let second = text.replace(
        "token-secret-path",
        "key-exchange-servers = []\nkey-exchange-servers-path = \"DIR/x\"\ntoken-secret-path",
    );
    let problems = files.problems(&format!("{second}\n[selection]\nlocal-min-sources = 2"));
    let gives = "`[snapshot]` gives the list of sources; take one of the two out";
    let expected = [
        format!("error: pool.toml:6: nts-pool-ke-server.key-exchange-servers: {gives}"),
        format!("error: pool.toml:7: nts-pool-ke-server.key-exchange-servers-path: {gives}"),
        "error: pool.toml:15: selection: with `[snapshot]` the signed list says how sources are \
         chosen; take this section out, and put it into the list as `policy` and `regions`"
            .to_owned(),
    ];
    for line in expected {
        assert!(problems.contains(&line), "{line}\n{problems}");
    }
}

#[test]
fn every_key_is_checked() {
    let files = Files::new();
    files.write("secret", SECRET, 0o600);
    files.write("no-token", "two words", 0o600);
    let key = SigningKey::generate().unwrap().public();
    let good = format!("public-key = \"{key}\"\nurl = \"http://127.0.0.1:8000/list\"\n");
    assert!(files.parse(&config(&good)).is_ok());
    let cases = [
        ("", "snapshot.url: missing; add"),
        ("", "snapshot.public-key: missing; add"),
        (
            "url = \"https://a.test\"\npublic-key = \"abc\"",
            "snapshot.public-key: no Ed25519 public key; write its 32 octets",
        ),
        ("public-key = []", "snapshot.public-key = []: no key, so"),
        (
            "public-key-path = \"DIR/ca.pem\"",
            "holds no Ed25519 public key; a PEM file",
        ),
        ("url = \"http://a.test/\"", "from this machine only"),
        (
            "url = \"ftp://a.test/\"",
            "no URL of a list; write one like",
        ),
        ("url = \"https://a:b@c.test/\"", "see `token-path`"),
        ("url = \"/list\"", "no URL of a list"),
        (
            "interval-s = 0",
            "out of range; write a number from 1 to 86400 seconds",
        ),
        ("pool = \"\"", "no name of a pool"),
        (
            "token-path = \"DIR/no-token\"",
            "is no token; write ASCII letters",
        ),
        ("token-path = \"DIR/none\"", "there is no file `DIR/none`"),
        ("serial = 1", "snapshot.serial: unknown key"),
    ];
    for (text, expected) in cases {
        let problems = files.problems(&config(text));
        assert!(
            problems.contains(expected),
            "{text}: {expected}\n{problems}"
        );
    }
    let problems = files.problems(&config(&format!(
        "{good}certificate-authority-path = \"x\""
    )));
    assert!(
        problems.contains("not read with an `http` URL"),
        "{problems}"
    );
    let two = SigningKey::generate().unwrap().public();
    let both = good.replace(&format!("\"{key}\""), &format!("[\"{key}\", \"{two}\"]"));
    let config = files.parse(&config(&both)).unwrap().value;
    assert_eq!(config.snapshot.unwrap().trust.keys, [key, two]);
}

#[test]
fn no_list_gets_a_token_to_another_server_than_its_own() {
    let files = Files::new();
    let entries = json!({ "sources": [
        { "id": "a.test:4460", "domain": "stranger.test", "token-generation": 0 },
    ]});
    let config = files.parse(&with_list(&files, entries)).unwrap().value;
    let secret = config.token_secret.as_ref().unwrap();
    let sent = config.sources.sources[0].auth_token.as_ref().unwrap();
    let owned = |domain: &str| secret.token("a.test:4460", &domain.parse().unwrap(), 0);
    assert!(!sent.matches(&owned("a.test")));
    assert!(sent.matches(&owned("stranger.test")));
}

#[test]
fn a_list_cannot_lead_into_the_network_of_the_pool() {
    let files = Files::new();
    let text = with_list(
        &files,
        json!({ "sources": [{ "domain": "a.test", "allow-private": true }] }),
    );
    let loaded = files.parse(&text).unwrap();
    assert_eq!(loaded.value.sources.sources[0].allow_private, None);
    assert_eq!(
        loaded.warnings.to_string(),
        "warning: DIR/list:1: sources[1].allow-private: of no effect in a signed list: whether \
         there may be private addresses is up to the pool (`deny-private-addresses`); take it out"
            .replace("DIR", &files.here())
    );
}

#[test]
fn what_is_secret_in_a_url_is_not_shown() {
    let files = Files::new();
    files.write("secret", SECRET, 0o600);
    let key = SigningKey::generate().unwrap().public();
    for url in [
        "https://pool:hidden@registry.test/",
        "http://registry.test/list?key=hidden",
        "ftp://registry.test/list?key=hidden",
        "https://registry.test:hidden/",
        "https://registry.test/a b?key=hidden",
        "hidden",
    ] {
        let text = config(&format!("url = \"{url}\"\npublic-key = \"{key}\""));
        let problems = files.problems(&text);
        assert!(problems.contains("snapshot.url: "), "{problems}");
        assert!(!problems.contains("hidden"), "{problems}");
    }
}

#[test]
fn a_list_need_not_say_how_sources_are_chosen() {
    let files = Files::new();
    let text = with_list(&files, json!({ "sources": [{ "domain": "a.test" }] }));
    let config = files.parse(&text).unwrap().value;
    assert_eq!(config.selection, SelectionPolicy::default());
    assert_eq!(config.groups, Groups::default());
}
