//! The pool's side towards its time sources: connections, what sources support, keeping both warm.
//!
//! Users' keys pass through here only as the octets of a request that somebody else decided to
//! send. Nothing here chooses a source.

mod addresses;
mod connect;
mod connection;
mod dialect;
mod error;
mod idle;
mod info;
pub(crate) mod keeper;
mod knowledge;
mod own_names;
mod private;
mod race;
mod reach;
mod resolver;
mod sessions;
mod slots;

pub(crate) use connect::{Connector, Means, Node};
pub(crate) use connection::Connection;
pub use dialect::Dialect;
pub(crate) use dialect::Phrasing;
pub(crate) use error::{Class, Stage, UpstreamError};
pub(crate) use idle::{Allowance, IdlePool, IdleShare};
pub(crate) use info::{ask_capabilities, ask_names};
pub(crate) use knowledge::Board;
pub(crate) use own_names::OwnNames;
pub(crate) use resolver::SystemResolver;
#[cfg(test)]
pub(crate) use resolver::{Answer, Resolve};
pub(crate) use slots::{Slot, Slots};
