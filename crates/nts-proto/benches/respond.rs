//! What one request costs the stateless server, in memory: no sockets, no clock.

#![allow(clippy::unwrap_used, reason = "a benchmark")]

use criterion::{Criterion, criterion_group, criterion_main};
use nts_proto::association::{Association, AssociationConfig, NtsSession, TimerAction};
use nts_proto::code_points::AeadAlgorithm;
use nts_proto::ke::keys::SessionKeys;
use nts_proto::keyset::KeySet;
use nts_proto::server::{Outcome, Policy, ReplyKind, Request, Responder, SystemState, Treatment};
use nts_proto::time::{MonotonicTime, NtpTimestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// A request of a client with so many cookies: it asks for those that are missing of eight, and
/// for the one that it spends.
fn request(keys: &KeySet, algorithm: AeadAlgorithm, cookies: usize) -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(1);
    let length = algorithm.key_length().unwrap();
    let session = SessionKeys::new(&vec![1; length], &vec![2; length]).unwrap();
    let cookies = (0..cookies).map(|_| keys.seal(algorithm, &session, &mut rng).unwrap());
    let session = NtsSession::new(algorithm, &session, cookies.collect()).unwrap();
    let now = MonotonicTime::default();
    let mut association = Association::nts(AssociationConfig::default(), session, now, now);
    match association.handle_timer(now, &mut StdRng::seed_from_u64(2)) {
        TimerAction::Send(datagram) => datagram.as_ref().to_vec(),
        other => panic!("no request but {other:?}"),
    }
}

fn bench(criterion: &mut Criterion, name: &str, keys: &KeySet, datagram: &[u8], kind: ReplyKind) {
    let system = SystemState::unsynchronized(-20);
    let responder = Responder {
        system: &system,
        keys,
        policy: &Policy::default(),
    };
    let request = Request {
        datagram,
        received: NtpTimestamp::from_bits(1),
        treatment: Treatment::Serve,
    };
    let mut rng = rand::rng();
    let mut out = [0; 2048];
    let mut respond = || {
        let transmit = || NtpTimestamp::from_bits(2);
        responder.respond(std::hint::black_box(&request), transmit, &mut rng, &mut out)
    };
    assert!(matches!(respond(), Outcome::Reply { kind: is, .. } if is == kind));
    criterion.bench_function(name, |bencher| bencher.iter(&mut respond));
}

fn respond(criterion: &mut Criterion) {
    let mut rng = StdRng::seed_from_u64(3);
    let keys = KeySet::new(&mut rng, 7);
    let mut plain = vec![0; 48];
    plain[0] = 0x23;
    bench(criterion, "plain", &keys, &plain, ReplyKind::Time);
    for (name, algorithm) in [
        ("AEAD 15", AeadAlgorithm::AesSivCmac256),
        ("AEAD 17", AeadAlgorithm::AesSivCmac512),
        ("AEAD 30", AeadAlgorithm::Aes128GcmSiv),
    ] {
        for (cookies, more) in [(1, 8), (8, 1)] {
            let name = format!("NTS, {name}, cookies asked for: {more}");
            let datagram = request(&keys, algorithm, cookies);
            bench(criterion, &name, &keys, &datagram, ReplyKind::Time);
        }
    }
    let others = KeySet::new(&mut rng, 7);
    let datagram = request(&others, AeadAlgorithm::AesSivCmac256, 8);
    bench(criterion, "NTS NAK", &keys, &datagram, ReplyKind::NtsNak);
}

criterion_group!(benches, respond);
criterion_main!(benches);
