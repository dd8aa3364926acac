//! The log lines of the keeper: the story of the clock, told at the level `info`.
//!
//! What never happens here: a line for each measurement.

use std::collections::BTreeMap;
use std::time::Duration;

use ntp_sync::SourceId;
use ntp_sync::action::Report;
use ntp_sync::snapshot::{SystemSnapshot, Unsynchronized, Verdict};
use nts_proto::time::NtpDuration;
use nts_service::notify;
use nts_service::telemetry::throttle::Throttle;

/// Once in this time it is said that the sources do not agree.
const CONSENSUS_INTERVAL: Duration = Duration::from_secs(3600);

/// Once in this time it is said of a source that it has fallen out.
const FALSETICKER_INTERVAL: Duration = Duration::from_secs(3600);

/// Turns what happened into lines.
#[derive(Debug)]
pub(super) struct Reporter {
    warn_on_jump: bool,
    /// What is kept, in words.
    clock: &'static str,
    consensus: Throttle,
    sources: BTreeMap<SourceId, Source>,
}

#[derive(Debug)]
struct Source {
    name: String,
    falseticker: bool,
    lines: Throttle,
}

impl Reporter {
    pub(super) fn new(warn_on_jump: bool, controls_system: bool) -> Self {
        Self {
            warn_on_jump,
            clock: if controls_system {
                "the system's clock"
            } else {
                "the clock that the daemon holds"
            },
            consensus: Throttle::new(2, CONSENSUS_INTERVAL),
            sources: BTreeMap::new(),
        }
    }

    /// From now on `id` is called `name`.
    pub(super) fn name(&mut self, id: SourceId, name: String) {
        self.sources.insert(
            id,
            Source {
                name,
                falseticker: false,
                lines: Throttle::new(1, FALSETICKER_INTERVAL),
            },
        );
    }

    pub(super) fn forget(&mut self, id: SourceId) {
        self.sources.remove(&id);
    }

    pub(super) fn step(&self, offset: NtpDuration) {
        let (clock, seconds) = (self.clock, offset.as_seconds_f64());
        if self.warn_on_jump {
            tracing::warn!("{clock} was stepped by {seconds:+.6} s");
        } else {
            tracing::info!("{clock} was stepped by {seconds:+.6} s");
        }
    }

    pub(super) fn report(&self, report: &Report) {
        let clock = self.clock;
        match *report {
            Report::Synchronized => {
                notify::status("synchronised");
                tracing::info!("{clock} is synchronised");
            }
            Report::Unsynchronized(reason) => {
                notify::status(&format!("not synchronised: {}", explain(reason)));
                tracing::warn!("{clock} is not synchronised any more: {}", explain(reason));
            }
            Report::NoConsensus {
                agreeing,
                usable,
                needed,
            } => {
                if self.consensus.pass().is_some() {
                    tracing::warn!(
                        "no consensus on the time: {agreeing} of {usable} usable sources agree, \
                         {needed} must; {clock} is left to itself"
                    );
                }
            }
            Report::Consensus { agreeing } => {
                if self.consensus.pass().is_some() {
                    tracing::info!("{agreeing} sources agree on the time again");
                }
            }
            Report::FrequencyLimit { wanted } => {
                let ppm = wanted * 1e6;
                tracing::error!(
                    "{clock} would have to run {ppm:+.1} ppm faster than by itself, which is \
                     beyond maximum-frequency-steer: it cannot be kept right"
                );
            }
            Report::FrequencyWithinLimit => {
                tracing::info!("the frequency of {clock} is within its limit again");
            }
            Report::ClockMoved { by } => tracing::warn!(
                "something else moved {clock} by {by:+.3} s, or this machine slept; starting anew"
            ),
            Report::SourceJumped { source, by } => {
                let name = self.sources.get(&source).map_or("?", |it| &it.name);
                tracing::warn!(source = name, "the source's clock jumped by {by:+.6} s");
            }
        }
    }

    /// Tells of sources that contradict those that are used, and of their return.
    pub(super) fn verdicts(&mut self, snapshot: &SystemSnapshot) {
        for found in &snapshot.sources {
            let Some(source) = self.sources.get_mut(&found.id) else {
                continue;
            };
            let name = source.name.as_str();
            match found.verdict {
                Verdict::Falseticker if !source.falseticker => {
                    source.falseticker = true;
                    if source.lines.pass().is_some() {
                        let offset = found.estimate.map_or(0.0, |estimate| estimate.offset);
                        tracing::warn!(
                            source = name,
                            "the source contradicts the others by {offset:+.6} s: it is not used"
                        );
                    }
                }
                Verdict::Selected | Verdict::Best if source.falseticker => {
                    source.falseticker = false;
                    tracing::debug!(source = name, "the source agrees with the others again");
                }
                _ => {}
            }
        }
    }
}

/// Why the clock is not synchronised.
pub(crate) fn explain(reason: Unsynchronized) -> &'static str {
    match reason {
        Unsynchronized::Starting => "no source has been measured often enough yet",
        Unsynchronized::ClockMoved => "something else moved the clock",
        Unsynchronized::RootDistance => "its error may have grown beyond 3 s without sources",
        Unsynchronized::NoSelection => "the sources have not agreed for a day",
        Unsynchronized::Panicked => "it would need a step that the configuration forbids",
    }
}
