//! What one more measurement leads to: selection, combination, correction.

use nts_proto::ntp::header::LeapIndicator;

use super::source::{Candidate, Source};
use super::{Controller, GREATEST_ROOT_DISTANCE, System};
use crate::action::{Action, ClockStatus, Panic, Report};
use crate::combine::Combined;
use crate::leap;
use crate::selection::{Agreement, Interval};
use crate::snapshot::{RootVariance, SystemEstimate, Unsynchronized, Verdict};
use crate::source_id::SourceId;

impl Controller {
    /// Looks at all sources anew and steers by those that agree.
    pub(super) fn update(&mut self, actions: &mut Vec<Action>) {
        let candidates = self.candidates();
        let Some(mut selected) = self.select(&candidates, actions) else {
            return;
        };
        selected.sort_by(|a, b| {
            let key = |candidate: &Candidate| candidate.combined.total.determinant();
            key(a).total_cmp(&key(b))
        });
        let Some((best, others)) = selected.split_first() else {
            return;
        };
        self.set_verdict(best.id, Verdict::Best);
        let combined = others.iter().fold(best.combined, |sum, candidate| {
            sum.merged_with(&candidate.combined)
        });
        match self.correct(combined, actions) {
            Ok(combined) => self.publish(&selected, *best, &combined, actions),
            Err(panic) => self.panic(panic, actions),
        }
    }

    /// Sources that may be selected; the others get their verdict.
    fn candidates(&mut self) -> Vec<Candidate> {
        let (now, config) = (self.now, &self.config);
        let mut candidates = Vec::with_capacity(self.sources.len());
        for (id, source) in &mut self.sources {
            match source.candidate(*id, now, config) {
                Ok(candidate) => candidates.push(candidate),
                Err(verdict) => source.verdict = verdict,
            }
        }
        candidates
    }

    fn set_verdict(&mut self, id: SourceId, verdict: Verdict) {
        if let Some(source) = self.sources.get_mut(&id) {
            source.verdict = verdict;
        }
    }

    /// Those of the candidates that agree, if they are enough.
    fn select(
        &mut self,
        candidates: &[Candidate],
        actions: &mut Vec<Action>,
    ) -> Option<Vec<Candidate>> {
        let intervals: Vec<Interval> = candidates.iter().map(|it| it.interval).collect();
        let agreement = Agreement::of(&intervals);
        let needed = self.config.minimum_agreeing_sources;
        let consensus = agreement.is_consensus(needed, self.undecided());
        for (candidate, chosen) in candidates.iter().zip(&agreement.chosen) {
            let verdict = match (consensus, chosen) {
                (false, _) => Verdict::NoConsensus,
                (true, true) => Verdict::Selected,
                (true, false) => Verdict::Falseticker,
            };
            self.set_verdict(candidate.id, verdict);
        }
        let agreeing = agreement.agreeing;
        self.report_consensus(consensus, agreeing, candidates.len(), actions);
        let chosen = candidates.iter().zip(&agreement.chosen);
        consensus.then(|| {
            chosen
                .filter(|(_, chosen)| **chosen)
                .map(|(candidate, _)| *candidate)
                .collect()
        })
    }

    /// Sources that will have a vote in a moment. Only the first correction waits for them: it may
    /// be a step, and should not be decided by those that happened to be asked first.
    fn undecided(&self) -> usize {
        if self.system.is_some() {
            return 0;
        }
        let is_undecided = |source: &&Source| !source.has_started() && source.filter.gathered() > 0;
        self.sources.values().filter(is_undecided).count()
    }

    /// Says it when sources begin or cease to agree; before all of them have started, nobody
    /// expects it.
    fn report_consensus(
        &mut self,
        consensus: bool,
        agreeing: usize,
        usable: usize,
        actions: &mut Vec<Action>,
    ) {
        let is_news = match self.consensus {
            None => consensus || self.sources.values().all(|source| source.has_started()),
            Some(before) => consensus != before,
        };
        if !is_news {
            return;
        }
        let was_divided = self.consensus.replace(consensus) == Some(false);
        if !consensus {
            let needed = self.config.minimum_agreeing_sources.max(usable / 2 + 1);
            actions.push(Action::Report(Report::NoConsensus {
                agreeing,
                usable,
                needed,
            }));
        } else if was_divided {
            actions.push(Action::Report(Report::Consensus { agreeing }));
        }
    }

    /// Steers by what the sources say together; gives what they say of the corrected clock.
    fn correct(
        &mut self,
        combined: Combined,
        actions: &mut Vec<Action>,
    ) -> Result<Combined, Panic> {
        let correction = self
            .steering
            .correct(&combined.estimate, self.now, &self.config)?;
        let mut combined = combined;
        if let Some(step) = correction.step {
            self.step(step, actions);
            combined.estimate.shift(step);
        }
        self.change_frequency(correction.frequency_change, actions);
        combined
            .estimate
            .change_frequency(correction.frequency_change);
        self.report_limit(actions);
        Ok(combined)
    }

    fn report_limit(&mut self, actions: &mut Vec<Action>) {
        let beyond = self.steering.beyond_limit();
        if beyond.is_some() == self.limit_reported {
            return;
        }
        self.limit_reported = beyond.is_some();
        actions.push(Action::Report(match beyond {
            Some(wanted) => Report::FrequencyLimit { wanted },
            None => Report::FrequencyWithinLimit,
        }));
    }

    fn publish(
        &mut self,
        selected: &[Candidate],
        best: Candidate,
        combined: &Combined,
        actions: &mut Vec<Action>,
    ) {
        let Some(time) = self.local_time() else {
            return;
        };
        let before = self
            .system
            .map_or(LeapIndicator::NoWarning, |system| system.leap);
        let votes = selected.iter().map(|candidate| candidate.claims.leap);
        let wander = selected.iter().map(|it| it.wander).fold(0.0, f64::max);
        let root_delay = selected
            .iter()
            .map(|it| it.root_delay)
            .fold(f64::INFINITY, f64::min);
        // What is not corrected yet is an error too.
        let mut total = combined.total;
        total.offset += combined.estimate.offset.powi(2);
        let system = System {
            estimate: SystemEstimate {
                at: self.now,
                time,
                offset: combined.estimate.offset,
                offset_deviation: combined.estimate.deviation(),
                frequency_deviation: combined.estimate.covariance.frequency.sqrt(),
                root_variance: RootVariance::new(&total, wander),
            },
            wander,
            stratum: best.claims.stratum.saturating_add(1),
            leap: leap::majority(votes).unwrap_or(before),
            reference_id: best.reference_id,
            root_delay,
        };
        self.system = Some(system);
        let root_distance = system
            .synchronized(self.now, self.precision())
            .root_distance();
        if root_distance > GREATEST_ROOT_DISTANCE {
            self.lose_synchronization(Unsynchronized::RootDistance, actions);
            return;
        }
        if self.unsynchronized.take().is_some() {
            actions.push(Action::Report(Report::Synchronized));
        }
        actions.push(Action::SetStatus(ClockStatus {
            synchronized: true,
            estimated_error: system.estimate.offset_deviation,
            maximum_error: root_distance,
        }));
        self.tell_leap(actions);
    }

    fn panic(&mut self, panic: Panic, actions: &mut Vec<Action>) {
        self.unsynchronized = Some(Unsynchronized::Panicked);
        actions.push(Action::Panic(panic));
    }
}
