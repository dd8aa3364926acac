//! What the pool knows about one source, and how users wait for it.
//!
//! Only the source's keeper asks; everybody else reads. So there is never more than one such
//! request under way per source, and a slow source makes nobody wait but its own users.

use std::sync::Arc;
use std::time::Duration;

use nts_proto::ke::negotiation::Capabilities;
use tokio::sync::watch;
use tokio::time::Instant;

use super::dialect::Phrasing;
use super::error::{Class, UpstreamError};
use crate::fleet::Blame;
use crate::selection::Supported;

/// Older knowledge is renewed when it is used, however seldom sources are checked.
const FRESH: Duration = Duration::from_secs(300);
/// Older knowledge is not used any more.
const USABLE: Duration = Duration::from_secs(3600);
/// A check that failed is not repeated for a user who comes sooner than that.
pub(super) const REPEAT_AFTER: Duration = Duration::from_secs(1);

/// What a source said about itself.
#[derive(Debug)]
pub(crate) struct Knowledge {
    /// The protocols and algorithms it supports.
    pub(crate) capabilities: Capabilities,
    /// The same, as far as it matters for being picked.
    pub(crate) supported: Supported,
    /// How it wants to be asked.
    pub(crate) phrasing: Phrasing,
    /// When it said so.
    pub(crate) learnt: Instant,
}

#[derive(Debug, Default)]
struct Status {
    known: Option<Arc<Knowledge>>,
    /// The last check, if it failed.
    failed: Option<(Instant, Class)>,
    /// Whether somebody wants a check that has not begun.
    wanted: bool,
    /// Whether a check is under way.
    checking: bool,
    /// How many checks have ended.
    checks: u64,
    /// Whether there will be no more: the source is not wanted any more.
    left: bool,
}

/// The place where the keeper writes and users read.
#[derive(Debug, Default)]
pub(crate) struct Board {
    status: watch::Sender<Status>,
}

impl Board {
    /// What is known without asking.
    pub(crate) fn known(&self, now: Instant) -> Option<Arc<Knowledge>> {
        usable(&self.status.borrow(), now)
    }

    /// What is known, if need be after waiting for the keeper. The caller limits the time.
    ///
    /// # Errors
    /// [`UpstreamError::CheckFailed`] if the keeper's check fails, or has failed a moment ago.
    pub(crate) async fn learn(&self) -> Result<Arc<Knowledge>, UpstreamError> {
        let mut status = self.status.subscribe();
        let (checks, checking) = {
            let now = Instant::now();
            let status = status.borrow_and_update();
            if let Some(known) = usable(&status, now) {
                let stale = now >= known.learnt + FRESH && status.failed.is_none();
                if stale && !status.checking && !status.wanted {
                    drop(status);
                    self.want_check();
                }
                return Ok(known);
            }
            match status.failed {
                Some((at, class)) if now < at + REPEAT_AFTER => {
                    return Err(UpstreamError::CheckFailed(class));
                }
                _ => (status.checks, status.checking),
            }
        };
        if !checking {
            self.want_check();
        }
        let over = |status: &Status| status.checks != checks || status.left;
        let ended = status.wait_for(over).await;
        // The sender lives in `self`.
        let status = ended.map_err(|_| UpstreamError::CheckFailed(Class::Local))?;
        usable(&status, Instant::now()).ok_or(UpstreamError::CheckFailed(
            status.failed.map_or(Class::Local, |(_, class)| class),
        ))
    }

    /// Whether nothing is known and the last attempt to learn it failed.
    pub(crate) fn is_unready(&self, now: Instant) -> bool {
        let status = self.status.borrow();
        status.failed.is_some() && usable(&status, now).is_none()
    }

    /// Nobody checks the source any more, so that it is of no use to wait.
    pub(super) fn leave(&self) {
        self.status.send_modify(|status| status.left = true);
    }

    /// A check begins: the one that was wanted.
    pub(super) fn checking(&self) {
        self.status.send_modify(|status| {
            status.wanted = false;
            status.checking = true;
        });
    }

    /// A check ended well.
    pub(super) fn learnt(&self, knowledge: Knowledge) {
        self.status.send_modify(|status| {
            status.known = Some(Arc::new(knowledge));
            status.failed = None;
            status.end_check();
        });
    }

    /// The source supports these, as if it had said so.
    #[cfg(test)]
    pub(crate) fn learn_in_test(&self, algorithms: &[nts_proto::code_points::AeadAlgorithm]) {
        let capabilities = Capabilities::ntpv4(algorithms);
        self.learnt(Knowledge {
            supported: Supported::from(&capabilities),
            capabilities,
            phrasing: super::Dialect::Ietf.phrasings()[0],
            learnt: Instant::now(),
        });
    }

    /// A check failed. What was known stays usable for its time, since a short outage says nothing
    /// about what the source supports; but not after an answer that was wrong.
    pub(super) fn failed(&self, class: Class, now: Instant) {
        self.status.send_modify(|status| {
            if class.blame() == Blame::Hard {
                status.known = None;
            }
            status.failed = Some((now, class));
            status.end_check();
        });
    }

    /// The source failed somebody who went by what is known: forget it and ask again, so that the
    /// next one finds out before he sends keys.
    pub(crate) fn mistrust(&self) {
        self.status.send_modify(|status| status.known = None);
        self.want_check();
    }

    /// It is time for a check; one that is under way will do.
    pub(crate) fn check_is_due(&self) {
        self.status
            .send_modify(|status| status.wanted |= !status.checking);
    }

    /// Asks the keeper for a check soon.
    pub(crate) fn want_check(&self) {
        self.status.send_modify(|status| status.wanted = true);
    }

    /// Waits until someone wants a check.
    pub(super) async fn check_wanted(&self) {
        // An error would mean that the sender is gone, but it lives in `self`.
        let _ = self
            .status
            .subscribe()
            .wait_for(|status| status.wanted)
            .await;
    }
}

impl Status {
    fn end_check(&mut self) {
        self.checking = false;
        self.checks += 1;
    }
}

fn usable(status: &Status, now: Instant) -> Option<Arc<Knowledge>> {
    let known = status.known.as_ref()?;
    (now < known.learnt + USABLE).then(|| Arc::clone(known))
}
