//! One list of sources with the tables that users' sources are drawn from.
//!
//! A list never changes: a reload makes another one, and exchanges that run keep theirs. Its tables
//! are made anew by `directory` whenever somebody's health changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;

use crate::fleet::SourceKey;
use crate::selection::{NameIndex, Roster, SelectionPolicy, Snapshot, SourceIndex, Standing};

/// See the module.
pub(crate) struct Roll {
    keys: Box<[SourceKey]>,
    /// By position: whether health lets users be sent there. The flags outlive the roll.
    admitted: Box<[Arc<AtomicBool>]>,
    /// Whether users for whom no admitted source is left get one that is not admitted.
    panic: Arc<AtomicBool>,
    policy: SelectionPolicy,
    snapshot: ArcSwap<Snapshot>,
}

impl Roll {
    /// The sources of `roster`, whose tables are to be made by [`Roll::fold`] before anybody looks.
    pub(crate) fn new(
        roster: Roster,
        keys: Box<[SourceKey]>,
        admitted: Box<[Arc<AtomicBool>]>,
        panic: Arc<AtomicBool>,
        policy: SelectionPolicy,
    ) -> Self {
        let out = |_| Standing::OUT;
        let snapshot = Snapshot::new(Arc::new(roster), Arc::default(), policy, out);
        Self {
            keys,
            admitted,
            panic,
            policy,
            snapshot: ArcSwap::from_pointee(snapshot),
        }
    }

    /// Makes tables of how everybody stands.
    pub(crate) fn fold(&self, names: Arc<NameIndex>, standing: impl Fn(SourceKey) -> Standing) {
        let roster = Arc::clone(self.snapshot.load().roster());
        let standing = |source: SourceIndex| standing(self.keys[source.get()]);
        let snapshot = Snapshot::new(roster, names, self.policy, standing);
        self.snapshot.store(Arc::new(snapshot));
    }

    /// The present tables; an exchange takes them once.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Whether health lets users be sent to the source.
    pub(crate) fn admits(&self, source: SourceIndex) -> bool {
        let admitted = self.admitted.get(source.get());
        admitted.is_some_and(|admitted| admitted.load(Ordering::Relaxed))
    }

    /// Whether users for whom no admitted source is left get one that is not admitted, because most
    /// sources fail at once, or nobody is in service.
    pub(crate) fn is_in_panic(&self) -> bool {
        self.panic.load(Ordering::Relaxed)
    }

    /// All sources.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (SourceIndex, SourceKey)> {
        let indices = (0..).map(SourceIndex::new);
        indices.zip(self.keys.iter().copied())
    }
}

impl Default for Roll {
    /// Of no source.
    fn default() -> Self {
        let roster = Roster::new(Vec::new(), Default::default());
        let roster = roster.expect("no sources are not too many");
        let panic = Arc::new(AtomicBool::new(true));
        Self::new(
            roster,
            Box::default(),
            Box::default(),
            panic,
            Default::default(),
        )
    }
}
