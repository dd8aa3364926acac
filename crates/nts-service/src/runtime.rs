//! The life of a whole program: one runtime, and an end that waits for nobody.

use std::io;
use std::time::Duration;

use tokio::runtime::Builder;

/// Time for work that cannot be interrupted, like a name look-up, once the program is over.
const LAST_TASKS: Duration = Duration::from_millis(100);

/// Runs `program` on a multi-threaded runtime. What it leaves running ends with it, or is left to
/// the system after a moment: a name server that does not answer must not hold up the end.
///
/// # Errors
/// If there can be no runtime.
pub fn run<F: Future>(program: F) -> io::Result<F::Output> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(program);
    runtime.shutdown_timeout(LAST_TASKS);
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn what_cannot_be_interrupted_does_not_hold_up_the_end() {
        let began = Instant::now();
        let outcome = run(async {
            let (begun, begins) = tokio::sync::oneshot::channel();
            drop(tokio::task::spawn_blocking(|| {
                begun.send(()).unwrap();
                std::thread::sleep(Duration::from_secs(60));
            }));
            begins.await.unwrap();
            7
        });
        assert_eq!(outcome.unwrap(), 7);
        assert!(began.elapsed() < Duration::from_secs(30));
    }
}
