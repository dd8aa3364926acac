//! `[[source]]` and `[source-defaults]`.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use rustls_pki_types::CertificateDer;

/// One `[[source]]`: what to ask for time, and how.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// What kind of source this is.
    pub mode: SourceMode,
    /// The NTP server, the pool's name, or the NTS-KE server.
    pub address: RemoteAddress,
    /// Bounds of the poll interval (from the source, else from `[source-defaults]`).
    pub poll_interval_limits: PollLimits,
    /// First poll interval after the initial burst, log2 seconds; within the limits.
    pub initial_poll_interval: i8,
}

/// `mode` of a source, with the keys that are legal for that mode only.
#[derive(Clone, Debug)]
pub enum SourceMode {
    /// One NTP server, not authenticated.
    Server,
    /// Several NTP servers behind one DNS name, not authenticated.
    Pool {
        /// Greatest number of sources to hold, at least 1.
        count: usize,
        /// Addresses never used.
        ignore: Vec<IpAddr>,
    },
    /// One NTP server, found and authenticated by NTS key exchange.
    Nts {
        /// Roots besides those of the system.
        certificate_authority: Option<CertificateAuthority>,
    },
    /// Several NTP servers, handed out by an NTS pool. Only with the feature
    /// `unstable_nts-pool` does a configuration file yield this mode.
    NtsPool {
        /// Greatest number of sources to hold, at least 1.
        count: usize,
        /// Roots besides those of the system.
        certificate_authority: Option<CertificateAuthority>,
    },
}

/// `certificate-authority`: a PEM file that was read and parsed with the configuration.
#[derive(Clone)]
pub struct CertificateAuthority {
    /// The file, as configured.
    pub path: PathBuf,
    /// Its certificates, at least one.
    pub certificates: Vec<CertificateDer<'static>>,
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority")
            .field("path", &self.path)
            .field("certificates", &self.certificates.len())
            .finish()
    }
}

/// Host and port of a remote, not yet resolved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteAddress {
    /// A DNS name, or an IP address without brackets.
    pub host: String,
    /// The port; never 0.
    pub port: u16,
}

impl fmt::Display for RemoteAddress {
    /// `host:port`, with brackets around an IPv6 address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Bounds of a poll interval in log2 seconds, `0 <= min <= max <= 17`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollLimits {
    /// Shortest interval, log2 seconds.
    pub min: i8,
    /// Longest interval, log2 seconds.
    pub max: i8,
}

impl Default for PollLimits {
    /// 16 s … 1024 s.
    fn default() -> Self {
        Self { min: 4, max: 10 }
    }
}
