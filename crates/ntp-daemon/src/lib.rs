//! The daemon's rooms: configuration, the client's sources, the NTP server, the key exchange
//! server, and what an operator sees of them. `main.rs` and the programs in `bin/` are thin.
//!
//! What never happens here: wire formats and protocol rules (they are pure and live in
//! `nts-proto`), TLS set-up and listeners (shared with the pool, in `nts-service`), and the
//! mathematics of time (`ntp-sync`).

pub mod client;
pub mod clock;
pub mod config;
pub mod ctl;
pub mod daemon;
pub mod exporter;
#[cfg(test)]
mod fixtures;
pub mod ke_server;
pub mod keys;
pub mod observe;
mod private_file;
pub mod server;
pub mod time_source;
mod unix_time;
