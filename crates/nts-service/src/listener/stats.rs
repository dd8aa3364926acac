//! What a listener counts.

use super::accept::AcceptErrorClass;
use crate::telemetry::metrics::{Counter, Gauge, Registry};

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
    accept_errors: [Counter; 3],
}

impl Stats {
    /// Counters in `registry` whose names begin with `prefix` (like `nts_pool_ke`).
    pub fn new(registry: &Registry, prefix: &str) -> Self {
        let counter = |name: &str, help: &str, labels: &[(&'static str, &str)]| {
            registry.counter(&format!("{prefix}_{name}"), help, labels)
        };
        let accept_errors = |class: AcceptErrorClass| {
            counter(
                "accept_errors_total",
                "Failed accepts, by class.",
                &[("class", class.label())],
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
            accept_errors: AcceptErrorClass::ALL.map(accept_errors),
        }
    }
    /// Failed accepts of this class.
    pub fn accept_error(&self, class: AcceptErrorClass) -> &Counter {
        let [connection, resources, other] = &self.accept_errors;
        match class {
            AcceptErrorClass::Connection => connection,
            AcceptErrorClass::Resources => resources,
            AcceptErrorClass::Other => other,
        }
    }
}
