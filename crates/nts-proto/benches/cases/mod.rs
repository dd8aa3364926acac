//! The requests that are measured, and the server that answers them.

use nts_proto::association::{Association, AssociationConfig, NtsSession, TimerAction};
use nts_proto::code_points::AeadAlgorithm;
use nts_proto::ke::keys::SessionKeys;
use nts_proto::keyset::KeySet;
use nts_proto::server::{Outcome, Policy, ReplyKind, Request, Responder, SystemState, Treatment};
use nts_proto::time::{MonotonicTime, NtpTimestamp};
use rand::rngs::StdRng;
use rand::{CryptoRng, SeedableRng};

/// One request, and how it is answered.
pub struct Case {
    pub name: String,
    keys: KeySet,
    system: SystemState,
    policy: Policy,
    datagram: Vec<u8>,
    kind: ReplyKind,
}

impl Case {
    fn new(name: impl Into<String>, keys: &KeySet, datagram: Vec<u8>, kind: ReplyKind) -> Self {
        Self {
            name: name.into(),
            keys: keys.clone(),
            system: SystemState::unsynchronized(-20),
            policy: Policy::default(),
            datagram,
            kind,
        }
    }

    /// Answers the request once.
    pub fn respond(&self, rng: &mut impl CryptoRng, out: &mut [u8]) {
        let responder = Responder {
            system: &self.system,
            keys: &self.keys,
            policy: &self.policy,
        };
        let request = Request {
            datagram: std::hint::black_box(&self.datagram),
            received: NtpTimestamp::from_bits(1),
            treatment: Treatment::Serve,
        };
        let outcome = responder.respond(&request, || NtpTimestamp::from_bits(2), rng, out);
        assert!(matches!(outcome, Outcome::Reply { kind, .. } if kind == self.kind));
    }
}

/// All that are measured.
pub fn all() -> Vec<Case> {
    let mut rng = StdRng::seed_from_u64(3);
    let keys = KeySet::new(&mut rng, 7);
    let mut plain = vec![0; 48];
    plain[0] = 0x23;
    let mut cases = vec![Case::new("plain", &keys, plain, ReplyKind::Time)];
    for algorithm in [15, 17, 30] {
        for (cookies, more) in [(8, 1), (1, 8)] {
            let name = format!("NTS, AEAD {algorithm}, cookies asked for: {more}");
            let datagram = request(&keys, algorithm.into(), cookies);
            cases.push(Case::new(name, &keys, datagram, ReplyKind::Time));
        }
    }
    let others = KeySet::new(&mut rng, 7);
    let datagram = request(&others, AeadAlgorithm::AesSivCmac256, 8);
    cases.push(Case::new("NTS NAK", &keys, datagram, ReplyKind::NtsNak));
    cases
}

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
