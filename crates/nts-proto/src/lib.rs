//! Network Time Security on the wire: NTS-KE (RFC 8915 §4, with the pool extension of
//! draft-ietf-ntp-nts-keyexchange-pool) and NTPv4 with NTS (RFC 5905, RFC 7822, RFC 8915 §5).
//!
//! This crate is the rules and nothing else. It never does I/O, never reads a clock, never draws
//! a random number by itself and never logs: time and randomness are arguments, and what happens
//! to the bytes is the caller's business. No input, of any length or content, makes it panic or
//! allocate beyond the bound that the item in question states.
//!
//! | module | job |
//! | --- | --- |
//! | [`code_points`] | every number of the two protocols, with its source |
//! | [`ke`] | NTS-KE: records, messages, requests, responses, negotiation, key export |
//! | [`aead`], [`cookie`], [`keyset`] | what protects NTP packets and cookies |
//! | [`cookie_quirks`] | what makes some users drop cookies |
//! | [`ntp`] | NTPv4 packets and extension fields |
//! | [`server`] | the stateless NTP server: request in, reply out |
//! | [`association`] | the client's state machine for one time source |
//! | [`time`] | NTP's time formats |

#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

pub mod aead;
pub mod association;
pub mod code_points;
pub mod cookie;
pub mod cookie_quirks;
pub mod error;
pub mod ke;
pub mod keyset;
pub mod ntp;
pub mod server;
pub mod time;

mod bytes;
#[cfg(test)]
mod testing;
