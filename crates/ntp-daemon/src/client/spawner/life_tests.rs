//! A user of a pool in virtual time, for days: the plan, real associations and real servers. Only
//! TLS and sockets are left out.

use std::collections::BTreeMap;

use nts_proto::association::{
    Association, AssociationConfig, DatagramOutcome, NtsSession, TimerAction,
};
use nts_proto::code_points::AeadAlgorithm;
use nts_proto::ke::keys::SessionKeys;
use nts_proto::keyset::KeySet;
use nts_proto::ntp::header::ReferenceId;
use nts_proto::server::{Outcome, Policy, Request, Responder, SystemState, Treatment};
use nts_proto::time::{NtpDuration, NtpTimestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// The greatest wait between two key exchanges: an hour and a quarter.
const LONGEST: u64 = HOUR + HOUR / 4;

/// A time source.
struct Server {
    keys: KeySet,
    up: bool,
}

/// One remote, as its task would drive it.
struct Remote {
    association: Association,
    host: u8,
    answered: bool,
    keys_wanted: bool,
}

/// User, pool and time sources.
struct World {
    now: MonotonicTime,
    rng: StdRng,
    plan: KeyedPlan,
    next_id: u64,
    remotes: BTreeMap<SourceId, Remote>,
    servers: BTreeMap<u8, Server>,
    pool_up: bool,
    /// The pool gives out dead sources too.
    pool_is_blind: bool,
    /// When a key exchange was tried, s.
    tries: Vec<u64>,
    /// Measurements of each host.
    measured: BTreeMap<u8, u64>,
}

impl World {
    /// A pool with the sources 1 to `servers`, of which the user wants `count`.
    fn new(count: usize, servers: u8) -> Self {
        let mut rng = StdRng::seed_from_u64(11);
        let servers = (1..=servers).map(|host| {
            let keys = KeySet::new(&mut rng, 7);
            (host, Server { keys, up: true })
        });
        Self {
            servers: servers.collect(),
            now: MonotonicTime::default(),
            plan: KeyedPlan::pool(count),
            next_id: 1,
            remotes: BTreeMap::new(),
            pool_up: true,
            pool_is_blind: false,
            tries: Vec::new(),
            measured: BTreeMap::new(),
            rng,
        }
    }

    fn seconds(&self) -> u64 {
        self.now.as_duration().as_secs()
    }

    /// Lets `seconds` pass.
    fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        loop {
            let step = self.plan.next(self.now);
            if step == Step::Try {
                self.try_exchange();
                continue;
            }
            let timers = self.remotes.values().map(|it| it.association.next_timer());
            let mut next = timers.flatten().min().unwrap_or(end).min(end);
            if let Step::Wait(until) = step {
                next = next.min(until);
            }
            self.now = self.now.max(next);
            if self.now >= end {
                return;
            }
            self.run_timers();
        }
    }

    fn try_exchange(&mut self) {
        self.tries.push(self.seconds());
        let denied = self.plan.denied(self.now);
        let name = |host: u8| -> NtpServerName { format!("n{host}.test").parse().unwrap() };
        let blind = self.pool_is_blind;
        let given = self.servers.iter().find(|(host, server)| {
            (server.up || blind) && !denied.iter().any(|denied| denied.same_host(&name(**host)))
        });
        let host = given.map(|(host, _)| *host);
        let Some(host) = host.filter(|_| self.pool_up) else {
            self.plan
                .handle_failure(self.pool_up, self.now, &mut self.rng);
            return;
        };
        let session = self.session(host);
        let id = SourceId(self.next_id);
        self.next_id += 1;
        let address = SocketAddr::from(([192, 0, 2, host], 123));
        let verdict = self
            .plan
            .handle_keys(id, &name(host), address, self.now, &mut self.rng);
        match verdict {
            Verdict::Start { replaces } => {
                self.remotes.retain(|id, _| !replaces.contains(id));
                let config = AssociationConfig::default();
                let association = Association::nts(config, session, self.now, self.now);
                let remote = Remote {
                    association,
                    host,
                    answered: false,
                    keys_wanted: false,
                };
                self.remotes.insert(id, remote);
            }
            Verdict::Renew(id) => {
                let remote = self.remotes.get_mut(&id).unwrap();
                remote.association.handle_keys(self.now, session);
                (remote.answered, remote.keys_wanted) = (false, false);
            }
            Verdict::Discard { .. } => {}
        }
    }

    /// Keys and cookies of a source.
    fn session(&mut self, host: u8) -> NtsSession {
        let mut octets = [0; 64];
        self.rng.fill_bytes(&mut octets);
        let keys = SessionKeys::new(&octets[..32], &octets[32..]).unwrap();
        let algorithm = AeadAlgorithm::AesSivCmac256;
        let server = &self.servers[&host];
        let cookies = (0..8).map(|_| server.keys.seal(algorithm, &keys, &mut self.rng).unwrap());
        NtsSession::new(algorithm, &keys, cookies.collect()).unwrap()
    }

    fn run_timers(&mut self) {
        let ids: Vec<SourceId> = self.remotes.keys().copied().collect();
        for id in ids {
            if let Some(reason) = self.run_timer(id) {
                self.remotes.remove(&id);
                self.plan.handle_lost(id, reason, self.now, &mut self.rng);
            }
        }
    }

    fn run_timer(&mut self, id: SourceId) -> Option<LossReason> {
        loop {
            let remote = self.remotes.get_mut(&id)?;
            match remote.association.handle_timer(self.now, &mut self.rng) {
                TimerAction::Send(datagram) => self.exchange(id, datagram.as_ref()),
                TimerAction::NeedKeys(reason) => {
                    remote.keys_wanted = true;
                    self.plan
                        .handle_keys_wanted(id, reason, self.now, &mut self.rng);
                }
                TimerAction::Unreachable => return Some(LossReason::Unreachable),
                TimerAction::Demobilize(_) => return Some(LossReason::Refused),
                TimerAction::Wait => return None,
            }
        }
    }

    /// A request and, if the source is up, its answer, which takes no time.
    fn exchange(&mut self, id: SourceId, datagram: &[u8]) {
        let remote = self.remotes.get_mut(&id).unwrap();
        let clock =
            NtpTimestamp::from_unix(1_800_000_000, 0) + NtpDuration::from(self.now.as_duration());
        remote.association.handle_sent(clock);
        let server = &self.servers[&remote.host];
        let responder = Responder {
            system: &SystemState::local_clock(1, ReferenceId::from_bytes(*b"GPS\0"), -20, clock),
            keys: &server.keys,
            policy: &Policy::default(),
        };
        let request = Request {
            datagram,
            received: clock,
            treatment: Treatment::Serve,
        };
        let mut out = vec![0; datagram.len()];
        let answer = responder.respond(&request, || clock, &mut self.rng, &mut out);
        let Outcome::Reply { length, .. } = answer else {
            panic!("{answer:?}")
        };
        if !server.up {
            return;
        }
        let outcome = remote
            .association
            .handle_datagram(self.now, clock, &out[..length], &[]);
        if !matches!(outcome, DatagramOutcome::Measurement(_)) {
            return;
        }
        *self.measured.entry(remote.host).or_default() += 1;
        if remote.keys_wanted && remote.association.status().keys_wanted.is_none() {
            remote.keys_wanted = false;
            self.plan.handle_keys_unwanted(id);
        }
        if !remote.answered {
            remote.answered = true;
            self.plan.handle_authenticated(id, self.now);
        }
    }

    /// How many different sources answer now.
    fn answering(&self) -> usize {
        let answering = self
            .remotes
            .values()
            .filter(|remote| remote.answered && self.servers[&remote.host].up);
        answering.count()
    }

    /// Lets time pass until `count` sources answer; gives how long that took.
    fn until_answering(&mut self, count: usize, at_most: u64) -> u64 {
        let start = self.seconds();
        while self.answering() < count {
            assert!(self.seconds() - start <= at_most, "not within {at_most} s");
            self.run(1);
        }
        self.seconds() - start
    }

    /// Tries since `start`.
    fn tries_since(&self, start: u64) -> Vec<u64> {
        self.tries
            .iter()
            .copied()
            .filter(|time| *time >= start)
            .collect()
    }

    fn set_up(&mut self, up: bool) {
        for server in self.servers.values_mut() {
            server.up = up;
        }
    }
}

/// The n-th wait is `min(10 s · 1.5^(n−1), 1 h)`, a quarter more or less.
fn assert_growing(tries: &[u64]) {
    let mut nominal = 10.0;
    for pair in tries.windows(2) {
        let wait = (pair[1] - pair[0]) as f64;
        let expected: f64 = f64::min(nominal, 3600.0);
        // Times are cut to whole seconds.
        assert!(
            wait >= expected * 0.75 - 1.0,
            "{wait} s instead of {expected} s"
        );
        assert!(
            wait <= expected * 1.25 + 1.0,
            "{wait} s instead of {expected} s"
        );
        nominal *= 1.5;
    }
}

#[test]
fn a_pool_that_is_dead_at_the_start_is_asked_some_forty_times_a_day_and_found_again() {
    let mut world = World::new(4, 8);
    world.pool_up = false;
    world.run(DAY);
    assert!((30..=48).contains(&world.tries.len()), "{:?}", world.tries);
    assert_growing(&world.tries);
    world.pool_up = true;
    world.until_answering(4, LONGEST + 10);
}

#[test]
fn running_sources_need_no_pool() {
    let mut world = World::new(4, 8);
    world.until_answering(4, 10);
    assert_eq!(world.tries.len(), 4);
    world.pool_up = false;
    world.run(2 * DAY);
    assert_eq!((world.answering(), world.tries.len()), (4, 4));
    // Two days of polls each 16 s to 17 s.
    for (host, measured) in &world.measured {
        assert!((10_000..10_900).contains(measured), "{host}: {measured}");
    }
}

#[test]
fn a_source_that_vanishes_is_replaced_after_eight_polls_with_one_key_exchange() {
    let mut world = World::new(4, 8);
    world.until_answering(4, 10);
    world.run(HOUR);
    let start = world.seconds();
    world.servers.get_mut(&2).unwrap().up = false;
    let time = world.until_answering(4, 200);
    // Eight polls without an answer, and the ninth finds out.
    assert!((8 * 16..=9 * 17 + 3).contains(&time), "{time} s");
    world.run(DAY);
    assert_eq!(world.tries_since(start).len(), 1);
    assert!(!world.remotes.values().any(|remote| remote.host == 2));
}

#[test]
fn sources_that_all_vanish_for_hours_are_asked_for_ever_more_rarely_and_found_again() {
    let mut world = World::new(4, 4);
    // The worst pool: it hands out dead sources as well.
    world.pool_is_blind = true;
    world.until_answering(4, 10);
    world.run(HOUR);
    let start = world.seconds();
    world.set_up(false);
    world.run(DAY);
    let tries = world.tries_since(start);
    // Four places, each of which is lost and filled again: still one budget.
    assert!(tries.len() <= 48, "{}", tries.len());
    world.set_up(true);
    world.until_answering(4, 4 * LONGEST);
}

#[test]
fn a_network_that_is_gone_for_a_day_costs_no_storm_when_it_is_back() {
    let mut world = World::new(4, 8);
    world.until_answering(4, 10);
    let start = world.seconds();
    (world.pool_up, ..) = (false, world.set_up(false));
    world.run(DAY);
    assert!(world.tries_since(start).len() <= 48);
    let back = world.seconds();
    (world.pool_up, ..) = (true, world.set_up(true));
    world.until_answering(4, LONGEST + 10);
    // The next try is the last wait's; the first answer resets the waits.
    assert!(
        world.tries_since(back).len() <= 8,
        "{:?}",
        world.tries_since(back)
    );
}

#[test]
fn servers_that_lost_their_keys_are_healed_within_a_minute_by_one_key_exchange_each() {
    let mut world = World::new(4, 4);
    world.until_answering(4, 10);
    world.run(HOUR);
    let start = world.seconds();
    for server in world.servers.values_mut() {
        server.keys = KeySet::new(&mut world.rng, 7);
    }
    let before = world.measured.clone();
    world.run(60);
    assert_eq!(world.tries_since(start).len(), 4);
    for (host, measured) in &world.measured {
        assert!(*measured > before[host], "{host} is not healed");
    }
    assert_eq!(world.answering(), 4);
}

/// Each request reaches another machine of a cluster, of which none knows the others' cookies.
#[test]
fn servers_that_forget_their_keys_all_the_time_cause_no_storm() {
    let mut world = World::new(4, 4);
    for _ in 0..DAY / 15 {
        for server in world.servers.values_mut() {
            server.keys = KeySet::new(&mut world.rng, 0);
        }
        world.run(15);
    }
    // Each key exchange is good for a moment, so all four places are filled each time, and some
    // failures are let pass.
    assert!(world.tries.len() <= 130, "{}", world.tries.len());
}
