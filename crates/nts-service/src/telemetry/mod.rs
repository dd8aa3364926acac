//! What the programs tell about themselves: logs, metrics, and the HTTP endpoint for both.
//!
//! Nothing here is called from protocol code, and no secret, client address or error text ever
//! becomes a label.

pub mod client_address;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod readiness;
pub mod throttle;
