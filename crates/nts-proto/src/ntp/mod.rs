//! NTPv4 packets (RFC 5905 §7.3, RFC 7822) and the NTS fields in them (RFC 8915 §5).
//!
//! Parsing gives views into the datagram and writing fills a buffer that the caller lends, so
//! nothing here allocates. What a packet *means* is decided in [`server`](crate::server) and
//! [`association`](crate::association).

pub mod authenticator;
pub mod extension;
pub mod header;
pub mod packet;
pub(crate) mod writer;

/// Length of the unique identifiers that we make, and the least that a request must have
/// (RFC 8915 §5.3).
pub const UNIQUE_IDENTIFIER_LENGTH: usize = 32;
