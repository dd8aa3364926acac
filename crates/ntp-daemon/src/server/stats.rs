//! Counters of one UDP server: relaxed atomics, summed by nobody but the reader.

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
pub(crate) use counters;

counters! {
    /// What happened to the datagrams of one `[[server]]`; the names are those of the
    /// observation socket and, with `_total`, of the metrics.
    Stats,
    /// The values of [`Stats`] at one time.
    StatsSnapshot {
        /// Datagrams that arrived.
        received_packets,
        /// Requests that got the time.
        accepted_packets,
        /// Requests that got a `DENY`.
        denied_packets,
        /// Datagrams that got no answer: refused by a list or not a request.
        ignored_packets,
        /// Requests that got no answer because they came too often.
        rate_limited_packets,
        /// Answers that the kernel did not take.
        response_send_errors,
        /// Requests with NTS fields.
        nts_received_packets,
        /// NTS requests that got the time.
        nts_accepted_packets,
        /// NTS requests that got an authenticated `DENY`.
        nts_denied_packets,
        /// NTS requests that got no answer because they came too often.
        nts_rate_limited_packets,
        /// NTS requests that got an NTS NAK.
        nts_nak_packets,
    }
}
