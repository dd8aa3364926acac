//! The tasks that keep sources ready, one for each. When sources are replaced, whoever stays keeps
//! his task, and a check that is under way.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::fleet::SourceKey;
use crate::metrics::Metrics;
use crate::source::Source;
use crate::sources::Sources;
use crate::upstream::keeper;

/// See the module. All end when it is dropped.
pub(crate) struct Keepers {
    tasks: JoinSet<()>,
    /// Who is told what is configured; who is told nothing any more ends by himself.
    by_source: HashMap<SourceKey, watch::Sender<Arc<Source>>>,
    metrics: Arc<Metrics>,
}

impl Keepers {
    /// Nobody, until [`Keepers::keep`].
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            tasks: JoinSet::new(),
            by_source: HashMap::new(),
            metrics,
        }
    }

    /// Keeps `sources` and no others from now on.
    pub(crate) fn keep(&mut self, sources: &Sources) {
        let mut former = std::mem::take(&mut self.by_source);
        for source in sources.all() {
            let keeper = match former.remove(&source.key()) {
                Some(keeper) => keeper,
                None => self.spawn(Arc::clone(source)),
            };
            let before = keeper.borrow().clone();
            if !Arc::ptr_eq(&before, source) {
                keeper.send_replace(Arc::clone(source));
                before.part_from(source);
            }
            self.by_source.insert(source.key(), keeper);
        }
        for keeper in former.into_values() {
            keeper.borrow().leave();
        }
        while self.tasks.try_join_next().is_some() {}
    }

    fn spawn(&mut self, source: Arc<Source>) -> watch::Sender<Arc<Source>> {
        let (source, present) = watch::channel(source);
        let keeping = keeper::keep(present, Arc::clone(&self.metrics));
        self.tasks.spawn(keeping);
        source
    }
}

impl fmt::Debug for Keepers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keepers({})", self.by_source.len())
    }
}
