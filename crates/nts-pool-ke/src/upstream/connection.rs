//! One TLS connection to a time source: strictly one request, then its response.
//!
//! A connection that failed in any way must be dropped: where in which answer it stands is unknown.

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use nts_proto::ke::message::{Message, RESPONSE_LIMIT};
use nts_service::ke_stream::{read_message, write_message};
use nts_service::quick_ack::QuickAckStream;
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, timeout};
use tokio_rustls::client::TlsStream;

use super::error::UpstreamError;

/// How long a source may take to accept our good-bye.
const CLOSE_TIME: Duration = Duration::from_millis(250);

/// An open connection, its certificate verified, its protocol agreed.
#[derive(Debug)]
pub(crate) struct Connection {
    /// On the heap, since a connection changes hands several times in each exchange.
    stream: Box<TlsStream<QuickAckStream>>,
    /// When it is too old, because the source may make cookies with the keys it had at the start.
    retire_at: Instant,
    /// When its last exchange was over.
    idle_since: Instant,
    /// Whether it has carried a request before.
    used: bool,
}

impl Connection {
    /// A connection that has not carried anything yet.
    pub(crate) fn new(stream: TlsStream<QuickAckStream>, now: Instant, lifetime: Duration) -> Self {
        Self {
            stream: Box::new(stream),
            retire_at: now + lifetime,
            idle_since: now,
            used: false,
        }
    }

    /// Whether it has carried a request before.
    pub(crate) fn is_used(&self) -> bool {
        self.used
    }

    /// The address at the other end, unless the connection is dead.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.stream.get_ref().0.tcp().peer_addr().ok()
    }

    /// When its last exchange was over.
    pub(crate) fn idle_since(&self) -> Instant {
        self.idle_since
    }

    /// When it has to be closed because of its age.
    pub(crate) fn retire_at(&self) -> Instant {
        self.retire_at
    }

    /// Sends one encoded request in one write and reads the response to it.
    ///
    /// # Errors
    /// See [`UpstreamError`]; the connection is of no more use then.
    pub(crate) async fn request(&mut self, request: &[u8]) -> Result<Message, UpstreamError> {
        self.used = true;
        write_message(&mut *self.stream, request)
            .await
            .map_err(UpstreamError::write)?;
        let message = read_message(&mut *self.stream, RESPONSE_LIMIT)
            .await
            .map_err(UpstreamError::read)?;
        self.idle_since = Instant::now();
        Ok(message)
    }

    /// Whether nothing at all has come in since the last response, not even the end.
    ///
    /// Never waits. It asks the system, because the runtime may not have heard of news yet.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let tcp = self.stream.get_ref().0.tcp();
        let peeked = socket2::SockRef::from(tcp).peek(&mut [MaybeUninit::uninit()]);
        if !peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            return false;
        }
        // What TLS has read but not handed over yet.
        let mut octet = [0];
        let mut buffer = ReadBuf::new(&mut octet);
        let mut context = Context::from_waker(Waker::noop());
        let polled = Pin::new(&mut *self.stream).poll_read(&mut context, &mut buffer);
        matches!(polled, Poll::Pending)
    }

    /// Says good-bye, for a short time only.
    pub(crate) async fn close(mut self) {
        // Nothing is at stake any more: the source notices the end either way.
        let _ = timeout(CLOSE_TIME, self.stream.shutdown()).await;
    }
}
