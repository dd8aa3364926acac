//! One deadline for everything that a test waits for.

use std::future::Future;
use std::time::Duration;

/// Far longer than anything on loopback takes, even on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Waits for `future`; `what` is what the test says if it does not come to an end.
///
/// # Panics
/// After [`DEADLINE`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited for {} s in vain: {what}", DEADLINE.as_secs()),
    }
}

/// Looks again and again until `look` gives something: for what cannot be awaited.
///
/// # Panics
/// After [`DEADLINE`].
pub async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let looking = async {
        loop {
            ticks.tick().await;
            if let Some(value) = look() {
                return value;
            }
        }
    };
    within(what, looking).await
}
