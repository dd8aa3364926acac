use proptest::prelude::*;

use super::*;

const ALGORITHMS: [AeadAlgorithm; 3] = [
    AeadAlgorithm::AesSivCmac256,
    AeadAlgorithm::AesSivCmac512,
    AeadAlgorithm::Aes128GcmSiv,
];

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn key(algorithm: AeadAlgorithm) -> AeadKey {
    let octets: Vec<u8> = (0..64).collect();
    AeadKey::new(algorithm, &octets[..algorithm.key_length().unwrap()]).unwrap()
}

fn seal(key: &AeadKey, nonce: &[u8], associated_data: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut sealed = vec![0xaa; plaintext.len() + TAG_LENGTH];
    let offset = key.plaintext_offset();
    sealed[offset..offset + plaintext.len()].copy_from_slice(plaintext);
    key.seal_in_place(nonce, associated_data, &mut sealed)
        .unwrap();
    sealed
}

fn open(
    key: &AeadKey,
    nonce: &[u8],
    associated_data: &[u8],
    sealed: &[u8],
) -> Result<Vec<u8>, AeadError> {
    let mut plaintext = vec![0xaa; sealed.len().saturating_sub(TAG_LENGTH)];
    let result = key.open(nonce, associated_data, sealed, &mut plaintext);
    if result.is_err() {
        assert!(plaintext.iter().all(|octet| *octet == 0), "plaintext left");
    }
    result.map(|()| plaintext)
}

/// RFC 5297 A.1 and A.2 have other numbers of associated strings than an AEAD.
fn check_siv(key: &str, headers: &[&str], plaintext: &str, expected: &str) {
    let siv = Siv::<Aes128Enc>::new(&unhex(key)).unwrap();
    let headers: Vec<_> = headers.iter().map(|header| unhex(header)).collect();
    let headers: Vec<&[u8]> = headers.iter().map(Vec::as_slice).collect();
    let mut text = unhex(plaintext);
    let tag = siv.seal(&headers, &mut text);
    assert_eq!(hex::encode(tag) + &hex::encode(&text), expected);
    siv.open(&headers, &mut text, &tag).unwrap();
    assert_eq!(hex::encode(text), plaintext);
}

#[test]
fn rfc_5297_a_1() {
    check_siv(
        "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
        &["101112131415161718191a1b1c1d1e1f2021222324252627"],
        "112233445566778899aabbccddee",
        "85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c",
    );
}

#[test]
fn rfc_5297_a_2() {
    check_siv(
        "7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f",
        &[
            "00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100",
            "102030405060708090a0",
            "09f911029d74e35bd84156c5635688c0",
        ],
        concat!(
            "7468697320697320736f6d6520706c61696e7465787420746f20656e63727970",
            "74207573696e67205349562d414553"
        ),
        concat!(
            "7bdb6e3b432667eb06f4d14bff2fbd0fcb900f2fddbe404326601965c889bf17",
            "dba77ceb094fa663b7a3f748ba8af829ea64ad544a272e9c485b62a3fd5c0d"
        ),
    );
}

#[test]
fn rfc_8452_c_1() {
    let key = AeadKey::new(
        AeadAlgorithm::Aes128GcmSiv,
        &unhex("01000000000000000000000000000000"),
    )
    .unwrap();
    let nonce = unhex("030000000000000000000000");
    for (plaintext, expected) in [
        ("", "dc20e2d83f25705bb49e439eca56de25"),
        (
            "0100000000000000",
            "b5d839330ac7b786578782fff6013b815b287c22493a364c",
        ),
    ] {
        let sealed = seal(&key, &nonce, b"", &unhex(plaintext));
        assert_eq!(hex::encode(&sealed), expected);
        assert_eq!(open(&key, &nonce, b"", &sealed).unwrap(), unhex(plaintext));
    }
}

#[test]
fn key_lengths_are_checked() {
    for algorithm in ALGORITHMS {
        let right = algorithm.key_length().unwrap();
        for length in 0..=65 {
            let result = AeadKey::new(algorithm, &vec![1; length]);
            let checked = AeadKey::check(algorithm, length);
            assert_eq!(checked, result.as_ref().map(|_| ()).map_err(|error| *error));
            if length == right {
                assert_eq!(result.unwrap().algorithm(), algorithm);
            } else {
                assert_eq!(result.unwrap_err(), InvalidAeadKey::WrongLength);
            }
        }
    }
}

#[test]
fn other_algorithms_are_refused() {
    for code in 0..=u16::MAX {
        let algorithm = AeadAlgorithm::from(code);
        assert_eq!(
            AeadKey::supports(algorithm),
            ALGORITHMS.contains(&algorithm)
        );
        if !AeadKey::supports(algorithm) {
            assert_eq!(
                AeadKey::new(algorithm, &[0; 32]).unwrap_err(),
                InvalidAeadKey::UnsupportedAlgorithm(algorithm)
            );
            assert_eq!(
                AeadKey::check(algorithm, 32),
                Err(InvalidAeadKey::UnsupportedAlgorithm(algorithm))
            );
        }
    }
}

#[test]
fn nonce_lengths_are_checked() {
    for algorithm in ALGORITHMS {
        let key = key(algorithm);
        for length in 0..40 {
            let nonce = vec![9; length];
            let taken = match algorithm {
                AeadAlgorithm::Aes128GcmSiv => length == 12,
                _ => length > 0,
            };
            let mut sealed = [0; 20];
            assert_eq!(key.seal_in_place(&nonce, b"ad", &mut sealed).is_ok(), taken);
            assert_eq!(open(&key, &nonce, b"ad", &sealed).is_ok(), taken);
        }
        assert_eq!(key.nonce_length() % 4, 0);
        assert!(key.nonce_length() <= MAX_NONCE_LENGTH);
    }
}

#[test]
fn buffers_of_wrong_length_are_refused() {
    for algorithm in ALGORITHMS {
        let key = key(algorithm);
        let nonce = vec![9; key.nonce_length()];
        let sealed = seal(&key, &nonce, b"", b"text");
        for length in [0, 3, 5] {
            assert!(
                key.open(&nonce, b"", &sealed, &mut vec![0; length])
                    .is_err()
            );
        }
        assert!(key.seal_in_place(&nonce, b"", &mut [0; 15]).is_err());
        assert!(key.open(&nonce, b"", &sealed[..15], &mut []).is_err());
    }
}

#[test]
fn debug_shows_no_key() {
    let text = format!("{:?}", key(AeadAlgorithm::Aes128GcmSiv));
    assert_eq!(text, "AeadKey(Aes128GcmSiv (30), <redacted>)");
}

proptest! {
    #[test]
    fn round_trip_and_tamper(
        index in 0_usize..3,
        plaintext in prop::collection::vec(any::<u8>(), 0..80),
        associated_data in prop::collection::vec(any::<u8>(), 0..80),
        place: prop::sample::Index,
        bit in 0_u8..8,
    ) {
        let key = key(ALGORITHMS[index]);
        let nonce = vec![5; key.nonce_length()];
        let sealed = seal(&key, &nonce, &associated_data, &plaintext);
        let opened = open(&key, &nonce, &associated_data, &sealed);
        prop_assert_eq!(opened, Ok(plaintext));

        let mut tampered = sealed.clone();
        tampered[place.index(sealed.len())] ^= 1 << bit;
        prop_assert_eq!(open(&key, &nonce, &associated_data, &tampered), Err(AeadError));
        let mut other_nonce = nonce.clone();
        other_nonce[place.index(nonce.len())] ^= 1 << bit;
        prop_assert!(open(&key, &other_nonce, &associated_data, &sealed).is_err());
        let longer = [associated_data.as_slice(), &[0]].concat();
        prop_assert!(open(&key, &nonce, &longer, &sealed).is_err());
    }
}
