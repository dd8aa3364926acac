//! Opening listening sockets.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections that the kernel keeps for us until we accept them.
const BACKLOG: i32 = 4096;

/// A socket that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}")]
pub struct BindError {
    /// The address asked for.
    pub address: SocketAddr,
    cause: String,
    #[source]
    source: io::Error,
}

impl BindError {
    /// What it means that a TCP or UDP socket could not be bound to `address`.
    pub fn new(address: SocketAddr, source: io::Error) -> Self {
        let cause = match source.kind() {
            io::ErrorKind::AddrInUse => "another program listens there; stop it, or choose \
                another port (`ss -lntup` lists who listens)"
                .to_owned(),
            io::ErrorKind::PermissionDenied if address.port() < 1024 => "ports below 1024 need \
                the capability CAP_NET_BIND_SERVICE; grant it or choose a higher port"
                .to_owned(),
            io::ErrorKind::AddrNotAvailable => "no interface of this machine has this address; \
                use one that `ip address` lists, or `0.0.0.0` or `[::]` for all"
                .to_owned(),
            _ => source.to_string(),
        };
        Self {
            address,
            cause,
            source,
        }
    }

    /// The system's error.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// Listens on one address. `[::]` serves IPv4 too. Must be called on a tokio runtime.
///
/// # Errors
/// [`BindError`], with the cure where one is known.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    open(address, false).map_err(|source| BindError::new(address, source))
}

/// Listens on several addresses. `[::]` serves IPv4 too, unless `0.0.0.0` with the same port is
/// in the list as well. Must be called on a tokio runtime.
///
/// # Errors
/// The first address that cannot be listened on.
pub fn bind_all(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, BindError> {
    let has_v4_any = |port| {
        addresses
            .iter()
            .any(|it| it.is_ipv4() && it.ip().is_unspecified() && it.port() == port)
    };
    let open_one = |address: &SocketAddr| {
        open(*address, has_v4_any(address.port()))
            .map_err(|source| BindError::new(*address, source))
    };
    addresses.iter().map(open_one).collect()
}

fn open(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // A restart need not wait for old connections to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
