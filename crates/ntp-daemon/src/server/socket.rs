//! The UDP sockets of a server: one, or several that share an address so that the kernel spreads
//! the clients over them.
//!
//! They give kernel receive timestamps and, where they listen on every address, the address that
//! was asked.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

/// Octets of datagrams that the kernel keeps until a thread has time, if it allows so many.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Waiting ends this often, so that a thread ends even where [`ServerSocket::wake`] is not heard.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A bound UDP socket whose receiving blocks. Clones are the same socket.
#[derive(Clone, Debug)]
pub(super) struct ServerSocket {
    socket: Arc<Socket>,
    address: SocketAddr,
}

impl ServerSocket {
    /// Binds so many sockets to `address`. An unspecified IPv6 address serves IPv4 as well; port
    /// 0 is one port for all.
    ///
    /// # Errors
    /// If a socket cannot be made or the address is not ours or taken, by ourselves too.
    pub(super) fn bind_all(address: SocketAddr, count: usize) -> io::Result<Vec<Self>> {
        // The first is bound without SO_REUSEPORT: with it the kernel would not mind another
        // server of the same user at this address, and share the clients out between the two.
        let first = Self::bind(address, false)?;
        if count > 1 {
            first.socket.set_reuse_port(true)?;
        }
        let address = first.address;
        let mut sockets = vec![first];
        for _ in 1..count {
            sockets.push(Self::bind(address, true)?);
        }
        Ok(sockets)
    }

    fn bind(address: SocketAddr, reuse_port: bool) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        if address.ip().is_unspecified() {
            if address.is_ipv6() {
                setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            } else {
                setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
            }
        }
        // The kernel takes less where its limit is lower; that is no reason not to serve.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        socket.set_read_timeout(Some(LONGEST_WAIT))?;
        socket.set_reuse_port(reuse_port)?;
        socket.bind(&address.into())?;
        let bound = socket.local_addr()?.as_socket();
        Ok(Self {
            address: bound.ok_or_else(|| io::Error::other("a UDP socket without an IP address"))?,
            socket: Arc::new(socket),
        })
    }

    /// The address that was bound.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the waiting of the thread that receives, now and for ever. What it gets then is not a
    /// datagram: it has to know beforehand that it shall stop.
    pub(super) fn wake(&self) {
        // The kernel says that the socket is not connected, but wakes who waits.
        let _ = self.socket.shutdown(Shutdown::Read);
    }

    /// For system calls.
    pub(super) fn raw(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
