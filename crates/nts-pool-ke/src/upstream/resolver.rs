//! Where the addresses of names come from. Tests put something else in the system's place.
//!
//! Nobody can call back a look-up once it is under way. When name servers are silent, each holds a
//! thread for many seconds, long after everybody has given up. So there is a limit, and whoever
//! waits for his turn is forgotten when he leaves.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// So many look-ups are under way at once.
const MOST: usize = 32;

/// An answer that is still to come.
pub(crate) type Answer = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Something that knows the addresses of names.
pub(crate) trait Resolve: Send + Sync {
    /// Looks up the addresses of `name`, best first, with `port` added to each. The caller limits
    /// the time.
    ///
    /// The answer is an error if the name has no address, or if nobody says.
    fn resolve(&self, name: &str, port: u16) -> Answer;
}

/// The system's resolver, which knows about `/etc/hosts` and the like.
#[derive(Debug)]
pub(crate) struct SystemResolver(Arc<Semaphore>);

impl Default for SystemResolver {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: &str, port: u16) -> Answer {
        let name = name.to_owned();
        let look_up = move || (name, port).to_socket_addrs().map(Iterator::collect);
        let turns = Arc::clone(&self.0);
        Box::pin(async move { run(turns, look_up).await? })
    }
}

/// Runs `look_up` when it is its turn.
async fn run<T: Send + 'static>(
    turns: Arc<Semaphore>,
    look_up: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let turn = turns.acquire_owned().await.map_err(io::Error::other)?;
    let outcome = spawn_blocking(move || {
        let _turn = turn;
        look_up()
    });
    outcome.await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::{Mutex, mpsc};
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn names_and_addresses_are_looked_up() {
        let resolver = SystemResolver::default();
        let found = resolver.resolve("127.0.0.1", 4460).await.unwrap();
        assert_eq!(found, ["127.0.0.1:4460".parse().unwrap()]);
        assert!(resolver.resolve("", 4460).await.is_err());
    }

    #[tokio::test]
    async fn look_ups_that_nobody_waits_for_any_more_do_not_pile_up() {
        let turns = Arc::new(Semaphore::new(2));
        let begun = Arc::new(AtomicUsize::new(0));
        let (answer, silence) = mpsc::channel::<()>();
        let silence = Arc::new(Mutex::new(silence));
        for _ in 0..4 {
            let (begun, silence) = (Arc::clone(&begun), Arc::clone(&silence));
            let look_up = run(Arc::clone(&turns), move || {
                begun.fetch_add(1, SeqCst);
                let _ = silence.lock().unwrap().recv();
            });
            assert!(timeout(Duration::from_millis(20), look_up).await.is_err());
        }
        drop(answer);
        // Whoever comes now gets his turn, behind nobody but those that had begun.
        run(Arc::clone(&turns), || ()).await.unwrap();
        let all = turns.acquire_many(2).await.unwrap();
        assert_eq!(begun.load(SeqCst), 2);
        drop(all);
    }
}
