//! What a source has seen.

use std::collections::BTreeMap;

use crate::wire::{Record, records};

/// Everything that has reached a source since it was started.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// TCP connections accepted.
    pub connections: usize,
    /// Of these, how many are over.
    pub closed: usize,
    /// TLS handshakes that failed.
    pub failed_handshakes: usize,
    /// Requests, in the order in which they came, over all connections.
    pub requests: Vec<Asked>,
    /// Every octet that came within TLS, by connection, counted from 0.
    pub octets: BTreeMap<usize, Vec<u8>>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Which connection it came on, counted from 0.
    pub connection: usize,
    /// The octets as they came.
    pub octets: Vec<u8>,
    /// What it was, by its records.
    pub kind: Kind,
}

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An ordinary key exchange.
    KeyExchange,
    /// A question for what is supported.
    Info,
    /// A Fixed Key Request.
    FixedKey,
    /// Octets that are no message.
    Garbage,
}

impl Seen {
    pub(super) fn received(&mut self, connection: usize, octets: &[u8]) {
        self.octets.entry(connection).or_default().extend(octets);
    }

    /// Requests of this kind.
    pub fn count(&self, kind: Kind) -> usize {
        self.requests
            .iter()
            .filter(|asked| asked.kind == kind)
            .count()
    }

    /// The keys of each Fixed Key Request, C2S before S2C.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        let requests = self
            .requests
            .iter()
            .filter(|asked| asked.kind == Kind::FixedKey);
        requests
            .filter_map(|asked| asked.body_of(&[12, 0x4002]))
            .collect()
    }
}

impl Asked {
    pub(super) fn new(connection: usize, octets: Vec<u8>, is_message: bool) -> Self {
        let mut asked = Self {
            connection,
            octets,
            kind: Kind::Garbage,
        };
        if is_message {
            let has = |types: &[u16]| asked.body_of(types).is_some();
            asked.kind = if has(&[12, 0x4002]) {
                Kind::FixedKey
            } else if has(&[9, 10, 11, 0x4001, 0x4004, 0x4005, 0x4006]) && !has(&[1]) {
                Kind::Info
            } else {
                Kind::KeyExchange
            };
        }
        asked
    }

    /// The records of the request.
    pub fn records(&self) -> Vec<Record> {
        records(&self.octets)
    }

    /// The body of the first record with one of these types, critical bit aside.
    pub fn body_of(&self, types: &[u16]) -> Option<Vec<u8>> {
        let mut records = self.records().into_iter();
        records
            .find(|record| types.contains(&record.record_type()))
            .map(|record| record.body)
    }
}
