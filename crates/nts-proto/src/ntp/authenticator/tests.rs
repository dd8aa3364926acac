use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::code_points::AeadAlgorithm;
use crate::ntp::header::Header;
use crate::ntp::packet::Packet;
use crate::time::NtpTimestamp;

fn key(algorithm: AeadAlgorithm) -> AeadKey {
    AeadKey::new(algorithm, &vec![3; algorithm.key_length().unwrap()]).unwrap()
}

/// A value with the given lengths and `padding` octets at the end.
fn value(nonce: u16, ciphertext: u16, padding: usize) -> Vec<u8> {
    let mut value = [nonce.to_be_bytes(), ciphertext.to_be_bytes()].concat();
    let octets = usize::from(nonce).next_multiple_of(4)
        + usize::from(ciphertext).next_multiple_of(4)
        + padding;
    value.extend(std::iter::repeat_n(0xee, octets));
    value
}

#[test]
fn lengths_must_add_up() {
    for (nonce, ciphertext) in [(1, 16), (12, 16), (15, 17), (16, 232), (300, 16)] {
        let whole = value(nonce, ciphertext, 0);
        let parsed = Authenticator::parse(b"head", &whole).unwrap();
        assert_eq!(parsed.associated_data, b"head");
        assert_eq!(parsed.nonce.len(), usize::from(nonce));
        assert_eq!(parsed.ciphertext.len(), usize::from(ciphertext));
        assert_eq!(parsed.plaintext_length(), usize::from(ciphertext) - 16);
        for length in 0..whole.len() {
            assert!(Authenticator::parse(b"", &whole[..length]).is_none());
        }
        assert!(Authenticator::parse(b"", &value(nonce, ciphertext, 40)).is_some());
    }
}

#[test]
fn no_nonce_and_no_tag_are_malformed() {
    assert!(Authenticator::parse(b"", &value(0, 16, 40)).is_none());
    for ciphertext in 0..16 {
        assert!(Authenticator::parse(b"", &value(16, ciphertext, 40)).is_none());
    }
    assert!(Authenticator::parse(b"", &value(u16::MAX, u16::MAX, 0)[..70_000]).is_none());
}

/// RFC 8915 §5.6: a request with a short nonce needs padding in its place.
#[test]
fn room_for_a_nonce() {
    for (algorithm, nonce, padding, enough) in [
        (AeadAlgorithm::AesSivCmac256, 16, 0, true),
        (AeadAlgorithm::AesSivCmac256, 13, 0, true),
        (AeadAlgorithm::AesSivCmac256, 12, 0, false),
        (AeadAlgorithm::AesSivCmac256, 12, 4, true),
        (AeadAlgorithm::AesSivCmac256, 1, 8, false),
        (AeadAlgorithm::AesSivCmac256, 1, 12, true),
        (AeadAlgorithm::AesSivCmac512, 12, 0, false),
        (AeadAlgorithm::AesSivCmac512, 20, 0, true),
        (AeadAlgorithm::Aes128GcmSiv, 12, 0, true),
    ] {
        let value = value(nonce, 18, padding);
        let parsed = Authenticator::parse(b"", &value).unwrap();
        assert_eq!(
            parsed.has_room_for_nonce(&key(algorithm)),
            enough,
            "{algorithm}, nonce {nonce}, padding {padding}"
        );
    }
}

#[test]
fn a_request_authenticator_has_exactly_40_octets_with_aead_15() {
    assert_eq!(field_length(&key(AeadAlgorithm::AesSivCmac256), 0), 40);
    assert_eq!(field_length(&key(AeadAlgorithm::AesSivCmac512), 0), 40);
    assert_eq!(field_length(&key(AeadAlgorithm::Aes128GcmSiv), 0), 36);
}

#[test]
fn sealing_stops_where_the_buffer_ends() {
    let key = key(AeadAlgorithm::AesSivCmac256);
    let mut rng = StdRng::seed_from_u64(1);
    let needed = 48 + field_length(&key, 0);
    for length in 48..=needed {
        let mut buffer = vec![0; length];
        let mut writer = PacketWriter::new(&mut buffer).unwrap();
        let result = Sealing::begin(&mut writer, &key, &mut rng)
            .and_then(|sealing| sealing.finish(&mut writer, &key));
        assert_eq!(result.is_ok(), length == needed, "length {length}");
    }
}

proptest! {
    #[test]
    fn sealed_fields_come_back(
        index in 0_usize..3,
        inner in prop::collection::vec(any::<u8>(), 0..40),
        seed: u64,
    ) {
        let algorithm = [15, 17, 30].map(AeadAlgorithm::from)[index];
        let key = key(algorithm);
        let mut buffer = [0; 300];
        let mut writer = PacketWriter::new(&mut buffer).unwrap();
        writer.put_field(ExtensionFieldType::UniqueIdentifier, &[7; 32]).unwrap();
        let sealing = Sealing::begin(&mut writer, &key, &mut StdRng::seed_from_u64(seed)).unwrap();
        writer.put_field(ExtensionFieldType::NtsCookie, &inner).unwrap();
        writer.set_header(&Header::request(NtpTimestamp::from_bits(seed)));
        sealing.finish(&mut writer, &key).unwrap();
        let length = writer.len();
        let plaintext_length = 4 + inner.len().next_multiple_of(4);
        prop_assert_eq!(length, 48 + 36 + field_length(&key, plaintext_length));

        let packet = Packet::parse(&buffer[..length]).unwrap();
        let authenticator = packet.authenticator.unwrap();
        prop_assert!(authenticator.has_room_for_nonce(&key));
        let mut plaintext = vec![0; authenticator.plaintext_length()];
        authenticator.open(&key, &mut plaintext).unwrap();
        prop_assert_eq!(plaintext.len(), plaintext_length);
        prop_assert_eq!(&plaintext[4..4 + inner.len()], &inner);
    }

    #[test]
    fn any_octets_are_taken_or_refused(value in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(parsed) = Authenticator::parse(b"", &value) {
            prop_assert!(!parsed.nonce.is_empty());
            prop_assert!(parsed.ciphertext.len() >= 16);
        }
    }
}
