//! Why a handshake failed, in plain words.

use std::io;

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The peer's certificate was refused; the text says why and what to do.
    #[error("{0}")]
    Certificate(String),
    /// The peer does not speak NTS-KE: `ntske/1` was not negotiated.
    #[error("the peer did not agree on the application protocol `ntske/1`: no NTS-KE there")]
    Alpn,
    /// The peer ended the handshake with an alert.
    #[error("the peer refused the handshake: {0}")]
    Alert(String),
    /// The peer does not keep to TLS 1.3.
    #[error("no TLS 1.3 session: {0}")]
    Protocol(#[source] rustls::Error),
    /// The connection failed.
    #[error("the connection failed during the handshake: {0}")]
    Io(#[source] io::Error),
}
