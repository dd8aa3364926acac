//! Before any key has left the pool: sources are tried until one is ready to be asked.

use std::sync::Arc;

use nts_proto::code_points::ProtocolId;
use nts_proto::ke::keys::SessionKeys;
use nts_proto::ke::negotiation::{Negotiated, negotiate};
use nts_proto::ke::request::KeyExchangeRequest;
use nts_proto::ke::response::Refusal;
use tokio::time::{Instant, timeout_at};

use super::{Committed, Exchange, Report};
use crate::error::ExchangeError;
use crate::fleet::Event;
use crate::key_rule::{Attempt, BeforeKeys, Budget};
use crate::selection::{Choice, NothingInCommon, Offer, nothing_in_common};
use crate::source::Source;
use crate::sources::{Sources, View};
use crate::upstream::{Connection, Phrasing, Slot, UpstreamError};

/// The user's TLS connection as a giver of keys. It gives them once: it is consumed.
pub(crate) trait ExportKeys {
    /// Takes the keys for what was negotiated.
    ///
    /// # Errors
    /// If the TLS connection does not give them.
    fn export(self, negotiated: &Negotiated) -> Result<SessionKeys, ExchangeError>;
}

/// The state before keys are sent.
pub(crate) struct PreKey<'a, E> {
    request: &'a KeyExchangeRequest,
    exporter: E,
    sources: &'a Sources,
    offer: Offer,
    rule: BeforeKeys,
}

/// A source that is ready for keys: what it supports is known, the connection stands.
pub(crate) struct Candidate {
    pub(super) source: Arc<Source>,
    pub(super) slot: Slot,
    pub(super) connection: Connection,
    pub(super) negotiated: Negotiated,
    pub(super) phrasing: Phrasing,
}

/// Why a source is not ready.
enum NotReady {
    Failed(UpstreamError),
    /// It shares nothing with the user's offer.
    Mismatch,
}

impl<'a, E: ExportKeys> Exchange<PreKey<'a, E>> {
    /// An exchange for `request` over those `sources` that `choice` yields.
    ///
    /// # Errors
    /// [`ExchangeError::NothingInCommon`] if the user does not offer NTPv4: no source is needed to
    /// tell, because that is the only protocol whose keys the pool can export.
    pub(super) fn new(
        request: &'a KeyExchangeRequest,
        exporter: E,
        sources: &'a Sources,
        choice: Choice,
        budget: Budget,
    ) -> Result<Self, ExchangeError> {
        if !request.protocols.contains(&ProtocolId::Ntpv4) {
            return Err(ExchangeError::NothingInCommon(Refusal::NoCommonProtocol));
        }
        let state = PreKey {
            request,
            exporter,
            sources,
            offer: Offer::from(request),
            rule: BeforeKeys::new(choice, sources.attempts()),
        };
        Ok(Self { budget, state })
    }

    /// Tries sources until one is ready for keys.
    ///
    /// # Errors
    /// When no source is left, as many as may be tried have failed, or the time is over.
    pub(super) async fn find_candidate(
        &mut self,
        report: &mut Report,
    ) -> Result<Candidate, ExchangeError> {
        let started = Instant::now();
        let mut last_failure = None;
        while let Some((attempt, source)) = self.state.next() {
            if Instant::now() >= self.budget.answer_by() {
                return Err(ExchangeError::BeforeKeysTimeout);
            }
            match self.prepare(&source, &attempt).await {
                Ok(candidate) => {
                    report.note_pick(&attempt.pick);
                    report.phases.before_keys = Some(started.elapsed());
                    return Ok(candidate);
                }
                Err(NotReady::Mismatch) => self.state.rule.mismatched(),
                Err(NotReady::Failed(error)) => {
                    report.note_pick(&attempt.pick);
                    report.asked.push((Arc::clone(&source), Err(error.class())));
                    note_failure(&source, &error);
                    self.state.rule.failed(&attempt, error.is_slowness());
                    last_failure = Some(error);
                }
            }
        }
        Err(match last_failure {
            Some(error) => ExchangeError::BeforeKeys(error),
            None => self.state.nothing_left(),
        })
    }

    /// Gets `source` ready for keys, within its share of the time.
    async fn prepare(
        &self,
        source: &Arc<Source>,
        attempt: &Attempt,
    ) -> Result<Candidate, NotReady> {
        let started = Instant::now();
        let round_trip = source.round_trip();
        let until = attempt.until(&self.budget, started, round_trip);
        let slot = timeout_at(until, source.slots.take()).await;
        let slot = slot.ok().flatten();
        let slot = slot.ok_or(NotReady::Failed(UpstreamError::Full))?;
        // Waiting for others is nothing that the source could be blamed for.
        let started = Instant::now();
        let ready = async {
            let known = source.board.learn().await.map_err(NotReady::Failed)?;
            let negotiated = negotiate(self.state.request, &known.capabilities);
            let negotiated = negotiated.map_err(|_| NotReady::Mismatch)?;
            let connection = match take_kept(source) {
                Some(connection) => connection,
                None => source.open().await.map_err(NotReady::Failed)?,
            };
            Ok(Candidate {
                source: Arc::clone(source),
                slot,
                connection,
                negotiated,
                phrasing: known.phrasing,
            })
        };
        match timeout_at(until, ready).await {
            Ok(outcome) => outcome,
            Err(_) => {
                // So that the limit grows when it was too short for this source.
                source.note_round_trip(started.elapsed());
                let fair = Budget::is_fair(until - started, round_trip);
                Err(NotReady::Failed(UpstreamError::silence(fair)))
            }
        }
    }

    /// The point of no return: takes the user's keys and binds them to the candidate's source.
    ///
    /// # Errors
    /// [`ExchangeError::Export`]; no key has gone anywhere then.
    pub(super) fn commit(self, candidate: Candidate) -> Result<Exchange<Committed>, ExchangeError> {
        let PreKey { exporter, rule, .. } = self.state;
        let keys = exporter.export(&candidate.negotiated)?;
        Ok(Exchange {
            budget: self.budget,
            state: Committed::new(rule, candidate, keys),
        })
    }
}

impl<E> PreKey<'_, E> {
    /// The next source to try.
    fn next(&mut self) -> Option<(Attempt, Arc<Source>)> {
        let view = |at_once| View {
            sources: self.sources,
            offer: &self.offer,
            at_once,
            now: Instant::now(),
        };
        let attempt = self
            .rule
            .next(&view(true), &view(false), &mut rand::rng())?;
        let source = self.sources.get(attempt.pick.source)?;
        Some((attempt, Arc::clone(source)))
    }

    /// What to say when no source failed, and none is left.
    fn nothing_left(&self) -> ExchangeError {
        let now = Instant::now();
        let pool = self
            .sources
            .all()
            .iter()
            .filter(|source| !source.is_drained());
        let known: Vec<_> = pool.map(|source| source.board.known(now)).collect();
        let supported = known.iter().map(|known| Some(&known.as_ref()?.supported));
        match nothing_in_common(&self.offer, supported) {
            None => ExchangeError::NoSource,
            Some(NothingInCommon::Protocol) => {
                ExchangeError::NothingInCommon(Refusal::NoCommonProtocol)
            }
            Some(NothingInCommon::Algorithm(protocol)) => {
                ExchangeError::NothingInCommon(Refusal::NoCommonAlgorithm(protocol))
            }
        }
    }
}

/// A connection that the source has kept open, if there is one.
fn take_kept(source: &Source) -> Option<Connection> {
    let mut closed = 0;
    let connection = source.idle.take(Instant::now(), &mut closed);
    for _ in 0..closed {
        source.report(Event::KeptConnectionClosed);
    }
    connection
}

/// Remembers that the source failed.
fn note_failure(source: &Source, error: &UpstreamError) {
    // What the keeper found out itself it has counted itself; of a source without a free slot
    // nothing was found out.
    if !matches!(error, UpstreamError::CheckFailed(_) | UpstreamError::Full) {
        source.report(Event::FailedBeforeKeys(error.class()));
    }
}

#[cfg(test)]
mod tests;
