//! Vectors B, C, D and E of the protocol notes, and the rules for each record of a response.

use proptest::prelude::*;

use super::super::keys::SessionKeys;
use super::super::message::RESPONSE_LIMIT;
use super::super::testing::{cookie, cookies, keys, message, name, octets, text, token};
use super::*;
use crate::code_points::RecordType as T;
use crate::error::ParseError::{BodyLength, Duplicate, Missing};
use crate::error::ResponseError as E;

const CHOSEN: &str = "80010002000080040002000f";
const COOKIES: &str =
    "00050010a0a1a2a3a4a5a6a7a8a9aaabacadaeaf00050010b0b1b2b3b4b5b6b7b8b9babbbcbdbebf";
const END: &str = "80000000";

fn offer(algorithms: &[u16], compliant_exporter: bool) -> KeyExchangeRequest {
    KeyExchangeRequest {
        protocols: vec![ProtocolId::Ntpv4],
        algorithms: algorithms
            .iter()
            .copied()
            .map(AeadAlgorithm::from)
            .collect(),
        denied: Vec::new(),
        compliant_exporter,
    }
}

fn fixed_keys(set: NumberSet, algorithm: u16, keep_alive: bool) -> FixedKeyRequest {
    let algorithm = AeadAlgorithm::from(algorithm);
    FixedKeyRequest::new(
        set,
        Some(token()),
        ProtocolId::Ntpv4,
        algorithm,
        &keys(),
        keep_alive,
    )
}

fn ask(set: NumberSet) -> InfoRequest {
    InfoRequest {
        number_set: set,
        token: None,
        protocols: true,
        algorithms: true,
        server_names: false,
        keep_alive: true,
    }
}

fn ask_names() -> InfoRequest {
    InfoRequest {
        protocols: false,
        algorithms: false,
        server_names: true,
        ..ask(NumberSet::Ietf)
    }
}

fn exchange() -> KeyExchangeResponse {
    KeyExchangeResponse {
        protocol: ProtocolId::Ntpv4,
        algorithm: AeadAlgorithm::AesSivCmac256,
        compliant_exporter: false,
        server: None,
        port: Some(1123),
        cookies: cookies(),
    }
}

/// A vector has this length, is read as `expected`, and encodes to the same octets.
fn check<R: PartialEq + std::fmt::Debug>(
    vector: &str,
    length: usize,
    expected: &R,
    encode: impl Fn(&R) -> EncodedMessage,
    parse: impl Fn(&Message) -> Result<R, E>,
) {
    let vector = text(octets(vector));
    assert_eq!(vector.len(), 2 * length, "length of the vector");
    assert_eq!(parse(&message(&vector)).as_ref(), Ok(expected), "{vector}");
    assert_eq!(text(encode(expected)), vector);
}

#[test]
fn b2_and_e2_what_a_source_supports() {
    let info = InfoResponse {
        protocols: Some(vec![ProtocolId::Ntpv4]),
        algorithms: Some(vec![
            (AeadAlgorithm::AesSivCmac256, 32),
            (AeadAlgorithm::AesSivCmac512, 64),
        ]),
        server_names: Vec::new(),
        keep_alive: true,
    };
    for (set, vector) in [
        (
            NumberSet::Ietf,
            "800900020000800a0008000f0020001100400008000080000000",
        ),
        (
            NumberSet::Draft,
            "c00400020000c0010008000f0020001100404000000080000000",
        ),
    ] {
        let encode = |info: &InfoResponse| info.encode(set);
        check(vector, 26, &info, encode, |message| {
            InfoResponse::parse(message, &ask(set))
        });
        assert_eq!(
            InfoResponse::answer(&ask(set), &Capabilities::ours(), &[], true),
            info
        );
    }
}

#[test]
fn b4_the_names_of_a_source() {
    let names = vec![name("ntp1.a.test"), name("ntp2.a.test")];
    let info = InfoResponse::answer(&ask_names(), &Capabilities::ours(), &names, true);
    assert_eq!((&info.protocols, &info.algorithms), (&None, &None));
    check(
        "8006000b6e7470312e612e746573748006000b6e7470322e612e746573740008000080000000",
        38,
        &info,
        |info| info.encode(NumberSet::Ietf),
        |message| InfoResponse::parse(message, &ask_names()),
    );
}

#[test]
fn c2_cookies_for_a_pool() {
    let response = FixedKeyResponse {
        exchange: exchange(),
        keep_alive: true,
    };
    let request = fixed_keys(NumberSet::Ietf, 15, true);
    let vector = format!("{CHOSEN}{COOKIES}80070002046300080000{END}");
    assert_eq!(vector.len(), 2 * 66);
    assert_eq!(
        FixedKeyResponse::parse(&message(&vector), &request),
        Ok(response.clone())
    );
    // Our own order has the cookies last.
    let ours = format!("{CHOSEN}800700020463{COOKIES}00080000{END}");
    assert_eq!(text(response.encode(NumberSet::Ietf)), ours);
    assert_eq!(
        FixedKeyResponse::parse(&message(&ours), &request),
        Ok(response.clone())
    );
    let old = format!("{CHOSEN}800700020463{COOKIES}40000000{END}");
    assert_eq!(text(response.encode(NumberSet::Draft)), old);
}

#[test]
fn c3_cookies_for_a_user() {
    let response = KeyExchangeResponse {
        server: Some(name("a.test")),
        ..exchange()
    };
    check(
        "80010002000080040002000f80060006612e7465737480070002046300050010a0a1a2a3a4a5a6a7a8a9aaab
         acadaeaf00050010b0b1b2b3b4b5b6b7b8b9babbbcbdbebf80000000",
        72,
        &response,
        KeyExchangeResponse::encode,
        |message| KeyExchangeResponse::parse(message, &offer(&[17, 15], false)),
    );
}

#[test]
fn d1_to_d5_refusals() {
    let offer = offer(&[15], false);
    for (refusal, reply, error) in [
        (
            Refusal::Error(ErrorCode::UnrecognizedCriticalRecord),
            "80020002000080000000",
            E::Error(ErrorCode::UnrecognizedCriticalRecord),
        ),
        (
            Refusal::Error(ErrorCode::BadRequest),
            "80020002000180000000",
            E::Error(ErrorCode::BadRequest),
        ),
        (
            Refusal::Error(ErrorCode::InternalServerError),
            "80020002000280000000",
            E::Error(ErrorCode::InternalServerError),
        ),
        (
            Refusal::NoCommonProtocol,
            "8001000080000000",
            E::NoCommonProtocol,
        ),
        (
            Refusal::NoCommonAlgorithm(ProtocolId::Ntpv4),
            "8001000200008004000080000000",
            E::NoCommonAlgorithm,
        ),
    ] {
        assert_eq!(text(refusal.encode()), reply);
        assert_eq!(
            KeyExchangeResponse::parse(&message(reply), &offer),
            Err(error)
        );
    }
}

/// What the user, who offered 15 and 17, makes of a response; the end is added.
#[track_caller]
fn check_rejected(response: &str, expected: E) {
    let response = format!("{response}{END}");
    let result = KeyExchangeResponse::parse(&message(&response), &offer(&[15, 17], false));
    assert_eq!(result, Err(expected), "{response}");
}

#[test]
fn users_stop_at_whatever_is_wrong() {
    let good = format!("{CHOSEN}{COOKIES}");
    let protocol = T::NextProtocolNegotiation;
    let algorithm = T::AeadAlgorithmNegotiation;
    for (rest, expected) in [
        ("800200020002", E::Error(ErrorCode::InternalServerError)),
        ("80020002f001", E::Error(ErrorCode::SourceUnreachable)),
        ("80020000", E::Malformed(BodyLength(T::Error))),
        ("800300020007", E::Warning(7)),
        ("000300020007", E::Warning(7)),
        ("80030003000700", E::Malformed(BodyLength(T::Warning))),
        ("80320000", E::UnrecognizedCriticalRecord(0x32)),
        ("800100020000", E::Malformed(Duplicate(protocol))),
        ("80040002000f", E::Malformed(Duplicate(algorithm))),
        (
            "80070002007b 80070002007b",
            E::Malformed(Duplicate(T::Ntpv4PortNegotiation)),
        ),
        (
            "8006000161 8006000161",
            E::Malformed(Duplicate(T::Ntpv4ServerNegotiation)),
        ),
        ("80060000", E::BadServerName),
        ("80060003612062", E::BadServerName),
        ("80070002 0000", E::BadPort),
        ("80070001 7b", E::BadPort),
        ("80070003 00007b", E::BadPort),
        (
            "0400000100",
            E::Malformed(BodyLength(T::CompliantAes128GcmSivExporterContext)),
        ),
        ("800900020000", E::Unasked(T::SupportedNextProtocolList)),
        ("800a0004000f0020", E::Unasked(T::SupportedAlgorithmList)),
        ("800b0000", E::Unasked(T::ListServerNames)),
        ("800c0000", E::Unasked(T::FixedKeyRequest)),
        ("c0010004000f0020", E::Unasked(T::SupportedAlgorithmList)),
    ] {
        check_rejected(&format!("{good}{rest}"), expected);
    }
    check_rejected(
        &format!("{good}80060100{}", "61".repeat(256)),
        E::BadServerName,
    );
    check_rejected(&format!("{good}8006000261fe"), E::BadServerName);
}

#[test]
fn users_need_what_they_offered_and_a_cookie() {
    let protocol = T::NextProtocolNegotiation;
    let algorithm = T::AeadAlgorithmNegotiation;
    for (head, expected) in [
        ("", E::Malformed(Missing(protocol))),
        ("800100020000", E::Malformed(Missing(algorithm))),
        ("80010000 80040002000f", E::NoCommonProtocol),
        ("800100020000 80040000", E::NoCommonAlgorithm),
        (
            "8001000400000000 80040002000f",
            E::Malformed(BodyLength(protocol)),
        ),
        (
            "80010001 00 80040002000f",
            E::Malformed(BodyLength(protocol)),
        ),
        (
            "800100020000 80040004000f0011",
            E::Malformed(BodyLength(algorithm)),
        ),
        (
            "800100028001 80040002000f",
            E::ProtocolNotOffered(ProtocolId::Unknown(0x8001)),
        ),
        (
            "800100020000 80040002001e",
            E::AlgorithmNotOffered(AeadAlgorithm::Aes128GcmSiv),
        ),
    ] {
        check_rejected(&format!("{head}{COOKIES}"), expected);
    }
    check_rejected(CHOSEN, E::NoCookies);
    check_rejected(&format!("{CHOSEN}0005000000050000"), E::NoCookies);
    check_rejected(
        &format!("{CHOSEN}00050401{}", "aa".repeat(1025)),
        E::NoCookies,
    );
}

#[test]
fn users_pass_over_what_does_not_concern_them() {
    // Keep Alive, a token, a denial, an unknown record, empty and endless cookies.
    let response = format!(
        "{CHOSEN} 00080000 40000000 000e000161 000d000161 00320000 00050000 00054000{} {COOKIES} {END}",
        "aa".repeat(0x4000)
    );
    let parsed = KeyExchangeResponse::parse(&message(&response), &offer(&[15], false)).unwrap();
    assert_eq!(
        parsed,
        KeyExchangeResponse {
            port: None,
            ..exchange()
        }
    );
}

#[test]
fn users_keep_eight_cookies() {
    let ten: String = (0..10)
        .map(|n| format!("000500101{n}{}", "00".repeat(15)))
        .collect();
    let response = format!("{CHOSEN}{ten}{END}");
    let parsed = KeyExchangeResponse::parse(&message(&response), &offer(&[15], false)).unwrap();
    let firsts: Vec<_> = parsed
        .cookies
        .iter()
        .map(|cookie| cookie.as_bytes()[0])
        .collect();
    assert_eq!(firsts, [0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17]);
}

#[test]
fn aead_30_needs_record_1024_from_both() {
    let with = message(&format!(
        "8001000200008004 0002001e 04000000 {COOKIES}{END}"
    ));
    let without = message(&format!("80010002000080040002001e{COOKIES}{END}"));
    let both = KeyExchangeResponse::parse(&with, &offer(&[30, 15], true)).unwrap();
    assert!(both.compliant_exporter);
    assert_eq!(
        both.negotiated(),
        Negotiated::ntpv4(AeadAlgorithm::Aes128GcmSiv)
    );
    for (message, compliant) in [(&without, true), (&with, false), (&without, false)] {
        let result = KeyExchangeResponse::parse(message, &offer(&[30, 15], compliant));
        assert_eq!(result, Err(E::AmbiguousExporterContext));
    }
    // The pool has exported the keys of a Fixed Key Request; nothing is ambiguous there.
    let parsed = FixedKeyResponse::parse(&without, &fixed_keys(NumberSet::Ietf, 30, false));
    assert!(parsed.is_ok());
    assert_eq!(
        text(both.encode()),
        text(octets(&format!(
            "80010002000080040002001e04000000{COOKIES}{END}"
        )))
    );
}

#[test]
fn pools_take_exactly_what_they_asked_for() {
    let request = fixed_keys(NumberSet::Ietf, 15, true);
    for (response, expected) in [
        (
            format!("80010002000080040002001100080000{COOKIES}"),
            E::AlgorithmNotOffered(AeadAlgorithm::AesSivCmac512),
        ),
        (
            format!("80010002800180040002000f{COOKIES}"),
            E::ProtocolNotOffered(ProtocolId::Unknown(0x8001)),
        ),
        (CHOSEN.to_owned(), E::NoCookies),
        (
            "8001000200008004000000080000".to_owned(),
            E::NoCommonAlgorithm,
        ),
        ("80010000".to_owned(), E::NoCommonProtocol),
        (format!("{CHOSEN}{COOKIES}800300020000"), E::Warning(0)),
        (
            format!("{CHOSEN}{COOKIES}80320000"),
            E::UnrecognizedCriticalRecord(0x32),
        ),
        ("800200020001".to_owned(), E::Error(ErrorCode::BadRequest)),
    ] {
        let result = FixedKeyResponse::parse(&message(&format!("{response}{END}")), &request);
        assert_eq!(result, Err(expected), "{response}");
    }
}

#[test]
fn keep_alive_counts_if_asked_for_and_in_kind() {
    for (set, asked, record, granted) in [
        (NumberSet::Ietf, true, "00080000", true),
        (NumberSet::Ietf, true, "0008000161", true),
        (NumberSet::Ietf, true, "40000000", false),
        (NumberSet::Ietf, true, "", false),
        (NumberSet::Ietf, false, "00080000", false),
        (NumberSet::Draft, true, "40000000", true),
        (NumberSet::Draft, true, "00080000", false),
    ] {
        let response = message(&format!("{CHOSEN}{COOKIES}{record}{END}"));
        let parsed = FixedKeyResponse::parse(&response, &fixed_keys(set, 15, asked)).unwrap();
        assert_eq!(parsed.keep_alive, granted, "{set:?} {asked} {record}");
        let request = InfoRequest {
            protocols: false,
            algorithms: false,
            server_names: true,
            keep_alive: asked,
            ..ask(set)
        };
        let parsed = InfoResponse::parse(&message(&format!("{record}{END}")), &request).unwrap();
        assert_eq!(parsed.keep_alive, granted, "{set:?} {asked} {record}");
    }
}

#[test]
fn e4_the_first_implementation_negotiates_as_well() {
    let request = InfoRequest {
        protocols: false,
        keep_alive: false,
        ..ask(NumberSet::Draft)
    };
    let response = message(&format!(
        "c0010008000f002000110040{CHOSEN}80060006612e74657374800700020463{COOKIES}{END}"
    ));
    let parsed = InfoResponse::parse(&response, &request).unwrap();
    assert_eq!(
        parsed,
        InfoResponse {
            protocols: None,
            algorithms: Some(vec![
                (AeadAlgorithm::AesSivCmac256, 32),
                (AeadAlgorithm::AesSivCmac512, 64)
            ]),
            server_names: Vec::new(),
            keep_alive: false,
        }
    );
    // A name beside a negotiation is not one of a list, even if a list was asked for.
    let request = InfoRequest {
        server_names: true,
        ..request
    };
    assert_eq!(InfoResponse::parse(&response, &request), Ok(parsed));
}

#[test]
fn info_answers_hold_what_was_asked_and_nothing_else() {
    let protocols = "800900020000";
    let algorithms = "800a0004000f0020";
    for (response, expected) in [
        (
            protocols.to_owned(),
            E::Malformed(Missing(T::SupportedAlgorithmList)),
        ),
        (
            algorithms.to_owned(),
            E::Malformed(Missing(T::SupportedNextProtocolList)),
        ),
        (
            format!("{protocols}{protocols}{algorithms}"),
            E::Malformed(Duplicate(T::SupportedNextProtocolList)),
        ),
        (
            format!("{protocols}{algorithms}{algorithms}"),
            E::Malformed(Duplicate(T::SupportedAlgorithmList)),
        ),
        (
            format!("80090001 00 {algorithms}"),
            E::Malformed(BodyLength(T::SupportedNextProtocolList)),
        ),
        (
            format!("{protocols} 800a0006000f00200011"),
            E::Malformed(BodyLength(T::SupportedAlgorithmList)),
        ),
        (
            format!("{protocols}{algorithms}8006000161"),
            E::Unasked(T::Ntpv4ServerNegotiation),
        ),
        (
            format!("{protocols}{algorithms}{CHOSEN}"),
            E::Unasked(T::NextProtocolNegotiation),
        ),
        (
            format!("{protocols}{algorithms}00050001aa"),
            E::Unasked(T::NewCookie),
        ),
        (
            format!("{protocols}{algorithms}800b0000"),
            E::Unasked(T::ListServerNames),
        ),
        (
            format!("{protocols}{algorithms}c00400020000"),
            E::Unasked(T::SupportedNextProtocolList),
        ),
        (
            format!("{protocols}{algorithms}80320000"),
            E::UnrecognizedCriticalRecord(0x32),
        ),
        (
            format!("{protocols}{algorithms}800300020000"),
            E::Warning(0),
        ),
        (
            "800200020000".to_owned(),
            E::Error(ErrorCode::UnrecognizedCriticalRecord),
        ),
    ] {
        let message = message(&format!("{response}{END}"));
        assert_eq!(
            InfoResponse::parse(&message, &ask(NumberSet::Ietf)),
            Err(expected),
            "{response}"
        );
    }
    let bad_name = message(&format!("80060003612062{END}"));
    assert_eq!(
        InfoResponse::parse(&bad_name, &ask_names()),
        Err(E::BadServerName)
    );
}

#[test]
fn info_answers_may_be_empty_and_long_lists_of_names_are_cut() {
    let empty = InfoResponse::parse(&message("80090000800a000080000000"), &ask(NumberSet::Ietf));
    let empty = empty.unwrap();
    assert_eq!(
        (empty.protocols, empty.algorithms),
        (Some(vec![]), Some(vec![]))
    );
    let names = format!("{}{END}", "8006000161".repeat(100));
    let parsed = InfoResponse::parse(&message(&names), &ask_names()).unwrap();
    assert_eq!(parsed.server_names.len(), MAX_SERVER_NAMES);
}

#[test]
fn sources_answer_what_is_asked() {
    let names = [name("a.test")];
    for bits in 0..16 {
        let request = InfoRequest {
            number_set: NumberSet::Ietf,
            token: None,
            protocols: bits & 1 != 0,
            algorithms: bits & 2 != 0,
            server_names: bits & 4 != 0,
            keep_alive: bits & 8 != 0,
        };
        for grant in [false, true] {
            let answer = InfoResponse::answer(&request, &Capabilities::ours(), &names, grant);
            let message = message(&text(answer.encode(NumberSet::Ietf)));
            assert_eq!(
                InfoResponse::parse(&message, &request).as_ref(),
                Ok(&answer)
            );
            assert_eq!(answer.keep_alive, request.keep_alive && grant);
        }
    }
}

#[test]
fn responses_stay_below_2048_octets() {
    let long = name(&"x".repeat(255));
    let sized = |length: usize, count: usize| KeyExchangeResponse {
        server: Some(long.clone()),
        cookies: vec![Cookie::new(vec![0xaa; length]); count],
        ..exchange()
    };
    let count = |response: &KeyExchangeResponse| {
        let encoded = FixedKeyResponse {
            exchange: response.clone(),
            keep_alive: true,
        }
        .encode(NumberSet::Ietf);
        assert!(encoded.as_ref().len() < 2048);
        let message = Message::decode(response.encode().as_ref(), 2047).unwrap();
        KeyExchangeResponse::parse(&message, &offer(&[15], false))
            .unwrap()
            .cookies
            .len()
    };
    assert_eq!(count(&sized(168, 8)), 8);
    assert_eq!(count(&sized(168, 9)), 8);
    assert_eq!(count(&sized(256, 8)), 6);
    assert_eq!(count(&sized(1024, 8)), 1);
    let info = InfoResponse {
        server_names: vec![long; 64],
        ..b2()
    };
    let encoded = info.encode(NumberSet::Ietf);
    assert!((1800..2048).contains(&encoded.as_ref().len()));
}

fn b2() -> InfoResponse {
    InfoResponse::answer(&ask(NumberSet::Ietf), &Capabilities::ours(), &[], true)
}

#[test]
fn debug_shows_no_cookies() {
    let shown = format!("{:?}", exchange());
    assert!(!shown.contains("160") && !shown.contains("a0"), "{shown}");
    assert_eq!(
        format!("{:?}", exchange().encode()),
        "EncodedMessage(<62 octets redacted>)"
    );
}

fn algorithm() -> impl Strategy<Value = u16> {
    prop::sample::select(vec![15_u16, 17, 31, 99])
}

proptest! {
    #[test]
    fn any_records_are_judged_without_panic(
        records in prop::collection::vec(
            (any::<bool>(), prop::sample::select(T::KNOWN), prop::collection::vec(0_u8..40, 0..5)),
            0..8,
        ),
    ) {
        let mut encoder = Encoder::default();
        for (critical, record_type, body) in &records {
            encoder.record(*critical, *record_type, body);
        }
        if let Ok(message) = Message::decode(encoder.finish().as_ref(), RESPONSE_LIMIT) {
            let _ = KeyExchangeResponse::parse(&message, &offer(&[15, 30], true));
            for set in [NumberSet::Ietf, NumberSet::Draft] {
                let _ = FixedKeyResponse::parse(&message, &fixed_keys(set, 15, true));
                let _ = InfoResponse::parse(&message, &ask(set));
            }
            let _ = InfoResponse::parse(&message, &ask_names());
        }
    }

    #[test]
    fn responses_survive_the_wire(
        algorithm in algorithm(),
        server in prop::option::of("[!-~]{1,255}"),
        port in prop::option::of(1_u16..),
        firsts in prop::collection::vec(0_u8..0xf0, 1..=8),
        keep_alive: bool,
        draft: bool,
    ) {
        let exchange = KeyExchangeResponse {
            protocol: ProtocolId::Ntpv4,
            algorithm: AeadAlgorithm::from(algorithm),
            compliant_exporter: false,
            server: server.as_deref().map(name),
            port,
            cookies: firsts.into_iter().map(cookie).collect(),
        };
        let message = Message::decode(exchange.encode().as_ref(), RESPONSE_LIMIT).unwrap();
        let parsed = KeyExchangeResponse::parse(&message, &offer(&[algorithm], false));
        prop_assert_eq!(parsed.as_ref(), Ok(&exchange));
        let set = if draft { NumberSet::Draft } else { NumberSet::Ietf };
        let response = FixedKeyResponse { exchange, keep_alive };
        let message = Message::decode(response.encode(set).as_ref(), RESPONSE_LIMIT).unwrap();
        let parsed = FixedKeyResponse::parse(&message, &fixed_keys(set, algorithm, true));
        prop_assert_eq!(parsed, Ok(response));
    }

    #[test]
    fn info_survives_the_wire(
        protocols in prop::collection::vec(any::<u16>(), 0..5),
        algorithms in prop::collection::vec(any::<(u16, u16)>(), 0..9),
        keep_alive: bool,
        draft: bool,
    ) {
        let info = InfoResponse {
            protocols: Some(protocols.into_iter().map(ProtocolId::from).collect()),
            algorithms: Some(
                algorithms.into_iter().map(|(id, n)| (AeadAlgorithm::from(id), n)).collect()),
            server_names: Vec::new(),
            keep_alive,
        };
        let set = if draft { NumberSet::Draft } else { NumberSet::Ietf };
        let message = Message::decode(info.encode(set).as_ref(), RESPONSE_LIMIT).unwrap();
        prop_assert_eq!(InfoResponse::parse(&message, &ask(set)), Ok(info));
    }
}

#[test]
fn keys_are_exported_for_what_was_negotiated() {
    let negotiated = exchange().negotiated().unwrap();
    let keys = SessionKeys::export(&negotiated, |context, key| {
        key.fill(context[4] + 1);
        Ok::<(), ()>(())
    });
    let keys = keys.unwrap();
    assert_eq!((keys.c2s(), keys.s2c()), (&[1; 32][..], &[2; 32][..]));
}
