//! One task per source that keeps it ready: checks it, learns what it supports, keeps a connection
//! warm. No user's keys ever come here, so no user pays for a test.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nts_proto::ke::negotiation::Capabilities;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::connection::Connection;
use super::dialect::Phrasing;
use super::error::{Class, UpstreamError};
use super::info::{ask_capabilities, ask_names};
use super::knowledge::{Knowledge, REPEAT_AFTER};
use crate::defect::contain;
use crate::fleet::{Blame, Event};
use crate::metrics::Metrics;
use crate::selection::Supported;
use crate::source::Source;
use crate::track::Occasion;

/// A check has to be over by then: a source that is slower would not be of use to most users.
const CHECK_LIMIT: Duration = Duration::from_secs(2);
/// The source's list of names is asked for so often.
const NAMES_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// When that failed, it is asked for again after so long.
const NAMES_RETRY: Duration = Duration::from_secs(3600);
/// For so long a dialect that was found out is not questioned, unless it stops working.
const DIALECT_MEMORY: Duration = Duration::from_secs(24 * 3600);

/// Looks after a source for ever: checks it whenever its board says that a check is wanted. `present`
/// is the source as it is configured now, and always has the same board. When nobody can send that any
/// more, the source is not wanted any more: the check that somebody waits for is still made.
pub(crate) async fn keep(mut present: watch::Receiver<Arc<Source>>, metrics: Arc<Metrics>) {
    let source = Arc::clone(&present.borrow());
    let board = Arc::clone(&source.board);
    let mut keeper = Keeper {
        source,
        metrics,
        failures: 0,
        found: None,
        names_due: Instant::now(),
        addresses: None,
    };
    let mut not_before = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = board.check_wanted() => {}
            () = dismissal(&mut present) => return board.leave(),
        }
        sleep_until(not_before).await;
        let source = Arc::clone(&present.borrow());
        keeper.look_after(source);
        keeper.round().await;
        if keeper.failures > 0 {
            not_before = Instant::now() + REPEAT_AFTER;
        }
    }
}

async fn dismissal(present: &mut watch::Receiver<Arc<Source>>) {
    while present.changed().await.is_ok() {}
}

struct Keeper {
    source: Arc<Source>,
    metrics: Arc<Metrics>,
    /// Failed checks in a row.
    failures: u32,
    /// The phrasing that worked last, and since when it is known.
    found: Option<(Phrasing, Instant)>,
    names_due: Instant,
    /// Where the source was at its last check.
    addresses: Option<Arc<[SocketAddr]>>,
}

/// What one check brought.
struct Findings {
    capabilities: Capabilities,
    phrasing: Phrasing,
    /// The connection, if the source keeps it.
    connection: Option<Connection>,
}

impl Keeper {
    /// Goes on with the source as it is configured now.
    fn look_after(&mut self, source: Arc<Source>) {
        if !Arc::ptr_eq(&self.source, &source) {
            self.source = source;
            self.found = None;
            self.names_due = Instant::now();
        }
    }

    /// One check, and everything that follows from it.
    async fn round(&mut self) {
        self.source.board.checking();
        let outcome = match timeout(CHECK_LIMIT, contain(self.check())).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(defect)) => Err(UpstreamError::Local(io::Error::other(defect))),
            Err(_) => Err(UpstreamError::TimedOut),
        };
        let counted = outcome.as_ref().map(|_| ());
        self.metrics.source_checked(&self.source, counted);
        match outcome {
            Ok(findings) => {
                self.failures = 0;
                self.take_in(findings).await;
            }
            Err(error) => self.note_failure(&error).await,
        }
    }

    /// Opens a connection and asks what the source supports, in the phrasing that is known to
    /// work, else in each that may.
    async fn check(&mut self) -> Result<Findings, UpstreamError> {
        self.addresses = self.source.renew_addresses().await;
        let found = self
            .found
            .filter(|(_, since)| since.elapsed() < DIALECT_MEMORY);
        if let Some((phrasing, _)) = found {
            match self.ask(phrasing).await {
                Err(error) if error.is_refusal_of_records() => {}
                outcome => return outcome,
            }
        }
        let mut refusal = None;
        for phrasing in self.source.dialect().phrasings() {
            match self.ask(*phrasing).await {
                Ok(findings) => {
                    self.found = Some((*phrasing, Instant::now()));
                    return Ok(findings);
                }
                Err(error) if error.is_refusal_of_records() => {
                    // The first answer is the most telling: it came to the present numbers.
                    refusal.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(refusal.unwrap_or(UpstreamError::ClosedUnanswered))
    }

    async fn ask(&self, phrasing: Phrasing) -> Result<Findings, UpstreamError> {
        let mut connection = self.source.open(None).await?;
        let (capabilities, kept) =
            ask_capabilities(&mut connection, phrasing, self.source.token()).await?;
        let connection = match kept {
            true => Some(connection),
            false => {
                connection.close().await;
                None
            }
        };
        Ok(Findings {
            capabilities,
            phrasing,
            connection,
        })
    }

    async fn take_in(&mut self, findings: Findings) {
        let now = Instant::now();
        let mut gone = self.source.idle.renew(findings.connection, now);
        if let Some(addresses) = &self.addresses {
            gone.extend(self.source.idle.leave_all_but(addresses));
        }
        for (algorithm, length) in findings.capabilities.unusable() {
            tracing::warn!(
                source = self.source.label(),
                %algorithm,
                length,
                "time source announces an algorithm with a key length that cannot be used"
            );
        }
        self.source.board.learnt(Knowledge {
            supported: Supported::from(&findings.capabilities),
            capabilities: findings.capabilities,
            phrasing: findings.phrasing,
            learnt: now,
        });
        self.source.report(Event::CheckPassed);
        for connection in gone {
            connection.close().await;
        }
        if now >= self.names_due {
            self.learn_names(findings.phrasing).await;
        }
    }

    async fn note_failure(&mut self, error: &UpstreamError) {
        self.failures = self.failures.saturating_add(1);
        let hint = match error.class() {
            Class::Auth => "; does it know this pool's token or certificate?",
            _ => "",
        };
        let (source, failures) = (self.source.label(), self.failures);
        // A source that is gone for long does not fill the log.
        if failures.is_power_of_two() {
            tracing::info!(
                source,
                failures,
                "check of time source failed: {error}{hint}"
            );
        } else {
            tracing::debug!(
                source,
                failures,
                "check of time source failed: {error}{hint}"
            );
        }
        self.source.board.failed(error.class(), Instant::now());
        self.source.report(Event::CheckFailed(error.class()));
        self.source.note_error(Occasion::Check, error);
        let gone = if error.class().blame() == Blame::Hard {
            self.source.idle.clear()
        } else {
            self.source.idle.renew(None, Instant::now())
        };
        for connection in gone {
            connection.close().await;
        }
    }

    /// Learns under which names users may know the source. A failure costs nothing but the list.
    async fn learn_names(&mut self, phrasing: Phrasing) {
        let ask = async {
            let mut connection = self.source.open(None).await?;
            let names = ask_names(&mut connection, phrasing, self.source.token()).await?;
            connection.close().await;
            Ok::<_, UpstreamError>(names)
        };
        let outcome = match timeout(CHECK_LIMIT, ask).await {
            Ok(outcome) => outcome,
            Err(_) => Err(UpstreamError::TimedOut),
        };
        let pause = match outcome {
            Ok(names) => {
                self.source.set_listed_names(&names);
                NAMES_INTERVAL
            }
            Err(error) => {
                tracing::debug!(source = self.source.label(), "no list of names: {error}");
                NAMES_RETRY
            }
        };
        self.names_due = Instant::now() + pause;
    }
}

#[cfg(test)]
mod tests;
