//! NTS-KE (RFC 8915 §4) with the pool extension (draft-ietf-ntp-nts-keyexchange-pool).
//!
//! Octets become a [`message::Message`], a message becomes a typed request or response that holds
//! nothing invalid, [`negotiation`] decides what both sides use, [`keys`] takes the keys from the
//! TLS connection. Every answer is encoded from a typed value; no record is ever passed on.
//!
//! Nothing here reads from a connection or knows of TLS, and no secret is ever shown by `Debug`.

mod encode;
pub mod keys;
pub mod message;
pub mod name;
pub mod negotiation;
pub mod number_set;
pub mod request;
pub mod response;
pub mod token;

#[cfg(test)]
pub(crate) mod testing;

pub use encode::EncodedMessage;
