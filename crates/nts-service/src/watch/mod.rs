//! Watching files by looking at them: what changed, and is at rest again.
//!
//! Files are looked at now and then, by content, because notifications of the system miss what
//! operators do: a mount whose symbolic link is exchanged, a network file system. A file that is
//! being written changes from one look to the next; it is reported only when two looks found the
//! same. What is in a file is not kept, only a keyed hash of it: it may be a secret.
//!
//! Nothing here knows what a file is for, and no file is ever written.

mod look;
mod review;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use look::{Eye, Looks};
use review::Review;

/// How often files are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The time between looks as long as nothing changes.
    pub interval: Duration,
    /// A file is at rest if it is the same after this time.
    pub settle: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            settle: Duration::from_secs(1),
        }
    }
}

/// A set of files that is watched. Nothing happens unless [`FileWatch::changed`] is awaited.
#[derive(Debug)]
pub struct FileWatch {
    timing: Timing,
    eye: Eye,
    review: Review,
    next: Instant,
}

impl FileWatch {
    /// Watches `files`, from what they hold now on.
    pub async fn new(files: impl IntoIterator<Item = PathBuf>) -> Self {
        Self::with_timing(files, Timing::default()).await
    }

    /// The same with another timing.
    pub async fn with_timing(files: impl IntoIterator<Item = PathBuf>, timing: Timing) -> Self {
        let eye = Eye::new();
        let looks = eye.look_at(files.into_iter().collect()).await;
        Self {
            timing,
            eye,
            review: Review::new(looks),
            next: Instant::now() + timing.interval,
        }
    }

    /// Watches `files` instead. Of those that were watched before, a change that has not been
    /// reported yet will be; others are watched from what they hold now on.
    pub async fn watch_instead(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        let files: Vec<_> = files.into_iter().collect();
        let looks = self.eye.look_at(files).await;
        self.review.watch_instead(looks);
    }

    /// Waits until files have changed and are at rest again, and tells which: their content, who
    /// may read or write them, or whether they are there. Cancel safe: no change is lost.
    pub async fn changed(&mut self) -> Vec<PathBuf> {
        loop {
            sleep_until(self.next).await;
            let looks: Looks = self.eye.look_at(self.review.files()).await;
            let changed = self.review.add(looks);
            let pause = match self.review.is_at_rest() {
                true => self.timing.interval,
                false => self.timing.settle,
            };
            self.next = Instant::now() + pause;
            if !changed.is_empty() {
                return changed;
            }
        }
    }
}
