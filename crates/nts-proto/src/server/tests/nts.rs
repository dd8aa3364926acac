//! Requests with NTS: the exchange octet for octet, and everything that can be wrong with one.

use super::*;

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
