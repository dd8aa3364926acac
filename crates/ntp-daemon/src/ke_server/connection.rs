//! The life of one connection: handshake, then requests and answers until one side ends it.

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::Arc;

use nts_proto::ke::keys::SessionKeys;
use nts_proto::ke::message::{Message, REQUEST_LIMIT};
use nts_proto::ke::negotiation::Negotiated;
use nts_proto::ke::request::Request;
use nts_service::ke_stream::{self, ReadError};
use nts_service::listener::{Connection, Lease};
use nts_service::quick_ack::QuickAckStream;
use nts_service::tls::{self, Alpn};
use rustls_pki_types::CertificateDer;
use tokio::io::AsyncBufReadExt;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tokio_rustls::server::TlsStream;

use super::Shared;
use super::answer::{Answer, Kind, Session, answer};
use super::long_lived::{AGE_LIMIT, Slot, idle_until};

/// Serves one connection from accept to close.
pub(super) async fn serve(shared: Arc<Shared>, connection: Connection) {
    let opened = Instant::now();
    let stats = &shared.stats;
    // A balancer that asks for itself, or does not tell for whom, is no user who could come too often.
    let limited = connection.is_from_user();
    let Connection {
        stream,
        mut lease,
        peer,
        ..
    } = connection;
    if limited && !shared.admits(peer.ip()) {
        stats.rate_limited_connections.increment();
        return;
    }
    let config = Arc::clone(&shared.credentials.load().tls);
    let deadline = lease.deadline();
    lease.await_greeting();
    let handshake = tls::accept_greeted(config, Alpn::Required, stream, || {
        lease.greeted();
    });
    let stream = match timeout_at(deadline, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            stats.failed_handshakes.increment();
            tracing::debug!(%error, "NTS-KE handshake failed");
            return;
        }
        Err(_) => {
            stats.failed_handshakes.increment();
            return;
        }
    };
    let mut exchange = Exchange {
        shared: &shared,
        stream,
        deadline,
        lease,
        opened,
        slot: None,
    };
    let end = match exchange.serve_one().await {
        ControlFlow::Continue(()) => exchange.serve_more().await,
        ControlFlow::Break(end) => end,
    };
    // Error and close_notify go out even where the deadline has passed.
    match end {
        End::Told => exchange.lease.see_off(exchange.stream.into_inner().0),
        End::Untold => ke_stream::close(exchange.stream).await,
    }
}

/// How a connection ends.
enum End {
    /// The last answer was the last message, with close_notify behind it.
    Told,
    /// Not after an answer, so the peer does not know yet.
    Untold,
}

impl Shared {
    /// Whether an address may have one more handshake now.
    fn admits(&self, address: IpAddr) -> bool {
        let now = std::time::Instant::now();
        self.limiter
            .as_ref()
            .is_none_or(|limiter| limiter.admit(address, now, || 1))
    }
}

/// An established connection.
struct Exchange<'s> {
    shared: &'s Shared,
    stream: TlsStream<QuickAckStream>,
    /// When the request that is being read must be complete.
    deadline: Instant,
    lease: Lease,
    opened: Instant,
    /// Held from the first Keep Alive on.
    slot: Option<Slot>,
}

impl Exchange<'_> {
    /// Reads one request and answers it.
    async fn serve_one(&mut self) -> ControlFlow<End> {
        let read = ke_stream::read_message(&mut self.stream, REQUEST_LIMIT);
        let until = self.deadline;
        let read = tokio::select! {
            biased;
            read = timeout_at(until, read) => Some(read),
            () = self.lease.cut_short().requested() => None,
        };
        let answer = match read {
            None => Answer::stopping(),
            Some(Ok(Ok(message))) => self.answer(&message),
            Some(Ok(Err(ReadError::Malformed(error)))) => {
                tracing::debug!(%error, "malformed NTS-KE request");
                Answer::bad_request()
            }
            // The request is not, or not in time, complete (RFC 8915 §4.1.3). Who has sent half a
            // request and close_notify can still read.
            Some(Ok(Err(ReadError::Closed { received: 1.., .. })) | Err(_)) => {
                Answer::bad_request()
            }
            Some(Ok(Err(ReadError::Closed { .. } | ReadError::Io(_)))) => {
                self.shared.stats.abandoned_connections.increment();
                return ControlFlow::Break(End::Untold);
            }
        };
        self.shared.stats.count(answer.kind);
        self.say(&answer).await
    }

    /// Writes the answer, before the deadline, but with time enough to say that it has passed.
    async fn say(&mut self, answer: &Answer) -> ControlFlow<End> {
        let until = self.deadline.max(Instant::now() + ke_stream::CLOSE_WAIT);
        let message = answer.message.as_ref();
        if !answer.keep_alive {
            let write = ke_stream::write_last_message(&mut self.stream, message);
            // Whoever is gone, or does not read, is seen off too.
            let _ = timeout_at(until, write).await;
            return ControlFlow::Break(End::Told);
        }
        let write = ke_stream::write_message(&mut self.stream, message);
        match timeout_at(until, write).await {
            Ok(Ok(())) => ControlFlow::Continue(()),
            Ok(Err(_)) | Err(_) => ControlFlow::Break(End::Untold),
        }
    }

    fn answer(&mut self, message: &Message) -> Answer {
        let credentials = self.shared.credentials.load();
        let certificate = self.certificate();
        let request = Request::parse(message, |token| credentials.authorize(certificate, token));
        match request {
            Ok(request) => answer(self.shared, request, self),
            Err(error) => {
                tracing::debug!(%error, "NTS-KE request refused");
                Answer::refuse(error.into())
            }
        }
    }

    fn certificate(&self) -> Option<&CertificateDer<'static>> {
        tls::peer_certificate(self.stream.get_ref().1)
    }

    /// Serves the requests that follow on a connection that is kept alive, until one is not, or the
    /// connection ends instead: closed by the pool, idle or old for too long, or shutdown.
    ///
    /// A request costs little, so nothing is registered anew for each: the word of the end is
    /// listened to all the time, a timer is set again only when it has run out, and the listener,
    /// which would be woken by each new deadline, is told one that none of those kept here passes.
    async fn serve_more(&mut self) -> End {
        let last = self.opened + AGE_LIMIT + self.shared.timeout;
        self.lease.set_deadline(last);
        let shutdown = self.lease.shutdown().clone();
        let mut stopping = pin!(shutdown.requested());
        let mut alarm = pin!(sleep_until(idle_until(self.opened, Instant::now())));
        loop {
            let until = idle_until(self.opened, Instant::now());
            let more = tokio::select! {
                biased;
                more = self.begins() => more,
                () = stopping.as_mut() => false,
                () = rings_at(until, alarm.as_mut()) => false,
            };
            if !more {
                return End::Untold;
            }
            self.deadline = Instant::now() + self.shared.timeout;
            if let ControlFlow::Break(end) = self.serve_one().await {
                return end;
            }
        }
    }

    /// Waits for the first octet of a request; false if the pool closes the connection instead.
    async fn begins(&mut self) -> bool {
        matches!(self.stream.fill_buf().await, Ok(octets) if !octets.is_empty())
    }
}

/// Waits until then; `alarm` may ring before, and is then set again.
async fn rings_at(until: Instant, mut alarm: Pin<&mut Sleep>) {
    loop {
        alarm.as_mut().await;
        if until <= Instant::now() {
            return;
        }
        alarm.as_mut().reset(until);
    }
}

impl Session for Exchange<'_> {
    fn is_kept_alive(&self) -> bool {
        self.slot.is_some()
    }

    fn grant_keep_alive(&mut self) -> bool {
        let now = Instant::now();
        if idle_until(self.opened, now) <= now || self.lease.shutdown().is_requested() {
            return false;
        }
        if self.slot.is_none() {
            self.slot = self.shared.long_lived.take();
            if self.slot.is_some() {
                self.lease.release_slot();
            }
        }
        self.slot.is_some()
    }

    fn export(&self, negotiated: &Negotiated) -> Option<SessionKeys> {
        match tls::export_session_keys(self.stream.get_ref().1, negotiated) {
            Ok(keys) => Some(keys),
            Err(error) => {
                tracing::warn!(%error, "key exchange failed");
                None
            }
        }
    }
}

impl super::KeStats {
    fn count(&self, kind: Kind) {
        match kind {
            Kind::KeyExchange => self.key_exchanges.increment(),
            Kind::FixedKey => self.fixed_key_requests.increment(),
            Kind::Info => self.info_requests.increment(),
            Kind::Refusal => self.refused_requests.increment(),
        }
    }
}
