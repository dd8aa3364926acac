//! Before any key has left the pool: sources are tried until one is ready to be asked.

use std::sync::Arc;

use nts_proto::code_points::ProtocolId;
use nts_proto::ke::keys::SessionKeys;
use nts_proto::ke::negotiation::{Negotiated, negotiate};
use nts_proto::ke::request::KeyExchangeRequest;
use nts_proto::ke::response::Refusal;
use tokio::time::{Instant, timeout_at};

use super::{Committed, Exchange, Report, Sources};
use crate::budget::Budget;
use crate::error::ExchangeError;
use crate::health::Event;
use crate::names::DeniedNames;
use crate::select::{self, Pick, Standing};
use crate::source::Source;
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
    sources: &'a [Arc<Source>],
    /// So many sources are tried.
    attempts: usize,
    denied: DeniedNames,
    /// By position in `sources`: why it is not to be picked (again).
    excluded: Vec<Option<Excluded>>,
}

#[derive(Clone, Copy)]
enum Excluded {
    /// It was tried and failed, or is being tried.
    Tried,
    /// It was given little time, and was not ready or had no free slot within it.
    Slow,
    /// It shares nothing with the user's offer.
    Mismatch(Refusal),
}

/// How much time a source gets to be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trial {
    /// There are others as good.
    Short,
    /// There are only others that failed lately.
    Long,
    /// There is no other.
    Last,
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
    Mismatch(Refusal),
}

impl<'a, E: ExportKeys> Exchange<PreKey<'a, E>> {
    /// An exchange for `request` over `sources`.
    ///
    /// # Errors
    /// [`ExchangeError::NothingInCommon`] if the user does not offer NTPv4: no source is needed to
    /// tell, because that is the only protocol whose keys the pool can export.
    pub(super) fn new(
        request: &'a KeyExchangeRequest,
        exporter: E,
        sources: Sources<'a>,
        budget: Budget,
    ) -> Result<Self, ExchangeError> {
        if !request.protocols.contains(&ProtocolId::Ntpv4) {
            return Err(ExchangeError::NothingInCommon(Refusal::NoCommonProtocol));
        }
        let state = PreKey {
            request,
            exporter,
            sources: sources.all,
            attempts: sources.attempts,
            denied: DeniedNames::new(&request.denied),
            excluded: vec![None; sources.all.len()],
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
        let mut tried = 0;
        while tried < self.state.attempts {
            if Instant::now() >= self.budget.answer_by() {
                return Err(ExchangeError::BeforeKeysTimeout);
            }
            let Some((pick, others)) = self.state.pick() else {
                if self.state.readmit_slow() {
                    continue;
                }
                break;
            };
            let source = Arc::clone(&self.state.sources[pick.index]);
            self.state.excluded[pick.index] = Some(Excluded::Tried);
            let trial = match others {
                _ if tried + 1 == self.state.attempts => Trial::Last,
                others => others,
            };
            match self.prepare(&source, trial).await {
                Ok(candidate) => {
                    report.picks.push(pick.tier);
                    report.phases.before_keys = Some(started.elapsed());
                    return Ok(candidate);
                }
                Err(NotReady::Mismatch(refusal)) => {
                    self.state.excluded[pick.index] = Some(Excluded::Mismatch(refusal));
                }
                Err(NotReady::Failed(error)) => {
                    tried += 1;
                    report.picks.push(pick.tier);
                    report.asked.push((Arc::clone(&source), Err(error.class())));
                    note_failure(&source, &error);
                    let slow = matches!(
                        error,
                        UpstreamError::TimedOut | UpstreamError::NoTime | UpstreamError::Full
                    );
                    if trial == Trial::Short && slow {
                        self.state.excluded[pick.index] = Some(Excluded::Slow);
                    }
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
    async fn prepare(&self, source: &Arc<Source>, trial: Trial) -> Result<Candidate, NotReady> {
        let started = Instant::now();
        let round_trip = source.round_trip();
        let until = match trial {
            Trial::Short => self.budget.trial_until(started, round_trip),
            Trial::Long => self.budget.trial_until(started, None),
            Trial::Last => self.budget.last_trial_until(started),
        };
        let slot = timeout_at(until, source.slots.take()).await;
        let slot = slot.ok().flatten();
        let slot = slot.ok_or(NotReady::Failed(UpstreamError::Full))?;
        // Waiting for others is nothing that the source could be blamed for.
        let started = Instant::now();
        let ready = async {
            let known = source.board.learn().await.map_err(NotReady::Failed)?;
            let negotiated =
                negotiate(self.state.request, &known.capabilities).map_err(NotReady::Mismatch)?;
            let connection = match source.idle.take(Instant::now()) {
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
        let keys = self.state.exporter.export(&candidate.negotiated)?;
        Ok(Exchange {
            budget: self.budget,
            state: Committed::new(candidate, keys),
        })
    }
}

impl<E> PreKey<'_, E> {
    /// The next source to try, and how much time it deserves in view of the others. One without a
    /// free slot is only tried when all are so.
    fn pick(&self) -> Option<(Pick, Trial)> {
        self.pick_of(|source| source.slots.is_free())
            .or_else(|| self.pick_of(|_| true))
    }

    fn pick_of(&self, may_be_picked: impl Fn(&Source) -> bool) -> Option<(Pick, Trial)> {
        let now = Instant::now();
        let standings: Vec<_> = std::iter::zip(self.sources, &self.excluded)
            .map(|(source, excluded)| Standing {
                excluded: excluded.is_some()
                    || !may_be_picked(source)
                    || self.is_mismatch(source, now),
                ..source.standing(&self.denied, now)
            })
            .collect();
        let pick = select::pick(&standings, &mut rand::rng())?;
        let picked_is_aside = standings[pick.index].aside;
        let others = standings.iter().enumerate();
        let others = others
            .filter(|(index, it)| *index != pick.index && it.weight > 0 && !it.excluded)
            .map(|(_, it)| match picked_is_aside || !it.aside {
                true => Trial::Short,
                false => Trial::Long,
            });
        Some((pick, others.min().unwrap_or(Trial::Last)))
    }

    /// Lets sources that were given little time try again, now that no other is left.
    fn readmit_slow(&mut self) -> bool {
        let mut readmitted = false;
        for excluded in &mut self.excluded {
            if matches!(excluded, Some(Excluded::Slow)) {
                *excluded = None;
                readmitted = true;
            }
        }
        readmitted
    }

    /// Whether the source is known to share nothing with the user's offer.
    fn is_mismatch(&self, source: &Source, now: Instant) -> bool {
        self.mismatch(source, now).is_some()
    }

    fn mismatch(&self, source: &Source, now: Instant) -> Option<Refusal> {
        let known = source.board.known(now)?;
        negotiate(self.request, &known.capabilities).err()
    }

    /// What to say when no source failed, and none is left: the best of what the sources refused.
    fn nothing_left(&self) -> ExchangeError {
        let now = Instant::now();
        let refusals =
            std::iter::zip(self.sources, &self.excluded).filter_map(|(source, excluded)| {
                match excluded {
                    Some(Excluded::Mismatch(refusal)) => Some(*refusal),
                    _ => self.mismatch(source, now),
                }
            });
        // A common protocol is more than none.
        refusals
            .max_by_key(|refusal| matches!(refusal, Refusal::NoCommonAlgorithm(_)))
            .map_or(ExchangeError::NoSource, ExchangeError::NothingInCommon)
    }
}

/// Remembers that the source failed, and has its keeper look after it soon.
fn note_failure(source: &Source, error: &UpstreamError) {
    // What the keeper found out itself it has counted itself; of a source without a free slot
    // nothing was found out.
    if !matches!(error, UpstreamError::CheckFailed(_) | UpstreamError::Full) {
        source.failed(Event::FailedBeforeKeys, error.class());
        source.board.want_check();
    }
}

#[cfg(test)]
mod tests;
