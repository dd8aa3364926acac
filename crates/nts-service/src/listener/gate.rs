//! Who is let in: the limits of a network, then the slots of the whole service (pool design §5.2).
//!
//! One gate stands before all listening sockets of a service. When all slots are taken, the oldest
//! connection that has not sent anything yet makes room for the newcomer, and after those the oldest
//! one that has not said what it wants: whoever connects and is silent can fill the slots, but not
//! keep them. Behind a balancer the gate knows networks only after the header. The gate neither
//! accepts nor closes.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::limit::LimitReason;
use super::prefix::{Places, PrefixLimits, PrefixTable, Reached};
use super::queue::{Queue, Ticket};
use crate::proxy_protocol::ProxyProtocol;

/// See the module. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// What times are counted from.
    began: Instant,
    proxy: ArcSwapOption<ProxyProtocol>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    max_connections: usize,
    prefixes: Option<PrefixTable>,
    taken: usize,
    /// Connections that have sent nothing, then those that have not said what they want.
    waiting: [Queue<oneshot::Sender<()>>; 2],
}

/// Why a connection has to make room for a newcomer: index into [`State::waiting`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Silent = 0,
    Hesitant = 1,
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
            max_connections,
            prefixes,
            taken: 0,
            waiting: [Queue::new(), Queue::new()],
        };
        Self(Arc::new(Inner {
            began: Instant::now(),
            proxy: ArcSwapOption::empty(),
            state: Mutex::new(state),
        }))
    }

    /// Connections at the same time.
    pub fn max_connections(&self) -> usize {
        self.0.lock().max_connections
    }

    /// So many connections at the same time from now on; none that is let in already is closed.
    pub fn set_max_connections(&self, max_connections: usize) {
        self.0.lock().max_connections = max_connections;
    }

    /// Other limits for each network from now on; who has taken what stays known.
    pub fn set_prefix_limits(&self, limits: PrefixLimits) {
        let mut state = self.0.lock();
        match &mut state.prefixes {
            Some(table) => table.set_limits(limits),
            none => *none = Some(PrefixTable::new(limits)),
        }
    }

    /// Users come through these balancers only, from now on; `None`: they come by themselves.
    pub fn set_proxy_protocol(&self, proxy: Option<ProxyProtocol>) {
        self.0.proxy.store(proxy.map(Arc::new));
    }

    /// Lets a connection of `peer` in, or says why not. It counts as silent at first.
    ///
    /// Behind a balancer the limits of the user's network come later: [`Slot::charge`].
    pub(super) fn admit(&self, peer: IpAddr, now: Instant) -> Result<Admitted, LimitReason> {
        let forwarded = match &*self.0.proxy.load() {
            None => false,
            Some(proxy) if proxy.admits(peer) => true,
            Some(_) => return Err(LimitReason::Stranger),
        };
        let mut state = self.0.lock();
        let places = match forwarded {
            true => None,
            false => state.count(peer, self.0.since_began(now))?,
        };
        let full = state.taken >= state.max_connections;
        if !full {
            state.taken += 1;
        } else if let Some(oldest) = state.pop_waiting() {
            // Its slot is the newcomer's now. It waits for this word until it is gone.
            let _ = oldest.send(());
        } else {
            state.release(places);
            return Err(LimitReason::Global);
        }
        let (evict, evicted) = oneshot::channel();
        let ticket = state.queue(Stage::Silent).push(evict);
        drop(state);
        Ok(Admitted {
            slot: Slot {
                gate: Arc::clone(&self.0),
                waits: Some((Stage::Silent, ticket)),
                evict: None,
                places,
            },
            evicted,
            made_room: full,
            forwarded,
        })
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn since_began(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }
}

impl State {
    /// Counts a connection of a network, or says which of the network's limits it has reached.
    fn count(&mut self, peer: IpAddr, since: Duration) -> Result<Option<Places>, LimitReason> {
        let Some(table) = &mut self.prefixes else {
            return Ok(None);
        };
        let places = table.admit(peer, since).map_err(|reached| match reached {
            Reached::Rate => LimitReason::PrefixRate,
            Reached::Concurrency => LimitReason::PrefixConcurrency,
        })?;
        Ok(Some(places))
    }

    fn release(&mut self, places: Option<Places>) {
        if let (Some(table), Some(places)) = (&mut self.prefixes, places) {
            table.release(places);
        }
    }

    fn queue(&mut self, stage: Stage) -> &mut Queue<oneshot::Sender<()>> {
        let [silent, hesitant] = &mut self.waiting;
        match stage {
            Stage::Silent => silent,
            Stage::Hesitant => hesitant,
        }
    }

    /// Takes out whoever has to go first.
    fn pop_waiting(&mut self) -> Option<oneshot::Sender<()>> {
        self.waiting.iter_mut().find_map(Queue::pop_oldest)
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
    /// Whether it begins with the header of a balancer.
    pub(super) forwarded: bool,
}

/// What a connection holds of the gate, given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    gate: Arc<Inner>,
    /// Where it stands among those that make room for others, if it does.
    waits: Option<(Stage, Ticket)>,
    /// The means to make it wait once more.
    evict: Option<oneshot::Sender<()>>,
    places: Option<Places>,
}

impl Slot {
    /// Counts the connection as one of `user`'s network, or says which of its limits is reached.
    pub(super) fn charge(&mut self, user: IpAddr, now: Instant) -> Result<(), LimitReason> {
        let since = self.gate.since_began(now);
        let places = self.gate.lock().count(user, since)?;
        self.places = places;
        Ok(())
    }

    /// The peer has sent something, so it does not have to make room any more. False if it already
    /// has.
    pub(super) fn heard(&mut self) -> bool {
        let Some((stage, ticket)) = self.waits else {
            return true;
        };
        let evict = self.gate.lock().queue(stage).remove(ticket);
        let in_time = evict.is_some();
        if in_time {
            (self.waits, self.evict) = (None, evict);
        }
        in_time
    }

    /// The peer has to say more before it is taken for a user: until [`Slot::heard`] is called it
    /// makes room again, though after those that are silent.
    pub(super) fn hesitate(&mut self) {
        if let Some(evict) = self.evict.take() {
            let ticket = self.gate.lock().queue(Stage::Hesitant).push(evict);
            self.waits = Some((Stage::Hesitant, ticket));
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        let evicted = self
            .waits
            .is_some_and(|(stage, ticket)| state.queue(stage).remove(ticket).is_none());
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
    fn who_hesitates_makes_room_after_who_is_silent() {
        let gate = Gate::new(2);
        let mut hesitant = admit(&gate).unwrap();
        assert!(hesitant.slot.heard());
        hesitant.slot.hesitate();
        let mut silent = admit(&gate).unwrap();
        let mut third = admit(&gate).unwrap();
        assert!(is_evicted(&mut silent) && third.slot.heard());
        let fourth = admit(&gate).unwrap();
        assert!(is_evicted(&mut hesitant) && fourth.made_room);
        // It spoke too late, and has nothing to give back.
        assert!(!hesitant.slot.heard());
        drop((hesitant, silent));
        assert_eq!(gate.0.lock().taken, 2);
        third.slot.hesitate();
        assert!(third.slot.heard());
        drop((third, fourth));
        assert_eq!(gate.0.lock().taken, 0);
        assert!(gate.0.lock().pop_waiting().is_none());
    }

    #[test]
    fn limits_can_be_changed() {
        let limits = |concurrency| PrefixLimits {
            concurrency,
            exempt: Vec::new(),
            ..PrefixLimits::default()
        };
        let gate = Gate::with_prefix_limits(1, limits(1));
        let mut first = admit(&gate).unwrap();
        assert!(first.slot.heard());
        gate.set_max_connections(3);
        assert_eq!(admit(&gate).unwrap_err(), LimitReason::PrefixConcurrency);
        gate.set_prefix_limits(limits(2));
        let mut second = admit(&gate).unwrap();
        assert!(second.slot.heard());
        gate.set_max_connections(1);
        drop((first, second));
        let _third = admit(&gate).unwrap();
        assert_eq!(gate.max_connections(), 1);
    }

    #[test]
    fn behind_a_balancer_the_users_network_is_charged() {
        let limits = PrefixLimits {
            concurrency: 1,
            exempt: Vec::new(),
            ..PrefixLimits::default()
        };
        let gate = Gate::with_prefix_limits(9, limits);
        let balancer = "192.0.2.0/24".parse().unwrap();
        gate.set_proxy_protocol(ProxyProtocol::from_networks([balancer]));
        let user = "198.51.100.1".parse().unwrap();
        assert_eq!(
            gate.admit(user, Instant::now()).unwrap_err(),
            LimitReason::Stranger
        );
        let mut connections = [(); 2].map(|()| admit(&gate).unwrap());
        let outcomes = connections
            .each_mut()
            .map(|connection| connection.slot.charge(user, Instant::now()));
        assert_eq!(outcomes, [Ok(()), Err(LimitReason::PrefixConcurrency)]);
        drop(connections);
        let mut next = admit(&gate).unwrap();
        assert_eq!(next.slot.charge(user, Instant::now()), Ok(()));
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
        assert!(gate.0.lock().pop_waiting().is_none());
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
