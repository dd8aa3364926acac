//! Responses as users and pools read them. What was read is written, and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nts_fuzz::{ALGORITHMS, session, take};
use nts_proto::code_points::ProtocolId;
use nts_proto::ke::message::Message;
use nts_proto::ke::negotiation::{Capabilities, UnknownAlgorithms};
use nts_proto::ke::number_set::NumberSet;
use nts_proto::ke::request::{FixedKeyRequest, InfoRequest, KeyExchangeRequest};
use nts_proto::ke::response::{FixedKeyResponse, InfoResponse, KeyExchangeResponse};

const LIMIT: usize = 65_536;

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let choice = take(&mut data);
    let number_set = match choice & 1 {
        0 => NumberSet::Ietf,
        _ => NumberSet::Draft,
    };
    let Ok(message) = Message::decode(data, LIMIT) else {
        return;
    };
    match (choice >> 1) % 3 {
        0 => key_exchange(&message),
        1 => fixed_key(&message, number_set, choice >> 3),
        _ => info(&message, number_set, choice >> 3),
    }
});

fn again(octets: impl AsRef<[u8]>) -> Message {
    Message::decode(octets.as_ref(), LIMIT).expect("what we write can be decoded")
}

fn check(response: &KeyExchangeResponse) {
    assert_eq!(response.protocol, ProtocolId::Ntpv4);
    assert!((1..=8).contains(&response.cookies.len()));
    assert!(
        response
            .cookies
            .iter()
            .all(|cookie| (1..=1024).contains(&cookie.len()))
    );
    assert_ne!(response.port, Some(0));
}

fn same(response: &KeyExchangeResponse, read: &KeyExchangeResponse) {
    assert!(response.cookies.starts_with(&read.cookies));
    let mut cut = response.clone();
    cut.cookies.truncate(read.cookies.len());
    assert_eq!(&cut, read);
}

fn key_exchange(message: &Message) {
    let request = KeyExchangeRequest {
        protocols: vec![ProtocolId::Ntpv4],
        algorithms: ALGORITHMS.to_vec(),
        denied: Vec::new(),
        compliant_exporter: true,
    };
    let Ok(response) = KeyExchangeResponse::parse(message, &request) else {
        return;
    };
    check(&response);
    assert!(request.algorithms.contains(&response.algorithm));
    let read = KeyExchangeResponse::parse(&again(response.encode()), &request).unwrap();
    same(&response, &read);
}

fn fixed_key(message: &Message, number_set: NumberSet, choice: u8) {
    let (algorithm, keys) = session(choice);
    let request = FixedKeyRequest::new(number_set, None, ProtocolId::Ntpv4, algorithm, &keys, true);
    let Ok(response) = FixedKeyResponse::parse(message, &request) else {
        return;
    };
    check(&response.exchange);
    assert_eq!(response.exchange.algorithm, algorithm);
    let read = FixedKeyResponse::parse(&again(response.encode(number_set)), &request).unwrap();
    assert_eq!(response.keep_alive, read.keep_alive);
    same(&response.exchange, &read.exchange);
}

fn info(message: &Message, number_set: NumberSet, choice: u8) {
    let request = InfoRequest {
        number_set,
        token: None,
        protocols: choice & 1 != 0,
        algorithms: choice & 2 != 0,
        server_names: choice & 4 != 0,
        keep_alive: choice & 8 != 0,
    };
    let Ok(response) = InfoResponse::parse(message, &request) else {
        return;
    };
    assert!(response.server_names.len() <= 64);
    for unknown in [UnknownAlgorithms::Allow, UnknownAlgorithms::Forbid] {
        let _ = Capabilities::from_info(&response, unknown);
    }
    let octets = response.encode(number_set);
    let read = InfoResponse::parse(&again(octets), &request).unwrap();
    assert_eq!(response.keep_alive, read.keep_alive);
    assert!(response.server_names.starts_with(&read.server_names));
}
