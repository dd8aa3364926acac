//! Answering allocates nothing: neither plain NTP nor NTS, neither the time nor a refusal.

#![allow(clippy::unwrap_used, reason = "a test")]

use nts_proto::association::{Association, AssociationConfig, NtsSession, TimerAction};
use nts_proto::code_points::AeadAlgorithm;
use nts_proto::ke::keys::SessionKeys;
use nts_proto::keyset::KeySet;
use nts_proto::server::{Outcome, Policy, ReplyKind, Request, Responder, SystemState, Treatment};
use nts_proto::time::{MonotonicTime, NtpTimestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// A request as our own client sends it, with one cookie and so with seven placeholders.
fn nts_request(keys: &KeySet, algorithm: AeadAlgorithm) -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(1);
    let length = algorithm.key_length().unwrap();
    let session = SessionKeys::new(&vec![1; length], &vec![2; length]).unwrap();
    let cookie = keys.seal(algorithm, &session, &mut rng).unwrap();
    let session = NtsSession::new(algorithm, &session, vec![cookie]).unwrap();
    let now = MonotonicTime::default();
    let mut association = Association::nts(AssociationConfig::default(), session, now, now);
    match association.handle_timer(now, &mut rng) {
        TimerAction::Send(datagram) => datagram.as_ref().to_vec(),
        other => panic!("no request but {other:?}"),
    }
}

#[track_caller]
fn check(keys: &KeySet, datagram: &[u8], treatment: Treatment, expected: ReplyKind) {
    let system = SystemState::unsynchronized(-20);
    let policy = Policy::default();
    let responder = Responder {
        system: &system,
        keys,
        policy: &policy,
    };
    let request = Request {
        datagram,
        received: NtpTimestamp::from_bits(1),
        treatment,
    };
    let mut rng = StdRng::seed_from_u64(2);
    let mut out = [0; 2048];
    let mut outcome = None;
    let allocations = allocation_counter::measure(|| {
        let transmit = || NtpTimestamp::from_bits(2);
        outcome = Some(responder.respond(&request, transmit, &mut rng, &mut out));
    });
    assert!(
        matches!(outcome, Some(Outcome::Reply { kind, .. }) if kind == expected),
        "{outcome:?}"
    );
    assert_eq!(allocations.count_total, 0);
}

#[test]
fn answering_allocates_nothing() {
    let mut rng = StdRng::seed_from_u64(3);
    let keys = KeySet::new(&mut rng, 7);
    let other_keys = KeySet::new(&mut rng, 7);
    let mut plain = vec![0; 48];
    plain[0] = 0x23;
    check(&keys, &plain, Treatment::Serve, ReplyKind::Time);
    check(&keys, &plain, Treatment::Deny, ReplyKind::Deny);
    for algorithm in [
        AeadAlgorithm::AesSivCmac256,
        AeadAlgorithm::AesSivCmac512,
        AeadAlgorithm::Aes128GcmSiv,
    ] {
        let nts = nts_request(&keys, algorithm);
        check(&keys, &nts, Treatment::Serve, ReplyKind::Time);
        check(&keys, &nts, Treatment::SlowDown, ReplyKind::Rate);
        check(&other_keys, &nts, Treatment::Serve, ReplyKind::NtsNak);
    }
}
