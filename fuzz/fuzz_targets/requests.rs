//! Requests as pools and time sources read them. What was read is written, and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nts_proto::ke::message::Message;
use nts_proto::ke::negotiation::{Capabilities, negotiate};
use nts_proto::ke::request::{FixedKeyRequest, InfoRequest, KeyExchangeRequest, Request};

const LIMIT: usize = 4096;

fuzz_target!(|data: &[u8]| {
    let Ok(message) = Message::decode(data, LIMIT) else {
        return;
    };
    let unauthorized = Request::parse(&message, |_| false);
    assert!(!matches!(
        unauthorized,
        Ok(Request::Info(_) | Request::FixedKey(_))
    ));
    match Request::parse(&message, |_| true) {
        Ok(Request::KeyExchange(request)) => key_exchange(&request),
        Ok(Request::Info(request)) => info(&request),
        Ok(Request::FixedKey(request)) => fixed_key(&request),
        Err(error) => {
            let _ = error.error_code();
        }
    }
});

fn again(octets: impl AsRef<[u8]>) -> Request {
    let octets = octets.as_ref();
    let message = Message::decode(octets, LIMIT).expect("what we write can be decoded");
    Request::parse(&message, |_| true).expect("what we write can be read")
}

fn key_exchange(request: &KeyExchangeRequest) {
    if let Ok(negotiated) = negotiate(request, &Capabilities::ours()) {
        assert!(request.protocols.contains(&negotiated.protocol()));
        assert!(request.algorithms.contains(&negotiated.algorithm()));
    }
    // Long lists are cut when they are written, so only what was short stays the same.
    let octets = request.encode();
    assert!(octets.as_ref().len() < 1024);
    let Request::KeyExchange(read) = again(octets) else {
        panic!("became another request");
    };
    assert!(request.protocols.starts_with(&read.protocols));
    assert!(request.algorithms.starts_with(&read.algorithms));
    assert_eq!(request.compliant_exporter, read.compliant_exporter);
    assert!(read.denied.iter().all(|name| request.denied.contains(name)));
}

fn info(request: &InfoRequest) {
    let Request::Info(read) = again(request.encode()) else {
        panic!("became another request");
    };
    assert_eq!(request.number_set, read.number_set);
    assert_eq!(request.token.is_some(), read.token.is_some());
    let asks = |it: &InfoRequest| (it.protocols, it.algorithms, it.server_names, it.keep_alive);
    assert_eq!(asks(request), asks(&read));
}

fn fixed_key(request: &FixedKeyRequest) {
    let Ok(keys) = request.accept(&Capabilities::ours()) else {
        return;
    };
    assert_eq!(Some(keys.key_length()), request.algorithm().key_length());
    let Request::FixedKey(read) = again(request.encode()) else {
        panic!("became another request");
    };
    let same = read.accept(&Capabilities::ours()).expect("same keys");
    assert_eq!((keys.c2s(), keys.s2c()), (same.c2s(), same.s2c()));
}
