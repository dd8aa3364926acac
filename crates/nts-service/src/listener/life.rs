//! The life of one connection, from being let in to its end.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::connection::{Connection, Lease};
use super::farewell::Farewell;
use super::gate::Admitted;
use super::limit::Limits;
use super::opening::{self, Closed, Opened};
use crate::quick_ack::QuickAckStream;
use crate::shutdown::Shutdown;

/// A connection that was let in.
pub(super) struct Newcomer {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) accepted: Instant,
    pub(super) limits: Limits,
    pub(super) shutdown: Shutdown,
    pub(super) cut: Shutdown,
    pub(super) farewell: Farewell,
}

/// How a connection ended.
pub(super) enum End {
    /// Its handler has finished.
    Over,
    /// Its handler was ended because it took too long.
    Overdue,
    /// It was closed before it had a handler, or made room for another while it had.
    Closed(Closed),
}

impl Newcomer {
    /// Waits for the peer to begin, then runs `handler`.
    pub(super) async fn serve<H, F>(mut self, admitted: Admitted, handler: &H) -> End
    where
        H: Fn(Connection) -> F,
        F: Future<Output = ()>,
    {
        match opening::open(&mut self.stream, admitted, self.accepted, self.limits).await {
            Ok(opened) => self.handle(opened, handler).await,
            Err(closed) => End::Closed(closed),
        }
    }

    async fn handle<H, F>(self, opened: Opened, handler: &H) -> End
    where
        H: Fn(Connection) -> F,
        F: Future<Output = ()>,
    {
        let (deadline, moved) = watch::channel(self.accepted + self.limits.time_limit);
        let user = opened.forwarded.as_ref().and_then(|it| it.user);
        // The handler is called in here, so that a panic of its own stays in here too. It lives on
        // the heap, so that a silent connection does not cost what a handler does.
        let handling = Box::pin(handler(Connection {
            stream: QuickAckStream::new(self.stream),
            peer: user.unwrap_or(self.peer),
            forwarded: opened.forwarded,
            lease: Lease {
                deadline,
                slot: Some(opened.slot),
                shutdown: self.shutdown,
                cut: self.cut,
                farewell: self.farewell,
            },
        }));
        tokio::select! {
            biased;
            end = within_deadline(handling, moved, self.limits.grace) => end,
            () = told(opened.evicted) => End::Closed(Closed::Evicted),
        }
    }
}

/// Ends when the word comes; never if it can come no more.
async fn told(word: oneshot::Receiver<()>) {
    if word.await.is_err() {
        std::future::pending().await
    }
}

/// Ends the handler if it overruns the deadline, which may be moved meanwhile, by `grace`.
///
/// It is pinned already: whoever takes a future by value has room for it twice.
async fn within_deadline(
    mut handler: Pin<Box<impl Future<Output = ()>>>,
    mut deadline: watch::Receiver<Instant>,
    grace: Duration,
) -> End {
    loop {
        let end = *deadline.borrow_and_update() + grace;
        tokio::select! {
            biased;
            () = &mut handler => return End::Over,
            Ok(()) = deadline.changed() => {}
            () = sleep_until(end) => return End::Overdue,
        }
    }
}
