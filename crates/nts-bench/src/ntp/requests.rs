//! Requests that are made in advance, and the judgement of their answers.
//!
//! A server keeps nothing about its clients, so the same request may be sent any number of times.

use std::collections::HashMap;

use nts_proto::aead::AeadKey;
use nts_proto::association::{Association, AssociationConfig, NtsSession, TimerAction};
use nts_proto::code_points::ExtensionFieldType;
use nts_proto::cookie::Cookie;
use nts_proto::ntp::extension::ExtensionFields;
use nts_proto::ntp::header::{Header, Mode};
use nts_proto::ntp::packet::Packet;
use nts_proto::time::{MonotonicTime, NtpTimestamp};

use crate::BoxError;
use crate::key_exchange::Exchanged;

/// Different requests in one set.
const COUNT: usize = 64;

/// Cookies with which a client asks for one more and no other.
const FULL: usize = 8;

/// A set of requests of one kind.
pub(super) struct Requests {
    datagrams: Vec<Vec<u8>>,
    /// From transmit timestamps to requests.
    by_transmit: HashMap<u64, usize>,
    /// The key of the answers, with NTS.
    s2c: Option<AeadKey>,
}

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("not an answer to a request of ours")]
    Stranger,
    #[error("not the time: a kiss, or an unsynchronised server")]
    NoTime,
    #[error("longer than its request")]
    TooLong,
    #[error("not authenticated, or without a cookie")]
    NotAuthentic,
}

impl Requests {
    /// Plain requests of NTPv4.
    pub(super) fn plain() -> Self {
        let requests = (0..COUNT).map(|_| {
            let transmit = NtpTimestamp::from_bits(rand::random());
            Header::request(transmit).to_bytes().to_vec()
        });
        Self::new(requests.collect(), None)
    }

    /// Requests with NTS that ask for one new cookie each.
    ///
    /// # Errors
    /// If keys and cookies do not fit each other, or there are fewer than eight cookies.
    pub(super) fn nts(exchanged: &Exchanged) -> Result<Self, BoxError> {
        if exchanged.cookies.len() < FULL {
            return Err("fewer than eight cookies".into());
        }
        let requests = (0..COUNT).map(|first| sealed(exchanged, first));
        let requests = requests.collect::<Result<Vec<_>, _>>()?;
        let s2c = AeadKey::new(exchanged.algorithm, exchanged.keys.s2c())?;
        Ok(Self::new(requests, Some(s2c)))
    }

    fn new(datagrams: Vec<Vec<u8>>, s2c: Option<AeadKey>) -> Self {
        let by_transmit = datagrams
            .iter()
            .enumerate()
            .map(|(index, datagram)| (transmit(datagram), index))
            .collect();
        Self {
            datagrams,
            by_transmit,
            s2c,
        }
    }

    /// The datagram of request number `number`; there are endlessly many.
    pub(super) fn datagram(&self, number: usize) -> &[u8] {
        &self.datagrams[number % self.datagrams.len()]
    }

    /// Judges an answer; with `thoroughly`, NTS and all.
    pub(super) fn judge(&self, answer: &[u8], thoroughly: bool) -> Result<(), Fault> {
        let header = answer.first_chunk().map(Header::from_bytes);
        let header = header.ok_or(Fault::Stranger)?;
        let index = self.by_transmit.get(&header.origin.to_bits());
        let request = &self.datagrams[*index.ok_or(Fault::Stranger)?];
        if header.mode != Mode::Server {
            return Err(Fault::Stranger);
        }
        if header.stratum == 0 || header.stratum > 15 || header.transmit.is_zero() {
            return Err(Fault::NoTime);
        }
        if answer.len() > request.len() {
            return Err(Fault::TooLong);
        }
        match &self.s2c {
            Some(key) if thoroughly => authentic(request, answer, key),
            _ => Ok(()),
        }
    }
}

/// The identifier of the request, a seal that opens, and a cookie under it.
fn authentic(request: &[u8], answer: &[u8], key: &AeadKey) -> Result<(), Fault> {
    let request = Packet::parse(request).map_err(|_| Fault::NotAuthentic)?;
    let answer = Packet::parse(answer).map_err(|_| Fault::NotAuthentic)?;
    let seal = answer.authenticator.ok_or(Fault::NotAuthentic)?;
    let mut plaintext = vec![0; seal.plaintext_length()];
    seal.open(key, &mut plaintext)
        .map_err(|_| Fault::NotAuthentic)?;
    let cookies = ExtensionFields::encrypted(&plaintext)
        .filter_map(Result::ok)
        .filter(|field| field.field_type == ExtensionFieldType::NtsCookie)
        .count();
    let same = answer.unique_identifier.only() == request.unique_identifier.only();
    (same && cookies > 0)
        .then_some(())
        .ok_or(Fault::NotAuthentic)
}

/// A request as a client with eight cookies sends it, of which the first is number `first`.
fn sealed(exchanged: &Exchanged, first: usize) -> Result<Vec<u8>, BoxError> {
    let mut cookies: Vec<Cookie> = exchanged.cookies.iter().take(FULL).cloned().collect();
    cookies.rotate_left(first % FULL);
    let session = NtsSession::new(exchanged.algorithm, &exchanged.keys, cookies)?;
    let now = MonotonicTime::default();
    let mut association = Association::nts(AssociationConfig::default(), session, now, now);
    match association.handle_timer(now, &mut rand::rng()) {
        TimerAction::Send(datagram) => Ok(datagram.as_ref().to_vec()),
        other => Err(format!("no request but {other:?}").into()),
    }
}

/// The transmit timestamp of a request.
fn transmit(datagram: &[u8]) -> u64 {
    let header = datagram.first_chunk().map(Header::from_bytes);
    header.map_or(0, |header| header.transmit.to_bits())
}

#[cfg(test)]
mod tests {
    use nts_proto::code_points::AeadAlgorithm;
    use nts_proto::ke::keys::SessionKeys;
    use nts_proto::keyset::KeySet;
    use nts_proto::ntp::header::ReferenceId;
    use nts_proto::server::{Outcome, Policy, Request, Responder, SystemState, Treatment};

    use super::*;

    fn answer(keys: &KeySet, stratum: u8, datagram: &[u8]) -> Vec<u8> {
        let now = NtpTimestamp::from_bits(7 << 32);
        let id = ReferenceId::from_bytes(*b"GPS\0");
        let system = SystemState::local_clock(stratum, id, -20, now);
        let responder = Responder {
            system: &system,
            keys,
            policy: &Policy::default(),
        };
        let request = Request {
            datagram,
            received: now,
            treatment: Treatment::Serve,
        };
        let mut out = [0; 2048];
        match responder.respond(&request, || now, &mut rand::rng(), &mut out) {
            Outcome::Reply { length, .. } => out[..length].to_vec(),
            Outcome::Drop(reason) => panic!("{reason:?}"),
        }
    }

    #[test]
    fn plain_answers_are_judged_by_their_header() {
        let keys = KeySet::new(&mut rand::rng(), 0);
        let requests = Requests::plain();
        let good = answer(&keys, 1, requests.datagram(COUNT + 3));
        assert_eq!(requests.judge(&good, true), Ok(()));
        let unsynchronised = answer(&keys, 0, requests.datagram(0));
        assert_eq!(requests.judge(&unsynchronised, true), Err(Fault::NoTime));
        let other = answer(&keys, 1, Requests::plain().datagram(0));
        assert_eq!(requests.judge(&other, true), Err(Fault::Stranger));
        assert_eq!(requests.judge(&good[..47], true), Err(Fault::Stranger));
        let long = [&good[..], &[0; 4]].concat();
        assert_eq!(requests.judge(&long, true), Err(Fault::TooLong));
        assert_eq!(
            requests.judge(requests.datagram(0), true),
            Err(Fault::Stranger)
        );
    }

    #[test]
    fn nts_answers_must_open_and_hold_a_cookie() {
        let keys = KeySet::new(&mut rand::rng(), 0);
        let algorithm = AeadAlgorithm::AesSivCmac256;
        let session = SessionKeys::new(&[1; 32], &[2; 32]).unwrap();
        let cookies = (0..8).map(|_| keys.seal(algorithm, &session, &mut rand::rng()).unwrap());
        let exchanged = Exchanged {
            algorithm,
            cookies: cookies.collect(),
            keys: session,
        };
        let requests = Requests::nts(&exchanged).unwrap();
        assert_eq!(requests.datagram(0).len(), 232);
        let mut reply = answer(&keys, 1, requests.datagram(9));
        assert_eq!(requests.judge(&reply, true), Ok(()));
        *reply.last_mut().unwrap() ^= 1;
        assert_eq!(requests.judge(&reply, true), Err(Fault::NotAuthentic));
        assert_eq!(requests.judge(&reply, false), Ok(()));
        let nak = answer(&KeySet::new(&mut rand::rng(), 0), 1, requests.datagram(0));
        assert_eq!(requests.judge(&nak, true), Err(Fault::NoTime));
    }
}
