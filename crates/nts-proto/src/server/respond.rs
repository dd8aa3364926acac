//! From request to reply.
//!
//! A reply is written into a buffer that was first cut to the length of the request, so that no
//! mistake further down can make it longer (amplification).

use rand_core::CryptoRng;

use super::{DropReason, Outcome, PlainRequests, Policy, ReplyKind, Request, Responder, Treatment};
use crate::aead::AeadKey;
use crate::code_points::ExtensionFieldType;
use crate::keyset::Contents;
use crate::ntp::UNIQUE_IDENTIFIER_LENGTH;
use crate::ntp::authenticator::{Authenticator, Sealing, field_length};
use crate::ntp::extension::{ExtensionFields, FIELD_HEADER_LENGTH};
use crate::ntp::header::{Header, KissCode, LeapIndicator, Mode, ReferenceId, Version};
use crate::ntp::packet::Packet;
use crate::ntp::writer::{NoRoom, PacketWriter};
use crate::time::{NtpShort, NtpTimestamp};

/// Cookies in one reply at most, however many are asked for.
const MAX_COOKIES: usize = 8;

impl From<NoRoom> for DropReason {
    fn from(NoRoom: NoRoom) -> Self {
        Self::NoRoom
    }
}

pub(super) fn respond(
    responder: &Responder<'_>,
    request: &Request<'_>,
    transmit: impl FnOnce() -> NtpTimestamp,
    rng: &mut impl CryptoRng,
    out: &mut [u8],
) -> Outcome {
    let room = out.len().min(request.datagram.len());
    let out = out.get_mut(..room).unwrap_or_default();
    match answer(responder, request, transmit, rng, out) {
        Ok(outcome) => outcome,
        Err(reason) => Outcome::Drop(reason),
    }
}

fn answer(
    responder: &Responder<'_>,
    request: &Request<'_>,
    transmit: impl FnOnce() -> NtpTimestamp,
    rng: &mut impl CryptoRng,
    out: &mut [u8],
) -> Result<Outcome, DropReason> {
    let packet = Packet::parse(request.datagram).map_err(|_| DropReason::Malformed)?;
    check_header(&packet.header, responder.policy)?;
    let reply = Reply {
        responder,
        request,
        asked: packet.header,
    };
    let Some(authenticator) = packet.authenticator else {
        let kind = plain_kind(request.treatment, responder.policy)?;
        return reply.plain(kind, echoed(&packet), transmit, out);
    };
    let nts = NtsFields::require(&packet, authenticator)?;
    match nts.verify(responder, &packet, out)? {
        Some(session) => {
            let kind = kind_for(request.treatment);
            reply.protected(kind, &nts, &session, transmit, rng, out)
        }
        None => reply.plain(ReplyKind::NtsNak, Some(nts.identifier), transmit, out),
    }
}

/// Only requests, only of versions that are wanted. Anything else gets no answer at all, so that
/// two servers can never keep each other busy.
fn check_header(header: &Header, policy: &Policy) -> Result<(), DropReason> {
    let accepted = match header.version {
        Version::V3 => policy.accept_v3,
        Version::V4 => policy.accept_v4,
        _ => false,
    };
    if header.mode != Mode::Client {
        Err(DropReason::NotARequest)
    } else if !accepted {
        Err(DropReason::Version)
    } else {
        Ok(())
    }
}

fn kind_for(treatment: Treatment) -> ReplyKind {
    match treatment {
        Treatment::Serve => ReplyKind::Time,
        Treatment::Deny => ReplyKind::Deny,
        Treatment::SlowDown => ReplyKind::Rate,
    }
}

fn plain_kind(treatment: Treatment, policy: &Policy) -> Result<ReplyKind, DropReason> {
    match (kind_for(treatment), policy.plain_requests) {
        (ReplyKind::Time, PlainRequests::Ignore) => Err(DropReason::PlainRequest),
        (ReplyKind::Time, PlainRequests::Deny) => Ok(ReplyKind::Deny),
        (kind, _) => Ok(kind),
    }
}

/// The unique identifier that a reply carries also without NTS.
fn echoed<'a>(packet: &Packet<'a>) -> Option<&'a [u8]> {
    packet
        .unique_identifier
        .only()
        .filter(|value| value.len() >= UNIQUE_IDENTIFIER_LENGTH)
}

/// What a request must have besides an authenticator (RFC 8915 §5.7).
struct NtsFields<'a> {
    identifier: &'a [u8],
    cookie: &'a [u8],
    authenticator: Authenticator<'a>,
}

/// A request that verified: what its cookie held, and how many cookies it asks for.
struct Session {
    contents: Contents,
    cookies: usize,
}

impl<'a> NtsFields<'a> {
    fn require(packet: &Packet<'a>, authenticator: Authenticator<'a>) -> Result<Self, DropReason> {
        Ok(Self {
            identifier: echoed(packet).ok_or(DropReason::BadNts)?,
            cookie: packet.cookie.only().ok_or(DropReason::BadNts)?,
            authenticator,
        })
    }

    /// Opens the cookie and verifies the request; `None` calls for a NAK. `scratch` takes what
    /// was encrypted.
    fn verify(
        &self,
        responder: &Responder<'_>,
        packet: &Packet<'a>,
        scratch: &mut [u8],
    ) -> Result<Option<Session>, DropReason> {
        let Ok(contents) = responder.keys.open_contents(self.cookie) else {
            return Ok(None);
        };
        let Ok(c2s) = AeadKey::new(contents.algorithm, contents.c2s()) else {
            return Ok(None);
        };
        if !self.authenticator.has_room_for_nonce(&c2s) {
            return Err(DropReason::BadNts);
        }
        let plaintext = scratch
            .get_mut(..self.authenticator.plaintext_length())
            .ok_or(DropReason::NoRoom)?;
        if self.authenticator.open(&c2s, plaintext).is_err() {
            return Ok(None);
        }
        let placeholders = self.clear_placeholders(packet) + self.hidden_placeholders(plaintext)?;
        Ok(Some(Session {
            contents,
            cookies: MAX_COOKIES.min(1 + placeholders),
        }))
    }

    /// Placeholders count only if they are as long as the cookie (RFC 8915 §5.5).
    fn is_placeholder(&self, field_type: ExtensionFieldType, value: &[u8]) -> bool {
        field_type == ExtensionFieldType::NtsCookiePlaceholder && value.len() == self.cookie.len()
    }

    fn clear_placeholders(&self, packet: &Packet<'_>) -> usize {
        packet
            .clear_fields()
            .filter(|field| self.is_placeholder(field.field_type, field.value))
            .count()
    }

    fn hidden_placeholders(&self, plaintext: &[u8]) -> Result<usize, DropReason> {
        let mut count = 0;
        for field in ExtensionFields::encrypted(plaintext) {
            let field = field.map_err(|_| DropReason::BadNts)?;
            if field.field_type == ExtensionFieldType::NtsAuthenticator {
                return Err(DropReason::BadNts);
            }
            count += usize::from(self.is_placeholder(field.field_type, field.value));
        }
        Ok(count)
    }
}

/// A reply to one request.
struct Reply<'a> {
    responder: &'a Responder<'a>,
    request: &'a Request<'a>,
    /// The request's header.
    asked: Header,
}

impl Reply<'_> {
    /// A reply without authentication: plain NTP, a kiss code, or a NAK.
    fn plain(
        &self,
        kind: ReplyKind,
        identifier: Option<&[u8]>,
        transmit: impl FnOnce() -> NtpTimestamp,
        out: &mut [u8],
    ) -> Result<Outcome, DropReason> {
        let mut writer = PacketWriter::new(out)?;
        if let Some(identifier) = identifier {
            writer.put_field(ExtensionFieldType::UniqueIdentifier, identifier)?;
        }
        writer.set_header(&self.header(kind, transmit));
        Ok(Outcome::Reply {
            length: writer.len(),
            kind,
            authenticated: false,
        })
    }

    /// A reply under the session's keys, with new cookies (RFC 8915 §5.7).
    fn protected(
        &self,
        kind: ReplyKind,
        nts: &NtsFields<'_>,
        session: &Session,
        transmit: impl FnOnce() -> NtpTimestamp,
        rng: &mut impl CryptoRng,
        out: &mut [u8],
    ) -> Result<Outcome, DropReason> {
        let mut writer = PacketWriter::new(out)?;
        writer.put_field(ExtensionFieldType::UniqueIdentifier, nts.identifier)?;

        // What a cookie holds is checked, so its keys fit their algorithm.
        let s2c = AeadKey::new(session.contents.algorithm, session.contents.s2c())
            .map_err(|_| DropReason::BadNts)?;
        let cookie_length = session.contents.cookie_length();
        let room = writer.room().saturating_sub(field_length(&s2c, 0));
        let cookies = session
            .cookies
            .min(room / (FIELD_HEADER_LENGTH + cookie_length));
        if cookies == 0 {
            return Err(DropReason::NoRoom);
        }
        let sealing = Sealing::begin(&mut writer, &s2c, rng)?;
        for _ in 0..cookies {
            writer.put_field_header(ExtensionFieldType::NtsCookie, cookie_length)?;
            let cookie = writer.claim(cookie_length)?;
            self.responder
                .keys
                .seal_contents(&session.contents, rng, cookie)
                .map_err(|_| DropReason::NoRoom)?;
        }
        // The time of departure is taken last, but before the seal that covers it.
        writer.set_header(&self.header(kind, transmit));
        sealing.finish(&mut writer, &s2c)?;
        Ok(Outcome::Reply {
            length: writer.len(),
            kind,
            authenticated: true,
        })
    }

    fn header(&self, kind: ReplyKind, transmit: impl FnOnce() -> NtpTimestamp) -> Header {
        match kind {
            ReplyKind::Time => self.time(transmit()),
            ReplyKind::Deny => self.kiss(KissCode::Deny),
            ReplyKind::Rate => self.kiss(KissCode::Rate),
            ReplyKind::NtsNak => self.kiss(KissCode::NtsNak),
        }
    }

    fn time(&self, transmit: NtpTimestamp) -> Header {
        let system = self.responder.system;
        Header {
            leap: system.leap,
            stratum: system.stratum,
            precision: system.precision,
            root_delay: system.root_delay,
            root_dispersion: system.root_dispersion,
            reference_id: system.reference_id,
            reference: system.reference,
            receive: self.request.received,
            transmit,
            ..self.kiss(KissCode::Other(ReferenceId::default()))
        }
    }

    /// A kiss code says nothing about the clock.
    fn kiss(&self, code: KissCode) -> Header {
        Header {
            leap: LeapIndicator::Unsynchronized,
            version: self.asked.version,
            mode: Mode::Server,
            stratum: 0,
            poll: self.asked.poll,
            precision: 0,
            root_delay: NtpShort::ZERO,
            root_dispersion: NtpShort::ZERO,
            reference_id: code.into(),
            reference: NtpTimestamp::ZERO,
            origin: self.asked.transmit,
            receive: NtpTimestamp::ZERO,
            transmit: NtpTimestamp::ZERO,
        }
    }
}
