//! TLS as NTS-KE wants it (RFC 8915 §3, §4; protocol reference §2.1).
//!
//! TLS 1.3 only, ALPN `ntske/1` on both sides, no early data, no session tickets, one
//! cryptographic provider that is named explicitly. Certificates are checked when they are
//! loaded, and what is wrong with them is said in words that a person can act on.
//!
//! What never happens here: TLS 1.2, a connection without certificate check, a decision about
//! who is authorised (see [`ClientCertificates`]).

mod certificate;
mod client;
mod client_certificates;
mod explain;
mod identity;
mod live_identity;
mod pem;
mod provider;
mod server;
mod session;
#[cfg(test)]
mod tests;
mod trust;
mod witness;

pub use certificate::date_of as date;
pub use client::{client_config, connect, watched_client_config};
pub use explain::HandshakeError;
pub use identity::{Identity, IdentityError, load_certificate};
pub use live_identity::{LiveIdentity, Renewal};
pub use server::{Alpn, ClientCertificates, accept, accept_greeted, server_config};
pub use session::{ExportError, export_session_keys, peer_certificate, speaks_ntske};
pub use trust::{TrustAnchors, TrustMode};
pub use witness::{CertificateFacts, CertificateFault, Presented, Witness};

/// The application protocol of NTS-KE (RFC 8915 §4, §7.1).
pub const ALPN: &[u8] = b"ntske/1";
