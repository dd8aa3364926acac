//! Writing messages.

use std::fmt;

use crate::bytes::SecretBuffer;
use crate::code_points::{AeadAlgorithm, ProtocolId, RecordType};

use super::name::NtpServerName;
use super::number_set::{NumberSet, PoolRecord};
use super::token::AuthenticationToken;

/// Numbers that are listed in one record, at most; further ones are not sent.
pub(crate) const MAX_LISTED: usize = 64;

/// Length of a record's header and of the whole End of Message record.
pub(crate) const HEADER_LENGTH: usize = 4;

/// An encoded message, to be written with one write. Its octets, which may be keys, are wiped
/// when it is dropped and never shown.
#[derive(Clone)]
pub struct EncodedMessage(SecretBuffer);

impl AsRef<[u8]> for EncodedMessage {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl fmt::Debug for EncodedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodedMessage({:?})", self.0)
    }
}

/// Builds a message record by record.
#[derive(Default)]
pub(crate) struct Encoder(SecretBuffer);

impl Encoder {
    /// A message that will have about so many octets.
    pub(crate) fn with_capacity(octets: usize) -> Self {
        Self(SecretBuffer::with_capacity(octets))
    }

    /// Octets written so far.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn finish(mut self) -> EncodedMessage {
        self.record(true, RecordType::EndOfMessage, &[]);
        EncodedMessage(self.0)
    }

    pub(crate) fn protocols(&mut self, protocols: &[ProtocolId]) {
        self.numbers(true, RecordType::NextProtocolNegotiation, protocols);
    }

    pub(crate) fn algorithms(&mut self, algorithms: &[AeadAlgorithm]) {
        self.numbers(true, RecordType::AeadAlgorithmNegotiation, algorithms);
    }

    pub(crate) fn error(&mut self, code: u16) {
        self.record(true, RecordType::Error, &code.to_be_bytes());
    }

    pub(crate) fn compliant_exporter_context(&mut self) {
        self.record(false, RecordType::CompliantAes128GcmSivExporterContext, &[]);
    }

    pub(crate) fn server(&mut self, name: &NtpServerName) {
        self.record(
            true,
            RecordType::Ntpv4ServerNegotiation,
            name.as_str().as_bytes(),
        );
    }

    pub(crate) fn port(&mut self, port: u16) {
        self.record(true, RecordType::Ntpv4PortNegotiation, &port.to_be_bytes());
    }

    pub(crate) fn cookie(&mut self, cookie: &[u8]) {
        self.record(false, RecordType::NewCookie, cookie);
    }

    pub(crate) fn token(&mut self, set: NumberSet, token: &AuthenticationToken) {
        self.pool_record(set, PoolRecord::AuthenticationToken, token.as_bytes());
    }

    pub(crate) fn pool_record(&mut self, set: NumberSet, record: PoolRecord, body: &[u8]) {
        let (critical, record_type) = record.number(set);
        self.record(critical, record_type, body);
    }

    pub(crate) fn numbers<T: Copy + Into<u16>>(
        &mut self,
        critical: bool,
        record_type: RecordType,
        numbers: &[T],
    ) {
        self.record(critical, record_type, &list_body(numbers));
    }

    /// Writes one record. Every caller's body is far shorter than the format's limit; what does
    /// not fit into a length of 16 bits is cut off, so that the message keeps its form.
    pub(crate) fn record(&mut self, critical: bool, record_type: RecordType, body: &[u8]) {
        let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
        let first = u16::from(critical) << 15 | record_type.code();
        self.0.extend(&first.to_be_bytes());
        self.0.extend(&length.to_be_bytes());
        self.0
            .extend(body.get(..usize::from(length)).unwrap_or(body));
    }
}

/// The body of a record that lists numbers.
pub(crate) fn list_body<T: Copy + Into<u16>>(numbers: &[T]) -> Vec<u8> {
    numbers
        .iter()
        .take(MAX_LISTED)
        .flat_map(|number| (*number).into().to_be_bytes())
        .collect()
}
