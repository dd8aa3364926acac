//! Between a TLS stream and the sans-IO decoder: whole NTS-KE messages in and out.
//!
//! Nothing here looks into a message, and only the good-bye, [`close`], keeps time: whoever reads or
//! writes sets the deadline around it. Message octets may be keys, so they are read
//! from where the TLS library has them, without another copy.

use std::io::{self, Write as _};
use std::time::Duration;

use nts_proto::error::ParseError;
use nts_proto::ke::message::{Message, MessageDecoder};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt,
};
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use zeroize::Zeroizing;

/// The longest message that fits into one TLS record (RFC 8446 §5.1).
pub const MAX_WRITE: usize = 1 << 14;

/// How long a peer who knows that nothing more comes has to close the connection.
pub const CLOSE_WAIT: Duration = Duration::from_millis(100);

/// No more than this many octets that he still sends are thrown away.
pub(crate) const MAX_DRAIN: usize = 64 << 10;

/// Octets that [`close`] throws away at a time. Few come, if any.
const DRAIN_SIZE: usize = 256;

/// Why no message came.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The peer closed the connection before the message was complete.
    #[error("the connection was closed after {received} octets of a message")]
    Closed {
        /// Octets of the message that came before; 0 is how a kept-alive connection ends.
        received: usize,
        /// Whether it said so: what it left out, it left out on purpose.
        said_so: bool,
    },
    /// The octets are no message, or too many.
    #[error("malformed message: {0}")]
    Malformed(#[from] ParseError),
    /// The connection or the TLS session failed.
    #[error("cannot read: {0}")]
    Io(#[from] io::Error),
}

/// Reads one message of at most `limit` octets (RFC 8915 §4).
///
/// A message ends with its End of Message record: the end of the stream is neither needed nor
/// awaited, and is an error before that. Octets are taken from where the stream has them, so that
/// waiting for a message costs no buffer. Not cancel safe: a message that was begun is lost.
///
/// # Errors
/// [`ReadError`]; never waits longer than the caller's deadline, never holds more than `limit`
/// octets.
pub async fn read_message<S>(stream: &mut S, limit: usize) -> Result<Message, ReadError>
where
    S: AsyncBufRead + Unpin,
{
    let mut decoder = MessageDecoder::new(limit);
    let mut received = 0;
    loop {
        let (octets, said_so) = match stream.fill_buf().await {
            Ok(octets) => (octets, true),
            // TCP ended without close_notify, in order or not.
            Err(error) if is_end(&error) => (&[][..], false),
            Err(error) => return Err(error.into()),
        };
        if octets.is_empty() {
            return Err(ReadError::Closed { received, said_so });
        }
        let count = octets.len();
        let outcome = decoder.feed(octets);
        stream.consume(count);
        received += count;
        if let Some(message) = outcome? {
            return Ok(message);
        }
    }
}

/// Whether the peer is simply gone: an idle connection ends like this too.
fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
    )
}

/// Writes one message as exactly one TLS record, which old NTPsec versions rely on
/// (protocol reference §2.1).
///
/// # Errors
/// If the connection fails, or the message is longer than [`MAX_WRITE`].
pub async fn write_message<S>(stream: &mut S, message: &[u8]) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    fits(message)?;
    stream.write_all(message).await?;
    stream.flush().await
}

/// Writes a server's last message, which is exactly one TLS record, and close_notify behind it, in
/// one write. [`Lease::see_off`](crate::listener::Lease::see_off) comes next.
///
/// # Errors
/// As [`write_message`].
pub async fn write_last_message<S>(stream: &mut TlsStream<S>, message: &[u8]) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    fits(message)?;
    let session = stream.get_mut().1;
    session.writer().write_all(message)?;
    session.send_close_notify();
    stream.flush().await
}

fn fits(message: &[u8]) -> io::Result<()> {
    match message.len() {
        0..=MAX_WRITE => Ok(()),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "message does not fit into one TLS record",
        )),
    }
}

/// Sends close_notify and waits at most [`CLOSE_WAIT`] for the peer to close.
///
/// What the peer still sends is read and thrown away: closing a socket that holds unread octets
/// resets the connection, and the reset can overtake our answer. Nothing is reported, as nothing
/// could be done about it.
pub async fn close<S>(mut stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _ = timeout(CLOSE_WAIT, async {
        stream.shutdown().await?;
        drain(&mut stream).await
    })
    .await;
}

/// Reads until the peer has closed, but not much.
async fn drain(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut buffer = Zeroizing::new([0; DRAIN_SIZE]);
    let mut drained = 0;
    while drained < MAX_DRAIN {
        match stream.read(&mut buffer[..]).await? {
            0 => break,
            count => drained += count,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
