//! A hundred thousand requests of every kind, good and bad, in an order that a seed gives: each gets
//! what the protocol says (RFC 5905 §7.3, RFC 7822, RFC 8915 §5.7), and no answer is longer than its
//! request.

#![allow(clippy::unwrap_used, reason = "a test")]

use nts_proto::aead::AeadKey;
use nts_proto::code_points::{AeadAlgorithm, ExtensionFieldType};
use nts_proto::ke::keys::SessionKeys;
use nts_proto::keyset::KeySet;
use nts_proto::ntp::extension::ExtensionFields;
use nts_proto::ntp::packet::Packet;
use nts_proto::server::{
    DropReason, Outcome, Policy, ReplyKind, Request, Responder, SystemState, Treatment,
};
use nts_proto::time::NtpTimestamp;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

const REQUESTS: usize = 100_000;
const HEADER: usize = 48;
const IDENTIFIER: u16 = 0x0104;
const COOKIE: u16 = 0x0204;
const PLACEHOLDER: u16 = 0x0304;
const AUTHENTICATOR: u16 = 0x0404;

/// What a request must get.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    /// The time in a bare header.
    Time,
    /// The time and the identifier of the request.
    Echo,
    /// The time, authenticated, with so many cookies.
    Cookies(usize),
    /// An NTS NAK with the identifier.
    Nak,
    /// Nothing.
    Silence,
}

/// One server and the clients it knows.
struct Lab {
    rng: StdRng,
    keys: KeySet,
    strangers: KeySet,
    /// The last good request with NTS, and what it got.
    last: Option<(Vec<u8>, Expected)>,
}

fn session(algorithm: AeadAlgorithm) -> SessionKeys {
    let length = algorithm.key_length().unwrap();
    SessionKeys::new(&vec![0xc2; length], &vec![0x2c; length]).unwrap()
}

fn field(packet: &mut Vec<u8>, kind: u16, value: &[u8]) {
    packet.extend(kind.to_be_bytes());
    packet.extend(u16::try_from(4 + value.len()).unwrap().to_be_bytes());
    packet.extend(value);
}

impl Lab {
    fn new() -> Self {
        let mut rng = StdRng::seed_from_u64(0x0123_4567);
        let keys = KeySet::new(&mut rng, 7);
        let strangers = KeySet::new(&mut rng, 7);
        Self {
            rng,
            keys,
            strangers,
            last: None,
        }
    }

    fn header(&mut self, flags: u8) -> Vec<u8> {
        let mut packet = vec![0; HEADER];
        self.rng.fill_bytes(&mut packet);
        packet[0] = flags;
        packet
    }

    fn algorithm(&mut self) -> AeadAlgorithm {
        AeadAlgorithm::from([15, 17, 30][self.rng.random_range(0..3)])
    }

    /// A request with NTS that asks for `1 + placeholders` cookies, sealed but for the last step.
    fn nts(&mut self, algorithm: AeadAlgorithm, placeholders: usize, foreign: bool) -> Vec<u8> {
        let keys = if foreign { &self.strangers } else { &self.keys };
        let cookie = keys
            .seal(algorithm, &session(algorithm), &mut self.rng)
            .unwrap();
        let mut packet = self.header(0x23);
        let mut identifier = [0; 32];
        self.rng.fill_bytes(&mut identifier);
        field(&mut packet, IDENTIFIER, &identifier);
        field(&mut packet, COOKIE, cookie.as_bytes());
        for _ in 0..placeholders {
            field(&mut packet, PLACEHOLDER, &vec![0; cookie.len()]);
        }
        self.seal(&mut packet, algorithm);
        packet
    }

    fn seal(&mut self, packet: &mut Vec<u8>, algorithm: AeadAlgorithm) {
        let key = AeadKey::new(algorithm, session(algorithm).c2s()).unwrap();
        let mut nonce = vec![0; key.nonce_length()];
        self.rng.fill_bytes(&mut nonce);
        let mut tag = [0; 16];
        key.seal_in_place(&nonce, packet, &mut tag).unwrap();
        let lengths = [0, u8::try_from(nonce.len()).unwrap(), 0, 16];
        field(
            packet,
            AUTHENTICATOR,
            &[&lengths[..], &nonce, &tag].concat(),
        );
    }

    /// A good request with NTS.
    fn good(&mut self) -> (Vec<u8>, Expected) {
        let (algorithm, placeholders) = (self.algorithm(), self.rng.random_range(0..10));
        let packet = self.nts(algorithm, placeholders, false);
        let expected = Expected::Cookies(8.min(1 + placeholders));
        self.last = Some((packet.clone(), expected));
        (packet, expected)
    }

    /// The next request, and what it must get.
    fn request(&mut self) -> (Vec<u8>, Expected) {
        match self.rng.random_range(0..100) {
            0..30 => (self.header(0x23), Expected::Time),
            30..36 => {
                let mut packet = self.header(0x1b);
                let tail = self.rng.random_range(0..200);
                packet.extend(vec![7; tail]);
                (packet, Expected::Time)
            }
            36..40 => self.with_mac(),
            40..46 => self.with_fields(),
            46..56 => self.good(),
            56..60 => match &self.last {
                // A server keeps nothing, so a replay is a request like any other.
                Some((packet, expected)) => (packet.clone(), *expected),
                None => self.good(),
            },
            60..64 => self.spoilt(),
            64..66 => {
                let (algorithm, placeholders) = (self.algorithm(), self.rng.random_range(0..8));
                let packet = self.nts(algorithm, placeholders, true);
                (packet, Expected::Nak)
            }
            66..72 => self.cut(),
            72..80 => self.with_spoofed_length(),
            80..84 => {
                let length = self.rng.random_range(0..HEADER);
                (vec![0x23; length], Expected::Silence)
            }
            84..92 => self.of_wrong_kind(),
            _ => self.noise(),
        }
    }

    /// A legacy MAC is not looked at.
    fn with_mac(&mut self) -> (Vec<u8>, Expected) {
        let mut packet = self.header(0x23);
        let length = [4, 20, 24][self.rng.random_range(0..3)];
        packet.extend(vec![0xff; length]);
        (packet, Expected::Time)
    }

    /// Fields that nobody knows, and an identifier.
    fn with_fields(&mut self) -> (Vec<u8>, Expected) {
        let mut packet = self.header(0x23);
        let with_identifier = self.rng.random();
        if with_identifier {
            field(&mut packet, IDENTIFIER, &[9; 32]);
        }
        field(&mut packet, 0xf323, &[1; 28]);
        match with_identifier {
            true => (packet, Expected::Echo),
            false => (packet, Expected::Time),
        }
    }

    /// A good request of which one bit was changed on the way, where it is authenticated and the
    /// packet can still be read: in the header after its first octet, the identifier, the cookie
    /// behind its id, the nonce, or the tag.
    fn spoilt(&mut self) -> (Vec<u8>, Expected) {
        let algorithm = self.algorithm();
        let mut packet = self.nts(algorithm, 0, false);
        let end = packet.len();
        let place = match self.rng.random_range(0..4) {
            0 => self.rng.random_range(1..HEADER),
            1 => self.rng.random_range(HEADER + 4..HEADER + 36),
            2 => self.rng.random_range(HEADER + 40..HEADER + 100),
            _ => self.rng.random_range(end - 28..end),
        };
        packet[place] ^= 1 << self.rng.random_range(0..8);
        (packet, Expected::Nak)
    }

    /// A good request that ends too early.
    fn cut(&mut self) -> (Vec<u8>, Expected) {
        let (mut packet, _) = self.good();
        packet.truncate(self.rng.random_range(0..packet.len()));
        let expected = without_authenticator(&packet);
        (packet, expected)
    }

    /// A good request in which one field says that it is longer or shorter than it is, by which its
    /// fields no longer add up.
    fn with_spoofed_length(&mut self) -> (Vec<u8>, Expected) {
        let (mut packet, _) = self.good();
        let wrong = match self.rng.random_range(0..3) {
            0 => self.rng.random_range(0..16),
            1 => u16::try_from(packet.len()).unwrap() + 4 * self.rng.random_range(0..1000),
            _ => 4 * self.rng.random_range(5..20) + self.rng.random_range(1..4),
        };
        packet[HEADER + 2..HEADER + 4].copy_from_slice(&wrong.to_be_bytes());
        (packet, Expected::Silence)
    }

    /// Any mode but 3, or any version but 3 and 4.
    fn of_wrong_kind(&mut self) -> (Vec<u8>, Expected) {
        let (mut packet, _) = if self.rng.random() {
            self.good()
        } else {
            (self.header(0x23), Expected::Time)
        };
        packet[0] = match self.rng.random() {
            true => 0x20 | [0, 1, 2, 4, 5, 6, 7][self.rng.random_range(0..7)],
            false => [0, 1, 2, 5, 6, 7][self.rng.random_range(0..6)] << 3 | 3,
        };
        (packet, Expected::Silence)
    }

    /// Any octets that do not say they are a request of version 4.
    fn noise(&mut self) -> (Vec<u8>, Expected) {
        let length = self.rng.random_range(0..1500);
        let mut packet = vec![0; length];
        self.rng.fill_bytes(&mut packet);
        let is_version_3 = packet.len() >= HEADER && packet[0] & 0x3f == 0x1b;
        if let Some(flags) = packet.first_mut()
            && *flags & 0x3f == 0x23
        {
            *flags ^= 4;
        }
        match is_version_3 {
            true => (packet, Expected::Time),
            false => (packet, Expected::Silence),
        }
    }
}

/// What a request that lost its authenticator gets, by a reading of its fields that has nothing in
/// common with the server's.
fn without_authenticator(packet: &[u8]) -> Expected {
    if packet.len() < HEADER {
        return Expected::Silence;
    }
    let (mut at, mut identifiers) = (HEADER, 0);
    // What is left and no longer than a MAC is none of a server's business.
    while packet.len() - at > 24 {
        let length = usize::from(u16::from_be_bytes([packet[at + 2], packet[at + 3]]));
        if at + length > packet.len() {
            return Expected::Silence;
        }
        identifiers += usize::from(packet[at..at + 2] == IDENTIFIER.to_be_bytes());
        at += length;
    }
    match identifiers {
        0 => Expected::Time,
        _ => Expected::Echo,
    }
}

/// How many cookies an answer holds; each must be one of the server's own, and no two the same.
fn cookies(lab: &Lab, request: &[u8], answer: &[u8]) -> usize {
    let packet = Packet::parse(answer).unwrap();
    let seal = packet.authenticator.unwrap();
    let algorithm = lab
        .keys
        .open(Packet::parse(request).unwrap().cookie.only().unwrap())
        .unwrap()
        .algorithm;
    let mut plaintext = vec![0; seal.plaintext_length()];
    let s2c = AeadKey::new(algorithm, session(algorithm).s2c()).unwrap();
    seal.open(&s2c, &mut plaintext).unwrap();
    let fields = ExtensionFields::encrypted(&plaintext).map(Result::unwrap);
    let mut seen = Vec::new();
    for field in fields {
        assert_eq!(field.field_type, ExtensionFieldType::NtsCookie);
        assert_eq!(lab.keys.open(field.value).unwrap().algorithm, algorithm);
        assert!(!seen.contains(&field.value));
        seen.push(field.value);
    }
    seen.len()
}

/// Checks an answer against what was expected.
fn check(lab: &Lab, request: &[u8], expected: Expected, outcome: &Outcome, out: &[u8]) {
    let Outcome::Reply {
        length,
        kind,
        authenticated,
    } = *outcome
    else {
        assert_eq!(expected, Expected::Silence, "{outcome:?} {request:02x?}");
        return;
    };
    assert!(length <= request.len(), "{length} > {}", request.len());
    let answer = &out[..length];
    // Version and origin are the request's; mode 4.
    assert_eq!(answer[0] & 0x3f, request[0] & 0x38 | 4);
    assert_eq!(answer[24..32], request[40..48]);
    let identifier = &request[HEADER..(HEADER + 36).min(request.len())];
    match expected {
        Expected::Time => assert_eq!((length, kind), (HEADER, ReplyKind::Time)),
        Expected::Echo => {
            assert_eq!((length, kind), (HEADER + 36, ReplyKind::Time));
            assert_eq!(&answer[HEADER..], identifier);
        }
        Expected::Nak => {
            assert_eq!(
                (length, kind),
                (HEADER + 36, ReplyKind::NtsNak),
                "{request:02x?}"
            );
            assert_eq!(
                (answer[0], answer[1], &answer[12..16]),
                (0xe4, 0, &b"NTSN"[..])
            );
            assert_eq!(answer[HEADER..HEADER + 4], identifier[..4]);
        }
        Expected::Cookies(count) => {
            assert_eq!(kind, ReplyKind::Time);
            assert_eq!(&answer[HEADER..HEADER + 36], identifier);
            assert_eq!(cookies(lab, request, answer), count);
        }
        Expected::Silence => panic!("{outcome:?} to {request:02x?}"),
    }
    assert_eq!(authenticated, matches!(expected, Expected::Cookies(_)));
}

#[test]
fn each_of_many_requests_gets_what_the_protocol_says() {
    let mut lab = Lab::new();
    let system = SystemState::unsynchronized(-20);
    let policy = Policy::default();
    let mut answered = 0;
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..REQUESTS {
        let (datagram, expected) = lab.request();
        let responder = Responder {
            system: &system,
            keys: &lab.keys,
            policy: &policy,
        };
        let request = Request {
            datagram: &datagram,
            received: NtpTimestamp::from_bits(1),
            treatment: Treatment::Serve,
        };
        let mut out = [0xaa; 4096];
        let transmit = || NtpTimestamp::from_bits(2);
        let outcome = responder.respond(&request, transmit, &mut rng, &mut out);
        check(&lab, &datagram, expected, &outcome, &out);
        let used = datagram.len().min(out.len());
        assert!(out[used..].iter().all(|octet| *octet == 0xaa));
        answered += usize::from(!matches!(outcome, Outcome::Drop(_)));
        assert_ne!(outcome, Outcome::Drop(DropReason::NoRoom));
    }
    // Every kind occurred, so neither all nor none was answered.
    assert!(
        (REQUESTS / 2..REQUESTS * 9 / 10).contains(&answered),
        "{answered}"
    );
}
