//! A pool of ten sources of which three are dead, each in another way, and many users at a time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::faulty_source::{Connect, Script};
use crate::lab::{POOL_NAME, RealSource, RunningPool, loopback};
use crate::user::{Failure, plain_request};
use crate::{FaultySource, Lab};

/// How they are dead.
pub const DEATHS: [Connect; 3] = [Connect::Refuse, Connect::Lost, Connect::Silent];

/// The sources, and a pool of them.
pub struct World {
    lab: Lab,
    /// The pool.
    pub pool: RunningPool,
    /// Those that are dead, if any is.
    pub dead: Vec<FaultySource>,
    _alive: Vec<RealSource>,
}

impl World {
    /// Ten sources, the first of which are dead in these ways.
    pub async fn new(deaths: &[Connect]) -> Self {
        let lab = Lab::new();
        let (mut alive, mut dead, mut entries) = (Vec::new(), Vec::new(), Vec::new());
        for (last, death) in (2..12).zip(deaths.iter().map(Some).chain(std::iter::repeat(None))) {
            match death {
                Some(death) => {
                    let script = Script::on_connect(*death);
                    let source = lab.faulty_source(loopback(last), script).await;
                    entries.push(source.entry());
                    dead.push(source);
                }
                None => {
                    let source = lab.source(loopback(last));
                    entries.push(source.entry());
                    alive.push(source);
                }
            }
        }
        // Before anything is known of them a user may draw all that are dead, one after the other.
        let pool = lab.pool_with(entries, |config| {
            config.upstream.attempts = deaths.len().max(2) + 1;
        });
        Self {
            lab,
            pool,
            dead,
            _alive: alive,
        }
    }

    /// So many users, so many at a time. Gives how long each took, in order, and how many got no
    /// cookies.
    ///
    /// # Panics
    /// If a user gets not even an Error record.
    pub async fn serve(&self, users: usize, at_a_time: usize) -> (Vec<Duration>, usize) {
        let left = Arc::new(AtomicUsize::new(users));
        let mut tasks = JoinSet::new();
        for _ in 0..at_a_time {
            let user = self.lab.user();
            tasks.spawn(serve_some(user, self.pool.address, Arc::clone(&left)));
        }
        let (mut times, mut failed) = (Vec::new(), 0);
        for (some_times, some_failed) in tasks.join_all().await {
            times.extend(some_times);
            failed += some_failed;
        }
        times.sort_unstable();
        (times, failed)
    }
}

async fn serve_some(
    user: crate::User,
    pool: SocketAddr,
    left: Arc<AtomicUsize>,
) -> (Vec<Duration>, usize) {
    let (mut times, mut failed) = (Vec::new(), 0);
    let another = |left| usize::checked_sub(left, 1);
    while left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, another)
        .is_ok()
    {
        let begun = Instant::now();
        let outcome = user.key_exchange(pool, POOL_NAME, &plain_request()).await;
        times.push(begun.elapsed());
        match outcome {
            Ok(_) => {}
            Err(Failure::Response(_)) => failed += 1,
            Err(failure) => panic!("not even an answer: {failure:?}"),
        }
    }
    (times, failed)
}
