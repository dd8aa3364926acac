//! Looking at one NTS server from outside, step by step, and saying what is wrong and what to do.
//!
//! The commands `ntp-ctl nts` (an ordinary user) and `nts-pool-ke probe` (a pool) have their steps
//! in common here: name, TCP, TLS, certificate, key exchange, and NTP with the keys of the exchange.
//! Each step ends in a [`Step`] of a [`Report`], which is printed as text while it grows, or as JSON
//! at the end.
//!
//! | file | job |
//! | --- | --- |
//! | `arguments`, `report`, `command` | what is looked at, steps, how they are printed, the exit code |
//! | `approach`, `reach`, `handshake`, `certificate` | the way to a TLS session |
//! | `exchange`, `cookies` | what a user asks for, and what it gets |
//! | `ntp` | queries with and without NTS |
//! | `clock` | whether it is rather this machine's clock that is wrong |
//!
//! What never happens here: protocol rules (they are in `nts-proto`), steering a clock, and
//! printing a key, a cookie or a token. Whatever came over the network is printed through
//! [`printable`](crate::printable).

mod approach;
mod arguments;
mod certificate;
mod clock;
mod command;
mod cookies;
mod exchange;
mod handshake;
mod ntp;
mod reach;
mod report;
mod time_server;

pub use approach::{Approached, approach};
pub use arguments::{show, target, trust};
pub use command::{Purpose, run};
pub use cookies::check_cookies;
pub use exchange::{Exchanged, exchange_keys};
pub use handshake::{Peer, Session, check_others, explain_read};
pub use ntp::{Keys, check_time};
pub use reach::{Reached, connect};
pub use report::{Report, Step, Verdict};
pub use time_server::find_time_server;

use std::time::Duration;

/// Time for each single thing that is waited for: an address, a handshake, an answer.
pub const PATIENCE: Duration = Duration::from_secs(5);
