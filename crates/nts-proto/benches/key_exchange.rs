//! What the messages of a key exchange and its cookies cost, in memory: no TLS, no sockets.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use nts_proto::code_points::{AeadAlgorithm, ProtocolId};
use nts_proto::ke::keys::SessionKeys;
use nts_proto::ke::message::{Message, REQUEST_LIMIT, RESPONSE_LIMIT};
use nts_proto::ke::number_set::NumberSet;
use nts_proto::ke::request::{FixedKeyRequest, KeyExchangeRequest, Request};
use nts_proto::ke::response::{FixedKeyResponse, KeyExchangeResponse};
use nts_proto::ke::token::AuthenticationToken;
use nts_proto::keyset::KeySet;
use rand::rngs::StdRng;
use rand::{CryptoRng, SeedableRng};

const ALGORITHM: AeadAlgorithm = AeadAlgorithm::AesSivCmac256;
const COOKIES: usize = 8;

fn keys() -> SessionKeys {
    SessionKeys::new(&[1; 32], &[2; 32]).unwrap()
}

/// What a user sends who denies so many names.
fn user_request(denials: usize) -> KeyExchangeRequest {
    let denied = (0..denials).map(|n| format!("time-{n}.example.net").parse().unwrap());
    KeyExchangeRequest {
        protocols: vec![ProtocolId::Ntpv4],
        algorithms: vec![AeadAlgorithm::Aes128GcmSiv, ALGORITHM],
        denied: denied.collect(),
        compliant_exporter: true,
    }
}

/// What a pool sends for a user.
fn fixed_key_request() -> FixedKeyRequest {
    let token = AuthenticationToken::new("a token of a usual length: 32 oct").unwrap();
    let set = NumberSet::Ietf;
    FixedKeyRequest::new(
        set,
        Some(token),
        ProtocolId::Ntpv4,
        ALGORITHM,
        &keys(),
        true,
    )
}

fn answer(rng: &mut impl CryptoRng) -> KeyExchangeResponse {
    let cookies = KeySet::new(rng, 7).seal_several(COOKIES, ALGORITHM, &keys(), rng);
    KeyExchangeResponse {
        protocol: ProtocolId::Ntpv4,
        algorithm: ALGORITHM,
        compliant_exporter: false,
        server: Some("time.example.net".parse().unwrap()),
        port: Some(123),
        cookies: cookies.unwrap(),
    }
}

fn requests(criterion: &mut Criterion) {
    let fixed = fixed_key_request();
    criterion.bench_function("request of a pool, encoded", |bench| {
        bench.iter(|| black_box(&fixed).encode());
    });
    let octets = fixed.encode();
    criterion.bench_function("request of a pool, decoded", |bench| {
        bench.iter(|| decode(black_box(octets.as_ref())));
    });
    for denials in [0, 3, 32] {
        let request = user_request(denials);
        criterion.bench_function(&format!("request, {denials} denials, encoded"), |bench| {
            bench.iter(|| black_box(&request).encode());
        });
        let octets = request.encode();
        criterion.bench_function(&format!("request, {denials} denials, decoded"), |bench| {
            bench.iter(|| decode(black_box(octets.as_ref())));
        });
    }
}

fn decode(octets: &[u8]) -> Request {
    let message = Message::decode(octets, REQUEST_LIMIT).unwrap();
    Request::parse(&message, |_| true).unwrap()
}

fn responses(criterion: &mut Criterion) {
    let exchange = answer(&mut StdRng::seed_from_u64(1));
    criterion.bench_function("answer to a user, encoded", |bench| {
        bench.iter(|| black_box(&exchange).encode());
    });
    let (octets, request) = (exchange.encode(), user_request(0));
    criterion.bench_function("answer to a user, decoded", |bench| {
        bench.iter(|| {
            let message = Message::decode(black_box(octets.as_ref()), RESPONSE_LIMIT).unwrap();
            KeyExchangeResponse::parse(&message, &request).unwrap()
        });
    });
    let response = FixedKeyResponse {
        exchange,
        keep_alive: true,
    };
    let (octets, request) = (response.encode(NumberSet::Ietf), fixed_key_request());
    criterion.bench_function("answer to a pool, decoded", |bench| {
        bench.iter(|| {
            let message = Message::decode(black_box(octets.as_ref()), RESPONSE_LIMIT).unwrap();
            FixedKeyResponse::parse(&message, &request).unwrap()
        });
    });
}

fn cookies(criterion: &mut Criterion) {
    let mut rng = StdRng::seed_from_u64(2);
    let set = KeySet::new(&mut rng, 7);
    for algorithm in [15, 17, 30].map(AeadAlgorithm::from) {
        let length = algorithm.key_length().unwrap();
        let keys = SessionKeys::new(&vec![1; length], &vec![2; length]).unwrap();
        criterion.bench_function(&format!("cookie, AEAD {algorithm}, sealed"), |bench| {
            bench.iter(|| set.seal(algorithm, black_box(&keys), &mut rng).unwrap());
        });
        let cookie = set.seal(algorithm, &keys, &mut rng).unwrap();
        criterion.bench_function(&format!("cookie, AEAD {algorithm}, opened"), |bench| {
            bench.iter(|| set.open(black_box(cookie.as_bytes())).unwrap());
        });
    }
    criterion.bench_function("eight cookies, sealed", |bench| {
        bench.iter(|| set.seal_several(COOKIES, ALGORITHM, black_box(&keys()), &mut rng));
    });
}

criterion_group!(benches, requests, responses, cookies);
criterion_main!(benches);
