//! What holds for every connection of a user before anybody looks at it: how many there may be, from
//! where, and for how long.

use std::time::Duration;

use nts_service::files;
use nts_service::listener::{Gate, Limits, LiveLimits};
use nts_service::telemetry::metrics::{Gauge, Registry};

use crate::config::Config;

/// What may follow an exchange's deadline: the good-bye.
const GRACE: Duration = Duration::from_millis(250);

/// See the module. One for all listeners.
#[derive(Debug)]
pub(crate) struct Door {
    /// Who is let in.
    pub(crate) gate: Gate,
    /// For how long.
    pub(crate) limits: LiveLimits,
    most: Gauge,
}

impl Door {
    /// As `config` wants it.
    pub(crate) fn new(config: &Config, registry: &Registry) -> Self {
        let most = registry.gauge(
            "nts_pool_ke_connections_limit",
            "Connections at the same time, at most.",
            &[],
        );
        let door = Self {
            gate: Gate::with_prefix_limits(connections(config), config.limits.prefixes.clone()),
            limits: LiveLimits::new(limits(config)),
            most,
        };
        door.set(config);
        door
    }

    /// As `config` wants it from now on; nobody who is in is sent away.
    pub(crate) fn set(&self, config: &Config) {
        let connections = connections(config);
        self.most.set(connections as f64);
        self.gate.set_max_connections(connections);
        self.gate.set_prefix_limits(config.limits.prefixes.clone());
        self.gate.set_proxy_protocol(config.proxy_protocol.clone());
        self.limits.set(limits(config));
    }
}

fn connections(config: &Config) -> usize {
    config.limits.connections(files::limit())
}

fn limits(config: &Config) -> Limits {
    let budget = config.key_exchange_timeout;
    Limits {
        first_byte: Some(config.limits.first_byte(budget)),
        time_limit: budget,
        grace: GRACE,
        drain: config.shutdown.timeout,
    }
}
