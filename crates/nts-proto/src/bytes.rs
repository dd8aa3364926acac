//! A growing buffer for octets that may hold secrets.
//!
//! `Vec` leaves a copy of its content behind in freed memory whenever it grows. This buffer wipes
//! what it leaves, and what it holds when it is dropped. It never shows its content in `Debug`.

use std::fmt;

use zeroize::Zeroizing;

/// Octets that are wiped from memory once they are no longer needed.
#[derive(Default, Clone)]
pub(crate) struct SecretBuffer(Zeroizing<Vec<u8>>);

impl SecretBuffer {
    const FIRST_CAPACITY: usize = 256;

    /// An empty buffer with room for so many octets, which are copied but once.
    pub(crate) fn with_capacity(octets: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(octets)))
    }

    pub(crate) fn extend(&mut self, octets: &[u8]) {
        let needed = self.0.len() + octets.len();
        if needed > self.0.capacity() {
            let capacity = needed.max(2 * self.0.capacity()).max(Self::FIRST_CAPACITY);
            let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(octets);
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for SecretBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} octets redacted>", self.0.len())
    }
}

/// The big-endian `u16`s of a record body; `None` where the length is odd.
pub(crate) fn u16_list(body: &[u8]) -> Option<impl Iterator<Item = u16>> {
    let (pairs, rest) = body.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|pair| u16::from_be_bytes(*pair)))
}

/// The one big-endian `u16` of a record body; `None` where the length is not 2.
pub(crate) fn single_u16(body: &[u8]) -> Option<u16> {
    body.try_into().ok().map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_holds_what_it_was_given() {
        let mut buffer = SecretBuffer::default();
        let mut expected = Vec::new();
        for chunk in [0_usize, 1, 255, 1, 700, 3].map(|n| vec![0xa5; n]) {
            buffer.extend(&chunk);
            expected.extend_from_slice(&chunk);
            assert_eq!(buffer.as_slice(), expected);
        }
        assert_eq!(buffer.len(), 960);
    }

    #[test]
    fn what_there_is_room_for_stays_where_it_is() {
        let mut buffer = SecretBuffer::with_capacity(900);
        let place = buffer.as_slice().as_ptr();
        for _ in 0..3 {
            buffer.extend(&[1; 300]);
        }
        assert_eq!((buffer.as_slice().as_ptr(), buffer.len()), (place, 900));
    }

    #[test]
    fn debug_shows_no_content() {
        let mut buffer = SecretBuffer::default();
        buffer.extend(b"secret");
        assert_eq!(format!("{buffer:?}"), "<6 octets redacted>");
    }

    #[test]
    fn number_lists_need_an_even_length() {
        assert_eq!(
            u16_list(&[0, 1, 2, 3]).map(Iterator::collect),
            Some(vec![1, 0x0203])
        );
        assert_eq!(u16_list(&[]).map(Iterator::collect), Some(vec![]));
        assert!(u16_list(&[0]).is_none());
        assert_eq!(single_u16(&[1, 2]), Some(0x0102));
        assert_eq!(single_u16(&[1, 2, 3]), None);
    }
}
