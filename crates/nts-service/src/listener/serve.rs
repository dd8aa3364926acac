//! The accept loop, the tasks it starts, and how both end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::accept::{AcceptErrorClass, BackOff, Incoming};
use super::connection::Connection;
use super::farewell::Farewell;
use super::gate::Gate;
use super::life::{End, Newcomer};
use super::limit::{LimitReason, Limits, LiveLimits};
use super::opening::Closed;
use super::stats::Stats;
use crate::shutdown::{self, Shutdown, Trigger};
use crate::telemetry::metrics::Counter;
use crate::telemetry::throttle::Throttle;

/// Accepts connections and runs `handler` on each that `gate` lets in, in a task of its own, until
/// `shutdown`. Others are closed at once: a fast failure lets the user's back-off work.
///
/// Then nothing more is accepted except what the kernel has accepted already, and running
/// handlers get [`Limits::drain`]; those that still run are
/// [cut short](super::Lease::cut_short), and ended after [`Limits::grace`]. When this returns, no
/// task is left, and those who were [seen off](super::Lease::see_off) have had their time. Dropping the future ends all handlers too. A handler that panics costs its own
/// connection only.
pub async fn serve<I, H, F>(
    mut incoming: I,
    gate: Gate,
    limits: impl Into<LiveLimits>,
    shutdown: Shutdown,
    stats: Stats,
    handler: H,
) where
    I: Incoming,
    H: Fn(Connection) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let mut tasks = Tasks::new(gate, limits.into(), shutdown.clone(), stats, handler);
    let mut trouble = Trouble::new();
    loop {
        tokio::select! {
            biased;
            () = shutdown.requested() => break,
            accepted = incoming.accept() => match accepted {
                Ok((stream, peer)) => {
                    trouble.back_off.succeeded();
                    tasks.start(stream, peer);
                    tasks.forget_ended();
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
    tasks.take_backlog(&mut incoming);
    drop(incoming);
    tasks.drain().await;
    tasks.attendant.shutdown().await;
    tasks.farewell.finish().await;
}

/// The running handlers of one listener.
struct Tasks<H> {
    gate: Gate,
    limits: LiveLimits,
    shutdown: Shutdown,
    cut: Trigger,
    stats: Stats,
    handler: Arc<H>,
    running: JoinSet<()>,
    farewell: Farewell,
    /// Closes those who do not go.
    attendant: JoinSet<()>,
    panics: Arc<Throttle>,
}

impl<H, F> Tasks<H>
where
    H: Fn(Connection) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    fn new(gate: Gate, limits: LiveLimits, shutdown: Shutdown, stats: Stats, handler: H) -> Self {
        let farewell = Farewell::behind(gate.clone());
        let mut attendant = JoinSet::new();
        attendant.spawn({
            let farewell = farewell.clone();
            async move { farewell.attend().await }
        });
        Self {
            gate,
            limits,
            shutdown,
            cut: shutdown::channel().0,
            stats,
            handler: Arc::new(handler),
            running: JoinSet::new(),
            farewell,
            attendant,
            panics: Arc::new(Throttle::new(1, LOG_INTERVAL)),
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
        let limits = self.limits.get();
        if limits.first_byte.is_none() && !admitted.forwarded {
            admitted.slot.heard();
        }
        let newcomer = Newcomer {
            stream,
            peer,
            accepted,
            limits,
            shutdown: self.shutdown.clone(),
            cut: self.cut.subscribe(),
            farewell: self.farewell.clone(),
        };
        let (handler, stats) = (self.handler.clone(), self.stats.clone());
        let panics = PanicWitness {
            panicked: stats.panicked.clone(),
            log: Arc::clone(&self.panics),
        };
        self.running.spawn(async move {
            let _panics = panics;
            let _open = stats.open.hold();
            match newcomer.serve(admitted, &*handler).await {
                End::Over | End::Closed(Closed::Evicted) => {}
                End::Overdue => stats.overdue.increment(),
                End::Closed(Closed::Limited(reason)) => stats.limited(reason).increment(),
                End::Closed(Closed::HealthCheck) => stats.health_checks.increment(),
            }
        });
    }

    /// Frees what is left of handlers that have ended. The next accept is time enough: to be woken
    /// by each end would cost every exchange a hand-over between threads.
    fn forget_ended(&mut self) {
        while self.running.try_join_next().is_some() {}
    }

    /// Takes what the kernel has accepted before the end; these users have been told so already.
    fn take_backlog(&mut self, incoming: &mut impl Incoming) {
        for _ in 0..self.gate.max_connections() {
            match incoming.accept_now() {
                Some(Ok((stream, peer))) => self.start(stream, peer),
                // Only that one is lost.
                Some(Err(error))
                    if AcceptErrorClass::of(&error) == AcceptErrorClass::Connection => {}
                Some(Err(_)) | None => return,
            }
        }
    }

    /// Lets handlers finish for a bounded time, cuts them short, then ends them.
    async fn drain(&mut self) {
        let Limits { drain, grace, .. } = self.limits.get();
        if timeout(drain, self.finish()).await.is_ok() {
            return;
        }
        tracing::info!(
            connections = self.running.len(),
            "ending connections that take too long"
        );
        self.cut.fire();
        if timeout(grace, self.finish()).await.is_err() {
            self.running.shutdown().await;
        }
    }

    /// Waits until no handler runs.
    async fn finish(&mut self) {
        while self.running.join_next().await.is_some() {}
    }
}

/// Sees whether a handler panics, from within its task.
struct PanicWitness {
    panicked: Counter,
    log: Arc<Throttle>,
}

impl Drop for PanicWitness {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        self.panicked.increment();
        if let Some(held_back) = self.log.pass() {
            tracing::error!(
                held_back,
                "a connection was ended by a defect of this program; please report it"
            );
        }
    }
}

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
