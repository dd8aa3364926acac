//! Counters of one key exchange server.

use nts_service::listener::{self, LimitReason};
use nts_service::telemetry::metrics::Counter;

macro_rules! counters {
    ($(#[$outer:meta])* $counters:ident, $(#[$inner:meta])* $snapshot:ident {
        $($(#[$doc:meta])* $name:ident,)*
    }) => {
        $(#[$outer])*
        #[derive(Debug, Default)]
        pub struct $counters {
            $($(#[$doc])* pub $name: Counter,)*
        }

        impl $counters {
            /// The values now; each is exact, together they are not one moment.
            #[must_use]
            pub fn snapshot(&self) -> $snapshot {
                $snapshot { $($name: self.$name.get(),)* }
            }
        }

        $(#[$inner])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $snapshot {
            $($(#[$doc])* pub $name: u64,)*
        }
    };
}

counters! {
    /// What one `[[nts-ke-server]]` did.
    KeStats,
    /// The values of [`KeStats`] at one time.
    KeStatsSnapshot {
        /// Connections that were accepted.
        accepted_connections,
        /// Connections that were closed at once because a limit was reached.
        refused_connections,
        /// Connections that were closed because their address had made many already.
        rate_limited_connections,
        /// Connections that were closed because they did not send anything in time.
        silent_connections,
        /// TLS handshakes that failed or did not settle on `ntske/1`.
        failed_handshakes,
        /// Ordinary exchanges that got cookies.
        key_exchanges,
        /// Fixed Key Requests of pools that got cookies.
        fixed_key_requests,
        /// Requests of pools for lists of what is supported.
        info_requests,
        /// Requests answered with Error 0, Error 1, or an empty list.
        refused_requests,
        /// Connections that ended without an answer: the peer left or was silent.
        abandoned_connections,
    }
}

impl KeStats {
    /// Counters of which the listener counts its own part.
    pub(super) fn beside(listener: &listener::Stats) -> Self {
        Self {
            accepted_connections: listener.accepted.clone(),
            refused_connections: listener.refused.clone(),
            silent_connections: listener.limited(LimitReason::FirstByte).clone(),
            ..Self::default()
        }
    }
}
