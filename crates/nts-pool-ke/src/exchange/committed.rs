//! After the keys are bound to a source: that source answers, or the exchange has failed.
//!
//! Nothing in this file can reach another source: the state holds one, and no list.

use std::sync::Arc;

use nts_proto::ke::keys::SessionKeys;
use nts_proto::ke::message::Message;
use nts_proto::ke::negotiation::Negotiated;
use nts_proto::ke::request::FixedKeyRequest;
use nts_proto::ke::response::{FixedKeyResponse, KeyExchangeResponse};
use tokio::time::{Instant, timeout_at};

use super::reply::rebuild;
use super::{Candidate, Exchange, Report};
use crate::error::ExchangeError;
use crate::fleet::Event;
use crate::key_rule::{AfterKeys, BeforeKeys};
use crate::selection::Family;
use crate::source::Source;
use crate::track::Occasion;
use crate::upstream::{Class, Connection, Slot, UpstreamError};

/// The state from which keys are sent: to one source, which is fixed.
pub(crate) struct Committed {
    rule: AfterKeys<Arc<Source>>,
    slot: Slot,
    connection: Connection,
    negotiated: Negotiated,
    request: FixedKeyRequest,
    family: Option<Family>,
}

/// What the source gave, and the connection it came on.
struct Answered {
    response: FixedKeyResponse,
    connection: Connection,
}

impl Committed {
    /// Binds `keys` to the candidate's source.
    pub(super) fn new(rule: BeforeKeys, candidate: Candidate, keys: SessionKeys) -> Self {
        let Candidate {
            source,
            slot,
            connection,
            negotiated,
            phrasing,
            family,
        } = candidate;
        let may_repeat = connection.is_used() && source.policy().same_source_retry;
        let token = source.token().filter(|_| phrasing.with_token).cloned();
        Self {
            request: FixedKeyRequest::new(
                phrasing.number_set,
                token,
                negotiated.protocol(),
                negotiated.algorithm(),
                &keys,
                phrasing.modern,
            ),
            rule: rule.commit(source, may_repeat),
            slot,
            connection,
            negotiated,
            family,
        }
    }
}

impl Exchange<Committed> {
    /// Sends the keys and makes the user's answer out of the source's.
    ///
    /// # Errors
    /// [`ExchangeError::AfterKeys`], whatever the source did wrong.
    pub(super) async fn obtain_cookies(
        self,
        report: &mut Report,
    ) -> Result<KeyExchangeResponse, ExchangeError> {
        let started = Instant::now();
        let source = Arc::clone(self.state.rule.source());
        let until = self.budget.answer_by();
        let given = until.saturating_duration_since(started);
        let fair = self.budget.is_fair_after_keys(given);
        let outcome = match timeout_at(until, self.ask(report)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(UpstreamError::silence(fair)),
        };
        report.phases.after_keys = Some(started.elapsed());
        report.asked.push((Arc::clone(&source), class_of(&outcome)));
        match outcome {
            Ok(response) => {
                source.report(Event::Served);
                Ok(response)
            }
            Err(error) => {
                note_failure(&source, &error);
                Err(ExchangeError::AfterKeys(error))
            }
        }
    }

    async fn ask(self, report: &mut Report) -> Result<KeyExchangeResponse, UpstreamError> {
        let Committed {
            rule,
            slot: _slot,
            connection,
            negotiated,
            request,
            family,
        } = self.state;
        let source = Arc::clone(rule.source());
        let sent = Instant::now();
        let answered = match send(connection, &request).await {
            Err(UpstreamError::ClosedUnanswered) => {
                let (now, round_trip) = (Instant::now(), source.round_trip());
                let again = rule.repeat(&self.budget, now, round_trip);
                let same = again.ok_or(UpstreamError::ClosedUnanswered)?;
                report.same_source_retry = Some(false);
                same.report(Event::KeptConnectionClosed);
                let answered = send(same.open(family).await?, &request).await?;
                report.same_source_retry = Some(true);
                answered
            }
            outcome => {
                let answered = outcome?;
                source.note_round_trip(sent.elapsed());
                answered
            }
        };
        if answered.response.keep_alive
            && let Some(surplus) = source.idle.park(answered.connection)
        {
            tokio::spawn(surplus.close());
        }
        rebuild(answered.response.exchange, &negotiated, &source).await
    }
}

/// Sends the request, and checks that the response is one to it.
async fn send(
    mut connection: Connection,
    request: &FixedKeyRequest,
) -> Result<Answered, UpstreamError> {
    let message: Message = connection.request(request.encode().as_ref()).await?;
    let response = FixedKeyResponse::parse(&message, request)?;
    Ok(Answered {
        response,
        connection,
    })
}

fn class_of<T>(outcome: &Result<T, UpstreamError>) -> Result<(), Class> {
    match outcome {
        Ok(_) => Ok(()),
        Err(error) => Err(error.class()),
    }
}

/// Remembers that the source failed a user. What was known about it may be wrong then, and its
/// other connections may be as dead as this one: the next user shall find out before he sends keys.
fn note_failure(source: &Source, error: &UpstreamError) {
    if error.class() == Class::Local {
        return;
    }
    if error.is_misdirection() {
        tracing::warn!(
            source = source.label(),
            "time source misdirects users: {error}"
        );
    }
    drop(source.idle.clear());
    source.report(Event::FailedAfterKeys(error.class()));
    source.note_error(Occasion::AfterKeys, error);
    source.board.mistrust();
}
