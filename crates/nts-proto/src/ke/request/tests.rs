//! Vectors A, B, C, E and F of the protocol notes, the requests to refuse, and the rules for each
//! record. A text is a whole message in hexadecimal digits.

use std::cell::Cell;

use proptest::prelude::*;

use super::super::testing::{keys, name, octets, request_message, text, token};
use super::*;
use crate::code_points::RecordType as T;
use crate::error::ParseError::{BodyLength, Duplicate, Missing};
use crate::error::RequestError as E;

const TOKEN_RECORD: &str =
    "000e00203031323334353637383961626364656630313233343536373839616263646566";
const DRAFT_TOKEN_RECORD: &str =
    "400500203031323334353637383961626364656630313233343536373839616263646566";
const FIXED_KEYS_BODY: &str = "0040000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\
     202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";
const CHOSEN: &str = "80010002000080040002000f";
const END: &str = "80000000";

/// What the server thinks of the pool that asks.
#[derive(Clone, Copy)]
enum Caller {
    /// Nobody is authorised, as on a pool.
    Stranger,
    /// Known by its TLS certificate.
    Certificate,
    /// Has to send the token of the vectors.
    Token,
}

impl Caller {
    fn authorized(self, sent: Option<&AuthenticationToken>) -> bool {
        match self {
            Self::Stranger => false,
            Self::Certificate => true,
            Self::Token => sent.is_some_and(|sent| sent.matches(&token())),
        }
    }
}

fn parse(message: &str, caller: Caller) -> Result<Request, E> {
    Request::parse(&request_message(message), |sent| caller.authorized(sent))
}

fn encode(request: &Request) -> String {
    text(match request {
        Request::KeyExchange(request) => request.encode(),
        Request::Info(request) => request.encode(),
        Request::FixedKey(request) => request.encode(),
    })
}

/// A vector is read as `expected` says, and encodes to the same octets.
fn check(message: &str, length: usize, caller: Caller, expected: &Request) {
    let message = text(octets(message));
    assert_eq!(message.len(), 2 * length, "length of the vector");
    let parsed = parse(&message, caller).expect(&message);
    assert_eq!(format!("{parsed:?}"), format!("{expected:?}"));
    assert_eq!(encode(&parsed), message, "what was read");
    assert_eq!(encode(expected), message, "what was expected");
}

/// A request is refused with this error, and this error record answers it.
fn check_refused(message: &str, caller: Caller, expected: E, reply: &str) {
    let error = parse(message, caller).expect_err(message);
    assert_eq!(error, expected, "{message}");
    assert_eq!(text(Refusal::from(error).encode()), reply, "{message}");
}

const ERROR_0: &str = "80020002000080000000";
const ERROR_1: &str = "80020002000180000000";

fn key_exchange(algorithms: &[u16], denied: &[&str]) -> KeyExchangeRequest {
    KeyExchangeRequest {
        protocols: vec![ProtocolId::Ntpv4],
        algorithms: algorithms
            .iter()
            .copied()
            .map(AeadAlgorithm::from)
            .collect(),
        denied: denied.iter().map(|text| name(text)).collect(),
        compliant_exporter: false,
    }
}

fn info(number_set: NumberSet, token: Option<AuthenticationToken>) -> InfoRequest {
    InfoRequest {
        number_set,
        token,
        protocols: true,
        algorithms: true,
        server_names: false,
        keep_alive: true,
    }
}

fn fixed_key(
    set: NumberSet,
    token: Option<AuthenticationToken>,
    keep_alive: bool,
) -> FixedKeyRequest {
    let algorithm = AeadAlgorithm::AesSivCmac256;
    FixedKeyRequest::new(
        set,
        token,
        ProtocolId::Ntpv4,
        algorithm,
        &keys(),
        keep_alive,
    )
}

#[test]
fn a1_to_a3_users() {
    let a1 = Request::KeyExchange(key_exchange(&[15], &[]));
    check(
        "80010002000080040002000f80000000",
        16,
        Caller::Stranger,
        &a1,
    );
    let a2 = Request::KeyExchange(key_exchange(&[17, 15], &["a.test", "b.test"]));
    check(
        "800100020000800400040011000f000d0006612e74657374000d0006622e7465737480000000",
        38,
        Caller::Stranger,
        &a2,
    );
    let mut a3 = key_exchange(&[30, 15], &[]);
    a3.compliant_exporter = true;
    check(
        "80010002000080040004001e000f0400000080000000",
        22,
        Caller::Stranger,
        &Request::KeyExchange(a3),
    );
}

#[test]
fn b1_and_b3_pools_ask() {
    let b1 = Request::Info(info(NumberSet::Ietf, Some(token())));
    let text = format!("{TOKEN_RECORD}80090000800a00000008000080000000");
    check(&text, 52, Caller::Token, &b1);
    let mut b3 = info(NumberSet::Ietf, Some(token()));
    (b3.protocols, b3.algorithms, b3.server_names) = (false, false, true);
    let text = format!("{TOKEN_RECORD}800b00000008000080000000");
    check(&text, 48, Caller::Token, &Request::Info(b3));
}

#[test]
fn c1_pools_send_keys() {
    let c1 = Request::FixedKey(fixed_key(NumberSet::Ietf, Some(token()), true));
    let text = format!("{TOKEN_RECORD}800c{FIXED_KEYS_BODY}{CHOSEN}00080000{END}");
    check(&text, 124, Caller::Token, &c1);
}

#[test]
fn e1_e3_e4_e5_old_numbers() {
    let e1 = info(NumberSet::Draft, None);
    check(
        "c0040000c00100004000000080000000",
        16,
        Caller::Certificate,
        &Request::Info(e1),
    );
    let e3 = Request::FixedKey(fixed_key(NumberSet::Draft, None, false));
    check(
        &format!("c002{FIXED_KEYS_BODY}{CHOSEN}{END}"),
        84,
        Caller::Certificate,
        &e3,
    );
    let mut e4 = info(NumberSet::Draft, None);
    (e4.protocols, e4.keep_alive) = (false, false);
    check(
        "c001000080000000",
        8,
        Caller::Certificate,
        &Request::Info(e4),
    );
    let e5 = Request::FixedKey(fixed_key(NumberSet::Draft, Some(token()), true));
    let text = format!("{DRAFT_TOKEN_RECORD}c002{FIXED_KEYS_BODY}{CHOSEN}40000000{END}");
    check(&text, 124, Caller::Token, &e5);
}

#[test]
fn f1_monitors_are_strangers() {
    let f1 = "000e00036b6579cf0100047575696480010002000080040002000f80000000";
    check_refused(
        f1,
        Caller::Token,
        E::UnrecognizedCriticalRecord(0x4f01),
        ERROR_0,
    );
}

#[test]
fn malformed_key_exchanges_are_bad_requests() {
    let protocol = T::NextProtocolNegotiation;
    let algorithm = T::AeadAlgorithmNegotiation;
    for (message, expected) in [
        ("80010002000080000000", E::Malformed(Missing(algorithm))),
        (
            "8001000080040002000f80000000",
            E::Malformed(BodyLength(protocol)),
        ),
        (
            "8001000300000080040002000f80000000",
            E::Malformed(BodyLength(protocol)),
        ),
        (
            "80010002000080040000 80000000",
            E::Malformed(BodyLength(algorithm)),
        ),
        (
            "80010002000080040003000f00 80000000",
            E::Malformed(BodyLength(algorithm)),
        ),
        ("80040002000f80000000", E::Malformed(Missing(protocol))),
        ("80000000", E::Malformed(Missing(protocol))),
        ("00080000 80000000", E::Malformed(Missing(protocol))),
        (
            "800100020000 800100020000 80040002000f 80000000",
            E::Malformed(Duplicate(protocol)),
        ),
        (
            "800100020000 80040002000f 80040002000f 80000000",
            E::Malformed(Duplicate(algorithm)),
        ),
        (
            "800100020000 80040002000f 800200020001 80000000",
            E::Forbidden(T::Error),
        ),
        (
            "800100020000 80040002000f 800300020001 80000000",
            E::Forbidden(T::Warning),
        ),
        (
            "800100020000 80040002000f 00050002a0a1 80000000",
            E::Forbidden(T::NewCookie),
        ),
        (
            "800100020000 80040002000f 0400000101 80000000",
            E::Malformed(BodyLength(T::CompliantAes128GcmSivExporterContext)),
        ),
        (
            "800100020000 80040002000f 04000000 04000000 80000000",
            E::Malformed(Duplicate(T::CompliantAes128GcmSivExporterContext)),
        ),
        (
            "000e000161 000e000161 800100020000 80040002000f 80000000",
            E::Malformed(Duplicate(T::AuthenticationToken)),
        ),
    ] {
        check_refused(message, Caller::Stranger, expected, ERROR_1);
    }
}

#[test]
fn unknown_records_matter_only_if_critical() {
    let unknown = E::UnrecognizedCriticalRecord(0x32);
    let message = "80010002000080040002000f803200016180000000";
    check_refused(message, Caller::Stranger, unknown, ERROR_0);
    // Nothing else that is wrong comes before it.
    check_refused(
        "80010001 00 80020002000180320000 80000000",
        Caller::Stranger,
        unknown,
        ERROR_0,
    );
    check_refused(
        "800a0000 80320000 80000000",
        Caller::Stranger,
        unknown,
        ERROR_0,
    );
    let harmless = parse(
        "80010002000080040002000f003200016180000000",
        Caller::Stranger,
    )
    .unwrap();
    assert_eq!(encode(&harmless), "80010002000080040002000f80000000");
}

#[test]
fn the_critical_bit_of_known_records_is_not_looked_at() {
    let request = parse("000100020000 00040002000f 00000000", Caller::Stranger).unwrap();
    assert_eq!(encode(&request), "80010002000080040002000f80000000");
}

#[test]
fn what_does_not_concern_an_ordinary_exchange_is_ignored() {
    for keep_alive in ["00080000", "40000000"] {
        let message = format!(
            "{CHOSEN} 00060006612e74657374 00070002007b {TOKEN_RECORD} {keep_alive} 80000000"
        );
        let request = parse(&message, Caller::Stranger).unwrap();
        assert_eq!(encode(&request), "80010002000080040002000f80000000");
    }
}

#[test]
fn algorithms_may_be_missing_where_ntpv4_is_not_offered() {
    let Ok(Request::KeyExchange(request)) = parse("80010002800180000000", Caller::Stranger) else {
        panic!("a request with an unknown protocol alone");
    };
    assert_eq!(request.protocols, [ProtocolId::Unknown(0x8001)]);
    assert!(request.algorithms.is_empty());
    assert_eq!(text(request.encode()), "80010002800180000000");
}

#[test]
fn long_lists_are_cut_but_never_hide_what_is_known() {
    let algorithms = |list: &[u16]| {
        let list: String = list.iter().map(|id| format!("{id:04x}")).collect();
        let record = format!("8004{:04x}{list}", list.len() / 2);
        let message = format!("800100020000{record}{END}");
        match parse(&message, Caller::Stranger).unwrap() {
            Request::KeyExchange(request) => request.algorithms,
            other => panic!("{other:?}"),
        }
    };
    let unknown: Vec<u16> = (1000..3000).collect();
    let last_resort = algorithms(&[&unknown[..], &[15, 17, 15]].concat());
    assert_eq!(last_resort.len(), 66);
    assert_eq!(last_resort[..2], [1000.into(), 1001.into()]);
    assert_eq!(last_resort[63..], [1063.into(), 15.into(), 17.into()]);
    assert_eq!(algorithms(&[16; 2000]).len(), 64);
}

#[test]
fn denials_that_are_no_names_are_ignored() {
    let message = "800100020000800400040011000f000d0006612efe657374000d0006622e7465737480000000";
    let request = parse(message, Caller::Stranger).unwrap();
    let expected = Request::KeyExchange(key_exchange(&[17, 15], &["b.test"]));
    assert_eq!(encode(&request), encode(&expected));
}

#[test]
fn names_denied_under_both_numbers_count_once() {
    let request = key_exchange(&[15], &["a.test", "b.test"]);
    let message = text(request.encode_for_any_pool());
    assert_eq!(
        message,
        "80010002000080040002000f000d0006612e74657374000d0006622e74657374\
         40030006612e7465737440030006622e7465737480000000"
    );
    let Ok(Request::KeyExchange(parsed)) = parse(&message, Caller::Stranger) else {
        panic!("an ordinary exchange");
    };
    assert_eq!(parsed, request);
}

#[test]
fn thirty_two_denials_are_heeded() {
    let names: Vec<_> = (0..40).map(|n| format!("n{n}.test")).collect();
    let records: String = names
        .iter()
        .map(|name| format!("000d{:04x}{}", name.len(), hex::encode(name)))
        .collect();
    let message = format!("{CHOSEN}{records}{END}");
    let Ok(Request::KeyExchange(parsed)) = parse(&message, Caller::Stranger) else {
        panic!("an ordinary exchange");
    };
    let denied: Vec<_> = parsed.denied.iter().map(NtpServerName::as_str).collect();
    assert_eq!(denied, &names[..32]);
}

#[test]
fn strangers_get_the_answer_to_unknown_records() {
    for gated in [
        "80090000", "800a0000", "800b0000", "800c0000", "c0040000", "c0010000",
    ] {
        let code = u16::from_str_radix(&gated[..4], 16).unwrap() & 0x7fff;
        for rest in ["", CHOSEN, "00080000", "800200020000", TOKEN_RECORD] {
            let message = format!("{gated}{rest}{END}");
            for caller in [Caller::Stranger, Caller::Token] {
                check_refused(&message, caller, E::NotAuthorized(code), ERROR_0);
            }
        }
    }
    for gated in ["c0060000", "c0050000", "c0020000"] {
        let code = u16::from_str_radix(&gated[..4], 16).unwrap() & 0x7fff;
        let message = format!("{gated}{END}");
        check_refused(&message, Caller::Stranger, E::NotAuthorized(code), ERROR_0);
    }
}

#[test]
fn c1_without_its_token_or_with_another() {
    let rest = format!("800c{FIXED_KEYS_BODY}{CHOSEN}00080000{END}");
    check_refused(&rest, Caller::Token, E::NotAuthorized(12), ERROR_0);
    let wrong = format!("000e00026b6b{rest}");
    check_refused(&wrong, Caller::Token, E::NotAuthorized(12), ERROR_0);
    let second = format!("000e00026b6b{TOKEN_RECORD}{rest}");
    check_refused(&second, Caller::Token, E::NotAuthorized(12), ERROR_0);
    let malformed = format!("000e00026b00{rest}");
    check_refused(&malformed, Caller::Token, E::NotAuthorized(12), ERROR_0);
    let late = format!("800a0000{TOKEN_RECORD}{END}");
    check_refused(&late, Caller::Token, E::NotAuthorized(10), ERROR_0);
    let after_keep_alive = format!("00080000{TOKEN_RECORD}800a0000{END}");
    check_refused(
        &after_keep_alive,
        Caller::Token,
        E::NotAuthorized(10),
        ERROR_0,
    );
    // The certificate authorises all the same.
    assert!(parse(&late, Caller::Certificate).is_ok());
}

#[test]
fn tokens_are_asked_about_once_and_only_where_they_count() {
    let calls = Cell::new(0);
    let ask = |message: &str| {
        calls.set(0);
        let result = Request::parse(&request_message(message), |_| {
            calls.set(calls.get() + 1);
            true
        });
        (result.is_ok(), calls.get())
    };
    assert_eq!(ask(&format!("{TOKEN_RECORD}{CHOSEN}{END}")), (true, 0));
    assert_eq!(
        ask(&format!("{TOKEN_RECORD}80090000800a0000{END}")),
        (true, 1)
    );
}

#[test]
fn info_requests_negotiate_nothing() {
    for (message, expected) in [
        (
            "800a0000 800100020000",
            E::Forbidden(T::NextProtocolNegotiation),
        ),
        (
            "800a0000 80040002000f",
            E::Forbidden(T::AeadAlgorithmNegotiation),
        ),
        ("800a0000 00050002a0a1", E::Forbidden(T::NewCookie)),
        ("800a0000 800200020000", E::Forbidden(T::Error)),
        (
            "800a0000 800a0000",
            E::Malformed(Duplicate(T::SupportedAlgorithmList)),
        ),
        (
            "800a0000 00080000 00080000",
            E::Malformed(Duplicate(T::KeepAlive)),
        ),
        ("800a0000 c0040000", E::MixedNumberSets),
        ("c0010000 00080000", E::MixedNumberSets),
    ] {
        check_refused(
            &format!("{message}{END}"),
            Caller::Certificate,
            expected,
            ERROR_1,
        );
    }
    let mixed = format!("{TOKEN_RECORD}c0010000{END}");
    check_refused(&mixed, Caller::Token, E::MixedNumberSets, ERROR_1);
    let twice = format!("{TOKEN_RECORD}{TOKEN_RECORD}800a0000{END}");
    let duplicate = E::Malformed(Duplicate(T::AuthenticationToken));
    check_refused(&twice, Caller::Token, duplicate, ERROR_1);
}

#[test]
fn info_requests_may_have_bodies_denials_and_a_critical_name_list_of_0x4005() {
    let request = parse(
        "8009000161 800a0002 6162 0008000161 80000000",
        Caller::Certificate,
    );
    assert_eq!(
        encode(&request.unwrap()),
        "80090000800a00000008000080000000"
    );
    let request = parse(
        "800a0000 000d0006612e74657374 80000000",
        Caller::Certificate,
    );
    assert_eq!(encode(&request.unwrap()), "800a000080000000");
    let request = parse("c0050000 80000000", Caller::Certificate);
    assert_eq!(encode(&request.unwrap()), "c006000080000000");
}

#[test]
fn fixed_key_requests_name_one_protocol_and_one_algorithm() {
    let keys = format!("800c{FIXED_KEYS_BODY}");
    let protocol = T::NextProtocolNegotiation;
    let algorithm = T::AeadAlgorithmNegotiation;
    for (rest, expected) in [
        ("", E::Malformed(Missing(protocol))),
        ("80040002000f", E::Malformed(Missing(protocol))),
        ("800100020000", E::Malformed(Missing(algorithm))),
        ("80010000 80040002000f", E::Malformed(BodyLength(protocol))),
        (
            "8001000400000000 80040002000f",
            E::Malformed(BodyLength(protocol)),
        ),
        (
            "800100020000 80040004000f0011",
            E::Malformed(BodyLength(algorithm)),
        ),
        ("800100020000 80040000", E::Malformed(BodyLength(algorithm))),
        (
            "800100020000 80040002000f 80040002000f",
            E::Malformed(Duplicate(algorithm)),
        ),
        (
            "800100020000 80040002000f 80090000",
            E::Forbidden(T::SupportedNextProtocolList),
        ),
        (
            "800100020000 80040002000f 800a0000",
            E::Forbidden(T::SupportedAlgorithmList),
        ),
        (
            "800100020000 80040002000f 800b0000",
            E::Forbidden(T::ListServerNames),
        ),
        (
            "800100020000 80040002000f 000d0006612e74657374",
            E::Forbidden(T::NtpServerDeny),
        ),
        (
            "800100020000 80040002000f 00050002a0a1",
            E::Forbidden(T::NewCookie),
        ),
        ("800100020000 80040002000f 40000000", E::MixedNumberSets),
        (
            "800100020000 80040002000f 800c0000",
            E::Malformed(Duplicate(T::FixedKeyRequest)),
        ),
    ] {
        check_refused(
            &format!("{keys}{rest}{END}"),
            Caller::Certificate,
            expected,
            ERROR_1,
        );
    }
}

/// What a time source with our capabilities makes of a Fixed Key Request.
fn accept(keys: &str, chosen: &str) -> Result<SessionKeys, Refusal> {
    let message = format!("{TOKEN_RECORD}800c{keys}{chosen}00080000{END}");
    match parse(&message, Caller::Token).unwrap() {
        Request::FixedKey(request) => request.accept(&Capabilities::ours()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn time_sources_take_keys_of_the_right_length() {
    let taken = accept(FIXED_KEYS_BODY, CHOSEN).unwrap();
    assert_eq!(taken.c2s(), (0x00..0x20).collect::<Vec<u8>>());
    assert_eq!(taken.s2c(), (0x20..0x40).collect::<Vec<u8>>());
    for (length, octets) in [(62, 62), (0, 0), (63, 63), (66, 66), (128, 128)] {
        let keys = format!("{length:04x}{}", "aa".repeat(octets));
        let refusal = accept(&keys, CHOSEN).unwrap_err();
        assert_eq!(text(refusal.encode()), ERROR_1, "{length} octets");
    }
}

#[test]
fn what_is_not_supported_comes_before_the_length_of_the_keys() {
    let refused = |keys: &str, chosen: &str| text(accept(keys, chosen).unwrap_err().encode());
    for keys in [FIXED_KEYS_BODY, "0000"] {
        assert_eq!(
            refused(keys, "800100020000 80040002001e"),
            "8001000200008004000080000000"
        );
        assert_eq!(
            refused(keys, "800100028001 80040002000f"),
            "8001000080000000"
        );
        assert_eq!(
            refused(keys, "800100028001 80040002001e"),
            "8001000080000000"
        );
    }
}

#[test]
fn requests_stay_below_1024_octets() {
    let long: Vec<_> = (0..40)
        .map(|n| format!("{n:03}{}", "x".repeat(60)))
        .collect();
    let long: Vec<_> = long.iter().map(String::as_str).collect();
    let request = key_exchange(&[17, 15], &long);
    let encoded = request.encode();
    assert!(encoded.as_ref().len() < 1024);
    let Ok(Request::KeyExchange(parsed)) = parse(&text(&encoded), Caller::Stranger) else {
        panic!("an ordinary exchange");
    };
    assert_eq!(parsed.denied.len(), 15);
    assert_eq!(parsed.denied, request.denied[..15]);
    assert!(request.encode_for_any_pool().as_ref().len() < 1024);
    let token = AuthenticationToken::new([b'a'; 512]).unwrap();
    let keys = SessionKeys::new(&[1; 64], &[2; 64]).unwrap();
    let algorithm = AeadAlgorithm::AesSivCmac512;
    let request = FixedKeyRequest::new(
        NumberSet::Ietf,
        Some(token),
        ProtocolId::Ntpv4,
        algorithm,
        &keys,
        true,
    );
    assert!(request.encode().as_ref().len() < 1024);
}

#[test]
fn debug_shows_neither_keys_nor_tokens() {
    let request = fixed_key(NumberSet::Ietf, Some(token()), true);
    assert_eq!(
        format!("{request:?}"),
        "FixedKeyRequest { number_set: Ietf, token: Some(AuthenticationToken(<redacted>)), \
         protocol: Ntpv4, algorithm: AesSivCmac256, keep_alive: true, .. }"
    );
    assert_eq!(
        format!("{:?}", request.encode()),
        "EncodedMessage(<124 octets redacted>)"
    );
}

fn names() -> impl Strategy<Value = Vec<NtpServerName>> {
    prop::collection::btree_set("[a-z0-9.:-]{0,20}[a-z0-9]", 0..20)
        .prop_map(|set| set.iter().map(|text| name(text)).collect())
}

proptest! {
    #[test]
    fn any_octets_are_judged_without_panic(
        octets in prop::collection::vec(any::<u8>(), 0..200),
        authorized: bool,
    ) {
        if let Ok(message) = Message::decode(&octets, 4096) {
            let _ = Request::parse(&message, |_| authorized);
        }
    }

    #[test]
    fn any_records_are_judged_and_what_is_accepted_survives_encoding(
        records in prop::collection::vec(
            (any::<bool>(), prop::sample::select(T::KNOWN), prop::collection::vec(0_u8..40, 0..5)),
            0..8,
        ),
    ) {
        let mut encoder = Encoder::default();
        for (critical, record_type, body) in &records {
            encoder.record(*critical, *record_type, body);
        }
        let message = text(encoder.finish());
        // An early End of Message makes no message.
        if let Ok(message) = Message::decode(&octets(&message), 4096)
            && let Ok(request) = Request::parse(&message, |_| true)
        {
            let encoded = encode(&request);
            let again = parse(&encoded, Caller::Certificate).expect(&encoded);
            prop_assert_eq!(encode(&again), encoded);
        }
    }

    #[test]
    fn key_exchanges_survive_the_wire(
        protocols in prop::collection::vec(any::<u16>().prop_map(ProtocolId::from), 1..5),
        algorithms in prop::collection::vec(any::<u16>().prop_map(AeadAlgorithm::from), 1..9),
        denied in names(),
        compliant_exporter: bool,
    ) {
        let request = KeyExchangeRequest { protocols, algorithms, denied, compliant_exporter };
        for encoded in [request.encode(), request.encode_for_any_pool()] {
            let Ok(Request::KeyExchange(parsed)) = parse(&text(encoded), Caller::Stranger) else {
                panic!("an ordinary exchange");
            };
            prop_assert_eq!(&parsed, &request);
        }
    }

    #[test]
    fn keys_survive_the_wire(c2s in prop::collection::vec(any::<u8>(), 1..=64), draft: bool) {
        let s2c: Vec<u8> = c2s.iter().map(|octet| !octet).collect();
        let keys = SessionKeys::new(&c2s, &s2c).unwrap();
        let set = if draft { NumberSet::Draft } else { NumberSet::Ietf };
        let algorithm = AeadAlgorithm::from(900);
        let request = FixedKeyRequest::new(
            set, Some(token()), ProtocolId::Ntpv4, algorithm, &keys, true);
        let Ok(Request::FixedKey(parsed)) = parse(&text(request.encode()), Caller::Token) else {
            panic!("a fixed key request");
        };
        prop_assert_eq!(text(parsed.encode()), text(request.encode()));
    }
}
