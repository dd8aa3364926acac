//! Before any key has left the pool: sources are tried until one is ready to be asked.

use std::sync::Arc;

use nts_proto::code_points::ProtocolId;
use nts_proto::ke::keys::SessionKeys;
use nts_proto::ke::negotiation::{Negotiated, negotiate};
use nts_proto::ke::request::KeyExchangeRequest;
use nts_proto::ke::response::Refusal;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Committed, Exchange, Report};
use crate::error::ExchangeError;
use crate::fleet::Event;
use crate::key_rule::{Attempt, BeforeKeys, Budget};
use crate::selection::{Choice, Family, NothingInCommon, Offer, nothing_in_common};
use crate::source::Source;
use crate::sources::{Sources, View};
use crate::track::Occasion;
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
    /// The family of his address.
    family: Family,
    offer: Offer,
    rule: BeforeKeys,
    last_failure: Option<UpstreamError>,
}

/// A source that is being tried.
struct Tried {
    attempt: Attempt,
    source: Arc<Source>,
}

/// A source that is ready for keys: what it supports is known, the connection stands.
pub(crate) struct Candidate {
    pub(super) source: Arc<Source>,
    pub(super) slot: Slot,
    pub(super) connection: Connection,
    pub(super) negotiated: Negotiated,
    pub(super) phrasing: Phrasing,
    /// The family over which the source has to be asked, if that matters.
    pub(super) family: Option<Family>,
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
        sources.effort().user_came(now());
        let state = PreKey {
            request,
            exporter,
            sources,
            family: choice.user().family,
            offer: Offer::from(request),
            rule: BeforeKeys::new(choice, sources.attempts()),
            last_failure: None,
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
        while let Some(attempt) = self.next(report) {
            if Instant::now() >= self.budget.answer_by() {
                return Err(ExchangeError::BeforeKeysTimeout);
            }
            if let Some(candidate) = self.first_ready(attempt, report).await {
                report.phases.before_keys = Some(started.elapsed());
                return Ok(candidate);
            }
        }
        Err(match self.state.last_failure.take() {
            Some(error) => ExchangeError::BeforeKeys(error),
            None => self.state.nothing_left(),
        })
    }

    /// The next source to try, unless one has failed and too many exchanges try another one.
    fn next(&mut self, report: &mut Report) -> Option<Tried> {
        let failed = self.state.last_failure.is_some();
        if failed && !self.state.sources.effort().may_fail_over(now()) {
            report.failover_refused = true;
            return None;
        }
        self.state.next()
    }

    /// The source if it becomes ready, or another one that was begun with because this one took
    /// long, and was ready first. `None` after failures were noted.
    async fn first_ready(&mut self, first: Tried, report: &mut Report) -> Option<Candidate> {
        let mut preparing = Box::pin(self.prepare(&first));
        let patience = self.state.sources.effort().hedge_after();
        if let Ok(outcome) = timeout(patience, preparing.as_mut()).await {
            return self.take(&first, outcome, report);
        }
        let Some(second) = self.hedge(&first.attempt) else {
            let outcome = preparing.await;
            return self.take(&first, outcome, report);
        };
        report.hedges += 1;
        let mut preparing_second = Box::pin(self.prepare(&second));
        let (candidate, other) = tokio::select! {
            outcome = preparing.as_mut() => match self.take(&first, outcome, report) {
                Some(candidate) => (candidate, &second),
                None => {
                    let outcome = preparing_second.await;
                    return self.take(&second, outcome, report);
                }
            },
            outcome = preparing_second.as_mut() => match self.take(&second, outcome, report) {
                Some(candidate) => (candidate, &first),
                None => {
                    let outcome = preparing.await;
                    return self.take(&first, outcome, report);
                }
            },
        };
        other.source.report(Event::Overtaken);
        Some(candidate)
    }

    /// Another source to get ready beside one that takes long, if that may be.
    fn hedge(&mut self, first: &Attempt) -> Option<Tried> {
        let allowed = self.state.sources.effort().may_hedge(now());
        allowed.then(|| self.state.beside(first)).flatten()
    }

    /// Takes note of how a source did.
    fn take(
        &mut self,
        tried: &Tried,
        outcome: Result<Candidate, NotReady>,
        report: &mut Report,
    ) -> Option<Candidate> {
        let Tried { attempt, source } = tried;
        match outcome {
            Ok(candidate) => {
                report.note_pick(&attempt.pick);
                return Some(candidate);
            }
            Err(NotReady::Mismatch) => self.state.rule.mismatched(),
            Err(NotReady::Failed(error)) => {
                report.note_pick(&attempt.pick);
                report.before_keys.push(error.stage());
                report.asked.push((Arc::clone(source), Err(error.class())));
                note_failure(source, &error);
                self.state.rule.failed(attempt, error.is_slowness());
                self.state.last_failure = Some(error);
            }
        }
        None
    }

    /// Gets a source ready for keys, within its share of the time.
    fn prepare(
        &self,
        tried: &Tried,
    ) -> impl Future<Output = Result<Candidate, NotReady>> + use<'a, E> {
        let (request, sources) = (self.state.request, self.state.sources);
        let (source, attempt) = (Arc::clone(&tried.source), tried.attempt);
        let family = source.family_for(self.state.family);
        let budget = self.budget;
        async move {
            // The source's own round trips do not tell how long others need it.
            let patience = attempt.until(&budget, Instant::now(), None);
            let slot = timeout_at(patience, source.slots.take()).await;
            let slot = slot.ok().flatten();
            let slot = slot.ok_or(NotReady::Failed(UpstreamError::Full))?;
            // Waiting for others is nothing that the source could be blamed for.
            let began = Instant::now();
            let round_trip = source.round_trip();
            let until = attempt.until(&budget, began, round_trip);
            let ready = async {
                let known = source.board.learn().await.map_err(NotReady::Failed)?;
                let negotiated = negotiate(request, &known.capabilities);
                let negotiated = negotiated.map_err(|_| NotReady::Mismatch)?;
                let connection = match take_kept(&source, family) {
                    Some(connection) => connection,
                    None => {
                        let opened = source.open(family).await.map_err(NotReady::Failed)?;
                        sources.effort().note_ready(began.elapsed());
                        opened
                    }
                };
                Ok(Candidate {
                    source: Arc::clone(&source),
                    slot,
                    connection,
                    negotiated,
                    phrasing: known.phrasing,
                    family,
                })
            };
            match timeout_at(until, ready).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    // So that the limit grows when it was too short for this source.
                    source.note_round_trip(began.elapsed());
                    let fair = Budget::is_fair(until - began, round_trip);
                    Err(NotReady::Failed(UpstreamError::silence(fair)))
                }
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
    fn next(&mut self) -> Option<Tried> {
        let at_once = view(self.sources, &self.offer, true);
        let sooner_or_later = view(self.sources, &self.offer, false);
        let attempt = self.rule.next(&at_once, &sooner_or_later, &mut rand::rng());
        self.tried(attempt?)
    }

    /// Another source to get ready beside the one that is being tried.
    fn beside(&mut self, first: &Attempt) -> Option<Tried> {
        let at_once = view(self.sources, &self.offer, true);
        let attempt = self.rule.beside(first, &at_once, &mut rand::rng());
        self.tried(attempt?)
    }

    fn tried(&self, attempt: Attempt) -> Option<Tried> {
        let source = Arc::clone(self.sources.get(attempt.pick.source)?);
        Some(Tried { attempt, source })
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

/// What the draw of a user's sources may ask of them.
fn view<'a>(sources: &'a Sources, offer: &'a Offer, at_once: bool) -> View<'a> {
    View {
        sources,
        offer,
        at_once,
        now: Instant::now(),
    }
}

/// A connection that the source has kept open, if there is one.
fn take_kept(source: &Source, family: Option<Family>) -> Option<Connection> {
    let mut closed = 0;
    let connection = source.idle.take(family, Instant::now(), &mut closed);
    for _ in 0..closed {
        source.report(Event::KeptConnectionClosed);
    }
    connection
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// Remembers that the source failed.
fn note_failure(source: &Source, error: &UpstreamError) {
    // What the keeper found out itself it has counted itself; of a source without a free slot
    // nothing was found out.
    if !matches!(error, UpstreamError::CheckFailed(_) | UpstreamError::Full) {
        source.report(Event::FailedBeforeKeys(error.class()));
        source.note_error(Occasion::BeforeKeys, error);
    }
}

#[cfg(test)]
mod tests;
