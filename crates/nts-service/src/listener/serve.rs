//! The accept loop, the tasks it starts, and how both end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::accept::{AcceptErrorClass, BackOff, Incoming};
use super::connection::{Connection, Lease};
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::{Counter, Gauge, Registry};
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

/// What a listener counts.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Connections accepted and handed to a handler.
    pub accepted: Counter,
    /// Connections closed at once because all slots were taken.
    pub refused: Counter,
    /// Connections that have a handler now.
    pub open: Gauge,
    /// Handlers ended because they overran deadline and grace.
    pub overdue: Counter,
    /// Handlers that panicked.
    pub panicked: Counter,
    /// Failed accepts where one connection or the network failed.
    pub accept_errors_connection: Counter,
    /// Failed accepts for lack of descriptors or memory.
    pub accept_errors_resources: Counter,
    /// Failed accepts of any other kind.
    pub accept_errors_other: Counter,
}

impl Stats {
    /// Counters in `registry` whose names begin with `prefix` (like `nts_pool_ke`).
    pub fn new(registry: &Registry, prefix: &str) -> Self {
        let counter = |name: &str, help: &str, labels: &[(&'static str, &str)]| {
            registry.counter(&format!("{prefix}_{name}"), help, labels)
        };
        let accept_errors = |class| {
            counter(
                "accept_errors_total",
                "Failed accepts, by class.",
                &[("class", class)],
            )
        };
        Self {
            accepted: counter("connections_accepted_total", "Connections accepted.", &[]),
            refused: counter(
                "connections_refused_total",
                "Connections closed at once because all slots were taken.",
                &[],
            ),
            open: registry.gauge(&format!("{prefix}_connections"), "Connections now.", &[]),
            overdue: counter(
                "connections_overdue_total",
                "Connections ended because they overran their time.",
                &[],
            ),
            panicked: counter(
                "connections_panicked_total",
                "Connections ended by a defect of the program.",
                &[],
            ),
            accept_errors_connection: accept_errors("connection"),
            accept_errors_resources: accept_errors("resources"),
            accept_errors_other: accept_errors("other"),
        }
    }
}

/// Accepts connections and runs `handler` on each in a task of its own, until `shutdown`.
///
/// Then no more is accepted except what the kernel has accepted already, and running handlers
/// get [`Limits::drain`]; those that still run are ended. When this returns, no task is left.
/// Dropping the future ends all handlers at once. A handler that panics costs its own connection
/// only.
pub async fn serve<I, H, F>(
    incoming: I,
    limits: Limits,
    shutdown: Shutdown,
    stats: Stats,
    handler: H,
) where
    I: Incoming,
    H: Fn(Connection) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let _ = (incoming, limits, shutdown, stats, handler);
    todo!()
}
