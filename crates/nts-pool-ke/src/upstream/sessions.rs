//! TLS sessions with one source, and for how long they are resumed.
//!
//! Unlike users, the pool gains from resuming sessions, and hides from nobody; a resumed session
//! still belongs to the name that was verified, and no user's key comes from it. But whoever
//! resumes does not look at the certificate again, and each resumed session brings the ticket for
//! the next: without an end to it a certificate would be good for ever.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::client::Resumption;
use tokio::time::Instant;

/// After this time the certificate is looked at again.
const LONGEST: Duration = Duration::from_secs(3600);

/// As many as the library keeps of one server.
const TICKETS: usize = 8;

/// TLS towards one source.
pub(super) struct Sessions {
    current: Mutex<Current>,
}

struct Current {
    tls: Arc<ClientConfig>,
    since: Instant,
}

impl Sessions {
    /// Nothing to resume yet.
    pub(super) fn new(tls: &ClientConfig, now: Instant) -> Self {
        let current = Mutex::new(Current::new(tls, now));
        Self { current }
    }

    /// What to connect with at `now`.
    ///
    /// Tickets that come on older connections go where nobody looks for them any more.
    pub(super) fn tls(&self, now: Instant) -> Arc<ClientConfig> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= current.since + LONGEST {
            *current = Current::new(&current.tls, now);
        }
        Arc::clone(&current.tls)
    }
}

impl Current {
    fn new(tls: &ClientConfig, since: Instant) -> Self {
        let mut tls = tls.clone();
        tls.resumption = Resumption::in_memory_sessions(TICKETS);
        Self {
            tls: Arc::new(tls),
            since,
        }
    }
}

#[cfg(test)]
mod tests {
    use nts_service::tls::{self, Alpn, ClientCertificates};
    use rustls::server::ServerSessionMemoryCache;
    use rustls::{HandshakeKind, ServerConfig};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::testing::Authority;

    /// How the handshake of one connection went.
    async fn handshake(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> HandshakeKind {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let serve = async {
            let mut stream = tls::accept(server, Alpn::Required, theirs).await.unwrap();
            stream.write_all(&[0]).await.unwrap();
            stream
        };
        let connect = async {
            let name = "a.test".try_into().unwrap();
            let mut stream = tls::connect(client, name, ours).await.unwrap();
            // The tickets come before it.
            stream.read_exact(&mut [0]).await.unwrap();
            stream.get_ref().1.handshake_kind().unwrap()
        };
        tokio::join!(serve, connect).1
    }

    #[tokio::test]
    async fn a_certificate_is_looked_at_again_after_an_hour() {
        let authority = Authority::new();
        let identity = authority.identity("a.test");
        let mut server =
            ServerConfig::clone(&tls::server_config(&identity, ClientCertificates::Ignore));
        server.send_tls13_tickets = 1;
        server.session_storage = ServerSessionMemoryCache::new(100);
        let server = Arc::new(server);
        let now = Instant::now();
        let sessions = Sessions::new(&tls::client_config(&authority.trust(), None), now);
        for (seconds, expected) in [
            (0, HandshakeKind::Full),
            (1800, HandshakeKind::Resumed),
            (3599, HandshakeKind::Resumed),
            (3600, HandshakeKind::Full),
            (3601, HandshakeKind::Resumed),
            (7200, HandshakeKind::Full),
        ] {
            let client = sessions.tls(now + Duration::from_secs(seconds));
            let kind = handshake(client, Arc::clone(&server)).await;
            assert_eq!(kind, expected, "after {seconds} s");
        }
    }
}
