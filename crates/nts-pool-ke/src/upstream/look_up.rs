//! Name look-ups, which nobody can call back once they are under way.
//!
//! When name servers are silent, each look-up holds a thread for many seconds, long after the user
//! for whom it was made has given up. So there is a limit per source, and whoever waits for his
//! turn is forgotten when he leaves.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// So many look-ups of one source's name are under way at once.
const MOST: usize = 8;

/// The look-ups of one source.
pub(super) struct LookUps(Arc<Semaphore>);

impl LookUps {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }

    /// The addresses of `name`. The caller limits the time.
    ///
    /// # Errors
    /// If the name has no address, or the resolver does not say.
    pub(super) async fn addresses(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let name = name.to_owned();
        let look_up = move || (name, port).to_socket_addrs().map(Iterator::collect);
        self.run(look_up).await?
    }

    async fn run<T: Send + 'static>(
        &self,
        look_up: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let turn = Arc::clone(&self.0).acquire_owned().await;
        let turn = turn.map_err(io::Error::other)?;
        let outcome = spawn_blocking(move || {
            let _turn = turn;
            look_up()
        });
        outcome.await.map_err(io::Error::other)
    }
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
        let found = LookUps::new().addresses("127.0.0.1", 4460).await.unwrap();
        assert_eq!(found, ["127.0.0.1:4460".parse().unwrap()]);
        assert!(LookUps::new().addresses("", 4460).await.is_err());
    }

    #[tokio::test]
    async fn look_ups_that_nobody_waits_for_any_more_do_not_pile_up() {
        let look_ups = LookUps::new();
        let begun = Arc::new(AtomicUsize::new(0));
        let (answer, silence) = mpsc::channel::<()>();
        let silence = Arc::new(Mutex::new(silence));
        for _ in 0..2 * MOST {
            let (begun, silence) = (Arc::clone(&begun), Arc::clone(&silence));
            let look_up = look_ups.run(move || {
                begun.fetch_add(1, SeqCst);
                let _ = silence.lock().unwrap().recv();
            });
            assert!(timeout(Duration::from_millis(20), look_up).await.is_err());
        }
        drop(answer);
        // Whoever comes now gets his turn, behind nobody but those that had begun.
        look_ups.run(|| ()).await.unwrap();
        for _ in 0..MOST {
            look_ups.0.acquire().await.unwrap().forget();
        }
        assert_eq!(begun.load(SeqCst), MOST);
    }
}
