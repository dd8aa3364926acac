//! The running sources of one spawner: starting, stopping, and hearing from them.
//!
//! What never happens here: a decision which sources there should be.

use std::collections::HashMap;

use nts_proto::association::NtsSession;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use super::SourceId;
use super::source::{Source, SourceEvent};
use super::spawner::LossReason;

/// Events of all sources of one spawner that may wait to be heard.
const EVENT_QUEUE: usize = 64;

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A source tells something.
    Event(SourceId, SourceEvent),
    /// A source has ended.
    Lost(SourceId, LossReason),
}

#[derive(Debug)]
struct Child {
    task: AbortHandle,
    keys: mpsc::Sender<NtsSession>,
}

/// The tasks. Dropping it ends them all.
#[derive(Debug)]
pub(super) struct Nursery {
    tasks: JoinSet<LossReason>,
    children: HashMap<SourceId, Child>,
    events: mpsc::Receiver<(SourceId, SourceEvent)>,
    sender: mpsc::Sender<(SourceId, SourceEvent)>,
}

impl Nursery {
    pub(super) fn new() -> Self {
        let (sender, events) = mpsc::channel(EVENT_QUEUE);
        Self {
            tasks: JoinSet::new(),
            children: HashMap::new(),
            events,
            sender,
        }
    }

    /// Starts a source; `make` gets the ends of its channels.
    pub(super) fn start(
        &mut self,
        id: SourceId,
        make: impl FnOnce(mpsc::Sender<(SourceId, SourceEvent)>, mpsc::Receiver<NtsSession>) -> Source,
    ) {
        let (keys, receiver) = mpsc::channel(1);
        let source = make(self.sender.clone(), receiver);
        let task = self.tasks.spawn(source.run());
        self.children.insert(id, Child { task, keys });
    }

    /// Stops a source; nothing is heard from it any more.
    pub(super) fn stop(&mut self, id: SourceId) {
        if let Some(child) = self.children.remove(&id) {
            child.task.abort();
        }
    }

    /// Gives new keys to a source.
    pub(super) fn give_keys(&self, id: SourceId, session: NtsSession) {
        if let Some(child) = self.children.get(&id)
            && child.keys.try_send(session).is_err()
        {
            // It has ended, which is about to be heard, or has newer keys waiting.
            tracing::debug!(%id, "new keys were not taken");
        }
    }

    /// Waits for something to be heard. Cancel safe.
    pub(super) async fn hear(&mut self) -> Heard {
        loop {
            tokio::select! {
                biased;
                Some((id, event)) = self.events.recv() => {
                    if self.children.contains_key(&id) {
                        return Heard::Event(id, event);
                    }
                }
                Some(ended) = self.tasks.join_next_with_id() => {
                    if let Some(lost) = self.lost(ended) {
                        return lost;
                    }
                }
                // The spawner holds a sender, so without tasks the first branch waits for ever.
                else => std::future::pending().await,
            }
        }
    }

    /// What can be heard at once.
    pub(super) fn hear_now(&mut self) -> Option<Heard> {
        while let Ok((id, event)) = self.events.try_recv() {
            if self.children.contains_key(&id) {
                return Some(Heard::Event(id, event));
            }
        }
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            if let Some(lost) = self.lost(ended) {
                return Some(lost);
            }
        }
        None
    }

    fn lost(&mut self, ended: Result<(Id, LossReason), JoinError>) -> Option<Heard> {
        let (task, reason) = match ended {
            Ok(ended) => ended,
            // A panic of a task is no fault of the remote. A task that was stopped is unknown here.
            Err(error) => (error.id(), LossReason::Offline),
        };
        let (id, _) = self
            .children
            .iter()
            .find(|(_, child)| child.task.id() == task)?;
        let id = *id;
        self.children.remove(&id);
        Some(Heard::Lost(id, reason))
    }
}
