//! The side towards users: one connection, one request, one answer, good-bye.
//!
//! This is the one place that writes to users. Whatever happened, a user who can still be told is
//! told, with exactly one message.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use nts_proto::code_points::RecordType;
use nts_proto::error::RequestError;
use nts_proto::ke::EncodedMessage;
use nts_proto::ke::keys::SessionKeys;
use nts_proto::ke::negotiation::Negotiated;
use nts_proto::ke::request::{KeyExchangeRequest, Request};
use nts_proto::ke::response::KeyExchangeResponse;
use nts_service::ke_stream::{self, ReadError};
use nts_service::listener::{Connection, Lease};
use nts_service::quick_ack::QuickAckStream;
use nts_service::telemetry::client_address::ClientAddress;
use nts_service::tls::{self, Alpn};
use rustls::{ServerConfig, ServerConnection};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::server::TlsStream;
use tracing::{Instrument as _, Span};

use crate::budget::Budget;
use crate::error::ExchangeError;
use crate::exchange::{self, ExportKeys, Origin, Report};
use crate::metrics::Metrics;
use crate::outcome::{Kind, Outcome};
use crate::selection::{Family, Geo, HostLabel, Location};
use crate::sources::Sources;

/// What serving users takes; replaced as a whole.
pub(crate) struct Front {
    /// What users see of TLS.
    pub(crate) tls: Arc<ServerConfig>,
    /// Where cookies come from.
    pub(crate) sources: Arc<Sources>,
    /// Where users are, by their addresses.
    pub(crate) geo: Option<Arc<Geo>>,
    /// The time of one exchange.
    pub(crate) timeout: Duration,
    /// How long its TLS handshake may take.
    pub(crate) handshake_timeout: Duration,
    /// How long its request may take after that.
    pub(crate) request_timeout: Duration,
    /// The longest request, in octets.
    pub(crate) max_request: usize,
    /// How many denied names count.
    pub(crate) max_denied: usize,
    /// How much of users' addresses stands in the log.
    pub(crate) log_client_address: ClientAddress,
    /// Who connects from there is no user.
    pub(crate) monitors: Vec<IpNet>,
    /// Where outcomes are recorded.
    pub(crate) metrics: Arc<Metrics>,
}

impl Front {
    /// Serves one user from accepting to good-bye.
    pub(crate) async fn serve(self: Arc<Self>, mut connection: Connection) {
        let span = self.span(&connection);
        async {
            let budget = Budget::new(connection.lease.deadline(), self.timeout);
            let user = User::of(&connection);
            let (family, kind) = (Family::of(user.address), self.kind(user.address));
            let mut report = Report::default();
            let (stream, lease) = (connection.stream, &mut connection.lease);
            let (result, last) = self
                .converse(stream, user, lease, budget, &mut report)
                .await;
            // Before the answer leaves, so that whoever has it finds it counted.
            self.metrics.record(&Outcome {
                result,
                report,
                total: budget.started().elapsed(),
                family,
                kind,
            });
            if let Some(mut last) = last
                && last.send(budget).await
            {
                connection.lease.see_off(last.stream.into_inner().0);
            }
        }
        .instrument(span)
        .await;
    }

    /// Whose exchange it is that comes from this address.
    fn kind(&self, address: IpAddr) -> Kind {
        let address = address.to_canonical();
        match self.monitors.iter().any(|it| it.contains(&address)) {
            true => Kind::Monitor,
            false => Kind::User,
        }
    }

    /// Everything up to the answer, which is given back, if there is one to somebody.
    async fn converse(
        &self,
        stream: QuickAckStream,
        user: User,
        lease: &mut Lease,
        budget: Budget,
        report: &mut Report,
    ) -> (Result<(), ExchangeError>, Option<Last>) {
        let mut stream = match self.handshake(stream, lease, budget, report).await {
            Ok(stream) => stream,
            Err(error) => return (Err(error), None),
        };
        let result = tokio::select! {
            biased;
            result = self.answer(&mut stream, user, budget, report) => result,
            () = lease.cut_short().requested() => Err(ExchangeError::Stopping),
        };
        let message = match &result {
            Ok(response) => Some(response.encode()),
            Err(error) => error.answer().map(|refusal| refusal.encode()),
        };
        let last = message.map(|message| Last { stream, message });
        (result.map(drop), last)
    }

    async fn handshake(
        &self,
        stream: QuickAckStream,
        lease: &mut Lease,
        budget: Budget,
        report: &mut Report,
    ) -> Result<Box<TlsStream<QuickAckStream>>, ExchangeError> {
        let begun = Instant::now();
        lease.await_greeting();
        let tls = Arc::clone(&self.tls);
        // On the heap, as the stream that comes of it: who says nothing after it keeps room for neither.
        let handshake = Box::pin(tls::accept_greeted(tls, Alpn::Required, stream, || {
            lease.greeted();
        }));
        let until = budget.answer_by().min(begun + self.handshake_timeout);
        let stream = timeout_at(until, handshake)
            .await
            .map_err(|_| ExchangeError::HandshakeTimeout)?
            .map_err(ExchangeError::Handshake)?;
        report.phases.tls = Some(begun.elapsed());
        Ok(Box::new(stream))
    }

    async fn answer(
        &self,
        stream: &mut TlsStream<QuickAckStream>,
        user: User,
        budget: Budget,
        report: &mut Report,
    ) -> Result<KeyExchangeResponse, ExchangeError> {
        let begun = Instant::now();
        let until = budget.answer_by().min(begun + self.request_timeout);
        let mut request = timeout_at(until, read_request(stream, self.max_request))
            .await
            .map_err(|_| ExchangeError::RequestTimeout)??;
        request.denied.truncate(self.max_denied);
        report.phases.request = Some(begun.elapsed());
        let session = stream.get_ref().1;
        let exporter = UserSession(session);
        let origin = self.origin(user, session);
        // On the heap, so that a connection without a request does not cost what an exchange does.
        Box::pin(exchange::run(
            &request,
            exporter,
            origin,
            &self.sources,
            budget,
            report,
        ))
        .await
    }

    /// What all log lines about one connection have in common: the name that the balancer gave it,
    /// or a random one, and as much of the user's address as may be shown.
    fn span(&self, connection: &Connection) -> Span {
        let client = self.log_client_address.show(connection.peer.ip());
        let client = client.map(tracing::field::display);
        let named = connection.forwarded.as_ref();
        match named.and_then(|it| it.unique_id.as_ref()) {
            Some(id) => tracing::info_span!("exchange", xid = %id, client),
            None => {
                let xid = rand::random::<u64>();
                tracing::info_span!("exchange", xid = %format_args!("{xid:016x}"), client)
            }
        }
    }

    fn origin(&self, user: User, session: &ServerConnection) -> Origin {
        let geo = self.geo.as_ref().filter(|_| user.is_known);
        Origin {
            family: Family::of(user.address),
            location: geo.map_or_else(Location::default, |geo| geo.locate(user.address)),
            label: session.server_name().and_then(HostLabel::of_host),
        }
    }
}

/// What is said last, and to whom.
struct Last {
    stream: Box<TlsStream<QuickAckStream>>,
    message: EncodedMessage,
}

impl Last {
    /// Says it; whether that went well. If not, the user is gone, or does not read, which concerns
    /// nobody any more.
    async fn send(&mut self, budget: Budget) -> bool {
        let write = ke_stream::write_last_message(&mut self.stream, self.message.as_ref());
        matches!(timeout_at(budget.deadline(), write).await, Ok(Ok(())))
    }
}

/// Where a user comes from.
#[derive(Clone, Copy)]
struct User {
    address: IpAddr,
    /// Whether that is his address, not that of a balancer which does not tell his.
    is_known: bool,
}

impl User {
    fn of(connection: &Connection) -> Self {
        Self {
            address: connection.peer.ip(),
            is_known: connection.is_from_user(),
        }
    }
}

async fn read_request(
    stream: &mut TlsStream<QuickAckStream>,
    limit: usize,
) -> Result<KeyExchangeRequest, ExchangeError> {
    let message = ke_stream::read_message(stream, limit)
        .await
        .map_err(|error| match error {
            ReadError::Malformed(error) => RequestError::from(error).into(),
            // He may have closed his side only, and still listen.
            ReadError::Closed { received: 1.., .. } => {
                RequestError::from(nts_proto::error::ParseError::Incomplete).into()
            }
            ReadError::Closed { .. } | ReadError::Io(_) => ExchangeError::UserLeft,
        })?;
    // No user is a pool, so nobody is authorised here.
    match Request::parse(&message, |_| false)? {
        Request::KeyExchange(request) => Ok(request),
        Request::Info(_) | Request::FixedKey(_) => {
            Err(RequestError::NotAuthorized(RecordType::FixedKeyRequest.code()).into())
        }
    }
}

/// The user's TLS session as a giver of keys.
struct UserSession<'a>(&'a ServerConnection);

impl ExportKeys for UserSession<'_> {
    fn export(self, negotiated: &Negotiated) -> Result<SessionKeys, ExchangeError> {
        tls::export_session_keys(self.0, negotiated).map_err(|_| ExchangeError::Export)
    }
}
