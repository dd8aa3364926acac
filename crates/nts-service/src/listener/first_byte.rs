//! Waiting for a connection to say something, before anything is spent on it.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

/// The most that a user needs to begin: his first octets are on their way when he is accepted.
const LONGEST: Duration = Duration::from_secs(2);

/// How long a connection may be silent at first, where the whole exchange has `time_limit`: half of
/// it, but at most 2 s.
pub fn first_byte_limit(time_limit: Duration) -> Duration {
    LONGEST.min(time_limit / 2)
}

/// Why nobody serves a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// It made room for another.
    Evicted,
    /// It took too long.
    TooLong,
}

/// Waits until the peer has sent something, or has left: that is for the handler to find out.
pub(super) async fn wait(
    stream: &TcpStream,
    evicted: oneshot::Receiver<()>,
    until: Instant,
) -> Result<(), Silence> {
    let mut first = [0];
    tokio::select! {
        biased;
        _ = stream.peek(&mut first) => Ok(()),
        Ok(()) = evicted => Err(Silence::Evicted),
        () = sleep_until(until) => Err(Silence::TooLong),
    }
}
