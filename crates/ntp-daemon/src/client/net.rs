//! The UDP socket of one exchange: connected, on a fresh random port (RFC 9109), with the kernel's
//! timestamps where there are any.
//!
//! On Linux a datagram gets its receive stamp (T4) and its transmit stamp (T1) from the kernel's
//! software timestamping; elsewhere, and when the kernel gives none, they are clock readings right
//! after the receive call and right before the send call. All are of the system's real-time clock.
//!
//! What never happens here: setting a clock, or taking a network error for the end of a source.
//! Anybody can forge "port unreachable", so such errors count as packet loss.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use nts_proto::time::NtpTimestamp;
use tokio::net::UdpSocket;

use crate::clock::reading as clock;

/// Whether a datagram could be sent to `remote` from here. Sends nothing.
pub(super) async fn has_route(remote: SocketAddr) -> bool {
    ExchangeSocket::connect(remote).await.is_ok()
}

/// A socket for one request and its answer.
#[derive(Debug)]
pub(super) struct ExchangeSocket {
    socket: UdpSocket,
}

impl ExchangeSocket {
    /// Binds a fresh port and connects it, so that only datagrams from `remote` arrive.
    ///
    /// # Errors
    /// If there is no route to `remote`, or no socket to be had.
    pub(super) async fn connect(remote: SocketAddr) -> io::Result<Self> {
        let local: SocketAddr = match remote {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(local).await?;
        socket.connect(remote).await?;
        stamps::enable(&socket);
        Ok(Self { socket })
    }

    /// Sends `datagram` and gives the clock's reading just before.
    ///
    /// # Errors
    /// If our own side cannot send. That the remote refuses is no error.
    pub(super) async fn send(&self, datagram: &[u8]) -> io::Result<NtpTimestamp> {
        let before = clock::now();
        match self.socket.send(datagram).await {
            Ok(_) => return Ok(before),
            // It was about an earlier datagram, and this one has not gone out.
            Err(error) if says_the_network(&error) => {}
            Err(error) => return Err(error),
        }
        let before = clock::now();
        match self.socket.send(datagram).await {
            Err(error) if !says_the_network(&error) => Err(error),
            Ok(_) | Err(_) => Ok(before),
        }
    }

    /// Waits for a datagram; gives its length and when it arrived. Cancel safe.
    ///
    /// # Errors
    /// If the socket itself fails; what the network reports is passed over.
    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, NtpTimestamp)> {
        loop {
            match stamps::receive(&self.socket, buffer).await {
                Err(error) if says_the_network(&error) => {}
                result => return result,
            }
        }
    }

    /// The kernel's stamp of the datagram that was sent, if it has one by now. Gives it once.
    pub(super) fn transmit_stamp(&self) -> Option<NtpTimestamp> {
        stamps::transmitted(&self.socket)
    }
}

/// Whether an error is an ICMP message about an earlier datagram, which anybody can forge.
fn says_the_network(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

/// Whether an error says that this machine has no way to the network now.
pub(super) fn is_offline(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable
    )
}

#[cfg(target_os = "linux")]
mod stamps {
    //! SO_TIMESTAMPING. There is one datagram in each direction per socket, so stamps need no
    //! numbers to tell them apart.

    use std::io::{self, IoSliceMut};
    use std::os::fd::AsRawFd;

    use nix::cmsg_space;
    use nix::sys::socket::{
        ControlMessageOwned, MsgFlags, SockaddrStorage, TimestampingFlag, Timestamps, recvmsg,
        setsockopt, sockopt,
    };
    use nts_proto::time::NtpTimestamp;
    use tokio::io::Interest;
    use tokio::net::UdpSocket;

    use crate::clock::reading as clock;

    pub(super) fn enable(socket: &UdpSocket) {
        let wanted = TimestampingFlag::SOF_TIMESTAMPING_RX_SOFTWARE
            | TimestampingFlag::SOF_TIMESTAMPING_TX_SOFTWARE
            | TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE
            | TimestampingFlag::SOF_TIMESTAMPING_OPT_TSONLY;
        if let Err(error) = setsockopt(socket, sockopt::Timestamping, &wanted) {
            tracing::debug!(%error, "no kernel timestamps");
        }
    }

    pub(super) async fn receive(
        socket: &UdpSocket,
        buffer: &mut [u8],
    ) -> io::Result<(usize, NtpTimestamp)> {
        let (length, stamp) = socket
            .async_io(Interest::READABLE, || {
                read(socket, buffer, MsgFlags::empty())
            })
            .await?;
        Ok((length, stamp.unwrap_or_else(clock::now)))
    }

    pub(super) fn transmitted(socket: &UdpSocket) -> Option<NtpTimestamp> {
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        read(socket, &mut [0; 64], flags).ok()?.1
    }

    fn read(
        socket: &UdpSocket,
        buffer: &mut [u8],
        flags: MsgFlags,
    ) -> io::Result<(usize, Option<NtpTimestamp>)> {
        // Room for the stamps and, on the error queue, for the description that comes with them.
        let mut control = cmsg_space!(Timestamps, [u8; 128]);
        let mut data = [IoSliceMut::new(buffer)];
        let message =
            recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut data, Some(&mut control), flags)?;
        let stamp = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::ScmTimestampsns(stamps) => Some(stamps.system),
            _ => None,
        });
        // A kernel that took no stamp gives zero.
        let stamp = stamp.filter(|stamp| stamp.tv_sec() != 0);
        Ok((message.bytes, stamp.map(clock::from_kernel)))
    }
}

#[cfg(not(target_os = "linux"))]
mod stamps {
    //! Clock readings.

    use std::io;

    use nts_proto::time::NtpTimestamp;
    use tokio::net::UdpSocket;

    use crate::clock::reading as clock;

    pub(super) fn enable(_: &UdpSocket) {}

    pub(super) async fn receive(
        socket: &UdpSocket,
        buffer: &mut [u8],
    ) -> io::Result<(usize, NtpTimestamp)> {
        let length = socket.recv(buffer).await?;
        Ok((length, clock::now()))
    }

    pub(super) fn transmitted(_: &UdpSocket) -> Option<NtpTimestamp> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nts_proto::time::NtpDuration;
    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(5);

    async fn remote() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    #[tokio::test]
    async fn stamps_lie_between_the_clock_readings_around_them() {
        let (remote, address) = remote().await;
        let socket = ExchangeSocket::connect(address).await.unwrap();
        let mut buffer = [0; 64];
        let before = socket.send(b"request").await.unwrap();
        let (_, from) = timeout(DEADLINE, remote.recv_from(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        remote.send_to(b"answer", from).await.unwrap();
        let (length, received) = timeout(DEADLINE, socket.receive(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        let after = clock::now();
        assert_eq!(&buffer[..length], b"answer");
        assert!(received - before >= NtpDuration::ZERO);
        assert!(after - received >= NtpDuration::ZERO);
        if cfg!(target_os = "linux") {
            let sent = socket.transmit_stamp().expect("the kernel stamps loopback");
            assert!(sent - before >= NtpDuration::ZERO);
            assert!(received - sent >= NtpDuration::ZERO);
            assert_eq!(socket.transmit_stamp(), None);
        }
    }

    #[tokio::test]
    async fn a_refusal_is_no_more_than_a_lost_packet() {
        let (nobody, address) = remote().await;
        drop(nobody);
        let socket = ExchangeSocket::connect(address).await.unwrap();
        socket.send(b"one").await.unwrap();
        // The refusal of the first datagram waits on the socket now.
        socket.send(b"two").await.unwrap();
        let mut buffer = [0; 64];
        let waited = timeout(Duration::from_millis(50), socket.receive(&mut buffer)).await;
        assert!(waited.is_err(), "{waited:?}");
    }

    #[tokio::test]
    async fn each_exchange_has_its_own_port() {
        let (_remote, address) = remote().await;
        let mut ports = Vec::new();
        let mut sockets = Vec::new();
        for _ in 0..4 {
            let socket = ExchangeSocket::connect(address).await.unwrap();
            ports.push(socket.socket.local_addr().unwrap().port());
            sockets.push(socket);
        }
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 4);
    }
}
