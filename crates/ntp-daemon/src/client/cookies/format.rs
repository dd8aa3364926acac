//! The octets in which sessions are kept. Pure.
//!
//! ```text
//! "NTSC" ‖ version (4) ‖ saved, Unix seconds (8) ‖ number of sessions (2) ‖ sessions
//! session: configured ‖ name ‖ address ‖ algorithm (2) ‖ C2S ‖ S2C ‖ number of cookies (2) ‖ cookies
//! ```
//!
//! Texts, keys and cookies stand after their length (2). Numbers are big-endian.

use nts_proto::association::NtsSession;
use nts_proto::cookie::Cookie;
use nts_proto::ke::keys::SessionKeys;
use zeroize::Zeroizing;

use super::Kept;

const MAGIC: &[u8] = b"NTSC";
const VERSION: u32 = 1;

/// Gives the octets for `sessions`, kept since `saved` (Unix seconds).
pub(super) fn encode(sessions: Vec<Kept>, saved: u64) -> Zeroizing<Vec<u8>> {
    let mut octets = Zeroizing::new(Vec::new());
    octets.extend_from_slice(MAGIC);
    octets.extend_from_slice(&VERSION.to_be_bytes());
    octets.extend_from_slice(&saved.to_be_bytes());
    number(&mut octets, sessions.len());
    for kept in sessions {
        let parts = kept.session.into_parts();
        field(&mut octets, kept.configured.as_bytes());
        field(&mut octets, kept.remote_name.as_str().as_bytes());
        field(&mut octets, kept.address.to_string().as_bytes());
        octets.extend_from_slice(&parts.algorithm.code().to_be_bytes());
        field(&mut octets, parts.keys.c2s());
        field(&mut octets, parts.keys.s2c());
        number(&mut octets, parts.cookies.len());
        for cookie in &parts.cookies {
            field(&mut octets, cookie.as_bytes());
        }
    }
    octets
}

/// Nothing here is anywhere near 65,536 long or many.
fn number(octets: &mut Zeroizing<Vec<u8>>, number: usize) {
    let number = u16::try_from(number).unwrap_or(u16::MAX);
    // Before an allocation that moves them, the octets before it are wiped.
    grow(octets, 2);
    octets.extend_from_slice(&number.to_be_bytes());
}

fn field(octets: &mut Zeroizing<Vec<u8>>, field: &[u8]) {
    number(octets, field.len());
    grow(octets, field.len());
    octets.extend_from_slice(field);
}

/// Makes room without leaving a copy of secrets behind.
fn grow(octets: &mut Zeroizing<Vec<u8>>, room: usize) {
    if octets.capacity() - octets.len() < room {
        let mut larger = Zeroizing::new(Vec::with_capacity(2 * (octets.capacity() + room)));
        larger.extend_from_slice(octets);
        *octets = larger;
    }
}

/// Reads what [`encode`] gave; `None` if it is anything else. Sessions that are of no use are left
/// out.
pub(super) fn decode(octets: &[u8]) -> Option<(Vec<Kept>, u64)> {
    let mut reader = Reader(octets);
    let known = reader.take(4)? == MAGIC && reader.array()? == VERSION.to_be_bytes();
    let saved = u64::from_be_bytes(reader.array()?);
    let count = known.then(|| reader.number()).flatten()?;
    let mut sessions = Vec::new();
    for _ in 0..count {
        sessions.extend(reader.session()?);
    }
    reader.0.is_empty().then_some((sessions, saved))
}

/// What has not been read yet.
struct Reader<'o>(&'o [u8]);

impl<'o> Reader<'o> {
    fn take(&mut self, length: usize) -> Option<&'o [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn number(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn field(&mut self) -> Option<&'o [u8]> {
        let length = self.number()?;
        self.take(length.into())
    }

    fn text(&mut self) -> Option<&'o str> {
        str::from_utf8(self.field()?).ok()
    }

    /// One session; the inner `None` is one of no use.
    fn session(&mut self) -> Option<Option<Kept>> {
        let (configured, name, address) = (self.text()?, self.text()?, self.text()?);
        let (algorithm, c2s, s2c) = (self.number()?, self.field()?, self.field()?);
        let mut cookies = Vec::new();
        for _ in 0..self.number()? {
            cookies.push(Cookie::new(self.field()?));
        }
        let session = SessionKeys::new(c2s, s2c)
            .ok()
            .and_then(|keys| NtsSession::new(algorithm.into(), &keys, cookies).ok());
        let place = name.parse().ok().zip(address.parse().ok());
        Some(
            session
                .zip(place)
                .map(|(session, (remote_name, address))| Kept {
                    configured: configured.to_owned(),
                    remote_name,
                    address,
                    session,
                }),
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::kept;
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let octets = encode(
            vec![kept("nts a.test:4460", 1), kept("nts b.test:4460", 2)],
            7,
        );
        let (sessions, saved) = decode(&octets).unwrap();
        assert_eq!((sessions.len(), saved), (2, 7));
        let again = encode(sessions, 7);
        assert_eq!(*again, *octets);
    }

    #[test]
    fn every_cut_is_noticed() {
        let octets = encode(vec![kept("nts a.test:4460", 1)], 7);
        for length in 0..octets.len() {
            assert!(decode(&octets[..length]).is_none(), "{length}");
        }
        let mut longer = octets.to_vec();
        longer.push(0);
        assert!(decode(&longer).is_none());
        let mut other_version = octets.to_vec();
        other_version[7] += 1;
        assert!(decode(&other_version).is_none());
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic(octets: Vec<u8>) {
            let _ = decode(&octets);
            let _ = decode(&[MAGIC, &VERSION.to_be_bytes(), &octets].concat());
        }
    }
}
