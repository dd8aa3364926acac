//! Defects of this program, kept where they are: what runs for as long as the pool does must not
//! end with a panic somewhere in it. A user's connection needs nothing of this, for each is a task
//! of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::sleep;

/// Between a panic and the next try.
const PAUSE: Duration = Duration::from_secs(1);

/// Something panicked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a defect of this program; please report it")]
pub(crate) struct Defect;

/// Does `work`, which may panic. What it has changed by then stays changed.
///
/// # Errors
/// [`Defect`] if it did.
pub(crate) async fn contain<T>(work: impl Future<Output = T>) -> Result<T, Defect> {
    let mut work = pin!(work);
    std::future::poll_fn(|context| {
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(outcome)) => Poll::Ready(Ok(outcome)),
            Err(_) => Poll::Ready(Err(Defect)),
        }
    })
    .await
}

/// Does `work` for ever, and begins anew when it panics. Dropping the future ends it.
pub(crate) async fn for_ever<F: Future<Output = ()>>(work: impl Fn() -> F) {
    loop {
        if let Err(defect) = contain(work()).await {
            tracing::error!("{defect}");
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_outcome() {
        let good = contain(async {
            yield_now().await;
            7
        });
        assert_eq!(good.await, Ok(7));
        let bad = contain(async {
            yield_now().await;
            if std::hint::black_box(true) {
                panic!("on purpose");
            }
        });
        assert_eq!(bad.await, Err(Defect));
    }

    #[tokio::test(start_paused = true)]
    async fn what_runs_for_ever_goes_on_after_a_panic() {
        let begun = AtomicUsize::new(0);
        let work = async || match begun.fetch_add(1, SeqCst) {
            3 => std::future::pending().await,
            number => panic!("on purpose: {number}"),
        };
        let running = tokio::time::timeout(Duration::from_secs(60), for_ever(work)).await;
        assert!(running.is_err());
        assert_eq!(begun.load(SeqCst), 4);
    }
}
