//! Who is let in: the limits of a network, then the slots of the whole service (pool design §5.2).
//!
//! One gate stands before all listening sockets of a service. When all slots are taken, the oldest
//! connection that has not sent anything yet makes room for the newcomer: whoever connects and is
//! silent can fill the slots, but not keep them. The gate neither accepts nor closes.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::prefix::{Places, PrefixLimits, PrefixTable, Reached};
use super::silent::{SilentQueue, Ticket};

/// Why a connection was closed before it could say anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitReason {
    /// Its network connects too often.
    PrefixRate,
    /// Its network has too many connections.
    PrefixConcurrency,
    /// All slots are taken.
    Global,
    /// It did not send anything in time.
    FirstByte,
}

impl LimitReason {
    /// All reasons.
    pub const ALL: [Self; 4] = [
        Self::PrefixRate,
        Self::PrefixConcurrency,
        Self::Global,
        Self::FirstByte,
    ];

    /// A short name, fit for a metrics label.
    pub fn label(self) -> &'static str {
        match self {
            Self::PrefixRate => "prefix_rate",
            Self::PrefixConcurrency => "prefix_conc",
            Self::Global => "global",
            Self::FirstByte => "first_byte",
        }
    }
}

/// See the module. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max_connections: usize,
    /// What times are counted from.
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    prefixes: Option<PrefixTable>,
    taken: usize,
    silent: SilentQueue<oneshot::Sender<()>>,
}

impl Gate {
    /// A gate that lets so many connections in at the same time, whoever they come from.
    pub fn new(max_connections: usize) -> Self {
        Self::build(max_connections, None)
    }

    /// A gate that also limits what each network may do.
    pub fn with_prefix_limits(max_connections: usize, limits: PrefixLimits) -> Self {
        Self::build(max_connections, Some(PrefixTable::new(limits)))
    }

    fn build(max_connections: usize, prefixes: Option<PrefixTable>) -> Self {
        let state = State {
            prefixes,
            taken: 0,
            silent: SilentQueue::new(),
        };
        Self(Arc::new(Inner {
            max_connections,
            began: Instant::now(),
            state: Mutex::new(state),
        }))
    }

    /// Connections at the same time.
    pub fn max_connections(&self) -> usize {
        self.0.max_connections
    }

    /// Lets a connection of `peer` in, or says why not. It counts as silent at first.
    pub(super) fn admit(&self, peer: IpAddr, now: Instant) -> Result<Admitted, LimitReason> {
        let mut state = self.0.lock();
        let since = now.saturating_duration_since(self.0.began);
        let places = match &mut state.prefixes {
            None => None,
            Some(table) => Some(table.admit(peer, since).map_err(|reached| match reached {
                Reached::Rate => LimitReason::PrefixRate,
                Reached::Concurrency => LimitReason::PrefixConcurrency,
            })?),
        };
        let full = state.taken >= self.0.max_connections;
        if !full {
            state.taken += 1;
        } else if let Some(oldest) = state.silent.pop_oldest() {
            // Its slot is the newcomer's now. It waits for this word until it is gone.
            let _ = oldest.send(());
        } else {
            state.release(places);
            return Err(LimitReason::Global);
        }
        let (evict, evicted) = oneshot::channel();
        let ticket = state.silent.push(evict);
        drop(state);
        Ok(Admitted {
            slot: Slot {
                gate: Arc::clone(&self.0),
                silent: Some(ticket),
                places,
            },
            evicted,
            made_room: full,
        })
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn release(&mut self, places: Option<Places>) {
        if let (Some(table), Some(places)) = (&mut self.prefixes, places) {
            table.release(places);
        }
    }
}

/// A connection that was let in.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) slot: Slot,
    /// Gets the word when the slot has gone to somebody else.
    pub(super) evicted: oneshot::Receiver<()>,
    /// Whether a silent connection had to go for it.
    pub(super) made_room: bool,
}

/// What a connection holds of the gate, given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    gate: Arc<Inner>,
    /// Until the peer has sent something.
    silent: Option<Ticket>,
    places: Option<Places>,
}

impl Slot {
    /// The peer has sent something, so it does not have to make room any more. False if it already
    /// has.
    pub(super) fn heard(&mut self) -> bool {
        let Some(ticket) = self.silent else {
            return true;
        };
        let in_time = self.gate.lock().silent.remove(ticket).is_some();
        if in_time {
            self.silent = None;
        }
        in_time
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        let evicted = self
            .silent
            .is_some_and(|ticket| state.silent.remove(ticket).is_none());
        if !evicted {
            state.taken -= 1;
        }
        state.release(self.places.take());
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn admit(gate: &Gate) -> Result<Admitted, LimitReason> {
        gate.admit(PEER, Instant::now())
    }

    fn is_evicted(connection: &mut Admitted) -> bool {
        connection.evicted.try_recv().is_ok()
    }

    #[test]
    fn the_oldest_silent_connection_makes_room() {
        let gate = Gate::new(3);
        let mut first = admit(&gate).unwrap();
        let mut second = admit(&gate).unwrap();
        let mut third = admit(&gate).unwrap();
        assert!(first.slot.heard());
        let mut fourth = admit(&gate).unwrap();
        assert!(!third.made_room && fourth.made_room);
        assert!(is_evicted(&mut second) && !is_evicted(&mut first) && !is_evicted(&mut third));
        // It spoke too late.
        assert!(!second.slot.heard());
        assert!(third.slot.heard() && fourth.slot.heard() && fourth.slot.heard());
        assert_eq!(admit(&gate).unwrap_err(), LimitReason::Global);
    }

    #[test]
    fn a_slot_that_went_to_another_is_not_given_back_twice() {
        let gate = Gate::new(1);
        let first = admit(&gate).unwrap();
        let mut second = admit(&gate).unwrap();
        assert!(second.slot.heard());
        drop(first);
        assert_eq!(admit(&gate).unwrap_err(), LimitReason::Global);
        drop(second);
        let third = admit(&gate).unwrap();
        assert!(!third.made_room);
        drop(third);
        assert_eq!(gate.0.lock().taken, 0);
        assert!(gate.0.lock().silent.pop_oldest().is_none());
    }

    #[test]
    fn whoever_is_not_let_in_leaves_no_trace() {
        let limits = PrefixLimits {
            concurrency: 2,
            exempt: Vec::new(),
            ..PrefixLimits::default()
        };
        let gate = Gate::with_prefix_limits(1, limits);
        let mut first = admit(&gate).unwrap();
        assert!(first.slot.heard());
        for _ in 0..10 {
            assert_eq!(admit(&gate).unwrap_err(), LimitReason::Global);
        }
        drop(first);
        let _one = admit(&gate).unwrap();
        let _two = admit(&gate).unwrap();
        assert_eq!(admit(&gate).unwrap_err(), LimitReason::PrefixConcurrency);
    }

    #[test]
    fn no_slots_means_nobody() {
        assert_eq!(admit(&Gate::new(0)).unwrap_err(), LimitReason::Global);
    }
}
