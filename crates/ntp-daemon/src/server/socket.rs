//! The UDP socket of a server: kernel receive timestamps, and answers that leave from the address
//! that was asked (protocol.md's "from the address and port that were asked").

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc::{in_pktinfo, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrLike, SockaddrStorage, recvmsg, sendmsg,
    setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, Socket, Type};

/// A bound, non-blocking UDP socket.
#[derive(Debug)]
pub(super) struct ServerSocket {
    socket: Socket,
    control: Vec<u8>,
}

/// What is known of one datagram besides its octets.
#[derive(Debug)]
pub(super) struct Datagram {
    /// Length in octets; longer ones than the buffer are cut, see `truncated`.
    pub(super) len: usize,
    /// Whether the buffer was too short.
    pub(super) truncated: bool,
    /// Who sent it.
    pub(super) from: SocketAddr,
    /// When the kernel received it, if it says so (`CLOCK_REALTIME`).
    pub(super) received: Option<TimeSpec>,
    /// The address it was sent to.
    to: Option<LocalAddress>,
}

/// The address of ours that a datagram was sent to.
#[derive(Clone, Copy, Debug)]
enum LocalAddress {
    V4(in_pktinfo),
    V6(in6_pktinfo),
}

impl ServerSocket {
    /// Binds `address`. An unspecified IPv6 address serves IPv4 as well.
    ///
    /// # Errors
    /// If the socket cannot be made or the address is taken or not ours.
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        }
        socket.bind(&address.into())?;
        let control = nix::cmsg_space!(TimeSpec, in6_pktinfo, in_pktinfo);
        Ok(Self { socket, control })
    }

    /// The address that was bound.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket
            .local_addr()?
            .as_socket()
            .ok_or_else(|| io::Error::other("a UDP socket without an IP address"))
    }

    /// The next datagram, if one is waiting.
    ///
    /// # Errors
    /// What the kernel reports; an error that an earlier answer caused is taken here and is no
    /// reason to stop.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Datagram>> {
        let mut parts = [IoSliceMut::new(buffer)];
        let fd = self.socket.as_raw_fd();
        let control = Some(self.control.as_mut_slice());
        let message = match recvmsg::<SockaddrStorage>(fd, &mut parts, control, MsgFlags::empty()) {
            Ok(message) => message,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let from = message.address.as_ref().and_then(to_socket_address);
        let from = from.ok_or_else(|| io::Error::other("a datagram without a sender"))?;
        let mut datagram = Datagram {
            len: message.bytes,
            truncated: message.flags.contains(MsgFlags::MSG_TRUNC),
            from,
            received: None,
            to: None,
        };
        for control in message.cmsgs()? {
            match control {
                ControlMessageOwned::ScmTimestampns(time) => datagram.received = Some(time),
                ControlMessageOwned::Ipv4PacketInfo(mut info) => {
                    info.ipi_ifindex = 0;
                    datagram.to = Some(LocalAddress::V4(info));
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    datagram.to = Some(LocalAddress::V6(info));
                }
                _ => {}
            }
        }
        Ok(Some(datagram))
    }

    /// Sends `answer` to the sender of `request`, from the address that was asked.
    ///
    /// # Errors
    /// If the kernel does not take it; nothing waits for a full buffer.
    pub(super) fn answer(&self, request: &Datagram, answer: &[u8]) -> io::Result<()> {
        let source = match &request.to {
            Some(LocalAddress::V4(info)) => Some(ControlMessage::Ipv4PacketInfo(info)),
            Some(LocalAddress::V6(info)) => Some(ControlMessage::Ipv6PacketInfo(info)),
            None => None,
        };
        let to = SockaddrStorage::from(request.from);
        sendmsg(
            self.socket.as_raw_fd(),
            &[IoSlice::new(answer)],
            source.as_slice(),
            MsgFlags::empty(),
            Some(&to),
        )?;
        Ok(())
    }
}

impl AsFd for ServerSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn to_socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    match address.family()? {
        nix::sys::socket::AddressFamily::Inet => address
            .as_sockaddr_in()
            .map(|a| SocketAddr::V4((*a).into())),
        nix::sys::socket::AddressFamily::Inet6 => address
            .as_sockaddr_in6()
            .map(|a| SocketAddr::V6((*a).into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    fn receive(socket: &mut ServerSocket, buffer: &mut [u8]) -> Datagram {
        poll(
            &mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)],
            PollTimeout::from(5000_u16),
        )
        .unwrap();
        socket.receive(buffer).unwrap().expect("a datagram")
    }

    fn client(bind: &str) -> UdpSocket {
        let client = UdpSocket::bind(bind).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        client
    }

    /// Asks `socket`, which listens on every address, at `host`; checks who answers.
    fn answers_from_where_it_was_asked(mut socket: ServerSocket, host: &str, bind: &str) {
        let port = socket.local_address().unwrap().port();
        let client = client(bind);
        let asked: SocketAddr = format!("{host}:{port}").parse().unwrap();
        client.send_to(b"ping", asked).unwrap();
        let mut buffer = [0; 64];
        let datagram = receive(&mut socket, &mut buffer);
        assert_eq!(&buffer[..datagram.len], b"ping");
        assert!(!datagram.truncated);
        let local = client.local_addr().unwrap();
        assert_eq!(datagram.from.ip().to_canonical(), local.ip());
        assert_eq!(datagram.from.port(), local.port());
        socket.answer(&datagram, b"pong").unwrap();
        let (len, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..len], from), (&b"pong"[..], asked));
        assert!(socket.receive(&mut buffer).unwrap().is_none());
    }

    #[test]
    fn ipv4_is_answered_from_the_address_that_was_asked() {
        let socket = ServerSocket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
        answers_from_where_it_was_asked(socket, "127.0.0.7", "127.0.0.1:0");
    }

    #[test]
    fn ipv6_sockets_serve_both_families() {
        let bind = || ServerSocket::bind("[::]:0".parse().unwrap()).unwrap();
        answers_from_where_it_was_asked(bind(), "[::1]", "[::1]:0");
        answers_from_where_it_was_asked(bind(), "127.0.0.7", "127.0.0.1:0");
    }

    #[test]
    fn the_kernel_says_when_a_datagram_came() {
        let mut socket = ServerSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        client("127.0.0.1:0")
            .send_to(b"x", socket.local_address().unwrap())
            .unwrap();
        let received = receive(&mut socket, &mut [0; 8])
            .received
            .expect("a timestamp");
        let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let received = Duration::from(received);
        assert!(
            before <= received && received <= after,
            "{before:?} {received:?} {after:?}"
        );
    }

    #[test]
    fn a_long_datagram_is_marked() {
        let mut socket = ServerSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        client("127.0.0.1:0")
            .send_to(b"123456789", socket.local_address().unwrap())
            .unwrap();
        let datagram = receive(&mut socket, &mut [0; 8]);
        assert!(datagram.truncated);
        assert_eq!(datagram.len, 8);
    }
}
