//! A TCP stream that acknowledges what it has read before it waits for more.
//!
//! Whoever writes two small pieces under Nagle's algorithm does not send the second before the
//! first is acknowledged. NTS-KE is full of such pairs: a user's TLS Finished and his request; the
//! records of a time source that writes each of them by itself. A delayed acknowledgement makes
//! every exchange with such a peer 40 ms longer than the network needs.
//!
//! Whoever has all that he waits for, or has written meanwhile, owes no acknowledgement: what he
//! writes carries it. So the system is asked for one only where a read has to wait.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A [`TcpStream`] that asks the system, before it waits for more of what it has begun to read, to
/// acknowledge without delay.
#[derive(Debug)]
pub struct QuickAckStream {
    tcp: TcpStream,
    /// Whether something was read since the last write, and not acknowledged.
    owes: bool,
}

impl QuickAckStream {
    /// Wraps a connected stream.
    pub fn new(tcp: TcpStream) -> Self {
        Self { tcp, owes: false }
    }

    /// The stream inside.
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// The stream inside, for good.
    pub fn into_tcp(self) -> TcpStream {
        self.tcp
    }

    /// The system forgets this wish whenever it likes, so it has to be repeated.
    fn acknowledge(&mut self) {
        self.owes = false;
        #[cfg(target_os = "linux")]
        {
            // It only makes things faster: nothing is lost where it fails.
            let _ = socket2::SockRef::from(&self.tcp).set_tcp_quickack(true);
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
        let outcome = Pin::new(&mut self.tcp).poll_read(context, buffer);
        match outcome {
            Poll::Pending if self.owes => self.acknowledge(),
            Poll::Pending => {}
            Poll::Ready(_) => self.owes |= buffer.filled().len() > before,
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
        let written = Pin::new(&mut self.tcp).poll_write(context, octets);
        self.owes &= !matches!(written, Poll::Ready(Ok(1..)));
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write_vectored(context, slices);
        self.owes &= !matches!(written, Poll::Ready(Ok(1..)));
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::pin::pin;
    use std::task::Waker;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Whether a read that has to wait asks for an acknowledgement.
    fn asks_when_it_waits(stream: &mut QuickAckStream) -> bool {
        let socket = socket2::SockRef::from(stream.tcp());
        socket.set_tcp_quickack(false).unwrap();
        assert!(!socket.tcp_quickack().unwrap());
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(stream.read_u8()).poll(&mut context).is_pending());
        socket2::SockRef::from(stream.tcp()).tcp_quickack().unwrap()
    }

    #[tokio::test]
    async fn an_acknowledgement_is_asked_for_where_one_is_owed_and_a_read_waits() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (peer, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut peer, mut stream) = (peer.unwrap(), QuickAckStream::new(accepted.unwrap().0));
        assert!(!asks_when_it_waits(&mut stream));
        peer.write_all(b"ab").await.unwrap();
        stream.read_exact(&mut [0; 2]).await.unwrap();
        assert!(asks_when_it_waits(&mut stream));
        // Once is enough.
        assert!(!asks_when_it_waits(&mut stream));
        peer.write_all(b"c").await.unwrap();
        stream.read_u8().await.unwrap();
        // What is written carries the acknowledgement.
        stream.write_all(b"d").await.unwrap();
        assert!(!asks_when_it_waits(&mut stream));
    }
}
