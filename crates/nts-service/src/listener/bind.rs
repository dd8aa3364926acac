//! Opening listening sockets, or taking those that were inherited.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpListener;

use super::inherit::{InheritError, Inherited};
use crate::config::{ListenOn, Located, Section};

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// On these addresses.
    On(Vec<SocketAddr>),
    /// On the sockets that the service manager hands over.
    Inherited,
}

impl Listen {
    /// Reads one address, a list of them, or `"systemd"`; `None` after the problem was reported.
    pub fn read(section: &Section<'_>, key: &'static str) -> Option<Self> {
        if !section.has(key) {
            section.required::<String>(key);
            return None;
        }
        if section.is_empty_list(key) {
            section.error(
                key,
                "an empty list; write at least one address like `0.0.0.0:4460`",
            );
        }
        let entries = section.one_or_many::<ListenOn>(key)?;
        let problems = section.problems();
        let mut addresses = Vec::new();
        let mut seen = HashSet::new();
        for entry in &entries {
            let ListenOn::Address(address) = **entry else {
                if entries.len() > 1 {
                    let message = "`systemd` stands alone; its .socket unit says where to listen";
                    problems.error(entry.place(), message);
                }
                continue;
            };
            if !seen.insert(address) {
                let message = format!("{address} stands there twice; take one of them out");
                problems.error(entry.place(), message);
            }
            addresses.push(address);
        }
        let inherited = |entry: &Located<ListenOn>| matches!(**entry, ListenOn::Inherited);
        match entries.iter().any(inherited) {
            true => Some(Self::Inherited),
            false => Some(Self::On(addresses)),
        }
    }

    /// Opens the sockets, or takes them from `inherited`. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// [`ListenError`], with the cure where one is known.
    pub fn open(&self, inherited: Inherited) -> Result<Vec<TcpListener>, ListenError> {
        match self {
            Self::On(addresses) => {
                if !inherited.is_empty() {
                    tracing::warn!(
                        "the sockets of the service manager are not used; write \
                         `listen = \"systemd\"` for that"
                    );
                }
                Ok(bind_all(addresses)?)
            }
            Self::Inherited => Ok(inherited.into_listeners()?),
        }
    }
}

impl From<Vec<SocketAddr>> for Listen {
    fn from(addresses: Vec<SocketAddr>) -> Self {
        Self::On(addresses)
    }
}

/// As it stands in configurations.
impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On(addresses) => {
                let quoted: Vec<_> = addresses.iter().map(|it| format!("\"{it}\"")).collect();
                write!(f, "[{}]", quoted.join(", "))
            }
            Self::Inherited => f.write_str("\"systemd\""),
        }
    }
}

/// Why there is nothing to accept from.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// A socket could not be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Sockets could not be taken from the service manager.
    #[error(transparent)]
    Inherit(#[from] InheritError),
}

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
    no_delay(&socket);
    TcpListener::from_std(socket.into())
}

/// Sets TCP_NODELAY for all connections that come, which have it from the listening socket: each
/// message is one write, so waiting for more to send would only add delay.
pub(super) fn no_delay<'s>(listener: impl Into<SockRef<'s>>) {
    if let Err(error) = listener.into().set_tcp_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
}
