//! A TCP stream that acknowledges at once what it has read.
//!
//! Whoever writes two small pieces under Nagle's algorithm does not send the second before the
//! first is acknowledged. NTS-KE is full of such pairs: a user's TLS Finished and his request; the
//! records of a time source that writes each of them by itself. A delayed acknowledgement makes
//! every exchange with such a peer 40 ms longer than the network needs.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A [`TcpStream`] that asks the system, after each read, to acknowledge without delay.
#[derive(Debug)]
pub struct QuickAckStream(TcpStream);

impl QuickAckStream {
    /// Wraps a connected stream.
    pub fn new(stream: TcpStream) -> Self {
        Self(stream)
    }

    /// The stream inside.
    pub fn tcp(&self) -> &TcpStream {
        &self.0
    }

    /// The system forgets this wish whenever it likes, so it has to be repeated.
    fn acknowledge(&self) {
        #[cfg(target_os = "linux")]
        {
            // It only makes things faster: nothing is lost where it fails.
            let _ = socket2::SockRef::from(&self.0).set_tcp_quickack(true);
        }
    }
}

impl AsyncRead for QuickAckStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.0).poll_read(context, buffer);
        if outcome.is_ready() && buffer.filled().len() > before {
            self.acknowledge();
        }
        outcome
    }
}

impl AsyncWrite for QuickAckStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
