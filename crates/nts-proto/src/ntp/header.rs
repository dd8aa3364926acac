//! The 48-octet header of an NTP packet (RFC 5905 §7.3) and the kiss codes (§7.4).
//!
//! Every header that can be read can be written again unchanged. Which values make sense is not
//! decided here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use md5::{Digest, Md5};

use crate::time::{NtpShort, NtpTimestamp};

/// Length of the header in octets.
pub const HEADER_LENGTH: usize = 48;

/// The leap indicator (RFC 5905 figure 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LeapIndicator {
    /// No leap second is announced.
    #[default]
    NoWarning,
    /// The last minute of the day has 61 seconds.
    Leap61,
    /// The last minute of the day has 59 seconds.
    Leap59,
    /// The clock is not synchronised.
    Unsynchronized,
}

impl LeapIndicator {
    const fn from_bits(octet: u8) -> Self {
        match octet >> 6 {
            0 => Self::NoWarning,
            1 => Self::Leap61,
            2 => Self::Leap59,
            _ => Self::Unsynchronized,
        }
    }

    const fn to_bits(self) -> u8 {
        let bits = match self {
            Self::NoWarning => 0,
            Self::Leap61 => 1,
            Self::Leap59 => 2,
            Self::Unsynchronized => 3,
        };
        bits << 6
    }
}

/// The mode of a packet (RFC 5905 figure 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// 3: a client's request.
    Client,
    /// 4: a server's answer.
    Server,
    /// Any of the others (0–2, 5–7), which this project never speaks.
    Other(OtherMode),
}

/// A mode that is neither client nor server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OtherMode(u8);

impl Mode {
    const fn from_bits(octet: u8) -> Self {
        match octet & 7 {
            3 => Self::Client,
            4 => Self::Server,
            other => Self::Other(OtherMode(other)),
        }
    }

    const fn to_bits(self) -> u8 {
        match self {
            Self::Client => 3,
            Self::Server => 4,
            Self::Other(OtherMode(other)) => other,
        }
    }
}

/// The version number of a packet, 0–7.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version(u8);

impl Version {
    /// NTPv3 (RFC 1305), whose header is the same.
    pub const V3: Self = Self(3);
    /// NTPv4 (RFC 5905).
    pub const V4: Self = Self(4);

    const fn from_bits(octet: u8) -> Self {
        Self((octet >> 3) & 7)
    }

    /// The number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.0)
    }
}

/// The reference ID: a clock's name at stratum 1, the id of the server's own source from stratum
/// 2 on, a kiss code at stratum 0 (RFC 5905 §7.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ReferenceId([u8; 4]);

impl ReferenceId {
    /// Takes the four octets of the wire.
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// The four octets of the wire.
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0
    }

    /// The id that stands for a server with this address.
    pub const fn from_ipv4(address: Ipv4Addr) -> Self {
        Self(address.octets())
    }

    /// The id that stands for a server with this address: the first four octets of its MD5
    /// (RFC 5905 §7.3).
    pub fn from_ipv6(address: Ipv6Addr) -> Self {
        let [a, b, c, d, ..] = Md5::digest(address.octets()).0;
        Self([a, b, c, d])
    }

    /// The id that stands for a server with this address.
    pub fn from_address(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::from_ipv4(address),
            IpAddr::V6(address) => Self::from_ipv6(address),
        }
    }
}

impl fmt::Debug for ReferenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReferenceId(\"{}\")", self.0.escape_ascii())
    }
}

/// What the reference ID says at stratum 0 (RFC 5905 §7.4, RFC 8915 §5.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KissCode {
    /// `DENY`: access is denied.
    Deny,
    /// `RSTR`: access is denied by local policy.
    Restrict,
    /// `RATE`: the client polls too often.
    Rate,
    /// `NTSN`: the cookie or the authenticator could not be verified (RFC 8915 §5.7).
    NtsNak,
    /// `INIT`: the server has not been synchronised yet.
    Init,
    /// `STEP`: the server stepped its clock and is not synchronised again yet.
    Step,
    /// Any other code; ignored.
    Other(ReferenceId),
}

impl From<ReferenceId> for KissCode {
    fn from(id: ReferenceId) -> Self {
        match &id.0 {
            b"DENY" => Self::Deny,
            b"RSTR" => Self::Restrict,
            b"RATE" => Self::Rate,
            b"NTSN" => Self::NtsNak,
            b"INIT" => Self::Init,
            b"STEP" => Self::Step,
            _ => Self::Other(id),
        }
    }
}

impl From<KissCode> for ReferenceId {
    fn from(code: KissCode) -> Self {
        Self(match code {
            KissCode::Deny => *b"DENY",
            KissCode::Restrict => *b"RSTR",
            KissCode::Rate => *b"RATE",
            KissCode::NtsNak => *b"NTSN",
            KissCode::Init => *b"INIT",
            KissCode::Step => *b"STEP",
            KissCode::Other(id) => return id,
        })
    }
}

/// The header, field by field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Leap second announcement, or "not synchronised".
    pub leap: LeapIndicator,
    /// Version number.
    pub version: Version,
    /// Mode.
    pub mode: Mode,
    /// Distance from a reference clock: 0 unspecified or kiss, 1 primary, 2–15 secondary.
    pub stratum: u8,
    /// Poll interval, log2 of seconds.
    pub poll: i8,
    /// Precision of the sender's clock, log2 of seconds.
    pub precision: i8,
    /// Round-trip delay to the reference clock.
    pub root_delay: NtpShort,
    /// Bound on the error of the sender's clock, without the delay's share.
    pub root_dispersion: NtpShort,
    /// What the sender is synchronised to, or a kiss code.
    pub reference_id: ReferenceId,
    /// When the sender's clock was last set or corrected.
    pub reference: NtpTimestamp,
    /// The request's transmit timestamp, bit for bit.
    pub origin: NtpTimestamp,
    /// When the request arrived (T2).
    pub receive: NtpTimestamp,
    /// When the packet left (T3); in our requests a random number instead.
    pub transmit: NtpTimestamp,
}

impl Header {
    /// The request of a client that gives nothing away: all zero but version, mode, a precision
    /// of 2^32 s and `transmit`, which the caller fills with 64 random bits.
    pub const fn request(transmit: NtpTimestamp) -> Self {
        Self {
            leap: LeapIndicator::NoWarning,
            version: Version::V4,
            mode: Mode::Client,
            stratum: 0,
            poll: 0,
            precision: 0x20,
            root_delay: NtpShort::ZERO,
            root_dispersion: NtpShort::ZERO,
            reference_id: ReferenceId::from_bytes([0; 4]),
            reference: NtpTimestamp::ZERO,
            origin: NtpTimestamp::ZERO,
            receive: NtpTimestamp::ZERO,
            transmit,
        }
    }

    /// Reads a header.
    pub fn from_bytes(bytes: &[u8; HEADER_LENGTH]) -> Self {
        let mut reader = Reader(bytes);
        let [flags, stratum, poll, precision] = reader.take();
        Self {
            leap: LeapIndicator::from_bits(flags),
            version: Version::from_bits(flags),
            mode: Mode::from_bits(flags),
            stratum,
            poll: poll.cast_signed(),
            precision: precision.cast_signed(),
            root_delay: NtpShort::from_bits(u32::from_be_bytes(reader.take())),
            root_dispersion: NtpShort::from_bits(u32::from_be_bytes(reader.take())),
            reference_id: ReferenceId(reader.take()),
            reference: NtpTimestamp::from_bits(u64::from_be_bytes(reader.take())),
            origin: NtpTimestamp::from_bits(u64::from_be_bytes(reader.take())),
            receive: NtpTimestamp::from_bits(u64::from_be_bytes(reader.take())),
            transmit: NtpTimestamp::from_bits(u64::from_be_bytes(reader.take())),
        }
    }

    /// Writes the header.
    pub fn to_bytes(&self) -> [u8; HEADER_LENGTH] {
        let first = [
            self.leap.to_bits() | self.version.0 << 3 | self.mode.to_bits(),
            self.stratum,
            self.poll.cast_unsigned(),
            self.precision.cast_unsigned(),
        ];
        let pair = |[a, b, c, d]: [u8; 4], [e, f, g, h]: [u8; 4]| [a, b, c, d, e, f, g, h];
        let words = [
            pair(first, self.root_delay.to_bits().to_be_bytes()),
            pair(
                self.root_dispersion.to_bits().to_be_bytes(),
                self.reference_id.0,
            ),
            self.reference.to_bits().to_be_bytes(),
            self.origin.to_bits().to_be_bytes(),
            self.receive.to_bits().to_be_bytes(),
            self.transmit.to_bits().to_be_bytes(),
        ];
        let mut bytes = [0; HEADER_LENGTH];
        bytes.copy_from_slice(words.as_flattened());
        bytes
    }
}

/// Takes fixed-size pieces off the front of a header.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// The next `N` octets. The pieces taken above add up to exactly one header, so the zeros
    /// that stand in for missing octets are never seen.
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk() {
            Some((piece, rest)) => {
                self.0 = rest;
                *piece
            }
            None => [0; N],
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_server_header_field_by_field() {
        let bytes: [u8; 48] = hex::decode(concat!(
            "240200e90000032000000640c0000201ec9f3c0000000000",
            "0123456789abcdefec9f3c8040000000ec9f3c8040010000"
        ))
        .unwrap()
        .try_into()
        .unwrap();
        let header = Header::from_bytes(&bytes);
        assert_eq!(
            header,
            Header {
                leap: LeapIndicator::NoWarning,
                version: Version::V4,
                mode: Mode::Server,
                stratum: 2,
                poll: 0,
                precision: -23,
                root_delay: NtpShort::from_bits(0x320),
                root_dispersion: NtpShort::from_bits(0x640),
                reference_id: ReferenceId::from_ipv4(Ipv4Addr::new(192, 0, 2, 1)),
                reference: NtpTimestamp::from_bits(0xec9f_3c00_0000_0000),
                origin: NtpTimestamp::from_bits(0x0123_4567_89ab_cdef),
                receive: NtpTimestamp::from_bits(0xec9f_3c80_4000_0000),
                transmit: NtpTimestamp::from_bits(0xec9f_3c80_4001_0000),
            }
        );
        assert_eq!(header.to_bytes(), bytes);
    }

    #[test]
    fn our_request_says_nothing() {
        let header = Header::request(NtpTimestamp::from_bits(0x0123_4567_89ab_cdef));
        assert_eq!(
            hex::encode(header.to_bytes()),
            concat!(
                "230000200000000000000000000000000000000000000000",
                "000000000000000000000000000000000123456789abcdef"
            )
        );
    }

    #[test]
    fn kiss_codes_are_their_four_letters() {
        for (text, code) in [
            (b"DENY", KissCode::Deny),
            (b"RSTR", KissCode::Restrict),
            (b"RATE", KissCode::Rate),
            (b"NTSN", KissCode::NtsNak),
            (b"INIT", KissCode::Init),
            (b"STEP", KissCode::Step),
            (b"XFUN", KissCode::Other(ReferenceId(*b"XFUN"))),
        ] {
            assert_eq!(KissCode::from(ReferenceId(*text)), code);
            assert_eq!(ReferenceId::from(code).to_bytes(), *text);
        }
    }

    #[test]
    fn addresses_have_ids() {
        for (address, id) in [
            ("192.0.2.1", [192, 0, 2, 1]),
            ("2001:db8::1", [0x39, 0xab, 0x9b, 0x37]),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(ReferenceId::from_address(address).to_bytes(), id);
        }
    }

    proptest! {
        #[test]
        fn any_header_round_trips(
            first: [u8; 32],
            second: [u8; 16],
        ) {
            let bytes: [u8; 48] = [first.as_slice(), second.as_slice()]
                .concat()
                .try_into()
                .unwrap();
            prop_assert_eq!(Header::from_bytes(&bytes).to_bytes(), bytes);
        }
    }
}
