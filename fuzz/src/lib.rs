//! What several fuzz targets need: a session whose keys are known, and packets sealed with them.
//!
//! A fuzzer cannot guess a tag, so without a key it never sees what lies behind one. Some inputs
//! are therefore taken as what is to be sealed.

use nts_proto::aead::{AeadKey, TAG_LENGTH};
use nts_proto::code_points::AeadAlgorithm;
use nts_proto::ke::keys::SessionKeys;
use nts_proto::keyset::KeySet;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// The algorithms that packets can be protected with.
pub const ALGORITHMS: [AeadAlgorithm; 3] = [
    AeadAlgorithm::AesSivCmac256,
    AeadAlgorithm::AesSivCmac512,
    AeadAlgorithm::Aes128GcmSiv,
];

/// A random source that gives the same in each run.
pub fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

/// The server's keys.
pub fn key_set() -> KeySet {
    KeySet::new(&mut rng(), 2)
}

/// One of the algorithms, and session keys for it.
pub fn session(choice: u8) -> (AeadAlgorithm, SessionKeys) {
    let algorithm = ALGORITHMS[usize::from(choice) % ALGORITHMS.len()];
    let length = algorithm.key_length().unwrap();
    let keys = SessionKeys::new(&vec![0xc2; length], &vec![0x2c; length]).unwrap();
    (algorithm, keys)
}

/// Appends an authenticator over everything in `packet` to it, with `plaintext` inside.
pub fn seal(packet: &mut Vec<u8>, algorithm: AeadAlgorithm, key: &[u8], plaintext: &[u8]) {
    let key = AeadKey::new(algorithm, key).unwrap();
    let nonce = vec![7; key.nonce_length()];
    let mut sealed = vec![0; plaintext.len() + TAG_LENGTH];
    let start = key.plaintext_offset();
    sealed[start..start + plaintext.len()].copy_from_slice(plaintext);
    key.seal_in_place(&nonce, packet, &mut sealed).unwrap();
    let length = sealed.len();
    sealed.resize(length.next_multiple_of(4), 0);
    let field = 8 + nonce.len() + sealed.len();
    for number in [0x0404, field, nonce.len(), length] {
        packet.extend(u16::try_from(number).unwrap().to_be_bytes());
    }
    packet.extend(nonce);
    packet.extend(sealed);
}

/// Takes the first octet off; 0 if there is none.
pub fn take(data: &mut &[u8]) -> u8 {
    let Some((first, rest)) = data.split_first() else {
        return 0;
    };
    *data = rest;
    *first
}

/// Splits at a place that the input itself names.
pub fn split<'a>(data: &mut &'a [u8]) -> (&'a [u8], &'a [u8]) {
    let place = usize::from(take(data)) * 4;
    data.split_at(place.min(data.len()))
}
