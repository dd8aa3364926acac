//! Why a handshake failed, in plain words for the person who runs the program.

use std::io;

use rustls::CertificateError::{
    ApplicationVerificationFailure, BadSignature, Expired, ExpiredContext, InvalidPurpose,
    InvalidPurposeContext, NotValidForName, NotValidForNameContext, NotValidYet,
    NotValidYetContext, Revoked, UnknownIssuer,
};
use rustls::{AlertDescription, CertificateError, Error};

use super::certificate::date;

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The peer's certificate was refused; the text says why and what to do.
    #[error("{0}")]
    Certificate(String),
    /// The peer does not speak NTS-KE: `ntske/1` was not negotiated.
    #[error(
        "the peer does not speak NTS-KE: it did not agree on the application protocol `ntske/1`"
    )]
    Alpn,
    /// The peer ended the handshake with an alert.
    #[error("{0}")]
    Alert(String),
    /// The peer does not keep to TLS 1.3.
    #[error("no TLS 1.3 session: {0}")]
    Protocol(#[source] Error),
    /// The peer closed the connection in the middle of the handshake.
    #[error("the peer closed the connection during the handshake")]
    Closed,
    /// The connection failed.
    #[error("the connection failed during the handshake: {0}")]
    Io(#[source] io::Error),
}

impl HandshakeError {
    /// A short name of the kind, fit for a metrics label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Certificate(_) => "certificate",
            Self::Alpn => "alpn",
            Self::Alert(_) => "alert",
            Self::Protocol(_) => "protocol",
            Self::Closed => "closed",
            Self::Io(_) => "io",
        }
    }
}

impl From<io::Error> for HandshakeError {
    /// The TLS stream wraps the library's error into an I/O error.
    fn from(error: io::Error) -> Self {
        match error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>())
        {
            Some(inner) => inner.clone().into(),
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::Closed,
            None => Self::Io(error),
        }
    }
}

impl From<Error> for HandshakeError {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidCertificate(error) => Self::Certificate(certificate(&error)),
            Error::NoApplicationProtocol
            | Error::AlertReceived(AlertDescription::NoApplicationProtocol) => Self::Alpn,
            Error::AlertReceived(description) => Self::Alert(alert(description)),
            error => Self::Protocol(error),
        }
    }
}

/// What is wrong with the certificate that the peer presented.
fn certificate(error: &CertificateError) -> String {
    match error {
        ExpiredContext { time, not_after } => format!(
            "the peer's certificate expired on {}, and this machine's clock says {}; its \
             operator must renew it, unless this machine's clock is wrong",
            date(*not_after),
            date(*time)
        ),
        Expired => "the peer's certificate has expired; its operator must renew it, unless this \
                    machine's clock is wrong"
            .to_owned(),
        NotValidYetContext { time, not_before } => format!(
            "the peer's certificate is not valid before {}, and this machine's clock says {}; \
             check this machine's clock",
            date(*not_before),
            date(*time)
        ),
        NotValidYet => {
            "the peer's certificate is not yet valid; check this machine's clock".to_owned()
        }
        NotValidForNameContext {
            expected,
            presented,
        } => wrong_name(&expected.to_str(), presented),
        NotValidForName => "the peer's certificate is for another name".to_owned(),
        UnknownIssuer => "the peer's certificate was issued by an authority that is not trusted \
                          here; name the file of that authority as certificate authority"
            .to_owned(),
        BadSignature => "the peer's certificate bears the name of an authority that is trusted \
                         here, but was signed with another key; was the authority made anew? \
                         Use its present file"
            .to_owned(),
        Revoked => "the peer's certificate has been revoked".to_owned(),
        InvalidPurpose | InvalidPurposeContext { .. } => {
            "the peer's certificate is not meant for TLS servers (extended key usage); its \
             operator must have one made that is"
                .to_owned()
        }
        ApplicationVerificationFailure => "the peer's certificate was refused".to_owned(),
        error => format!("the peer's certificate was refused: {error}"),
    }
}

fn wrong_name(expected: &str, presented: &[String]) -> String {
    if presented.is_empty() {
        return format!(
            "the peer's certificate names no host at all (no subjectAltName); its operator must \
             have one made for `{expected}`"
        );
    }
    let names: Vec<_> = presented.iter().map(|name| plain_name(name)).collect();
    format!(
        "the peer's certificate is for {}, not for `{expected}`; use a name it is for, or have \
         one made for `{expected}`",
        names.join(", ")
    )
}

/// The library gives names as `DnsName("a.test")` or `IpAddress(192.0.2.1)`.
fn plain_name(name: &str) -> String {
    let inner = name
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .unwrap_or(name);
    format!("`{}`", inner.trim_matches('"'))
}

/// What the peer says is wrong with us.
fn alert(description: AlertDescription) -> String {
    match description {
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::DecryptError => {
            format!("the peer refused our certificate (TLS alert {description:?})")
        }
        AlertDescription::CertificateRequired => {
            "the peer demands a client certificate (TLS alert CertificateRequired)".to_owned()
        }
        AlertDescription::UnrecognisedName => {
            "the peer does not serve this name (TLS alert UnrecognisedName)".to_owned()
        }
        AlertDescription::ProtocolVersion => {
            "the peer knows no TLS 1.3 (TLS alert ProtocolVersion)".to_owned()
        }
        _ => format!("the peer ended the handshake (TLS alert {description:?})"),
    }
}
