//! Cookies and stored key sets, both those that anybody can send and those with the right tag.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nts_fuzz::{key_set, rng, take};
use nts_proto::aead::AeadKey;
use nts_proto::code_points::AeadAlgorithm;
use nts_proto::keyset::{MAX_COOKIE_LENGTH, cookie_length, storage};

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    match take(&mut data) % 3 {
        0 => {
            let mut octets = key_set().sealing_id().to_be_bytes().to_vec();
            octets.extend(data);
            assert!(key_set().open(data).is_err());
            assert!(key_set().open(&octets).is_err());
        }
        1 => sealed(data),
        _ => stored(data),
    }
});

/// Contents of the fuzzer's choice under our master key: opens only if we make such ourselves.
fn sealed(contents: &[u8]) {
    let keys = key_set();
    let stored = storage::encode(&keys, 0);
    let master = AeadKey::new(AeadAlgorithm::AesSivCmac256, &stored[24..56]).unwrap();
    let mut cookie = keys.sealing_id().to_be_bytes().to_vec();
    cookie.extend([3; 16]);
    let mut text = vec![0; 16];
    text.extend(contents);
    master.seal_in_place(&[3; 16], &[], &mut text).unwrap();
    cookie.extend(text);
    if let Ok(opened) = keys.open(&cookie) {
        assert_eq!(cookie_length(opened.algorithm), Some(cookie.len()));
        assert!(cookie.len() <= MAX_COOKIE_LENGTH);
        let again = keys
            .seal(opened.algorithm, &opened.keys, &mut rng())
            .unwrap();
        let reopened = keys.open(again.as_bytes()).unwrap();
        assert_eq!(reopened.keys.c2s(), opened.keys.c2s());
        assert_eq!(reopened.keys.s2c(), opened.keys.s2c());
    }
}

/// Octets as they might stand in a file. With a checksum that fits they can only be what we
/// write ourselves.
fn stored(data: &[u8]) {
    if let Ok((keys, created)) = storage::decode(data, usize::MAX) {
        assert_eq!(*storage::encode(&keys, created), data);
    }
    let mut octets = storage::encode(&key_set(), 7).to_vec();
    for (place, octet) in octets.iter_mut().zip(data) {
        *place ^= octet;
    }
    let changed = data.iter().take(octets.len()).any(|octet| *octet != 0);
    assert_eq!(storage::decode(&octets, 2).is_err(), changed);
}
