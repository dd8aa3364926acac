//! Keeps the signed list in use on the disk, in a task of its own: a disk that hangs holds up nothing
//! else. Of several lists that wait for it only the last is written, and what could not be kept is
//! tried again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nts_service::config::Located;
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

use crate::config::Config;
use crate::snapshot::{Document, cache};

/// See the module. Nothing is begun any more once it is dropped.
#[derive(Debug)]
pub(super) struct Shelf {
    wanted: watch::Sender<Option<Wanted>>,
    _task: JoinSet<()>,
}

/// What is to be kept, and where.
#[derive(Clone, Debug)]
struct Wanted {
    cache: Located<PathBuf>,
    document: Arc<Document>,
}

impl Shelf {
    /// One that tries again after this pause. Needs a runtime.
    pub(super) fn new(retry_pause: Duration) -> Self {
        let (wanted, next) = watch::channel(None);
        let mut task = JoinSet::new();
        task.spawn(tend(next, retry_pause));
        Self {
            wanted,
            _task: task,
        }
    }

    /// Sees to it that the list in use is on the disk, for the next start. Waits for nothing.
    pub(super) fn keep(&self, config: &Config) {
        if let (Some(snapshot), Some(document)) = (&config.snapshot, &config.sources.signed) {
            self.wanted.send_replace(Some(Wanted {
                cache: snapshot.cache.clone(),
                document: Arc::clone(document),
            }));
        }
    }
}

async fn tend(mut wanted: watch::Receiver<Option<Wanted>>, retry_pause: Duration) {
    // Why the last list could not be kept, if it could not.
    let mut said = None;
    loop {
        tokio::select! {
            changed = wanted.changed() => match changed {
                Ok(()) => {}
                Err(_) => return,
            },
            () = sleep(retry_pause), if said.is_some() => {}
        }
        let Some(Wanted { cache, document }) = wanted.borrow_and_update().clone() else {
            continue;
        };
        let file = cache.to_path_buf();
        let kept = spawn_blocking(move || cache::keep(&file, &document)).await;
        let error = match kept {
            Ok(outcome) => outcome.err().map(|error| error.to_string()),
            Err(defect) => Some(defect.to_string()),
        };
        if said == error {
            continue;
        }
        let (place, shown) = (cache.place(), cache.display());
        match &error {
            Some(error) => tracing::error!(
                "{place}: cannot keep the list of sources in `{shown}`: {error}; it is in use, but a \
                 restart would begin without it"
            ),
            None => tracing::info!("{place}: the list of sources is kept in `{shown}` again"),
        }
        said = error;
    }
}
