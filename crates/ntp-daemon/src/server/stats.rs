//! Counters of one UDP server.
//!
//! Each thread counts a batch in a [`StatsSnapshot`] of its own and adds it to its shard, which
//! nobody else writes; whoever reads sums the shards. No thread ever waits for another's cache line.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! sharded_counters {
    (
        $(#[$outer:meta])* $stats:ident,
        $(#[$inner:meta])* $snapshot:ident {
            $($(#[$doc:meta])* $name:ident,)*
        }
    ) => {
        $(#[$inner])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $snapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The counters of one thread, on cache lines of their own.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(super) struct Shard {
            $($name: AtomicU64,)*
        }

        impl Shard {
            #[cfg(test)]
            pub(super) fn received(&self) -> u64 {
                self.received_packets.load(Relaxed)
            }

            /// Adds what was counted. Only one thread may do that.
            pub(super) fn add(&self, counted: &$snapshot) {
                $(
                    if counted.$name > 0 {
                        self.$name.store(self.$name.load(Relaxed) + counted.$name, Relaxed);
                    }
                )*
            }
        }

        $(#[$outer])*
        #[derive(Debug)]
        pub struct $stats(Box<[Shard]>);

        impl $stats {
            /// Counters for so many threads.
            pub(super) fn new(threads: usize) -> Self {
                Self((0..threads).map(|_| Shard::default()).collect())
            }

            /// The counters of one thread.
            pub(super) fn shard(&self, thread: usize) -> Option<&Shard> {
                self.0.get(thread)
            }

            /// The values now; each is exact, together they are not one moment.
            #[must_use]
            pub fn snapshot(&self) -> $snapshot {
                let mut sum = $snapshot::default();
                for shard in &self.0 {
                    $(sum.$name += shard.$name.load(Relaxed);)*
                }
                sum
            }
        }
    };
}

sharded_counters! {
    /// What happened to the datagrams of one `[[server]]`; the names are those of the
    /// observation socket and, with `_total`, of the metrics.
    Stats,
    /// The values of [`Stats`] at one time.
    StatsSnapshot {
        /// Datagrams that arrived.
        received_packets,
        /// Requests that got the time.
        accepted_packets,
        /// Of these, requests of NTPv3.
        accepted_v3_packets,
        /// Requests that got a `DENY`.
        denied_packets,
        /// Datagrams that got no answer: refused by a list or not a request.
        ignored_packets,
        /// Of these, those that are no NTP packet: too short, too long, or with fields whose
        /// lengths do not add up.
        malformed_packets,
        /// Of these, packets that are not requests (any mode but 3).
        wrong_mode_packets,
        /// Of these, requests of versions that are not accepted.
        wrong_version_packets,
        /// Requests that came too often and got no answer, or a `RATE`.
        rate_limited_packets,
        /// Answers that the kernel did not take.
        response_send_errors,
        /// Requests with NTS fields.
        nts_received_packets,
        /// NTS requests that got the time.
        nts_accepted_packets,
        /// NTS requests that got an authenticated `DENY`.
        nts_denied_packets,
        /// NTS requests that came too often and got no answer, or an authenticated `RATE`.
        nts_rate_limited_packets,
        /// NTS requests that got an NTS NAK.
        nts_nak_packets,
        /// NTS requests that got no NTS NAK because their network got many already.
        nts_nak_limited_packets,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_summed() {
        let stats = Stats::new(2);
        let counted = StatsSnapshot {
            received_packets: 3,
            nts_nak_packets: 1,
            ..StatsSnapshot::default()
        };
        stats.shard(0).unwrap().add(&counted);
        stats.shard(1).unwrap().add(&counted);
        stats.shard(1).unwrap().add(&counted);
        let expected = StatsSnapshot {
            received_packets: 9,
            nts_nak_packets: 3,
            ..StatsSnapshot::default()
        };
        assert_eq!(stats.snapshot(), expected);
        assert!(stats.shard(2).is_none());
    }
}
