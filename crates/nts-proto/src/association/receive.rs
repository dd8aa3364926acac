//! What the client believes of what it receives (RFC 5905 §8–9, RFC 8915 §5.7).
//!
//! The tests stand in this order: is it a server's packet; does it answer the request that is
//! out; with NTS, is it authentic; is it a kiss code; are its numbers possible. Until a datagram
//! has passed the third, the only things it can do are to be remembered (NAK, DENY) or to make
//! polls rarer within a bound (RATE).

use std::time::Duration;

use zeroize::Zeroizing;

use super::measurement::{Exchange, Measurement};
use super::request::Outstanding;
use super::session::NtsSession;
use super::{
    Association, DatagramOutcome, DemobilizeReason, IgnoreReason, KeyReason, Kiss, UnusableReason,
};
use crate::code_points::ExtensionFieldType;
use crate::cookie::Cookie;
use crate::ntp::extension::ExtensionFields;
use crate::ntp::header::{Header, KissCode, LeapIndicator, Mode, ReferenceId, Version};
use crate::ntp::packet::Packet;
use crate::time::{MonotonicTime, NtpDuration, NtpTimestamp};

/// How long after its request an answer is accepted, if the next poll does not come first.
const ANSWER_WINDOW: Duration = Duration::from_secs(5);

/// The longest time between T2 and T3.
const MAX_PROCESSING: NtpDuration = NtpDuration::SECOND;

/// Root distances from here on are absurd (RFC 5905 §7.3, MAXDISP).
const MAX_ROOT_DISTANCE: NtpDuration = NtpDuration::from_bits(16 << 32);

/// The coarsest precision, log2 of seconds, that a source is granted when its clock's
/// granularity could explain a negative delay: 16 ms.
const COARSEST_PRECISION: i8 = -6;

/// How much can be believed of a datagram that answers our request.
enum Trust {
    /// The association has no NTS: an answer that knows the origin is as good as it gets.
    Plain,
    /// Verified under S2C, with these cookies inside.
    Authenticated(Vec<Cookie>),
    /// A kiss code without protection, though the association has NTS.
    Unprotected,
}

impl Association {
    /// Takes a datagram that came from the source's address and port.
    ///
    /// `received` is when it arrived (T4); `own_ids` are the reference IDs of this machine's own
    /// addresses, by which a source that is synchronised to us is found out.
    pub fn handle_datagram(
        &mut self,
        now: MonotonicTime,
        received: NtpTimestamp,
        datagram: &[u8],
        own_ids: &[ReferenceId],
    ) -> DatagramOutcome {
        match self.receive(now, received, datagram, own_ids) {
            Ok(outcome) => outcome,
            Err(reason) => DatagramOutcome::Ignored(reason),
        }
    }

    fn receive(
        &mut self,
        now: MonotonicTime,
        received: NtpTimestamp,
        datagram: &[u8],
        own_ids: &[ReferenceId],
    ) -> Result<DatagramOutcome, IgnoreReason> {
        if self.finished {
            return Err(IgnoreReason::Finished);
        }
        let packet = Packet::parse(datagram).map_err(|_| IgnoreReason::Malformed)?;
        let header = packet.header;
        if header.mode != Mode::Server || !matches!(header.version, Version::V3 | Version::V4) {
            return Err(IgnoreReason::NotAnAnswer);
        }
        let request = self
            .outstanding
            .as_ref()
            .filter(|request| now.saturating_since(request.sent_at) <= ANSWER_WINDOW)
            .ok_or(IgnoreReason::NotExpected)?;
        if header.origin != request.transmit {
            return Err(IgnoreReason::WrongOrigin);
        }
        let trust = match &self.nts {
            None => Trust::Plain,
            Some(nts) => verify(&packet, request, &nts.session)?,
        };

        let authenticated = matches!(trust, Trust::Authenticated(_));
        let kiss = (header.stratum == 0).then(|| Kiss {
            code: header.reference_id.into(),
            authenticated,
        });
        match (trust, kiss) {
            (Trust::Unprotected, None) => Err(IgnoreReason::NotAuthenticated),
            // The genuine answer may still come.
            (Trust::Unprotected, Some(kiss)) => Ok(self.unproven_kiss(kiss)),
            (Trust::Plain, Some(kiss)) if !says_unsynchronized(kiss) => {
                Ok(self.unproven_kiss(kiss))
            }
            (trust, kiss) => {
                let request = self.outstanding.take().ok_or(IgnoreReason::NotExpected)?;
                if let Trust::Authenticated(cookies) = trust {
                    self.keys_work(cookies);
                }
                match kiss {
                    Some(kiss) if !says_unsynchronized(kiss) => {
                        Ok(self.proven_kiss(kiss, &request))
                    }
                    Some(_) => Ok(self.alive(UnusableReason::Unsynchronized)),
                    None => self.answer(&header, &request, now, received, own_ids),
                }
            }
        }
    }

    /// An authentic answer came: whoever says that the source does not know our keys is wrong.
    fn keys_work(&mut self, cookies: Vec<Cookie>) {
        let Some(nts) = &mut self.nts else { return };
        for cookie in cookies {
            nts.session.cookies.add(cookie);
        }
        if nts
            .wish
            .as_ref()
            .is_some_and(|wish| wish.reason == KeyReason::NtsNak)
        {
            nts.wish = None;
        }
    }

    /// A kiss code that anybody on the way could have made. The request stays open.
    fn unproven_kiss(&mut self, kiss: Kiss) -> DatagramOutcome {
        let has_nts = self.nts.is_some();
        if let Some(request) = &mut self.outstanding {
            match kiss.code {
                KissCode::Deny | KissCode::Restrict => self.refused = true,
                KissCode::NtsNak => request.nak = has_nts,
                KissCode::Rate if !request.slowed => {
                    request.slowed = true;
                    let sent_at = request.sent_at;
                    self.slow_down(sent_at, !has_nts);
                }
                KissCode::Rate | KissCode::Init | KissCode::Step | KissCode::Other(_) => {}
            }
        }
        DatagramOutcome::Kiss(kiss)
    }

    /// A kiss code under the session's keys.
    fn proven_kiss(&mut self, kiss: Kiss, request: &Outstanding) -> DatagramOutcome {
        match kiss.code {
            KissCode::Deny | KissCode::Restrict => {
                self.finished = true;
                return DatagramOutcome::Demobilize(DemobilizeReason::Denied);
            }
            KissCode::Rate => self.slow_down(request.sent_at, true),
            KissCode::NtsNak | KissCode::Init | KissCode::Step | KissCode::Other(_) => {}
        }
        DatagramOutcome::Kiss(kiss)
    }

    /// The new interval holds from the request on that was too much.
    fn slow_down(&mut self, sent_at: MonotonicTime, proven: bool) {
        self.poller.slow_down(proven);
        let earliest = sent_at + self.poller.regular_interval();
        self.next_poll = self.next_poll.max(earliest);
    }

    fn answer(
        &mut self,
        header: &Header,
        request: &Outstanding,
        now: MonotonicTime,
        received: NtpTimestamp,
        own_ids: &[ReferenceId],
    ) -> Result<DatagramOutcome, IgnoreReason> {
        let exchange = request
            .transmitted
            .filter(|_| !request.stepped)
            .map(|sent| Exchange {
                sent,
                server_received: header.receive,
                server_sent: header.transmit,
                received,
            });
        check_timestamps(header, exchange.as_ref(), self.precision)?;
        if header.leap == LeapIndicator::Unsynchronized || header.stratum > 15 {
            return Ok(self.alive(UnusableReason::Unsynchronized));
        }
        check_root_distance(header)?;
        if header.stratum > 1 && own_ids.contains(&header.reference_id) {
            return Ok(self.alive(UnusableReason::Loop));
        }
        let Some(exchange) = exchange else {
            return Ok(self.alive(UnusableReason::NoSendTime));
        };
        self.note_good_answer();
        Ok(DatagramOutcome::Measurement(Measurement {
            offset: exchange.offset(),
            delay: exchange.delay(),
            time: exchange.middle(),
            monotonic: now,
            leap: header.leap,
            stratum: header.stratum,
            precision: header.precision,
            root_delay: header.root_delay,
            root_dispersion: header.root_dispersion,
            reference_id: header.reference_id,
            authenticated: self.nts.is_some(),
        }))
    }

    /// A genuine answer without a time to use.
    fn alive(&mut self, reason: UnusableReason) -> DatagramOutcome {
        self.note_good_answer();
        DatagramOutcome::Unusable(reason)
    }

    fn note_good_answer(&mut self) {
        self.reach.mark();
        self.refused = false;
    }
}

/// The codes by which a source says that it is there but has no time yet (RFC 5905 §7.4).
fn says_unsynchronized(kiss: Kiss) -> bool {
    matches!(kiss.code, KissCode::Init | KissCode::Step)
}

/// The unique identifier must be that of the request and stand before the authenticator, which
/// must verify. Cookies count only if they are inside.
fn verify(
    packet: &Packet<'_>,
    request: &Outstanding,
    session: &NtsSession,
) -> Result<Trust, IgnoreReason> {
    if packet.unique_identifier.only() != Some(&request.identifier) {
        return Err(IgnoreReason::WrongUniqueIdentifier);
    }
    let Some(authenticator) = &packet.authenticator else {
        return Ok(Trust::Unprotected);
    };
    let mut plaintext = Zeroizing::new(vec![0; authenticator.plaintext_length()]);
    authenticator
        .open(&session.s2c, &mut plaintext)
        .map_err(|_| IgnoreReason::BadAuthenticator)?;
    let mut cookies = Vec::new();
    for field in ExtensionFields::encrypted(&plaintext) {
        let field = field.map_err(|_| IgnoreReason::Malformed)?;
        match field.field_type {
            ExtensionFieldType::NtsCookie => cookies.push(Cookie::new(field.value)),
            ExtensionFieldType::NtsAuthenticator => return Err(IgnoreReason::Malformed),
            _ => {}
        }
    }
    Ok(Trust::Authenticated(cookies))
}

/// Test 3 and its relatives: both timestamps are there, in order and close to each other, and the
/// delay is not more negative than the clocks' granularity explains.
fn check_timestamps(
    header: &Header,
    exchange: Option<&Exchange>,
    own_precision: i8,
) -> Result<(), IgnoreReason> {
    let processing = header.transmit - header.receive;
    let granularity = NtpDuration::from_log2_seconds(own_precision)
        + NtpDuration::from_log2_seconds(header.precision.min(COARSEST_PRECISION));
    let possible = !header.receive.is_zero()
        && !header.transmit.is_zero()
        && processing >= NtpDuration::ZERO
        && processing < MAX_PROCESSING
        && exchange.is_none_or(|exchange| exchange.raw_delay() >= -granularity);
    possible.then_some(()).ok_or(IgnoreReason::BadTimestamps)
}

/// Test 7.
fn check_root_distance(header: &Header) -> Result<(), IgnoreReason> {
    let half_delay = NtpDuration::from(header.root_delay).mean(NtpDuration::ZERO);
    let distance = half_delay + NtpDuration::from(header.root_dispersion);
    if distance < MAX_ROOT_DISTANCE {
        Ok(())
    } else {
        Err(IgnoreReason::RootDistance)
    }
}
