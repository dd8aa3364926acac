//! The failures that users must not notice, or not for long, one test for each row of
//! `docs/failures.md`: what the user sees, and what the pool does.
#![cfg(feature = "unstable_nts-pool")]

mod after_keys;
mod capabilities;
mod identity;
mod kept_connections;
mod many;
mod node;
mod support;
mod table;
mod unreachable;
