//! For tests only: a throw-away authority, time sources that do as they are told, and pools of them,
//! on real TLS and loopback ports.

mod authority;
mod pool;
mod source;

pub(crate) use authority::*;
pub(crate) use pool::*;
pub(crate) use source::*;
