//! The accept loop, the tasks it starts, and how both end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::accept::{AcceptErrorClass, BackOff, Incoming};
use super::connection::{Connection, Lease};
use super::first_byte::{self, Silence};
use super::gate::{Admitted, Gate, LimitReason, Slot};
use super::stats::Stats;
use crate::quick_ack::QuickAckStream;
use crate::shutdown::Shutdown;
use crate::telemetry::throttle::Throttle;

/// How much time a listener grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a connection may be silent before it is closed, from accepting on. Its handler is
    /// called after that. `None`: it is called at once, for protocols in which the server begins.
    pub first_byte: Option<Duration>,
    /// The time of one exchange, from accepting on.
    pub time_limit: Duration,
    /// A handler that still runs this long after its deadline is ended.
    pub grace: Duration,
    /// Once it is time to stop, running handlers have this long to finish.
    pub drain: Duration,
}

/// Accepts connections and runs `handler` on each that `gate` lets in, in a task of its own, until
/// `shutdown`. Others are closed at once: a fast failure lets the user's back-off work.
///
/// Then nothing more is accepted except what the kernel has accepted already, and running
/// handlers get [`Limits::drain`]; those that still run are ended. When this returns, no task is
/// left. Dropping the future ends all handlers too. A handler that panics costs its own
/// connection only.
pub async fn serve<I, H, F>(
    mut incoming: I,
    gate: Gate,
    limits: Limits,
    shutdown: Shutdown,
    stats: Stats,
    handler: H,
) where
    I: Incoming,
    H: Fn(Connection) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let mut tasks = Tasks::new(gate, limits, shutdown.clone(), stats, handler);
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
    gate: Gate,
    limits: Limits,
    shutdown: Shutdown,
    stats: Stats,
    handler: Arc<H>,
    running: JoinSet<()>,
    panics: Throttle,
}

impl<H, F> Tasks<H>
where
    H: Fn(Connection) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    fn new(gate: Gate, limits: Limits, shutdown: Shutdown, stats: Stats, handler: H) -> Self {
        Self {
            gate,
            limits,
            shutdown,
            stats,
            handler: Arc::new(handler),
            running: JoinSet::new(),
            panics: Throttle::new(1, LOG_INTERVAL),
        }
    }

    /// Runs the handler on a new connection, or closes it if a limit is reached.
    fn start(&mut self, stream: TcpStream, peer: SocketAddr) {
        let accepted = Instant::now();
        let mut admitted = match self.gate.admit(peer.ip(), accepted) {
            Ok(admitted) => admitted,
            Err(reason) => {
                self.stats.refused.increment();
                self.stats.limited(reason).increment();
                return;
            }
        };
        self.stats.accepted.increment();
        if admitted.made_room {
            self.stats.limited(LimitReason::Global).increment();
        }
        // Each message is one write, so waiting for more to send would only add delay.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        if self.limits.first_byte.is_none() {
            admitted.slot.heard();
        }
        let (handler, limits, stats) = (self.handler.clone(), self.limits, self.stats.clone());
        let shutdown = self.shutdown.clone();
        self.running.spawn(async move {
            let _open = stats.open.hold();
            let Some(slot) = begin(&stream, admitted, accepted, limits, &stats).await else {
                return;
            };
            let (deadline, moved) = watch::channel(accepted + limits.time_limit);
            let connection = Connection {
                stream: QuickAckStream::new(stream),
                peer,
                lease: Lease {
                    deadline,
                    slot: Some(slot),
                    shutdown,
                },
            };
            // The handler is called in here, so that a panic of its own stays in here too; and it is
            // put on the heap, so that a silent connection does not cost what a handler does.
            let handling = Box::pin(handler(connection));
            if within_deadline(handling, moved, limits.grace)
                .await
                .is_err()
            {
                stats.overdue.increment();
            }
        });
    }

    /// Takes what the kernel has accepted before the end; these users have been told so already.
    async fn take_backlog(&mut self, incoming: &mut impl Incoming) {
        for _ in 0..self.gate.max_connections() {
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

/// Waits for the peer to begin, if it has to; `None` if the connection is to be closed instead.
async fn begin(
    stream: &TcpStream,
    admitted: Admitted,
    accepted: Instant,
    limits: Limits,
    stats: &Stats,
) -> Option<Slot> {
    let Admitted {
        mut slot, evicted, ..
    } = admitted;
    let Some(limit) = limits.first_byte else {
        return Some(slot);
    };
    match first_byte::wait(stream, evicted, accepted + limit).await {
        Ok(()) => slot.heard().then_some(slot),
        // Counted with the connection that it made room for.
        Err(Silence::Evicted) => None,
        Err(Silence::TooLong) => {
            stats.limited(LimitReason::FirstByte).increment();
            None
        }
    }
}

/// Ends the handler if it overruns the deadline, which may be moved meanwhile, by `grace`.
async fn within_deadline(
    mut handler: impl Future<Output = ()> + Unpin,
    mut deadline: watch::Receiver<Instant>,
    grace: Duration,
) -> Result<(), Overdue> {
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
