//! One NTS client towards one NTP server, a query at a time.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use nts_proto::association::{
    Association, AssociationConfig, DatagramOutcome, IgnoreReason, Kiss, Measurement, NtsSession,
    TimerAction, UnusableReason,
};
use nts_proto::time::{MonotonicTime, NtpTimestamp};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// No answer is longer.
pub(super) const LONGEST_DATAGRAM: usize = 4096;

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Heard {
    /// A good answer.
    Time(Measurement),
    /// A genuine answer without a time to use.
    NoTime(UnusableReason),
    /// A kiss code.
    Kiss(Kiss),
    /// The server does not want us, and has proved that it is the server.
    Denied,
    /// An answer that cannot be believed, and no better one.
    Unbelievable(IgnoreReason),
    /// The network says that nobody listens there.
    Refused,
    /// Nothing.
    Silence,
}

/// One query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query {
    /// Octets of the request.
    pub(super) length: usize,
    /// What came back.
    pub(super) heard: Heard,
}

/// What is done to a request before it is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// Nothing.
    AsItIs,
    /// Its last octet, a part of its proof, is changed.
    Tampered,
}

/// See the module. No cookie is sent twice.
pub(super) struct Client {
    association: Association,
}

impl Client {
    pub(super) fn new(session: NtsSession) -> Self {
        let start = MonotonicTime::from_duration(Duration::ZERO);
        let config = AssociationConfig {
            burst: false,
            ..AssociationConfig::default()
        };
        Self {
            association: Association::nts(config, session, start, start),
        }
    }

    /// Cookies held now.
    pub(super) fn cookies(&self) -> usize {
        self.association.status().cookies.unwrap_or_default()
    }

    /// Sends one request and waits for what comes back. `None` if there is nothing to send any
    /// more.
    ///
    /// The association's time is not the real one: its next poll is due as soon as somebody asks.
    ///
    /// # Errors
    /// If this machine cannot send.
    pub(super) async fn query(
        &mut self,
        address: SocketAddr,
        sent: Sent,
        patience: Duration,
    ) -> io::Result<Option<Query>> {
        let Some(now) = self.association.next_timer() else {
            return Ok(None);
        };
        let TimerAction::Send(datagram) = self.association.handle_timer(now, &mut rand::rng())
        else {
            return Ok(None);
        };
        let mut octets = datagram.as_ref().to_vec();
        if sent == Sent::Tampered
            && let Some(last) = octets.last_mut()
        {
            *last ^= 1;
        }
        let socket = connect(address).await?;
        let begun = Instant::now();
        self.association.handle_sent(clock_now());
        socket.send(&octets).await?;
        let mut best = Heard::Silence;
        let listening = async {
            let mut buffer = [0; LONGEST_DATAGRAM];
            loop {
                let heard = match socket.recv(&mut buffer).await {
                    Ok(length) => {
                        let received = clock_now();
                        let now = now + begun.elapsed();
                        let datagram = buffer.get(..length).unwrap_or_default();
                        heard(
                            self.association
                                .handle_datagram(now, received, datagram, &[]),
                        )
                    }
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                        Heard::Refused
                    }
                    Err(_) => Heard::Silence,
                };
                best = heard;
                // Something better may follow what anybody could have sent.
                if !matches!(heard, Heard::Unbelievable(_)) {
                    return;
                }
            }
        };
        let _ = timeout(patience, listening).await;
        Ok(Some(Query {
            length: octets.len(),
            heard: best,
        }))
    }
}

fn heard(outcome: DatagramOutcome) -> Heard {
    match outcome {
        DatagramOutcome::Measurement(measurement) => Heard::Time(measurement),
        DatagramOutcome::Unusable(reason) => Heard::NoTime(reason),
        DatagramOutcome::Kiss(kiss) => Heard::Kiss(kiss),
        DatagramOutcome::Demobilize(_) => Heard::Denied,
        DatagramOutcome::Ignored(reason) => Heard::Unbelievable(reason),
    }
}

/// A socket on a fresh port that hears `remote` alone.
pub(super) async fn connect(remote: SocketAddr) -> io::Result<UdpSocket> {
    let local: SocketAddr = match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(remote).await?;
    Ok(socket)
}

/// The system clock's reading.
pub(super) fn clock_now() -> NtpTimestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    NtpTimestamp::from_unix(seconds, since.subsec_nanos())
}
