//! How one user's connection went: what is counted, and the line in the log.

use std::net::SocketAddr;
use std::time::Duration;

use crate::error::ExchangeError;
use crate::exchange::Report;

/// Whether the user came over IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// IPv4, also when mapped into IPv6.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of a peer.
    pub(crate) fn of(peer: SocketAddr) -> Self {
        if peer.ip().to_canonical().is_ipv4() {
            Self::V4
        } else {
            Self::V6
        }
    }

    /// The name of this family in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }
}

/// How one user's connection went.
pub(crate) struct Outcome {
    /// Cookies, or why not.
    pub(crate) result: Result<(), ExchangeError>,
    /// What happened on the way.
    pub(crate) report: Report,
    /// From accepting to the end.
    pub(crate) total: Duration,
    /// The user's address family; nothing else of his address is kept.
    pub(crate) family: Family,
}

impl Outcome {
    /// The label of all outcomes that end with cookies.
    pub(crate) const OK: &'static str = "ok";

    /// The outcome label in metrics.
    pub(crate) fn label(&self) -> &'static str {
        match &self.result {
            Ok(()) => Self::OK,
            Err(error) => error.label(),
        }
    }
}
