//! What the client sends (RFC 8915 §5.7; protocol fields all zero or random, so that nothing in
//! a request tells who sent it).

use rand_core::CryptoRng;

use super::session::NtsSession;
use super::{MAX_COOKIES, OutgoingDatagram};
use crate::code_points::ExtensionFieldType;
use crate::ntp::UNIQUE_IDENTIFIER_LENGTH;
use crate::ntp::authenticator::{Sealing, field_length};
use crate::ntp::extension::FIELD_HEADER_LENGTH;
use crate::ntp::header::{HEADER_LENGTH, Header};
use crate::ntp::writer::{NoRoom, PacketWriter};
use crate::time::{MonotonicTime, NtpTimestamp};

/// The longest request, in octets: what fits the least MTU of IPv6 with IPv6 and UDP headers.
const MAX_REQUEST_LENGTH: usize = 1232;

/// The least value of an extension field after the header (RFC 7822 §3).
const LEAST_VALUE_LENGTH: usize = 12;

/// The request that waits for its answer.
#[derive(Debug)]
pub(super) struct Outstanding {
    /// The random number in the transmit field, which the answer's origin repeats.
    pub(super) transmit: NtpTimestamp,
    /// The unique identifier; not sent without NTS.
    pub(super) identifier: [u8; UNIQUE_IDENTIFIER_LENGTH],
    /// When the association gave the request out.
    pub(super) sent_at: MonotonicTime,
    /// T1, once the caller has told.
    pub(super) transmitted: Option<NtpTimestamp>,
    /// The local clock was stepped since.
    pub(super) stepped: bool,
    /// A NAK came for it.
    pub(super) nak: bool,
    /// A RATE came for it and was heeded.
    pub(super) slowed: bool,
}

impl Outstanding {
    pub(super) fn new(now: MonotonicTime, rng: &mut impl CryptoRng) -> Self {
        let transmit = NtpTimestamp::from_bits(rng.next_u64());
        let mut identifier = [0; UNIQUE_IDENTIFIER_LENGTH];
        rng.fill_bytes(&mut identifier);
        Self {
            transmit,
            identifier,
            sent_at: now,
            transmitted: None,
            stepped: false,
            nak: false,
            slowed: false,
        }
    }

    /// The request without NTS.
    pub(super) fn plain_datagram(&self) -> OutgoingDatagram {
        OutgoingDatagram(Header::request(self.transmit).to_bytes().to_vec())
    }

    /// The request with NTS, which uses up one cookie; `None` if there is none left.
    pub(super) fn nts_datagram(
        &self,
        session: &mut NtsSession,
        rng: &mut impl CryptoRng,
    ) -> Option<OutgoingDatagram> {
        let held = session.cookies.len();
        let cookie = session.cookies.take()?;
        let value_length = cookie.len().next_multiple_of(4).max(LEAST_VALUE_LENGTH);
        let field = FIELD_HEADER_LENGTH + value_length;
        let fixed = HEADER_LENGTH
            + FIELD_HEADER_LENGTH
            + UNIQUE_IDENTIFIER_LENGTH
            + field
            + field_length(&session.c2s, 0);
        let room = MAX_REQUEST_LENGTH.saturating_sub(fixed) / field;
        let placeholders = MAX_COOKIES.saturating_sub(held).min(room);

        let mut datagram = vec![0; fixed + placeholders * field];
        let written = self.write_nts(
            &mut datagram,
            session,
            (cookie.as_bytes(), value_length),
            placeholders,
            rng,
        );
        // The buffer has the length that was just computed, so this is never `None`.
        written.ok().map(|()| OutgoingDatagram(datagram))
    }

    fn write_nts(
        &self,
        datagram: &mut [u8],
        session: &NtsSession,
        (cookie, value_length): (&[u8], usize),
        placeholders: usize,
        rng: &mut impl CryptoRng,
    ) -> Result<(), NoRoom> {
        let mut writer = PacketWriter::new(datagram)?;
        writer.put_field(ExtensionFieldType::UniqueIdentifier, &self.identifier)?;
        writer.put_field_header(ExtensionFieldType::NtsCookie, value_length)?;
        writer.put(cookie)?;
        writer
            .claim(value_length.saturating_sub(cookie.len()))?
            .fill(0);
        for _ in 0..placeholders {
            writer.put_field_header(ExtensionFieldType::NtsCookiePlaceholder, value_length)?;
            writer.claim(value_length)?.fill(0);
        }
        writer.set_header(&Header::request(self.transmit));
        Sealing::begin(&mut writer, &session.c2s, rng)?.finish(&mut writer, &session.c2s)
    }
}
