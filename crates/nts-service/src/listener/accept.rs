//! Accepting, and what to make of it when that fails (pool design §5.1).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use nix::errno::Errno;
use socket2::{SockAddr, SockRef, Socket};
use tokio::net::{TcpListener, TcpStream};

/// Where connections come from; a trait so that failing accepts can be tested.
pub trait Incoming: Send {
    /// The next connection. Cancel safe.
    fn accept(&mut self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send;

    /// A connection that the kernel has accepted already; `None` if there is no other.
    fn accept_now(&mut self) -> Option<io::Result<(TcpStream, SocketAddr)>>;
}

impl Incoming for TcpListener {
    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        TcpListener::accept(self).await
    }

    fn accept_now(&mut self) -> Option<io::Result<(TcpStream, SocketAddr)>> {
        // Asks the kernel itself: the runtime may not have heard of the connection yet.
        match SockRef::from(&*self).accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            accepted => Some(accepted.and_then(connected)),
        }
    }
}

fn connected((socket, peer): (Socket, SockAddr)) -> io::Result<(TcpStream, SocketAddr)> {
    socket.set_nonblocking(true)?;
    let peer = peer.as_socket().ok_or(io::ErrorKind::Unsupported)?;
    Ok((TcpStream::from_std(socket.into())?, peer))
}

/// What a failed accept says about us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptErrorClass {
    /// One connection failed before it was accepted, or the network did (accept(2)): go on.
    Connection,
    /// We lack descriptors or memory: accepting again at once would only spin.
    Resources,
    /// Anything else; treated as lack of resources, since giving up is never right.
    Other,
}

impl AcceptErrorClass {
    /// All classes.
    pub const ALL: [Self; 3] = [Self::Connection, Self::Resources, Self::Other];

    /// A short name, fit for a metrics label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Resources => "resources",
            Self::Other => "other",
        }
    }

    /// The class of an error of accept.
    pub fn of(error: &io::Error) -> Self {
        let Some(errno) = error.raw_os_error().map(Errno::from_raw) else {
            return Self::Other;
        };
        match errno {
            Errno::ECONNABORTED
            | Errno::ECONNRESET
            | Errno::EINTR
            | Errno::EPERM
            | Errno::EPROTO
            | Errno::ENOPROTOOPT
            | Errno::EOPNOTSUPP
            | Errno::ENETDOWN
            | Errno::ENETUNREACH
            | Errno::EHOSTDOWN
            | Errno::EHOSTUNREACH
            | Errno::ENONET
            | Errno::ETIMEDOUT => Self::Connection,
            Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM => Self::Resources,
            _ => Self::Other,
        }
    }
}

/// The pause between failing accepts: 10 ms, doubled each time, at most 1 s.
#[derive(Debug)]
pub(super) struct BackOff {
    next: Duration,
}

impl BackOff {
    const SHORTEST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_secs(1);

    pub(super) fn new() -> Self {
        Self {
            next: Self::SHORTEST,
        }
    }

    /// The pause after one more failure.
    pub(super) fn failed(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(Self::LONGEST);
        pause
    }

    /// After a success the next pause is short again.
    pub(super) fn succeeded(&mut self) {
        self.next = Self::SHORTEST;
    }
}
