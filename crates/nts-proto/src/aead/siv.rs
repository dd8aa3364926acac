//! The mode AES-SIV (RFC 5297) over the block cipher of the `aes` crate.
//!
//! A server opens and seals cookies with the same few keys in every packet, and each session's keys
//! in one packet only. So key schedules, the subkeys of CMAC and the first step of S2V are made once
//! per key here and read from then on; the tests compare every result with the crate `aes-siv`,
//! which makes them anew at each call. Tags are compared in constant time, all keys are wiped when
//! dropped, nothing is allocated.

use aes::cipher::consts::U16;
use aes::cipher::{
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, InOut,
    KeyInit, KeySizeUser,
};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{AeadError, TAG_LENGTH};

type Block = aes::Block;

/// Octets of a block of AES.
const BLOCK: usize = 16;

/// Blocks of the key stream that are made at once.
const STREAM: usize = 8;

/// A key of AES-SIV with everything that can be computed from it in advance.
pub(super) struct Siv<C> {
    mac: Cmac<C>,
    stream: C,
    /// CMAC of a block of zeros, where S2V begins.
    start: Zeroizing<[u8; BLOCK]>,
}

impl<C> Siv<C>
where
    C: BlockCipherEncrypt<BlockSize = U16> + KeyInit,
{
    /// Takes a key, twice as long as one of the block cipher: first the half for authentication.
    #[inline(always)]
    pub(super) fn new(key: &[u8]) -> Result<Self, AeadError> {
        let (mac, stream) = key
            .split_at_checked(<C as KeySizeUser>::key_size())
            .ok_or(AeadError)?;
        let prepare = |half| C::new_from_slice(half).map_err(|_| AeadError);
        Ok(Self::of(prepare(mac)?, prepare(stream)?))
    }

    /// As [`Siv::new`], of the ciphers with the two halves of the key.
    #[inline(always)]
    pub(super) fn of(mac: C, stream: C) -> Self {
        let mac = Cmac::new(mac);
        let start = Zeroizing::new(mac.of(&[0; BLOCK], None));
        Self { mac, stream, start }
    }

    /// Encrypts `text` in place and gives the tag, which is also the initial vector.
    pub(super) fn seal(&self, headers: &[&[u8]], text: &mut [u8]) -> [u8; TAG_LENGTH] {
        let tag = self.s2v(headers, text);
        self.apply_key_stream(tag, text);
        tag
    }

    /// Decrypts `text` in place. It is of no use, and must be wiped, unless the tag matches.
    pub(super) fn open(
        &self,
        headers: &[&[u8]],
        text: &mut [u8],
        tag: &[u8; TAG_LENGTH],
    ) -> Result<(), AeadError> {
        self.apply_key_stream(*tag, text);
        let expected = self.s2v(headers, text);
        match bool::from(expected.ct_eq(tag)) {
            true => Ok(()),
            false => Err(AeadError),
        }
    }

    /// The pseudo-random function over several strings (RFC 5297 §2.4).
    fn s2v(&self, headers: &[&[u8]], text: &[u8]) -> [u8; BLOCK] {
        let mut state = *self.start;
        for header in headers {
            state = xor(&double(&state), &self.mac.of(header, None));
        }
        if text.len() >= BLOCK {
            return self.mac.of(text, Some(&state));
        }
        let mut last = double(&state);
        for (place, octet) in last.iter_mut().zip(text.iter().chain(&[0x80])) {
            *place ^= octet;
        }
        self.mac.of(&last, None)
    }

    /// AES in counter mode from the tag on, with the two bits cleared that would slow a carry
    /// (RFC 5297 §2.5).
    fn apply_key_stream(&self, tag: [u8; TAG_LENGTH], text: &mut [u8]) {
        let mut counter = u128::from_be_bytes(tag) & !(1 << 63 | 1 << 31);
        for piece in text.chunks_mut(STREAM * BLOCK) {
            let mut stream = [Block::default(); STREAM];
            let used = stream.len().min(piece.len().div_ceil(BLOCK));
            let used = stream.get_mut(..used).unwrap_or_default();
            for block in &mut *used {
                block.0 = counter.to_be_bytes();
                counter = counter.wrapping_add(1);
            }
            self.stream.encrypt_blocks(used);
            for (place, key) in piece.chunks_mut(BLOCK).zip(used) {
                match <&mut [u8; BLOCK]>::try_from(&mut *place) {
                    Ok(block) => *block = xor(block, &key.0),
                    Err(_) => place
                        .iter_mut()
                        .zip(key)
                        .for_each(|(octet, key)| *octet ^= *key),
                }
            }
        }
    }
}

/// CMAC (RFC 4493) with its subkeys.
struct Cmac<C> {
    cipher: C,
    whole: Zeroizing<[u8; BLOCK]>,
    padded: Zeroizing<[u8; BLOCK]>,
}

impl<C: BlockCipherEncrypt<BlockSize = U16>> Cmac<C> {
    #[inline(always)]
    fn new(cipher: C) -> Self {
        let mut zero = Block::default();
        cipher.encrypt_block(&mut zero);
        let whole = double(&zero.0);
        Self {
            cipher,
            whole: Zeroizing::new(whole),
            padded: Zeroizing::new(double(&whole)),
        }
    }

    /// The code of `message`; with `end`, of the message with that block added to its last 16
    /// octets, of which there must be so many.
    fn of(&self, message: &[u8], end: Option<&[u8; BLOCK]>) -> [u8; BLOCK] {
        // The last block and the whole one before it, where `end` and a subkey are added.
        let rest = match message.len() {
            0 => 0,
            length => (length - 1) % BLOCK + 1,
        };
        let tail = message.len().min(rest + BLOCK);
        let (head, end_of_message) = message.split_at(message.len() - tail);
        let mut buffer = [0; 2 * BLOCK];
        for (place, octet) in buffer.iter_mut().zip(end_of_message) {
            *place = *octet;
        }
        if let Some(end) = end {
            add(&mut buffer, tail.saturating_sub(BLOCK), end);
        }
        if rest == BLOCK {
            add(&mut buffer, tail - rest, &*self.whole);
        } else {
            add(&mut buffer, tail, &[0x80]);
            add(&mut buffer, tail - rest, &*self.padded);
        }
        let mut state = Block::default();
        let (head, _) = head.as_chunks();
        let (buffer, _) = buffer.as_chunks();
        let last = (tail - rest) / BLOCK + 1;
        self.cipher.encrypt_with_backend(Chain {
            state: &mut state,
            blocks: [head, buffer.get(..last).unwrap_or_default()],
        });
        state.0
    }
}

/// Blocks that are added to the state, which is encrypted after each.
struct Chain<'a> {
    state: &'a mut Block,
    blocks: [&'a [[u8; BLOCK]]; 2],
}

impl BlockSizeUser for Chain<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Chain<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        for block in self.blocks.into_iter().flatten() {
            self.state.0 = xor(&self.state.0, block);
            backend.encrypt_block(InOut::from(&mut *self.state));
        }
    }
}

/// Doubling in GF(2^128) (RFC 5297 §2.3), in constant time.
fn double(block: &[u8; BLOCK]) -> [u8; BLOCK] {
    let value = u128::from_be_bytes(*block);
    ((value << 1) ^ ((value >> 127) * 0x87)).to_be_bytes()
}

#[inline(always)]
fn xor(a: &[u8; BLOCK], b: &[u8; BLOCK]) -> [u8; BLOCK] {
    (u128::from_ne_bytes(*a) ^ u128::from_ne_bytes(*b)).to_ne_bytes()
}

/// Adds `octets` to the buffer from `start` on.
#[inline(always)]
fn add(buffer: &mut [u8; 2 * BLOCK], start: usize, octets: &[u8]) {
    for (place, octet) in buffer.iter_mut().skip(start).zip(octets) {
        *place ^= octet;
    }
}

#[cfg(test)]
mod tests {
    use aes::{Aes128Enc, Aes256Enc};
    use aes_siv::aead::inout::InOutBuf;
    use aes_siv::siv::{Aes128Siv, Aes256Siv};
    use proptest::prelude::*;

    use super::*;

    /// Seals with both implementations, opens again, and spoils what was sealed.
    macro_rules! check_against_the_library {
        ($ours:ty, $library:ty, $key:expr, $headers:expr, $text:expr) => {{
            let (key, headers, text): (&[u8], &[&[u8]], &[u8]) = ($key, $headers, $text);
            let mut expected = text.to_vec();
            let expected_tag = <$library>::new_from_slice(key)
                .unwrap()
                .encrypt_inout_detached(headers, InOutBuf::from(expected.as_mut_slice()))
                .unwrap();

            let siv = Siv::<$ours>::new(key).unwrap();
            let mut sealed = text.to_vec();
            let tag = siv.seal(headers, &mut sealed);
            assert_eq!((&sealed, tag), (&expected, expected_tag.0));

            let mut opened = sealed.clone();
            assert_eq!(siv.open(headers, &mut opened, &tag), Ok(()));
            assert_eq!(opened, text);
            for octet in 0..TAG_LENGTH {
                let mut other = tag;
                other[octet] ^= 1;
                let mut opened = sealed.clone();
                assert_eq!(siv.open(headers, &mut opened, &other), Err(AeadError));
            }
        }};
    }

    #[test]
    fn every_length_is_as_in_the_library() {
        let key: Vec<u8> = (0..64).collect();
        let octets: Vec<u8> = (0..=255).collect();
        for header in 0..=80 {
            for text in [0, 1, 15, 16, 17, 31, 32, 33, 47, 48, 49, 127, 128, 129, 255] {
                let headers: &[&[u8]] = &[&octets[..header], &octets[..16]];
                let text = &octets[..text];
                check_against_the_library!(Aes128Enc, Aes128Siv, &key[..32], headers, text);
                check_against_the_library!(Aes256Enc, Aes256Siv, &key, headers, text);
            }
        }
    }

    #[test]
    fn a_counter_that_wraps_is_as_in_the_library() {
        // The tag is the first counter: many tags have low words close to their end.
        let key = [7; 32];
        for octet in 0..=255 {
            check_against_the_library!(Aes128Enc, Aes128Siv, &key, &[&[octet]], &[octet; 300]);
        }
    }

    proptest! {
        #[test]
        fn anything_is_as_in_the_library(
            key in prop::collection::vec(any::<u8>(), 64),
            headers in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..4),
            text in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let headers: Vec<&[u8]> = headers.iter().map(Vec::as_slice).collect();
            check_against_the_library!(Aes128Enc, Aes128Siv, &key[..32], &headers, &text);
            check_against_the_library!(Aes256Enc, Aes256Siv, &key, &headers, &text);
        }
    }

    #[test]
    fn keys_of_another_length_are_refused() {
        for length in [0, 16, 31, 33, 64] {
            assert!(Siv::<Aes128Enc>::new(&vec![0; length]).is_err(), "{length}");
        }
        assert!(Siv::<Aes256Enc>::new(&[0; 32]).is_err());
    }

    #[test]
    fn doubling_carries() {
        assert_eq!(double(&[0x80; 16])[15], 0x87);
        assert_eq!(double(&[0x40; 16]), [0x80; 16]);
    }
}
