//! The association against our own server, on a virtual clock.

mod kisses;
mod lifetime;
mod packets;
mod sequences;
mod vector;

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::code_points::AeadAlgorithm;
use crate::cookie::Cookie;
use crate::ke::keys::SessionKeys;
use crate::keyset::KeySet;
use crate::ntp::header::{Header, KissCode, LeapIndicator, Mode, ReferenceId};
use crate::ntp::packet::Packet;
use crate::server::{Outcome, Policy, Request, Responder, SystemState, Treatment};
use crate::testing::exchange;

/// What the server's clock is ahead.
const OFFSET: i64 = 250 << 30;
/// One way.
const LEG: i64 = 1 << 22;

/// A client, a server and the time.
struct Lab {
    rng: StdRng,
    now: MonotonicTime,
    association: Association,
    server_keys: KeySet,
    system: SystemState,
    treatment: Treatment,
}

impl Lab {
    fn plain() -> Self {
        Self::with(AssociationConfig::default(), None)
    }

    fn nts() -> Self {
        Self::with(AssociationConfig::default(), Some(15))
    }

    fn with(config: AssociationConfig, algorithm: Option<u16>) -> Self {
        let mut rng = StdRng::seed_from_u64(7);
        let server_keys = KeySet::new(&mut rng, 7);
        let now = MonotonicTime::from_duration(Duration::from_secs(1000));
        let association = match algorithm {
            None => Association::plain(config, now),
            Some(algorithm) => {
                let session = session(&server_keys, algorithm.into(), 8, &mut rng);
                Association::nts(config, session, now, now)
            }
        };
        Self {
            rng,
            now,
            association,
            server_keys,
            system: exchange::system_state(),
            treatment: Treatment::Serve,
        }
    }

    /// A fresh key exchange with the server.
    fn key_exchange(&mut self, cookies: usize) {
        let algorithm = AeadAlgorithm::AesSivCmac256;
        let session = session(&self.server_keys, algorithm, cookies, &mut self.rng);
        self.association.handle_keys(self.now, session);
    }

    /// The server loses its keys.
    fn forget_server_keys(&mut self) {
        self.server_keys = KeySet::new(&mut self.rng, 7);
    }

    fn clock(&self) -> NtpTimestamp {
        let seconds = self.now.as_duration().as_secs();
        NtpTimestamp::from_unix(1_790_000_000 + i64::try_from(seconds).unwrap(), 0)
    }

    /// Waits for the next timer and does what is due.
    fn timer(&mut self) -> TimerAction {
        self.now = self.now.max(self.association.next_timer().unwrap());
        self.association.handle_timer(self.now, &mut self.rng)
    }

    /// Waits for the next request and sends it at the present time.
    fn request(&mut self) -> Vec<u8> {
        match self.timer() {
            TimerAction::Send(datagram) => {
                self.association.handle_sent(self.clock());
                datagram.as_ref().to_vec()
            }
            other => panic!("no request but {other:?}"),
        }
    }

    /// The server's answer to a request that has just been sent.
    fn answer_to(&mut self, request: &[u8]) -> Option<Vec<u8>> {
        let responder = Responder {
            system: &self.system,
            keys: &self.server_keys,
            policy: &Policy::default(),
        };
        let arrived = self.clock() + crate::time::NtpDuration::from_bits(OFFSET + LEG);
        let request = Request {
            datagram: request,
            received: arrived,
            treatment: self.treatment,
        };
        let mut out = vec![0; request.datagram.len()];
        match responder.respond(&request, || arrived, &mut self.rng, &mut out) {
            Outcome::Reply { length, .. } => Some(out[..length].to_vec()),
            Outcome::Drop(_) => None,
        }
    }

    /// Hands in a datagram that took its two legs.
    fn deliver(&mut self, datagram: &[u8]) -> DatagramOutcome {
        let received = self.clock() + crate::time::NtpDuration::from_bits(2 * LEG);
        let own_ids = [ReferenceId::from_bytes([10, 0, 0, 9])];
        self.association
            .handle_datagram(self.now, received, datagram, &own_ids)
    }

    /// One poll with its answer.
    fn exchange(&mut self) -> DatagramOutcome {
        let request = self.request();
        let answer = self.answer_to(&request).unwrap();
        self.deliver(&answer)
    }

    /// Polls `count` times without an answer.
    fn lose(&mut self, count: usize) {
        for _ in 0..count {
            self.request();
        }
    }

    fn cookies(&self) -> usize {
        self.association.status().cookies.unwrap()
    }
}

fn session(
    keys: &KeySet,
    algorithm: AeadAlgorithm,
    cookies: usize,
    rng: &mut StdRng,
) -> NtsSession {
    let length = algorithm.key_length().unwrap();
    let mut octets = vec![0; 2 * length];
    rand_core::Rng::fill_bytes(rng, &mut octets);
    let session_keys = SessionKeys::new(&octets[..length], &octets[length..]).unwrap();
    let cookies: Vec<Cookie> = (0..cookies)
        .map(|_| keys.seal(algorithm, &session_keys, rng).unwrap())
        .collect();
    NtsSession::new(algorithm, &session_keys, cookies).unwrap()
}

/// A kiss code that repeats what it saw of a request, as anybody on the way can make it.
fn forged_kiss(request: &[u8], code: KissCode) -> Vec<u8> {
    let header = Packet::parse(request).unwrap().header;
    let kiss = Header {
        leap: LeapIndicator::Unsynchronized,
        mode: Mode::Server,
        reference_id: code.into(),
        origin: header.transmit,
        transmit: NtpTimestamp::ZERO,
        ..header
    };
    let mut datagram = kiss.to_bytes().to_vec();
    if let Some(identifier) = request.get(48..84) {
        datagram.extend(identifier);
    }
    datagram
}

#[track_caller]
fn measurement(outcome: DatagramOutcome) -> Measurement {
    match outcome {
        DatagramOutcome::Measurement(measurement) => measurement,
        other => panic!("no measurement but {other:?}"),
    }
}
