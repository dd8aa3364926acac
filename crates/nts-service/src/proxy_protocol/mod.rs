//! The PROXY protocol, version 2: a balancer in front says whom it forwards (pool design §5.4).
//!
//! Whoever may send such a header may claim any address, so it is read from allow-listed peers
//! only, and those must send one. Version 1, which is text without a length, is not accepted.
//!
//! What never happens here: reading an octet too many, an octet that belongs to the user, or more
//! than [`MAX_LENGTH`]; guessing whether there is a header.

mod header;
mod section;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

pub use header::{HeaderError, read_header};
pub use section::read;

/// The header must be there within this time of accepting: a balancer sends it with the first
/// packet.
pub const HEADER_TIMEOUT: Duration = Duration::from_millis(250);

/// No header is longer than its fixed 16 octets and this many more.
pub const MAX_LENGTH: usize = 1024;

/// Who may forward connections: each of those that connect must send a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyProtocol {
    allow: Arc<[IpNet]>,
}

impl ProxyProtocol {
    /// Headers from these networks; `None` if there are none, for then nobody could connect.
    pub fn from_networks(allow: impl IntoIterator<Item = IpNet>) -> Option<Self> {
        let allow: Arc<[_]> = allow.into_iter().collect();
        (!allow.is_empty()).then_some(Self { allow })
    }

    /// Whether a peer may connect at all.
    pub fn admits(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.allow.iter().any(|network| network.contains(&peer))
    }

    /// The networks.
    pub fn networks(&self) -> &[IpNet] {
        &self.allow
    }
}

/// What a header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// The user's address, if the balancer tells one.
    pub user: Option<SocketAddr>,
    /// The balancer speaks for itself (command LOCAL): it wants to know whether we live.
    pub health_check: bool,
    /// The balancer's name for the connection (TLV 0x05).
    pub unique_id: Option<UniqueId>,
}

/// What a balancer calls a connection, to find it in both logs. Shown as it is if it is printable,
/// else in hexadecimal.
#[derive(Clone, PartialEq, Eq)]
pub struct UniqueId(Box<[u8]>);

impl UniqueId {
    /// The longest one that the protocol allows, in octets.
    pub const MAX_LENGTH: usize = 128;

    /// `None` if it is empty or too long.
    pub fn new(octets: &[u8]) -> Option<Self> {
        matches!(octets.len(), 1..=Self::MAX_LENGTH).then(|| Self(octets.into()))
    }
}

impl fmt::Display for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(&self.0) {
            Ok(text) if text.bytes().all(|octet| octet.is_ascii_graphic()) => f.write_str(text),
            _ => self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}")),
        }
    }
}

impl fmt::Debug for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UniqueId({self})")
    }
}
