//! What a listener counts.

use super::accept::AcceptErrorClass;
use super::limit::LimitReason;
use crate::telemetry::metrics::{Counter, Gauge, Registry};

/// What a listener counts.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Connections accepted and handed to a handler.
    pub accepted: Counter,
    /// Connections closed at once because a limit was reached.
    pub refused: Counter,
    /// Connections that have a handler now.
    pub open: Gauge,
    /// Handlers ended because they overran deadline and grace.
    pub overdue: Counter,
    /// Handlers that panicked.
    pub panicked: Counter,
    /// Connections by which a balancer found out that we live.
    pub health_checks: Counter,
    accept_errors: [Counter; 3],
    limited: [Counter; 6],
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
        let limited = |reason: LimitReason| {
            counter(
                "limited_total",
                "Connections closed before they could say anything, by the limit that was reached.",
                &[("reason", reason.label())],
            )
        };
        Self {
            accepted: counter("connections_accepted_total", "Connections accepted.", &[]),
            refused: counter(
                "connections_refused_total",
                "Connections closed at once because a limit was reached.",
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
            health_checks: counter(
                "proxy_health_checks_total",
                "Connections by which a balancer found out that this server lives.",
                &[],
            ),
            accept_errors: AcceptErrorClass::ALL.map(accept_errors),
            limited: LimitReason::ALL.map(limited),
        }
    }

    /// Connections closed before they could say anything: refused, silent for too long, or silent
    /// when all slots were taken.
    pub fn limited(&self, reason: LimitReason) -> &Counter {
        let [rate, concurrency, global, first_byte, stranger, header] = &self.limited;
        match reason {
            LimitReason::PrefixRate => rate,
            LimitReason::PrefixConcurrency => concurrency,
            LimitReason::Global => global,
            LimitReason::FirstByte => first_byte,
            LimitReason::Stranger => stranger,
            LimitReason::ProxyHeader => header,
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
