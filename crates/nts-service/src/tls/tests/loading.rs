use std::time::{Duration, SystemTime};

use rcgen::{PKCS_ED25519, PKCS_RSA_SHA256};
use rustls_pki_types::UnixTime;

use super::*;
use crate::config::Problems;

/// The beginning of 2026.
const NOW: u64 = 1_767_225_600;

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// Loads the two files; the result is the identity and what a person reads.
fn load_at(chain: &str, key: &str, seconds: u64) -> (Option<Identity>, String) {
    let files = Files::new();
    let problems = Problems::new();
    let (chain, key) = (files.add("chain", chain), files.add("key", key));
    let identity = Identity::load_at(&chain, &key, &problems, at(seconds));
    assert_eq!(identity.is_none(), problems.has_errors());
    (identity, files.shown(&problems))
}

fn load(chain: &str, key: &str) -> (Option<Identity>, String) {
    load_at(chain, key, NOW)
}

/// The text of the only problem, an error.
fn error(chain: &str, key: &str) -> String {
    let (identity, problems) = load(chain, key);
    assert!(
        identity.is_none() && problems.lines().count() == 1,
        "{problems}"
    );
    problems
}

#[test]
fn a_good_pair_loads_without_a_word() {
    let authority = Authority::new("CA");
    let leaf = authority.leaf(&["a.test", "192.0.2.1", "2001:db8::1"], years(2025, 2027));
    let chain = format!("{}{}", leaf.pem, authority.pem);
    let (identity, problems) = load(&chain, &leaf.key_pem);
    assert_eq!(problems, "");
    let identity = identity.unwrap();
    assert_eq!(identity.certificate(), Some(&leaf.der));
    assert_eq!(identity.names(), ["a.test", "192.0.2.1", "2001:db8::1"]);
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 365 * 86_400);
    assert_eq!(identity.not_after(), end);
    assert!(
        format!("{identity:?}").ends_with("CN=a.test`, key redacted)"),
        "{identity:?}"
    );
}

#[test]
fn all_kinds_of_keys_load() {
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &PKCS_ED25519,
        &PKCS_RSA_SHA256,
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let params = CertificateParams::new(["a.test".to_owned()]).unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let (identity, problems) = load(&pem, &key.serialize_pem());
        assert!(identity.is_some(), "{problems}");
    }
}

#[test]
fn a_key_of_another_certificate_is_told_from_a_chain_in_the_wrong_order() {
    let authority = Authority::new("CA");
    let (one, two) = (authority.server(), authority.server());
    assert_eq!(
        error(&one.pem, &two.key_pem),
        "error: c.toml:7: key: `key`: the private key does not belong to the certificate of \
         `CN=a.test`; use the key that the certificate was requested with, or have a new \
         certificate made for this key"
    );
    assert_eq!(
        error(&format!("{}{}", authority.pem, one.pem), &one.key_pem),
        "error: c.toml:7: chain: `chain`: the private key belongs to certificate number 2 of the \
         chain; put that one first and the certificate of its issuer after it"
    );
}

#[test]
fn an_issuer_out_of_order_is_a_warning() {
    let (authority, other) = (Authority::new("CA"), Authority::new("Other"));
    let leaf = authority.server();
    let (identity, problems) = load(
        &format!("{}{}{}", leaf.pem, other.pem, authority.pem),
        &leaf.key_pem,
    );
    assert!(identity.is_some());
    let first = problems.lines().next().unwrap();
    assert_eq!(
        first,
        "warning: c.toml:7: chain: `chain`: its certificate number 2 (`CN=Other`) did not issue \
         the one before it (`CN=a.test`); put the leaf first and each issuer after what it issued"
    );
}

#[test]
fn dates_are_checked() {
    let authority = Authority::new("CA");
    let old = authority.leaf(&["a.test"], years(2020, 2025));
    assert_eq!(
        error(&old.pem, &old.key_pem),
        "error: c.toml:7: chain: `chain`: its certificate expired on Jan  1 00:00:00 2025 \
         +00:00 (this machine's clock says Jan  1 00:00:00 2026 +00:00); renew the certificate"
    );
    let coming = authority.leaf(&["a.test"], years(2027, 2028));
    let text = error(&coming.pem, &coming.key_pem);
    assert!(
        text.contains("not valid before Jan  1 00:00:00 2027 +00:00"),
        "{text}"
    );
    assert!(text.contains("check this machine's clock"), "{text}");

    let ending = authority.leaf(&["a.test"], years(2025, 2026));
    let (identity, problems) = load_at(&ending.pem, &ending.key_pem, NOW - 86_400);
    assert!(identity.is_some());
    assert!(
        problems.starts_with("warning: ") && problems.contains("expires soon"),
        "{problems}"
    );
    let (identity, _) = load_at(&ending.pem, &ending.key_pem, NOW);
    assert!(identity.is_some(), "notAfter itself is still valid");
    let (identity, _) = load_at(&ending.pem, &ending.key_pem, NOW + 1);
    assert!(identity.is_none());
}

#[test]
fn a_clock_that_was_never_set_does_not_stop_a_time_daemon() {
    let leaf = Authority::new("CA").leaf(&["a.test"], years(2025, 2027));
    let (identity, problems) = load_at(&leaf.pem, &leaf.key_pem, 1000);
    assert!(identity.is_some());
    assert!(problems.starts_with("warning: ") && problems.contains("machine's clock says Jan  1"));
}

#[test]
fn certificates_that_no_client_would_accept_are_warned_about() {
    let authority = Authority::new("CA");
    let nameless = authority.leaf(&[], |_| {});
    let (_, problems) = load(&nameless.pem, &nameless.key_pem);
    assert!(
        problems.starts_with("warning: ") && problems.contains("subjectAltName"),
        "{problems}"
    );
    let marked = authority.leaf(&["a.test"], |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    let (_, problems) = load(&marked.pem, &marked.key_pem);
    assert!(
        problems.starts_with("warning: ") && problems.contains("CA:TRUE"),
        "{problems}"
    );
}

#[test]
fn files_of_the_wrong_kind_are_recognised() {
    let authority = Authority::new("CA");
    let leaf = authority.server();
    let der = String::from_utf8_lossy(&leaf.der).into_owned();
    let damaged = leaf.pem.replacen("MII", "M!I", 1);
    let cut = leaf.pem.replace("-----END CERTIFICATE-----", "");
    let csr = CertificateParams::default()
        .serialize_request(&leaf.key)
        .unwrap()
        .pem()
        .unwrap();
    for (chain, what) in [
        ("", "it is empty"),
        ("hello", "it is no PEM file"),
        (&der, "openssl x509 -inform DER"),
        (&leaf.key_pem, "holds a private key but no certificate"),
        (&csr, "holds a certificate request but no certificate"),
        (&damaged, "a section is not base64"),
        (&cut, "BEGIN line but no END line"),
    ] {
        let text = error(chain, &leaf.key_pem);
        assert!(
            text.starts_with("error: c.toml:7: chain: `chain`: it "),
            "{text}"
        );
        assert!(text.contains(what), "{what}: {text}");
    }
    let encrypted = leaf.key_pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let old_form = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x\n\nAAAA\n\
                    -----END EC PRIVATE KEY-----\n";
    let bad_key = leaf.key_pem.replacen("MI", "M!", 1);
    for (key, what) in [
        ("", "it is empty"),
        ("hello", "it is no PEM file"),
        ("0\u{1}", "openssl pkey -inform DER"),
        (&leaf.pem, "holds a certificate but no private key"),
        (&encrypted, "protected by a passphrase"),
        (old_form, "protected by a passphrase"),
        (&bad_key, "a section is not base64"),
    ] {
        let text = error(&leaf.pem, key);
        assert!(
            text.starts_with("error: c.toml:7: key: `key`: it"),
            "{text}"
        );
        assert!(text.contains(what), "{what}: {text}");
    }
}

#[test]
fn both_files_are_looked_at_before_giving_up() {
    let (identity, problems) = load("x", "y");
    assert!(identity.is_none());
    assert_eq!(problems.lines().count(), 2, "{problems}");
}

#[test]
fn damaged_certificates_and_keys_are_told_by_number() {
    let leaf = Authority::new("CA").server();
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let text = error(&format!("{}{junk}", leaf.pem), &leaf.key_pem);
    assert!(
        text.contains("`chain`: certificate number 2 is damaged"),
        "{text}"
    );
    let junk = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let text = error(&leaf.pem, junk);
    assert!(
        text.contains("`key`: the private key is of an unsupported kind"),
        "{text}"
    );
}

#[test]
fn an_allow_listed_certificate_stands_alone_in_its_file() {
    let files = Files::new();
    let authority = Authority::new("CA");
    let leaf = authority.server();
    let problems = Problems::new();
    let one = files.add("one", &leaf.pem);
    assert_eq!(load_certificate(&one, &problems), Some(leaf.der));
    assert!(problems.is_empty());
    let two = files.add("two", format!("{}{}", leaf.pem, authority.pem));
    assert_eq!(load_certificate(&two, &problems), None);
    assert_eq!(
        files.shown(&problems),
        "error: c.toml:7: two: `two`: it holds 2 certificates where exactly one belongs; keep \
         only the end-entity certificate, not its chain"
    );
}
