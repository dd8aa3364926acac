//! The requests of a pool, each with a limit of time.

use std::time::Duration;

use nts_proto::ke::name::NtpServerName;
use nts_proto::ke::negotiation::Capabilities;
use nts_proto::ke::request::FixedKeyRequest;
use nts_proto::ke::response::FixedKeyResponse;
use nts_proto::ke::token::AuthenticationToken;
use nts_service::diagnosis::{PATIENCE, Peer, Session};
use tokio::time::{Instant, timeout};

use crate::upstream::{Connection, Dialect, Phrasing, UpstreamError, ask_capabilities, ask_names};

/// No connection of a probe gets that old.
const LIFETIME: Duration = Duration::from_secs(600);

/// Asks one source, as the pool it may know.
pub(super) struct Asker<'p> {
    peer: &'p Peer,
    token: Option<&'p AuthenticationToken>,
    has_certificate: bool,
}

/// Why a question has no good answer.
pub(super) enum Fault {
    /// There was no connection to ask on; in words.
    Unconnected(String),
    /// The source did not do as it should.
    Source(UpstreamError),
}

impl From<UpstreamError> for Fault {
    fn from(error: UpstreamError) -> Self {
        Self::Source(error)
    }
}

impl<'p> Asker<'p> {
    pub(super) fn new(
        peer: &'p Peer,
        token: Option<&'p AuthenticationToken>,
        has_certificate: bool,
    ) -> Self {
        Self {
            peer,
            token,
            has_certificate,
        }
    }

    /// The source.
    pub(super) fn peer(&self) -> &'p Peer {
        self.peer
    }

    /// The token that is shown to the source.
    pub(super) fn token(&self) -> Option<&'p AuthenticationToken> {
        self.token
    }

    /// Whether we can prove to be a pool.
    pub(super) fn has_credentials(&self) -> bool {
        self.token.is_some() || self.has_certificate
    }

    /// The ways to phrase a request that are worth trying, best first.
    pub(super) fn phrasings(&self) -> impl Iterator<Item = Phrasing> {
        let by_certificate: &[Phrasing] = match self.has_certificate {
            true => Dialect::DraftMtls.phrasings(),
            false => &[],
        };
        let all = Dialect::Auto.phrasings().iter().chain(by_certificate);
        all.copied()
    }

    /// One more connection.
    pub(super) async fn open(&self) -> Result<Connection, Fault> {
        let session = self.peer.open().await.map_err(Fault::Unconnected)?;
        Ok(connection(session))
    }

    /// Asks what the source supports, and to keep the connection; gives whether it does.
    pub(super) async fn capabilities(
        &self,
        connection: &mut Connection,
        phrasing: Phrasing,
    ) -> Result<(Capabilities, bool), Fault> {
        in_time(ask_capabilities(connection, phrasing, self.token)).await
    }

    /// Asks for the names of its time servers; empty if it does not tell.
    pub(super) async fn names(&self, phrasing: Phrasing) -> Result<Vec<NtpServerName>, Fault> {
        let mut connection = self.open().await?;
        let names = in_time(ask_names(&mut connection, phrasing, self.token)).await;
        connection.close().await;
        names
    }
}

/// A connection as pools use it.
pub(super) fn connection(session: Session) -> Connection {
    Connection::new(session, Instant::now(), LIFETIME)
}

/// Sends keys; the answer is one to them.
pub(super) async fn send_keys(
    connection: &mut Connection,
    request: &FixedKeyRequest,
) -> Result<FixedKeyResponse, Fault> {
    in_time(async {
        let message = connection.request(request.encode().as_ref()).await?;
        Ok(FixedKeyResponse::parse(&message, request)?)
    })
    .await
}

async fn in_time<T>(asking: impl Future<Output = Result<T, UpstreamError>>) -> Result<T, Fault> {
    match timeout(PATIENCE, asking).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(UpstreamError::TimedOut.into()),
    }
}
