//! A server in the world: the project's own responder on a clock that may lie.

use nts_proto::keyset::KeySet;
use nts_proto::ntp::header::{LeapIndicator, ReferenceId};
use nts_proto::server::{Outcome, Policy, Request, Responder, SystemState, Treatment};
use nts_proto::time::{NtpDuration, NtpTimestamp};
use rand::rngs::StdRng;

use super::noise::Path;
use super::scenario::ServerModel;

/// How long a server works on a request, s.
pub(super) const PROCESSING: f64 = 20e-6;

#[derive(Debug)]
pub(super) struct Server {
    pub(super) path: Path,
    pub(super) alive: bool,
    pub(super) busy: bool,
    pub(super) leap: LeapIndicator,
    stratum: u8,
    /// How far its clock was ahead at `since`, s.
    offset: f64,
    /// How much too fast it runs, s/s.
    frequency: f64,
    since: f64,
}

impl Server {
    pub(super) fn new(model: &ServerModel) -> Self {
        Self {
            path: model.path,
            alive: true,
            busy: false,
            leap: LeapIndicator::NoWarning,
            stratum: model.stratum,
            offset: model.offset,
            frequency: 0.0,
            since: 0.0,
        }
    }

    fn offset(&self, now: f64) -> f64 {
        self.offset + self.frequency * (now - self.since)
    }

    pub(super) fn step(&mut self, by: f64) {
        self.offset += by;
    }

    pub(super) fn drift(&mut self, now: f64, frequency: f64) {
        self.offset = self.offset(now);
        self.since = now;
        self.frequency = frequency;
    }

    /// The answer to a request that arrives at true time `now`, which is called `utc`.
    pub(super) fn answer(
        &self,
        now: f64,
        utc: NtpTimestamp,
        datagram: &[u8],
        keys: &KeySet,
        rng: &mut StdRng,
    ) -> Option<Vec<u8>> {
        let received = utc + NtpDuration::from_seconds_f64(self.offset(now));
        let reference_id = ReferenceId::from_bytes(*b"GPS\0");
        let system = SystemState {
            leap: self.leap,
            ..SystemState::local_clock(self.stratum, reference_id, -30, received)
        };
        let responder = Responder {
            system: &system,
            keys,
            policy: &Policy::default(),
        };
        let treatment = if self.busy {
            Treatment::SlowDown
        } else {
            Treatment::Serve
        };
        let request = Request {
            datagram,
            received,
            treatment,
        };
        let transmit = received + NtpDuration::from_seconds_f64(PROCESSING);
        let mut reply = vec![0; datagram.len()];
        match responder.respond(&request, || transmit, rng, &mut reply) {
            Outcome::Reply { length, .. } => {
                reply.truncate(length);
                Some(reply)
            }
            Outcome::Drop(_) => None,
        }
    }
}
