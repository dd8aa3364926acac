//! The accept loop, the tasks it starts, and how both end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::accept::{AcceptErrorClass, BackOff, Incoming};
use super::connection::{Connection, Lease};
use super::stats::Stats;
use crate::quick_ack::QuickAckStream;
use crate::shutdown::Shutdown;
use crate::telemetry::throttle::Throttle;

/// What a listener grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same time. One more is closed at once: a fast failure lets the user's
    /// back-off work (pool design §5.2).
    pub max_connections: usize,
    /// The time of one exchange, from accepting on.
    pub time_limit: Duration,
    /// A handler that still runs this long after its deadline is ended.
    pub grace: Duration,
    /// Once it is time to stop, running handlers have this long to finish.
    pub drain: Duration,
}

/// Accepts connections and runs `handler` on each in a task of its own, until `shutdown`.
///
/// Then nothing more is accepted except what the kernel has accepted already, and running
/// handlers get [`Limits::drain`]; those that still run are ended. When this returns, no task is
/// left. Dropping the future ends all handlers too. A handler that panics costs its own
/// connection only.
pub async fn serve<I, H, F>(
    mut incoming: I,
    limits: Limits,
    shutdown: Shutdown,
    stats: Stats,
    handler: H,
) where
    I: Incoming,
    H: Fn(Connection) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let mut tasks = Tasks::new(limits, shutdown.clone(), stats, handler);
    let mut trouble = Trouble::new();
    loop {
        tokio::select! {
            biased;
            () = shutdown.requested() => break,
            Some(ended) = tasks.running.join_next() => tasks.note(ended),
            accepted = incoming.accept() => match accepted {
                Ok((stream, peer)) => {
                    trouble.back_off.succeeded();
                    tasks.start(stream, peer);
                }
                Err(error) => {
                    let pause = trouble.note(&error, &tasks.stats);
                    tokio::select! {
                        biased;
                        () = shutdown.requested() => break,
                        () = sleep(pause) => {}
                    }
                }
            },
        }
    }
    tasks.take_backlog(&mut incoming).await;
    drop(incoming);
    tasks.drain().await;
}

/// The running handlers of one listener.
struct Tasks<H> {
    limits: Limits,
    shutdown: Shutdown,
    stats: Stats,
    handler: Arc<H>,
    slots: Arc<Semaphore>,
    running: JoinSet<()>,
    panics: Throttle,
}

impl<H, F> Tasks<H>
where
    H: Fn(Connection) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    fn new(limits: Limits, shutdown: Shutdown, stats: Stats, handler: H) -> Self {
        Self {
            limits,
            shutdown,
            stats,
            handler: Arc::new(handler),
            slots: Arc::new(Semaphore::new(limits.max_connections)),
            running: JoinSet::new(),
            panics: Throttle::new(1, LOG_INTERVAL),
        }
    }

    /// Runs the handler on a new connection, or closes it if all slots are taken.
    fn start(&mut self, stream: TcpStream, peer: SocketAddr) {
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            self.stats.refused.increment();
            return;
        };
        self.stats.accepted.increment();
        // Each message is one write, so waiting for more to send would only add delay.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let (deadline, moved) = watch::channel(Instant::now() + self.limits.time_limit);
        let lease = Lease {
            deadline,
            slot: Some(slot),
            shutdown: self.shutdown.clone(),
        };
        let connection = Connection {
            stream: QuickAckStream::new(stream),
            peer,
            lease,
        };
        let (handler, grace, stats) = (self.handler.clone(), self.limits.grace, self.stats.clone());
        self.running.spawn(async move {
            let _open = stats.open.hold();
            // The handler is called in here, so that a panic of its own stays in here too.
            if within_deadline(handler(connection), moved, grace)
                .await
                .is_err()
            {
                stats.overdue.increment();
            }
        });
    }

    /// Takes what the kernel has accepted before the end; these users have been told so already.
    async fn take_backlog(&mut self, incoming: &mut impl Incoming) {
        for _ in 0..self.limits.max_connections {
            tokio::select! {
                biased;
                accepted = incoming.accept() => match accepted {
                    Ok((stream, peer)) => self.start(stream, peer),
                    Err(_) => return,
                },
                () = std::future::ready(()) => return,
            }
        }
    }

    /// Lets handlers finish for a bounded time, then ends them.
    async fn drain(&mut self) {
        let time = self.limits.drain;
        let finish = async {
            while let Some(ended) = self.running.join_next().await {
                self.note(ended);
            }
        };
        if timeout(time, finish).await.is_err() {
            tracing::info!(
                connections = self.running.len(),
                "ending connections that take too long"
            );
            self.running.shutdown().await;
        }
    }

    fn note(&self, ended: Result<(), JoinError>) {
        if !ended.is_err_and(|error| error.is_panic()) {
            return;
        }
        self.stats.panicked.increment();
        if let Some(held_back) = self.panics.pass() {
            tracing::error!(
                held_back,
                "a connection was ended by a defect of this program; please report it"
            );
        }
    }
}

/// Ends the handler if it overruns the deadline, which may be moved meanwhile, by `grace`.
async fn within_deadline(
    handler: impl Future<Output = ()>,
    mut deadline: watch::Receiver<Instant>,
    grace: Duration,
) -> Result<(), Overdue> {
    let mut handler = pin!(handler);
    loop {
        let end = *deadline.borrow_and_update() + grace;
        tokio::select! {
            biased;
            () = &mut handler => return Ok(()),
            Ok(()) = deadline.changed() => {}
            () = sleep_until(end) => return Err(Overdue),
        }
    }
}

struct Overdue;

/// Failing accepts: how long to wait, and one line per minute about them.
struct Trouble {
    back_off: BackOff,
    log: Throttle,
}

const LOG_INTERVAL: Duration = Duration::from_secs(60);

impl Trouble {
    fn new() -> Self {
        Self {
            back_off: BackOff::new(),
            log: Throttle::new(1, LOG_INTERVAL),
        }
    }

    /// Counts the failure; the result is the pause before the next accept.
    fn note(&mut self, error: &io::Error, stats: &Stats) -> Duration {
        let class = AcceptErrorClass::of(error);
        stats.accept_error(class).increment();
        if class == AcceptErrorClass::Connection {
            tracing::debug!(%error, "a connection failed before it was accepted");
            return Duration::ZERO;
        }
        let pause = self.back_off.failed();
        if let Some(held_back) = self.log.pass() {
            tracing::warn!(
                %error, held_back, pause_ms = pause.as_millis(),
                "cannot accept connections, trying again; raise the limit of open files \
                 (`ulimit -n`, LimitNOFILE) if that is what is missing"
            );
        }
        pause
    }
}
