//! Signed lists of sources: what is taken has one text only, and nobody else's is taken.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nts_pool_ke::snapshot::{Document, Header, SigningKey, Trust, sign, with_signature};
use serde_json::{Map, Value};

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().expect("a key"));

fuzz_target!(|data: &[u8]| {
    let trust = Trust {
        keys: vec![KEY.public()],
        pool: None,
    };
    // Nobody guesses a signature of a key that was made a moment ago.
    assert!(Document::open(data.to_vec(), &trust).is_err());
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let signed = with_signature(text, &KEY);
    let Ok(document) = Document::open(signed.clone().into_bytes(), &trust) else {
        return;
    };
    assert_eq!(document.text(), text);
    assert_eq!(document.octets(), signed.as_bytes());
    let mut entries: Map<String, Value> = serde_json::from_str(text).expect("it was read before");
    for key in ["issued", "pool", "schema", "serial"] {
        entries.remove(key).expect("no list is without");
    }
    let header: &Header = document.header();
    let again = sign(header, entries, &KEY).expect("it was written before");
    assert_eq!(again, document);
    assert_eq!(document.may_follow(&again), Ok(()));
});
