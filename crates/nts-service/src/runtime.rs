//! The life of a whole program: one runtime, and an end that waits for nobody.

use std::io;
use std::time::Duration;

use tokio::runtime::Builder;

use crate::files;
use crate::notify;

/// Time for work that cannot be interrupted, like a name look-up, once the program is over.
const LAST_TASKS: Duration = Duration::from_millis(100);

/// Runs `program` on a multi-threaded runtime, with as many open files as the system grants, and
/// tells systemd's watchdog that it lives. What it leaves running ends with it, or is left to the
/// system after a moment: a name server that does not answer must not hold up the end.
///
/// # Errors
/// If there can be no runtime.
pub fn run<F: Future>(program: F) -> io::Result<F::Output> {
    // It is a help: with what there is the program runs too.
    let _ = files::raise_limit();
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    runtime.spawn(notify::watchdog());
    let outcome = runtime.block_on(program);
    runtime.shutdown_timeout(LAST_TASKS);
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use nix::sys::resource::{Resource, getrlimit, setrlimit};

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

    #[test]
    fn all_files_that_are_granted_may_be_open() {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, most / 2, most).unwrap();
        run(async {}).unwrap();
        let (present, most_now) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!((present, most_now), (most, most));
    }
}
