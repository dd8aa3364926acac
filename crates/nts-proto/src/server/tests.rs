use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::aead::AeadKey;
use crate::code_points::{AeadAlgorithm, ExtensionFieldType};
use crate::ke::keys::SessionKeys;
use crate::ntp::authenticator::Sealing;
use crate::ntp::extension::ExtensionFields;
use crate::ntp::header::{Header, LeapIndicator, Mode};
use crate::ntp::packet::{Occurrence, Packet};
use crate::ntp::writer::PacketWriter;
use crate::testing::exchange::{self, SERVER_RECEIVED, SERVER_SENT};
use crate::testing::{ScriptedRng, range};

const TIME: ReplyKind = ReplyKind::Time;

/// A server with the keys and the clock of the vector.
struct Server {
    system: SystemState,
    keys: KeySet,
    policy: Policy,
    treatment: Treatment,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            system: exchange::system_state(),
            keys: exchange::key_set(),
            policy: Policy::default(),
            treatment: Treatment::Serve,
        }
    }
}

impl Server {
    fn respond(&self, datagram: &[u8], rng: &mut impl CryptoRng) -> Result<Answer, DropReason> {
        let mut out = vec![0x5a; datagram.len() + 100];
        let responder = Responder {
            system: &self.system,
            keys: &self.keys,
            policy: &self.policy,
        };
        let request = Request {
            datagram,
            received: SERVER_RECEIVED,
            treatment: self.treatment,
        };
        match responder.respond(&request, || SERVER_SENT, rng, &mut out) {
            Outcome::Drop(reason) => Err(reason),
            Outcome::Reply {
                length,
                kind,
                authenticated,
            } => {
                assert!(length <= datagram.len(), "longer than the request");
                out.truncate(length);
                Ok(Answer {
                    bytes: out,
                    kind,
                    authenticated,
                })
            }
        }
    }

    fn answer(&self, datagram: &[u8]) -> Result<Answer, DropReason> {
        self.respond(datagram, &mut StdRng::seed_from_u64(1))
    }
}

#[derive(Debug, PartialEq)]
struct Answer {
    bytes: Vec<u8>,
    kind: ReplyKind,
    authenticated: bool,
}

impl Answer {
    fn header(&self) -> Header {
        Packet::parse(&self.bytes).unwrap().header
    }

    /// The cookies inside, after checking that the answer is authentic.
    fn cookies(&self, s2c: &AeadKey) -> Vec<Vec<u8>> {
        let packet = Packet::parse(&self.bytes).unwrap();
        assert_eq!(packet.cookie, Occurrence::None);
        let authenticator = packet.authenticator.unwrap();
        let mut plaintext = vec![0; authenticator.plaintext_length()];
        authenticator.open(s2c, &mut plaintext).unwrap();
        ExtensionFields::encrypted(&plaintext)
            .map(|field| {
                let field = field.unwrap();
                assert_eq!(field.field_type, ExtensionFieldType::NtsCookie);
                field.value.to_vec()
            })
            .collect()
    }
}

fn s2c() -> AeadKey {
    AeadKey::new(AeadAlgorithm::AesSivCmac256, &range(0x20, 32)).unwrap()
}

/// A request of which every part can be had wrong.
struct Draft {
    algorithm: AeadAlgorithm,
    identifiers: Vec<usize>,
    cookies: usize,
    placeholders: Vec<usize>,
    hidden: Vec<(u16, usize)>,
    server: Server,
}

impl Draft {
    fn new(algorithm: u16) -> Self {
        Self {
            algorithm: algorithm.into(),
            identifiers: vec![32],
            cookies: 1,
            placeholders: vec![],
            hidden: vec![],
            server: Server::default(),
        }
    }

    fn keys(&self) -> SessionKeys {
        let length = self.algorithm.key_length().unwrap();
        SessionKeys::new(&vec![0xc2; length], &vec![0x2c; length]).unwrap()
    }

    fn s2c(&self) -> AeadKey {
        AeadKey::new(self.algorithm, self.keys().s2c()).unwrap()
    }

    fn build(&self) -> Vec<u8> {
        let mut rng = StdRng::seed_from_u64(2);
        let c2s = AeadKey::new(self.algorithm, self.keys().c2s()).unwrap();
        let cookie = self
            .server
            .keys
            .seal(self.algorithm, &self.keys(), &mut rng)
            .unwrap();
        let mut buffer = vec![0; 9000];
        let mut writer = PacketWriter::new(&mut buffer).unwrap();
        for length in &self.identifiers {
            let value = vec![0x1d; *length];
            writer
                .put_field(ExtensionFieldType::UniqueIdentifier, &value)
                .unwrap();
        }
        for _ in 0..self.cookies {
            writer
                .put_field(ExtensionFieldType::NtsCookie, cookie.as_bytes())
                .unwrap();
        }
        for length in &self.placeholders {
            let value = vec![0; *length];
            writer
                .put_field(ExtensionFieldType::NtsCookiePlaceholder, &value)
                .unwrap();
        }
        writer.set_header(&Header::request(NtpTimestamp::from_bits(77)));
        let sealing = Sealing::begin(&mut writer, &c2s, &mut rng).unwrap();
        for (field_type, length) in &self.hidden {
            let value = vec![0; *length];
            writer.put_field((*field_type).into(), &value).unwrap();
        }
        sealing.finish(&mut writer, &c2s).unwrap();
        let length = writer.len();
        buffer.truncate(length);
        buffer
    }

    fn answer(&self) -> Result<Answer, DropReason> {
        self.server.answer(&self.build())
    }

    /// How many cookies come back.
    fn earned(&self) -> usize {
        self.answer().unwrap().cookies(&self.s2c()).len()
    }
}

fn plain_request() -> Vec<u8> {
    Header::request(NtpTimestamp::from_bits(0x0123_4567_89ab_cdef))
        .to_bytes()
        .to_vec()
}

#[test]
fn the_exchange_octet_for_octet() {
    let mut script = ScriptedRng::new(&[&range(0xf0, 16), &range(0x70, 16), &range(0x80, 16)]);
    let answer = Server::default()
        .respond(&exchange::request(), &mut script)
        .unwrap();
    assert_eq!(answer.kind, TIME);
    assert!(answer.authenticated);
    assert_eq!(
        hex::encode(&answer.bytes),
        hex::encode(exchange::response())
    );
    assert_eq!(answer.bytes.len(), 340);
    assert_eq!(script.left(), 0);
    let cookies: Vec<_> = answer.cookies(&s2c()).iter().map(hex::encode).collect();
    assert_eq!(cookies, exchange::RESPONSE_COOKIES);
}

#[test]
fn the_nak_octet_for_octet() {
    let server = Server {
        keys: KeySet::new(&mut StdRng::seed_from_u64(9), 7),
        ..Server::default()
    };
    let answer = server.answer(&exchange::request()).unwrap();
    assert_eq!(answer.kind, ReplyKind::NtsNak);
    assert!(!answer.authenticated);
    assert_eq!(hex::encode(&answer.bytes), exchange::NAK);
    assert_eq!(answer.bytes.len(), 84);
}

/// Change any octet of what is authenticated, of the nonce or of the tag: NAK. Where the octet
/// says what kind of packet or field this is, the outcome may be another, but never the time
/// under the session's keys.
#[test]
fn any_changed_octet_is_a_nak() {
    let original = exchange::request();
    let server = Server::default();
    for position in 0..original.len() {
        let structural = matches!(position, 0 | 48..52 | 84..88 | 192..196 | 300..308);
        for bit in 0..8 {
            let mut datagram = original.clone();
            datagram[position] ^= 1 << bit;
            let result = server.answer(&datagram);
            if structural {
                assert!(!matches!(result, Ok(answer) if answer.authenticated));
            } else {
                let kind = result.map(|answer| answer.kind);
                assert_eq!(kind, Ok(ReplyKind::NtsNak), "octet {position}, bit {bit}");
            }
        }
    }
}

#[test]
fn a_changed_header_that_still_makes_a_request_is_a_nak() {
    let mut datagram = exchange::request();
    datagram[0] |= 0xc0;
    let answer = Server::default().answer(&datagram).unwrap();
    assert_eq!(hex::encode(answer.bytes), exchange::NAK);
}

#[test]
fn a_longer_placeholder_earns_no_cookie() {
    let mut draft = Draft::new(15);
    draft.placeholders = vec![104];
    assert_eq!(draft.earned(), 2);
    draft.placeholders = vec![108];
    assert_eq!(draft.earned(), 1);
    draft.placeholders = vec![100, 104];
    assert_eq!(draft.earned(), 2);
}

#[test]
fn the_same_request_twice_gets_two_answers() {
    let server = Server::default();
    let mut rng = StdRng::seed_from_u64(3);
    let first = server.respond(&exchange::request(), &mut rng).unwrap();
    let second = server.respond(&exchange::request(), &mut rng).unwrap();
    assert_eq!((first.kind, second.kind), (TIME, TIME));
    let (a, b) = (first.cookies(&s2c()), second.cookies(&s2c()));
    assert_eq!((a.len(), b.len()), (2, 2));
    assert!(a.iter().all(|cookie| !b.contains(cookie)));
}

#[test]
fn request_and_response_have_the_same_length_with_our_layout() {
    for (algorithm, cookie, lengths) in [
        (15, 104, [232, 340, 988]),
        (17, 168, [296, 468, 1500]),
        (30, 72, [196, 272, 728]),
    ] {
        for (placeholders, length) in [0, 1, 7].into_iter().zip(lengths) {
            let mut draft = Draft::new(algorithm);
            draft.placeholders = vec![cookie; placeholders];
            assert_eq!(draft.build().len(), length);
            assert_eq!(draft.answer().unwrap().bytes.len(), length);
            assert_eq!(draft.earned(), 1 + placeholders);
        }
    }
}

#[test]
fn never_more_than_eight_cookies() {
    let mut draft = Draft::new(15);
    draft.placeholders = vec![104; 50];
    assert_eq!(draft.earned(), 8);
    draft.placeholders = vec![104; 4];
    draft.hidden = vec![(0x0304, 104); 30];
    assert_eq!(draft.earned(), 8);
}

#[test]
fn hidden_placeholders_count_too() {
    let mut draft = Draft::new(17);
    draft.hidden = vec![(0x0304, 168), (0x0304, 164), (0xf323, 0)];
    assert_eq!(draft.earned(), 2);
}

#[test]
fn a_nested_authenticator_or_broken_hidden_fields_are_dropped() {
    let mut draft = Draft::new(15);
    draft.hidden = vec![(0x0404, 36)];
    assert_eq!(draft.answer(), Err(DropReason::BadNts));

    let keys = AeadKey::new(AeadAlgorithm::AesSivCmac256, &range(0, 32)).unwrap();
    let mut buffer = [0; 400];
    let mut writer = PacketWriter::new(&mut buffer).unwrap();
    writer.put(&exchange::request()[48..192]).unwrap();
    writer.set_header(&Header::request(NtpTimestamp::from_bits(1)));
    let sealing = Sealing::begin(&mut writer, &keys, &mut StdRng::seed_from_u64(1)).unwrap();
    writer.put(&[0x03, 0x04, 0x00, 0x0c]).unwrap();
    sealing.finish(&mut writer, &keys).unwrap();
    let length = writer.len();
    let answer = Server::default().answer(&buffer[..length]);
    assert_eq!(answer, Err(DropReason::BadNts));
}

#[test]
fn exactly_one_identifier_and_one_cookie() {
    for (identifiers, cookies) in [
        (vec![], 1),
        (vec![28], 1),
        (vec![32, 32], 1),
        (vec![32], 0),
        (vec![32], 2),
    ] {
        let mut draft = Draft::new(15);
        draft.identifiers = identifiers.clone();
        draft.cookies = cookies;
        assert_eq!(
            draft.answer(),
            Err(DropReason::BadNts),
            "{identifiers:?}, {cookies}"
        );
    }
}

#[test]
fn a_long_identifier_is_echoed_whole() {
    let mut draft = Draft::new(15);
    draft.identifiers = vec![200];
    let answer = draft.answer().unwrap();
    let packet = Packet::parse(&answer.bytes).unwrap();
    assert_eq!(
        packet.unique_identifier.only(),
        Some([0x1d; 200].as_slice())
    );
    assert_eq!(draft.earned(), 1);
}

#[test]
fn no_room_for_a_nonce_is_dropped() {
    let keys = AeadKey::new(AeadAlgorithm::AesSivCmac256, &range(0, 32)).unwrap();
    let build = |nonce: &[u8], padding: usize| {
        let mut datagram = exchange::request()[..192].to_vec();
        let mut tag = [0; 16];
        keys.seal_in_place(nonce, &datagram, &mut tag).unwrap();
        let value = 4 + nonce.len().next_multiple_of(4) + 16 + padding;
        datagram.extend([0x04, 0x04, 0, u8::try_from(4 + value).unwrap()]);
        datagram.extend([0, u8::try_from(nonce.len()).unwrap(), 0, 16]);
        datagram.extend(nonce);
        datagram.resize(datagram.len().next_multiple_of(4), 0);
        datagram.extend(tag);
        datagram.resize(datagram.len() + padding, 0);
        datagram
    };
    let server = Server::default();
    let kind = |datagram: &[u8]| server.answer(datagram).map(|answer| answer.kind);
    assert_eq!(kind(&build(&[7; 16], 0)), Ok(TIME));
    assert_eq!(kind(&build(&[7; 16], 20)), Ok(TIME));
    assert_eq!(kind(&build(&[7; 12], 0)), Err(DropReason::BadNts));
    assert_eq!(kind(&build(&[7; 12], 4)), Ok(TIME));
    assert_eq!(kind(&build(&[7; 3], 12)), Ok(TIME));
    assert_eq!(kind(&build(&[7; 24], 0)), Ok(TIME));
}

#[test]
fn what_follows_the_authenticator_is_ignored() {
    let mut datagram = exchange::request();
    datagram.extend(hex::decode(format!("0304006c{}", "00".repeat(104))).unwrap());
    let answer = Server::default().answer(&datagram).unwrap();
    assert_eq!(answer.kind, TIME);
    assert_eq!(answer.cookies(&s2c()).len(), 2);
    datagram.extend([0xff; 33]);
    assert_eq!(Server::default().answer(&datagram).unwrap().kind, TIME);
}

#[test]
fn plain_time() {
    let mut datagram = plain_request();
    datagram[2] = 6;
    let answer = Server::default().answer(&datagram).unwrap();
    assert_eq!((answer.kind, answer.authenticated), (TIME, false));
    let expected = concat!(
        "240206e90000032000000640c0000201ec9f3c0000000000",
        "0123456789abcdefec9f3c8040000000ec9f3c8040010000"
    );
    assert_eq!(hex::encode(answer.bytes), expected);
}

#[test]
fn plain_time_for_version_3() {
    let mut datagram = plain_request();
    datagram[0] = 0x1b;
    let answer = Server::default().answer(&datagram).unwrap();
    assert_eq!(answer.bytes[0], 0x1c);
    // With a MAC that we cannot check: the plain answer, which its sender will not believe.
    datagram.extend([0xaa; 20]);
    assert_eq!(Server::default().answer(&datagram).unwrap().bytes.len(), 48);
}

#[test]
fn an_unsynchronized_server_says_so() {
    let server = Server {
        system: SystemState::unsynchronized(-20),
        ..Server::default()
    };
    let answer = server.answer(&plain_request()).unwrap();
    assert_eq!(answer.bytes[..4], [0xe4, 0, 0, 0xec]);
    assert_eq!(answer.bytes[12..16], *b"INIT");
    assert_eq!(answer.header().receive, SERVER_RECEIVED);
    assert_eq!(answer.header().transmit, SERVER_SENT);
}

#[test]
fn the_identifier_is_echoed_without_nts_too() {
    let mut datagram = plain_request();
    datagram.extend(&exchange::request()[48..84]);
    let answer = Server::default().answer(&datagram).unwrap();
    assert_eq!(answer.bytes[48..], datagram[48..]);
    assert!(!answer.authenticated);
}

#[test]
fn only_requests_of_accepted_versions_are_answered() {
    for flags in 0..=0xff_u8 {
        let mut datagram = plain_request();
        datagram[0] = flags;
        let (version, mode) = ((flags >> 3) & 7, flags & 7);
        for (accept_v3, accept_v4) in [(true, true), (false, true), (true, false), (false, false)] {
            let server = Server {
                policy: Policy {
                    accept_v3,
                    accept_v4,
                    ..Policy::default()
                },
                ..Server::default()
            };
            let expected = if mode != 3 {
                Err(DropReason::NotARequest)
            } else if (version == 3 && accept_v3) || (version == 4 && accept_v4) {
                Ok(TIME)
            } else {
                Err(DropReason::Version)
            };
            let result = server.answer(&datagram).map(|answer| answer.kind);
            assert_eq!(result, expected, "flags {flags:#x}");
        }
    }
}

#[test]
fn malformed_requests_are_dropped() {
    let server = Server::default();
    for length in 0..48 {
        assert_eq!(
            server.answer(&plain_request()[..length]),
            Err(DropReason::Malformed)
        );
    }
    let mut datagram = plain_request();
    datagram.extend([0xff; 25]);
    assert_eq!(server.answer(&datagram), Err(DropReason::Malformed));
}

#[test]
fn a_server_that_requires_nts() {
    for (plain_requests, expected) in [
        (PlainRequests::Answer, Ok(TIME)),
        (PlainRequests::Ignore, Err(DropReason::PlainRequest)),
        (PlainRequests::Deny, Ok(ReplyKind::Deny)),
    ] {
        let server = Server {
            policy: Policy {
                plain_requests,
                ..Policy::default()
            },
            ..Server::default()
        };
        let plain = server.answer(&plain_request()).map(|answer| answer.kind);
        assert_eq!(plain, expected);
        let nts = server.answer(&exchange::request()).unwrap();
        assert_eq!((nts.kind, nts.authenticated), (TIME, true));
    }
}

#[test]
fn kisses_octet_for_octet() {
    for (treatment, code) in [
        (Treatment::Deny, "44454e59"),
        (Treatment::SlowDown, "52415445"),
    ] {
        let server = Server {
            treatment,
            ..Server::default()
        };
        let answer = server.answer(&plain_request()).unwrap();
        let expected = format!(
            "e40000000000000000000000{code}00000000000000000123456789abcdef{}",
            "00".repeat(16)
        );
        assert_eq!(hex::encode(&answer.bytes), expected);
        assert!(!answer.authenticated);
    }
}

#[test]
fn kisses_to_nts_requests_are_authenticated_and_carry_cookies() {
    for (treatment, kind) in [
        (Treatment::Deny, ReplyKind::Deny),
        (Treatment::SlowDown, ReplyKind::Rate),
    ] {
        let server = Server {
            treatment,
            ..Server::default()
        };
        let answer = server.answer(&exchange::request()).unwrap();
        assert_eq!((answer.kind, answer.authenticated), (kind, true));
        let header = answer.header();
        assert_eq!((header.mode, header.stratum), (Mode::Server, 0));
        assert_eq!(header.leap, LeapIndicator::Unsynchronized);
        assert_eq!(answer.cookies(&s2c()).len(), 2);
    }
}

/// A client without access learns nothing it could use from requests that do not verify.
#[test]
fn a_request_that_does_not_verify_gets_a_nak_whatever_its_treatment() {
    let mut datagram = exchange::request();
    datagram[339] ^= 1;
    for treatment in [Treatment::Serve, Treatment::Deny, Treatment::SlowDown] {
        let server = Server {
            treatment,
            ..Server::default()
        };
        let answer = server.answer(&datagram).unwrap();
        assert_eq!(hex::encode(&answer.bytes), exchange::NAK);
    }
}

#[test]
fn the_clock_is_read_once_and_only_for_the_time() {
    let server = Server::default();
    let responder = Responder {
        system: &server.system,
        keys: &server.keys,
        policy: &server.policy,
    };
    for (treatment, reads) in [(Treatment::Serve, 1), (Treatment::Deny, 0)] {
        let mut count = 0;
        let datagram = exchange::request();
        let request = Request {
            datagram: &datagram,
            received: SERVER_RECEIVED,
            treatment,
        };
        let transmit = || {
            count += 1;
            SERVER_SENT
        };
        let mut out = [0; 1500];
        let outcome =
            responder.respond(&request, transmit, &mut StdRng::seed_from_u64(1), &mut out);
        assert!(matches!(outcome, Outcome::Reply { length: 340, .. }));
        assert_eq!(count, reads);
    }
}

#[test]
fn a_short_buffer_drops_or_shortens_but_never_overruns() {
    let server = Server::default();
    let responder = Responder {
        system: &server.system,
        keys: &server.keys,
        policy: &server.policy,
    };
    let datagram = exchange::request();
    let request = Request {
        datagram: &datagram,
        received: SERVER_RECEIVED,
        treatment: Treatment::Serve,
    };
    for room in 0..datagram.len() {
        let mut out = vec![0; room];
        let mut rng = StdRng::seed_from_u64(1);
        let outcome = responder.respond(&request, || SERVER_SENT, &mut rng, &mut out);
        match outcome {
            Outcome::Reply { length, .. } => assert!(length == 232 && room >= 232),
            Outcome::Drop(reason) => assert!(reason == DropReason::NoRoom && room < 232),
        }
    }
}

proptest! {
    #[test]
    fn any_octets_are_survived(
        datagram in prop::collection::vec(any::<u8>(), 0..400),
        request_like: bool,
    ) {
        let mut datagram = datagram;
        if request_like && !datagram.is_empty() {
            datagram[0] = 0x23;
        }
        if let Ok(answer) = Server::default().answer(&datagram) {
            prop_assert!(answer.bytes.len() <= datagram.len());
            prop_assert!(!answer.authenticated);
        }
    }

    #[test]
    fn a_genuine_request_with_anything_changed_is_survived(
        position: prop::sample::Index,
        octets in prop::collection::vec(any::<u8>(), 1..8),
        cut in 0_usize..400,
    ) {
        let mut datagram = exchange::request();
        let position = position.index(datagram.len());
        for (place, octet) in datagram[position..].iter_mut().zip(octets) {
            *place = octet;
        }
        datagram.truncate(cut);
        if let Ok(answer) = Server::default().answer(&datagram) {
            prop_assert!(answer.bytes.len() <= datagram.len());
            prop_assert!(!answer.authenticated || datagram == exchange::request());
        }
    }

    #[test]
    fn drafts_never_get_more_than_they_sent(
        algorithm in prop::sample::select(vec![15_u16, 17, 30]),
        identifier in 32_usize..100,
        placeholders in prop::collection::vec(60_usize..180, 0..12),
        genuine in 0_usize..12,
        hidden in prop::collection::vec((0x0300_u16..0x0306, 0_usize..180), 0..5),
    ) {
        let mut draft = Draft::new(algorithm);
        draft.identifiers = vec![identifier];
        let cookie = crate::keyset::cookie_length(draft.algorithm).unwrap();
        draft.placeholders = placeholders;
        draft.placeholders.extend(vec![cookie; genuine]);
        draft.hidden = hidden;
        let answer = draft.answer().unwrap();
        prop_assert_eq!(answer.kind, TIME);
        let cookies = answer.cookies(&draft.s2c());
        prop_assert!((1..=8).contains(&cookies.len()));
        for cookie in cookies {
            prop_assert!(draft.server.keys.open(&cookie).is_ok());
        }
    }
}
