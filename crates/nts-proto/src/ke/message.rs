//! Messages: sequences of records that end with End of Message (RFC 8915 §4).
//!
//! The decoder takes octets as they arrive, in pieces of any size, and never holds more than its
//! limit. What a record means is not decided here.

use crate::bytes::SecretBuffer;
use crate::code_points::RecordType;
use crate::error::ParseError;

/// The longest request in octets that a server should read. RFC 8915 §4 demands 1024 at least.
pub const REQUEST_LIMIT: usize = 4096;

/// The longest response in octets that a client should read (RFC 8915 §4).
pub const RESPONSE_LIMIT: usize = 65536;

const HEADER_LENGTH: usize = 4;
const CRITICAL_BIT: u16 = 0x8000;

/// One record of a message. Its body may be a secret, so it has no `Debug`.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) critical: bool,
    pub(crate) record_type: RecordType,
    pub(crate) body: &'a [u8],
}

/// A complete message. Its octets, which may be keys, are wiped when it is dropped and never shown.
#[derive(Debug)]
pub struct Message {
    /// Whole records, of which the last and only the last is End of Message.
    octets: SecretBuffer,
}

impl Message {
    /// Decodes a message that is there in full.
    ///
    /// # Errors
    /// [`ParseError`] if `octets` is anything but exactly one message of at most `limit` octets.
    pub fn decode(octets: &[u8], limit: usize) -> Result<Self, ParseError> {
        MessageDecoder::new(limit)
            .feed(octets)?
            .ok_or(ParseError::Incomplete)
    }

    /// All records before End of Message, in their order.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let mut rest = self.octets.as_slice();
        std::iter::from_fn(move || {
            let header = Header::read(rest)?;
            let record = rest.get(HEADER_LENGTH..header.end())?;
            rest = rest.get(header.end()..)?;
            Some(Record {
                critical: header.critical,
                record_type: header.record_type,
                body: record,
            })
        })
        .take_while(|record| record.record_type != RecordType::EndOfMessage)
    }
}

/// The four octets before each body.
struct Header {
    critical: bool,
    record_type: RecordType,
    body_length: u16,
}

impl Header {
    /// Reads the header at the beginning of `octets`; `None` if there are fewer than four.
    fn read(octets: &[u8]) -> Option<Self> {
        let [t0, t1, l0, l1] = *octets.first_chunk::<HEADER_LENGTH>()?;
        let record_type = u16::from_be_bytes([t0, t1]);
        Some(Self {
            critical: record_type & CRITICAL_BIT != 0,
            record_type: RecordType::from(record_type & !CRITICAL_BIT),
            body_length: u16::from_be_bytes([l0, l1]),
        })
    }

    /// Length of the whole record.
    fn end(&self) -> usize {
        HEADER_LENGTH + usize::from(self.body_length)
    }
}

/// Puts one message together from octets as they arrive.
///
/// It reads exactly one message; the next one on the same connection needs a new decoder.
#[derive(Debug)]
pub struct MessageDecoder {
    limit: usize,
    buffer: SecretBuffer,
    /// Where in `buffer` the record begins that is not complete yet.
    record_start: usize,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Reading,
    Complete,
    Failed(ParseError),
}

impl MessageDecoder {
    /// A decoder for one message of at most `limit` octets.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            buffer: SecretBuffer::default(),
            record_start: 0,
            state: State::Reading,
        }
    }

    /// Whether no octet of the message has come yet.
    pub fn is_empty(&self) -> bool {
        self.buffer.len() == 0
    }

    /// Takes the next octets; gives the message once End of Message is there.
    ///
    /// Never holds more than the limit: a record that announces a body beyond it fails at once.
    ///
    /// # Errors
    /// [`ParseError::TooLong`], [`ParseError::TrailingData`], or [`ParseError::BodyLength`] for an
    /// End of Message that is not empty. The same error comes again for whatever is fed then.
    pub fn feed(&mut self, octets: &[u8]) -> Result<Option<Message>, ParseError> {
        let result = match self.state {
            State::Failed(error) => return Err(error),
            State::Complete if octets.is_empty() => return Ok(None),
            State::Complete => Err(ParseError::TrailingData),
            State::Reading => self.read(octets),
        };
        match result {
            Ok(None) => {}
            Ok(Some(_)) => self.state = State::Complete,
            Err(error) => {
                self.state = State::Failed(error);
                self.buffer = SecretBuffer::default();
            }
        }
        result
    }

    fn read(&mut self, octets: &[u8]) -> Result<Option<Message>, ParseError> {
        let room = self.limit - self.buffer.len();
        let (taken, rest) = octets.split_at(octets.len().min(room));
        self.buffer.extend(taken);
        match self.next_step()? {
            Step::Complete { end } if end == self.buffer.len() && rest.is_empty() => {
                Ok(Some(Message {
                    octets: std::mem::take(&mut self.buffer),
                }))
            }
            Step::Complete { .. } => Err(ParseError::TrailingData),
            Step::Incomplete => Ok(None),
        }
    }

    /// Skips the records that are complete. A record that would end beyond the limit is an error,
    /// so whoever has read up to the limit is never told to read on.
    fn next_step(&mut self) -> Result<Step, ParseError> {
        loop {
            let record = self
                .buffer
                .as_slice()
                .get(self.record_start..)
                .unwrap_or_default();
            let header = Header::read(record);
            let length = header.as_ref().map_or(HEADER_LENGTH, Header::end);
            let end = self.record_start + length;
            if end > self.limit {
                return Err(ParseError::TooLong);
            }
            match header {
                Some(Header {
                    record_type: RecordType::EndOfMessage,
                    body_length,
                    ..
                }) => {
                    return if body_length == 0 {
                        Ok(Step::Complete { end })
                    } else {
                        Err(ParseError::BodyLength(RecordType::EndOfMessage))
                    };
                }
                Some(_) if record.len() >= length => self.record_start = end,
                _ => return Ok(Step::Incomplete),
            }
        }
    }
}

enum Step {
    /// End of Message is there, and the message ends at this octet.
    Complete { end: usize },
    /// Something is missing.
    Incomplete,
}

#[cfg(test)]
mod tests;
