use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::testing::{ScriptedRng, range};

fn rng() -> StdRng {
    StdRng::seed_from_u64(42)
}

fn session(algorithm: AeadAlgorithm) -> SessionKeys {
    let length = algorithm.key_length().unwrap();
    SessionKeys::new(&vec![0xc2; length], &vec![0x2c; length]).unwrap()
}

/// protocol vector: master key `40…5f` under id 1, C2S `00…1f`, S2C `20…3f`, nonce `60…6f`.
#[test]
fn a_cookie_octet_for_octet() {
    let mut script = ScriptedRng::new(&[
        &1_u32.to_le_bytes(),
        &range(0x40, 32),
        &[0; 32],
        &range(0x60, 16),
    ]);
    let keys = KeySet::new(&mut script, 7);
    assert_eq!(keys.sealing_id(), 1);
    let session = SessionKeys::new(&range(0x00, 32), &range(0x20, 32)).unwrap();
    let cookie = keys
        .seal(AeadAlgorithm::AesSivCmac256, &session, &mut script)
        .unwrap();
    let expected = concat!(
        "00000001606162636465666768696a6b6c6d6e6f286432f022363c72f61d2ae34188d258a96936fb",
        "c2cc30b6d1f55462fc3eed53d4c9f70018ca718df295a5aa3c31ff4ee54bd68efd7945e7d1951ba7",
        "31e44046d097540bf0999678248925515043a410c5780b42"
    );
    assert_eq!(hex::encode(cookie.as_bytes()), expected);

    let opened = keys.open(cookie.as_bytes()).unwrap();
    assert_eq!(opened.algorithm, AeadAlgorithm::AesSivCmac256);
    assert_eq!(opened.keys.c2s(), range(0x00, 32));
    assert_eq!(opened.keys.s2c(), range(0x20, 32));
}

#[test]
fn lengths_are_those_of_the_layout() {
    let mut rng = rng();
    let keys = KeySet::new(&mut rng, 7);
    for (code, length) in [(15, 104), (17, 168), (30, 72)] {
        let algorithm = AeadAlgorithm::from(code);
        assert_eq!(cookie_length(algorithm), Some(length));
        let cookie = keys.seal(algorithm, &session(algorithm), &mut rng).unwrap();
        assert_eq!(cookie.len(), length);
        assert!(cookie.len() <= MAX_COOKIE_LENGTH);
        let opened = keys.open(cookie.as_bytes()).unwrap();
        assert_eq!(opened.algorithm, algorithm);
        assert_eq!(opened.keys.c2s(), session(algorithm).c2s());
        assert_eq!(opened.keys.s2c(), session(algorithm).s2c());
    }
    assert_eq!(cookie_length(AeadAlgorithm::AesSivCmac384), None);
    assert_eq!(cookie_length(AeadAlgorithm::Unknown(0)), None);
}

#[test]
fn several_cookies_are_what_one_after_another_would_be() {
    let algorithm = AeadAlgorithm::AesSivCmac512;
    let keys = KeySet::new(&mut rng(), 7);
    let (mut one_by_one, mut at_once) = (rng(), rng());
    let expected: Vec<_> = (0..3)
        .map(|_| keys.seal(algorithm, &session(algorithm), &mut one_by_one))
        .collect::<Result<_, _>>()
        .unwrap();
    let cookies = keys
        .seal_several(3, algorithm, &session(algorithm), &mut at_once)
        .unwrap();
    assert_eq!(cookies, expected);
    assert_ne!(cookies[0], cookies[1]);
}

#[test]
fn no_cookie_for_what_cannot_be_served() {
    let mut rng = rng();
    let keys = KeySet::new(&mut rng, 7);
    let algorithm = AeadAlgorithm::AesSivCmac384;
    assert_eq!(
        keys.seal(algorithm, &session(algorithm), &mut rng)
            .unwrap_err(),
        InvalidAeadKey::UnsupportedAlgorithm(algorithm)
    );
    assert_eq!(
        keys.seal(
            AeadAlgorithm::AesSivCmac512,
            &session(AeadAlgorithm::AesSivCmac256),
            &mut rng
        )
        .unwrap_err(),
        InvalidAeadKey::WrongLength
    );
}

#[test]
fn the_newest_key_seals_and_old_ones_open_until_they_are_gone() {
    let mut rng = rng();
    let algorithm = AeadAlgorithm::AesSivCmac256;
    let mut keys = KeySet::new(&mut rng, 2);
    let first_id = keys.sealing_id();
    let old = keys.seal(algorithm, &session(algorithm), &mut rng).unwrap();
    for rotation in 1..=4_u32 {
        keys = keys.rotated(&mut rng);
        assert_eq!(keys.sealing_id(), first_id.wrapping_add(rotation));
        assert_eq!(keys.key_count(), 2 + rotation.min(2) as usize);
        assert_eq!(keys.open(old.as_bytes()).is_ok(), rotation <= 2);
        let new = keys.seal(algorithm, &session(algorithm), &mut rng).unwrap();
        assert_eq!(new.as_bytes()[..4], keys.sealing_id().to_be_bytes());
        assert!(keys.open(new.as_bytes()).is_ok());
    }
}

#[test]
fn a_copy_from_before_a_rotation_opens_what_is_sealed_after_it() {
    let mut rng = rng();
    let algorithm = AeadAlgorithm::AesSivCmac256;
    let copy = KeySet::new(&mut rng, 2);
    let rotated = copy.rotated(&mut rng);
    let cookie = rotated
        .seal(algorithm, &session(algorithm), &mut rng)
        .unwrap();
    assert!(copy.open(cookie.as_bytes()).is_ok());
    let twice = rotated.rotated(&mut rng);
    let cookie = twice
        .seal(algorithm, &session(algorithm), &mut rng)
        .unwrap();
    assert!(copy.open(cookie.as_bytes()).is_err());
}

#[test]
fn without_stale_keys_no_old_one_opens() {
    let mut rng = rng();
    let algorithm = AeadAlgorithm::AesSivCmac256;
    let keys = KeySet::new(&mut rng, 0);
    let cookie = keys.seal(algorithm, &session(algorithm), &mut rng).unwrap();
    let keys = keys.rotated(&mut rng);
    assert_eq!(keys.key_count(), 2);
    assert!(keys.open(cookie.as_bytes()).is_err());
}

#[test]
fn ids_wrap_without_confusion() {
    let mut script =
        ScriptedRng::new(&[&[0xff; 4], &[1; 32], &[2; 32], &[3; 32], &[4; 16], &[5; 32]]);
    let keys = KeySet::new(&mut script, 1);
    let next = keys.rotated(&mut script);
    assert_eq!((keys.sealing_id(), next.sealing_id()), (u32::MAX, 0));
    let algorithm = AeadAlgorithm::AesSivCmac256;
    let cookie = keys
        .seal(algorithm, &session(algorithm), &mut script)
        .unwrap();
    assert!(next.open(cookie.as_bytes()).is_ok());
    assert!(next.rotated(&mut script).open(cookie.as_bytes()).is_err());
}

/// Seals arbitrary octets as if they were contents.
fn forge(keys: &KeySet, plaintext: &[u8]) -> Vec<u8> {
    let mut cookie = keys.sealing_id().to_be_bytes().to_vec();
    cookie.extend([9; 16]);
    let mut sealed = [&[0; TAG_LENGTH], plaintext].concat();
    keys.keys[keys.sealing]
        .key
        .aead()
        .seal_in_place(&[9; 16], b"", &mut sealed)
        .unwrap();
    cookie.extend(sealed);
    cookie
}

#[test]
fn contents_are_checked_though_sealed() {
    let keys = KeySet::new(&mut rng(), 7);
    let contents = |head: [u8; 4], keys: usize| [head.as_slice(), &vec![1; keys]].concat();
    assert!(
        keys.open(&forge(&keys, &contents([0, 15, 0, 0], 64)))
            .is_ok()
    );
    for wrong in [
        contents([0, 15, 0, 1], 64),
        contents([0, 15, 1, 0], 64),
        contents([0, 15, 0, 0], 62),
        contents([0, 15, 0, 0], 66),
        contents([0, 17, 0, 0], 64),
        contents([0, 30, 0, 0], 64),
        contents([0, 16, 0, 0], 96),
        contents([0, 31, 0, 0], 64),
        contents([1, 15, 0, 0], 64),
        contents([0, 17, 0, 0], 200),
        vec![0, 15, 0],
        vec![],
    ] {
        let length = wrong.len();
        assert_eq!(
            keys.open(&forge(&keys, &wrong)).unwrap_err(),
            OpenError,
            "{length} octets"
        );
    }
}

#[test]
fn debug_shows_no_key() {
    let mut script = ScriptedRng::new(&[&1_u32.to_le_bytes(), &[0xab; 32], &[0xcd; 32]]);
    let text = format!("{:?}", KeySet::new(&mut script, 7));
    assert_eq!(text, "KeySet(2 keys, 1 seals, <redacted>)");
}

proptest! {
    #[test]
    fn a_changed_or_cut_cookie_does_not_open(
        place in 0_usize..104,
        bit in 0_u8..8,
        length in 0_usize..104,
    ) {
        let mut rng = rng();
        let keys = KeySet::new(&mut rng, 7);
        let algorithm = AeadAlgorithm::AesSivCmac256;
        let cookie = keys.seal(algorithm, &session(algorithm), &mut rng).unwrap();
        let mut changed = cookie.as_bytes().to_vec();
        changed[place] ^= 1 << bit;
        prop_assert!(keys.open(&changed).is_err());
        prop_assert!(keys.open(&cookie.as_bytes()[..length]).is_err());
        changed[place] ^= 1 << bit;
        changed.push(0);
        prop_assert!(keys.open(&changed).is_err());
    }

    #[test]
    fn any_octets_are_refused(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let keys = KeySet::new(&mut rng(), 7);
        prop_assert!(keys.open(&octets).is_err());
        let mut with_id = keys.sealing_id().to_be_bytes().to_vec();
        with_id.extend(octets);
        prop_assert!(keys.open(&with_id).is_err());
    }
}
