//! Development only: throw-away certificate authorities, time sources that do as they should,
//! time sources that do not, pools and users, all on real TLS and UDP on loopback.
//!
//! Every socket has port 0. Nothing here needs root, the internet, or the machine's clock to be
//! touched, and nothing waits by sleeping: events are awaited, under a [deadline].
//!
//! This crate is never shipped, so it may panic: a test that cannot be set up has failed.

pub mod authority;
pub mod child_pool;
pub mod clock_simulation;
pub mod dead_sources;
pub mod deadline;
pub mod diagnosis;
pub mod faulty_source;
pub mod file_pool;
pub mod lab;
pub mod log;
pub mod managed;
pub mod page;
pub mod places;
pub mod registry;
pub mod secrets;
pub mod simulation;
pub mod udp_path;
pub mod user;
pub mod wire;

pub use authority::{CertificateAuthority, Credentials};
pub use faulty_source::FaultySource;
pub use lab::Lab;
pub use udp_path::UdpPath;
pub use user::User;
