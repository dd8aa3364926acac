//! What happens to a connection before its handler is called: a balancer's header is read where
//! there must be one, and the user has to begin.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::gate::{Admitted, Slot};
use super::limit::{LimitReason, Limits};
use crate::proxy_protocol::{Forwarded, HEADER_TIMEOUT, read_header};

/// The most that a user needs to begin: his first octets are on their way when he is accepted.
const LONGEST: Duration = Duration::from_secs(2);

/// How long a connection may be silent at first, where the whole exchange has `time_limit`: half of
/// it, but at most 2 s.
pub fn first_byte_limit(time_limit: Duration) -> Duration {
    LONGEST.min(time_limit / 2)
}

/// A connection whose handler may be called.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) slot: Slot,
    pub(super) evicted: oneshot::Receiver<()>,
    pub(super) forwarded: Option<Forwarded>,
}

/// Why nobody serves a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// It made room for another, with which it is counted.
    Evicted,
    /// It has reached a limit.
    Limited(LimitReason),
    /// A balancer has seen that we live.
    HealthCheck,
}

/// Waits until the peer has sent something, or has left: that is for the handler to find out.
pub(super) async fn open(
    stream: &mut TcpStream,
    admitted: Admitted,
    accepted: Instant,
    limits: Limits,
) -> Result<Opened, Closed> {
    let Admitted {
        mut slot,
        mut evicted,
        forwarded,
        ..
    } = admitted;
    let forwarded = match forwarded {
        false => None,
        // On the heap, so that only who sends a header pays for its buffer.
        true => Some(Box::pin(header(stream, &mut evicted, accepted)).await?),
    };
    if let Some(user) = forwarded.as_ref().and_then(|it| it.user) {
        slot.charge(user.ip(), Instant::now())
            .map_err(Closed::Limited)?;
    }
    if let Some(limit) = limits.first_byte {
        let sent = first_byte(stream, &mut evicted, accepted + limit).await?;
        if !sent && forwarded.as_ref().is_some_and(|it| it.health_check) {
            return Err(Closed::HealthCheck);
        }
    }
    match slot.heard() {
        true => Ok(Opened {
            slot,
            evicted,
            forwarded,
        }),
        false => Err(Closed::Evicted),
    }
}

async fn header(
    stream: &mut TcpStream,
    evicted: &mut oneshot::Receiver<()>,
    accepted: Instant,
) -> Result<Forwarded, Closed> {
    let failed = Closed::Limited(LimitReason::ProxyHeader);
    tokio::select! {
        biased;
        header = read_header(stream) => header.map_err(|error| {
            tracing::debug!(%error, "a balancer's connection is closed");
            failed
        }),
        Ok(()) = evicted => Err(Closed::Evicted),
        () = sleep_until(accepted + HEADER_TIMEOUT) => Err(failed),
    }
}

/// Whether the user has sent an octet when he first did anything at all.
async fn first_byte(
    stream: &TcpStream,
    evicted: &mut oneshot::Receiver<()>,
    until: Instant,
) -> Result<bool, Closed> {
    let mut first = [0];
    tokio::select! {
        biased;
        peeked = stream.peek(&mut first) => Ok(peeked.is_ok_and(|count| count > 0)),
        Ok(()) = evicted => Err(Closed::Evicted),
        () = sleep_until(until) => Err(Closed::Limited(LimitReason::FirstByte)),
    }
}
