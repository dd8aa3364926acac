//! Users, one after the other or at a steady rate, on threads that share nothing.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls_pki_types::ServerName;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at};

use crate::BoxError;
use crate::key_exchange::User;

/// Users at a time, at most, when they come at a rate.
const MOST: usize = 10_000;

/// How users follow each other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// So many at a time: whoever is done is followed by the next.
    Closed(usize),
    /// One after the other with this time between them, whatever comes back.
    Every(Duration),
}

/// What users saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// How long each good exchange took.
    pub(super) times: Vec<Duration>,
    pub(super) failed: u64,
    /// One of the things that went wrong.
    pub(super) fault: Option<String>,
    /// Good exchanges by the server named in the answer.
    pub(super) servers: BTreeMap<String, u64>,
}

impl Seen {
    /// Good exchanges.
    pub(super) fn exchanges(&self) -> u64 {
        self.servers.values().sum()
    }

    fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.failed += other.failed;
        self.fault = self.fault.take().or(other.fault);
        for (name, count) in other.servers {
            *self.servers.entry(name).or_default() += count;
        }
    }

    fn note(&mut self, outcome: Result<(String, Duration), BoxError>) {
        match outcome {
            Ok((server, time)) => {
                self.times.push(time);
                *self.servers.entry(server).or_default() += 1;
            }
            Err(error) => {
                self.failed += 1;
                self.fault.get_or_insert_with(|| error.to_string());
            }
        }
    }
}

/// Users of one server.
#[derive(Clone, Debug)]
pub(super) struct Load(Arc<Target>);

#[derive(Debug)]
struct Target {
    user: User,
    server: SocketAddr,
    name: ServerName<'static>,
}

impl Load {
    /// Users like this one, of this server.
    pub(super) fn new(user: User, server: SocketAddr, name: ServerName<'static>) -> Self {
        Self(Arc::new(Target { user, server, name }))
    }

    /// Lets users come for `time`, and waits for the last; how long it all took.
    ///
    /// They are dealt out to `threads` threads, each with its own runtime: no user's wake-up
    /// crosses from one to another.
    ///
    /// # Errors
    /// If a thread cannot start.
    pub(super) fn run(
        &self,
        pace: Pace,
        time: Duration,
        threads: usize,
    ) -> io::Result<(Seen, Duration)> {
        let started = Instant::now();
        let seen = thread::scope(|scope| {
            let shares: Vec<_> = (0..threads)
                .map(|number| scope.spawn(move || self.share(pace, time, (number, threads))))
                .collect();
            shares
                .into_iter()
                .try_fold(Seen::default(), |mut all, share| {
                    all.add(share.join().expect("a thread of load does not panic")?);
                    io::Result::Ok(all)
                })
        })?;
        Ok((seen, started.elapsed()))
    }

    /// What falls to one of the threads.
    fn share(
        &self,
        pace: Pace,
        time: Duration,
        (number, threads): (usize, usize),
    ) -> io::Result<Seen> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let end = Instant::now() + time;
        let every = |pause: Duration, n: usize| pause * u32::try_from(n).unwrap_or(u32::MAX);
        Ok(runtime.block_on(async {
            match pace {
                Pace::Closed(users) => {
                    let mine = users / threads + usize::from(number < users % threads);
                    self.closed(mine, end).await
                }
                Pace::Every(pause) => {
                    let first = Instant::now() + every(pause, number);
                    self.paced(first, every(pause, threads), end).await
                }
            }
        }))
    }

    async fn closed(&self, users: usize, end: Instant) -> Seen {
        let mut tasks = JoinSet::new();
        for _ in 0..users {
            let target = Arc::clone(&self.0);
            tasks.spawn(async move {
                let mut seen = Seen::default();
                while Instant::now() < end {
                    seen.note(target.exchange().await);
                }
                seen
            });
        }
        sum(tasks).await
    }

    async fn paced(&self, first: Instant, pause: Duration, end: Instant) -> Seen {
        let mut tasks = JoinSet::new();
        let mut seen = Seen::default();
        let mut ticks = interval_at(first.into(), pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        while ticks.tick().await.into_std() < end {
            while let Some(done) = tasks.try_join_next() {
                seen.add(done.expect("a user does not panic"));
            }
            if tasks.len() >= MOST {
                seen.note(Err("too many users wait for an answer".into()));
                continue;
            }
            let target = Arc::clone(&self.0);
            tasks.spawn(async move {
                let mut seen = Seen::default();
                seen.note(target.exchange().await);
                seen
            });
        }
        seen.add(sum(tasks).await);
        seen
    }
}

impl Target {
    /// One exchange: which server it gave, and how long it took.
    async fn exchange(&self) -> Result<(String, Duration), BoxError> {
        let started = Instant::now();
        // The connection is closed once the clock stands still.
        let (response, _connection) = self.user.ask(self.server, self.name.clone()).await?;
        let time = started.elapsed();
        let server = response.server.map(|name| name.canonical());
        Ok((server.unwrap_or_else(|| "itself".into()), time))
    }
}

async fn sum(mut tasks: JoinSet<Seen>) -> Seen {
    let mut seen = Seen::default();
    while let Some(done) = tasks.join_next().await {
        seen.add(done.expect("a user does not panic"));
    }
    seen
}
