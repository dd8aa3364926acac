//! The world: events in the order of true time, between the project's own client and server code.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use ntp_sync::action::Action;
use ntp_sync::{ClockStart, Controller, SourceId};
use nts_proto::association::{Association, DatagramOutcome, TimerAction};
use nts_proto::keyset::KeySet;
use nts_proto::ntp::header::{LeapIndicator, ReferenceId};
use nts_proto::time::{MonotonicTime, NtpTimestamp};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::clock::VirtualClock;
use super::record::Record;
use super::scenario::{Happening, Scenario};
use super::server::{PROCESSING, Server};

/// How long after a source was found unreachable it is tried again, s.
const RETRY: std::time::Duration = std::time::Duration::from_secs(5);

/// Time between the first requests to the servers.
const STAGGER: std::time::Duration = std::time::Duration::from_millis(100);

/// Uncertainty of the frequency of a drift file, s/s.
const DRIFT_UNCERTAINTY: f64 = 1e-6;

/// A datagram under way.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Arrival {
    Request { source: SourceId, datagram: Vec<u8> },
    Answer { source: SourceId, datagram: Vec<u8> },
}

/// A source of the client.
#[derive(Debug)]
struct Source {
    server: usize,
    association: Association,
}

pub(super) struct World<'a> {
    scenario: &'a Scenario,
    /// What happens to clocks and packets.
    rng: StdRng,
    /// What the client draws. Apart from the others, so that a run stays the same when the
    /// protocol's code draws more or less.
    client_rng: StdRng,
    /// What servers draw.
    server_rng: StdRng,
    keys: KeySet,
    clock: VirtualClock,
    servers: Vec<Server>,
    sources: BTreeMap<SourceId, Source>,
    next_id: u64,
    controller: Controller,
    /// By true time in nanoseconds, then by order of entry.
    under_way: BinaryHeap<Reverse<(u64, u64, Arrival)>>,
    entered: u64,
    happenings: Vec<(f64, Happening)>,
    record: Record,
}

impl<'a> World<'a> {
    pub(super) fn new(scenario: &'a Scenario, seed: u64) -> Self {
        let mut server_rng = StdRng::seed_from_u64(seed);
        let epoch = NtpTimestamp::from_unix(scenario.epoch, 0);
        let mut clock = VirtualClock::new(&scenario.clock, epoch, scenario.leap_at);
        let algorithm = &scenario.config.algorithm;
        let start = ClockStart {
            frequency: scenario.drift.unwrap_or(0.0),
            frequency_uncertainty: scenario
                .drift
                .map_or(algorithm.initial_frequency_uncertainty, |_| {
                    DRIFT_UNCERTAINTY
                }),
            precision: scenario.association.precision,
        };
        clock.set_frequency(start.frequency);
        let controller = Controller::new(scenario.config.clone(), start, clock.monotonic());
        let servers: Vec<_> = scenario.servers.iter().map(Server::new).collect();
        let mut happenings = scenario.happenings.clone();
        happenings.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let record = Record {
            requests: vec![0; servers.len()],
            selected: vec![None; servers.len()],
            ..Record::default()
        };
        let mut world = Self {
            scenario,
            keys: KeySet::new(&mut server_rng, 1),
            rng: StdRng::seed_from_u64(seed),
            client_rng: StdRng::seed_from_u64(!seed),
            server_rng,
            clock,
            servers,
            sources: BTreeMap::new(),
            next_id: 0,
            controller,
            under_way: BinaryHeap::new(),
            entered: 0,
            happenings,
            record,
        };
        let mut start = world.clock.monotonic();
        for server in 0..world.servers.len() {
            world.add_source(server, start);
            start = start + STAGGER;
        }
        world
    }

    fn add_source(&mut self, server: usize, start: MonotonicTime) {
        let id = SourceId(self.next_id);
        self.next_id += 1;
        let config = self.scenario.association;
        let association = Association::plain(config, start);
        let octet = u8::try_from(server).expect("few servers");
        let reference_id = ReferenceId::from_bytes([192, 0, 2, octet]);
        self.controller
            .add_source(id, config.poll_limits, reference_id);
        self.sources.insert(
            id,
            Source {
                server,
                association,
            },
        );
    }

    /// Lets everything happen.
    pub(super) fn run(mut self) -> Record {
        while self.record.panic.is_none() {
            let next = self.next_event();
            let end = self.scenario.duration;
            self.pass_time(next.min(end));
            if next >= end {
                break;
            }
            self.happen();
            self.deliver();
            self.timers();
        }
        self.record.last = Some(self.controller.snapshot(self.clock.monotonic()));
        self.record
    }

    fn next_event(&self) -> f64 {
        let timers = self
            .sources
            .values()
            .filter_map(|source| source.association.next_timer())
            .chain([self.controller.next_timer()])
            .map(|time| self.clock.when(time));
        let arrival = self
            .under_way
            .peek()
            .map(|Reverse((at, ..))| *at as f64 / 1e9);
        let happening = self.happenings.last().map(|(at, _)| *at);
        timers
            .chain(arrival)
            .chain(happening)
            .fold(f64::INFINITY, f64::min)
    }

    fn pass_time(&mut self, to: f64) {
        let record = &mut self.record;
        self.clock.advance(to, &mut self.rng, |clock| {
            record.errors.push(clock.error());
            record.frequency_errors.push(clock.frequency_error());
        });
    }

    fn happen(&mut self) {
        let now = self.clock.true_time();
        while let Some((_, happening)) = self.happenings.pop_if(|(at, _)| *at <= now) {
            match happening {
                Happening::ServerSteps(server, by) => self.servers[server].step(by),
                Happening::ServerDrifts(server, by) => self.servers[server].drift(now, by),
                Happening::ServerDies(server) => self.servers[server].alive = false,
                Happening::ServerReturns(server) => self.servers[server].alive = true,
                Happening::ServerIsBusy(server, busy) => self.servers[server].busy = busy,
                Happening::ServerAnnounces(server, leap) => self.servers[server].leap = leap,
                Happening::PathChanges(server, path) => self.servers[server].path = path,
                Happening::ClockIsStepped(by) => self.clock.step(by),
                Happening::ClockJolts(by) => self.clock.jolt(by),
            }
        }
    }

    fn timers(&mut self) {
        let now = self.clock.monotonic();
        if self.controller.next_timer() <= now {
            let actions = self.controller.handle_timer(now);
            self.carry_out(actions);
        }
        let due: Vec<SourceId> = self
            .sources
            .iter()
            .filter(|(_, source)| source.association.next_timer().is_some_and(|at| at <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.poll(id, now);
        }
    }

    fn poll(&mut self, id: SourceId, now: MonotonicTime) {
        let Some(source) = self.sources.get_mut(&id) else {
            return;
        };
        match source.association.handle_timer(now, &mut self.client_rng) {
            TimerAction::Send(datagram) => {
                source.association.handle_sent(self.clock.now());
                let server = source.server;
                self.record.requests[server] += 1;
                let path = self.servers[server].path;
                if !self.rng.random_bool(path.loss) {
                    let leg = path.there + path.jitter.draw(&mut self.rng);
                    let datagram = datagram.as_ref().to_vec();
                    self.send(
                        leg,
                        Arrival::Request {
                            source: id,
                            datagram,
                        },
                    );
                }
            }
            TimerAction::Unreachable | TimerAction::Demobilize(_) => {
                let server = source.server;
                self.sources.remove(&id);
                self.controller.remove_source(id);
                self.add_source(server, now + RETRY);
            }
            TimerAction::NeedKeys(_) | TimerAction::Wait => {}
        }
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "virtual time is positive and ends long before the cast saturates"
    )]
    fn send(&mut self, leg: f64, arrival: Arrival) {
        let at = ((self.clock.true_time() + leg) * 1e9).ceil() as u64;
        self.entered += 1;
        self.under_way.push(Reverse((at, self.entered, arrival)));
    }

    fn deliver(&mut self) {
        let now = self.clock.true_time();
        while let Some(Reverse((at, ..))) = self.under_way.peek() {
            if *at as f64 / 1e9 > now {
                return;
            }
            match self.under_way.pop() {
                Some(Reverse((.., Arrival::Request { source, datagram }))) => {
                    self.serve(source, &datagram);
                }
                Some(Reverse((.., Arrival::Answer { source, datagram }))) => {
                    self.receive(source, &datagram);
                }
                None => return,
            }
        }
    }

    fn serve(&mut self, id: SourceId, datagram: &[u8]) {
        let Some(source) = self.sources.get(&id) else {
            return;
        };
        let server = &self.servers[source.server];
        let now = self.clock.true_time();
        let utc = self.clock.utc(now);
        let answer = server.answer(now, utc, datagram, &self.keys, &mut self.server_rng);
        if let Some(datagram) = answer.filter(|_| server.alive) {
            let path = server.path;
            let leg = PROCESSING + path.back + path.jitter.draw(&mut self.rng);
            self.send(
                leg,
                Arrival::Answer {
                    source: id,
                    datagram,
                },
            );
        }
    }

    fn receive(&mut self, id: SourceId, datagram: &[u8]) {
        let (now, local) = (self.clock.monotonic(), self.clock.now());
        let Some(source) = self.sources.get_mut(&id) else {
            return;
        };
        match source
            .association
            .handle_datagram(now, local, datagram, &[])
        {
            DatagramOutcome::Measurement(measurement) => {
                let actions = self.controller.handle_measurement(id, &measurement);
                self.carry_out(actions);
                self.observe();
            }
            DatagramOutcome::Unusable(reason) => self.controller.handle_unusable(id, reason),
            DatagramOutcome::Kiss(_)
            | DatagramOutcome::Demobilize(_)
            | DatagramOutcome::Ignored(_) => {}
        }
        let wish = self.controller.poll_wish(id);
        if let (Some(source), Some(wish)) = (self.sources.get_mut(&id), wish) {
            source.association.set_desired_poll(wish);
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        let now = self.clock.true_time();
        for action in actions {
            match action {
                Action::SetFrequency(frequency) => {
                    self.clock.set_frequency(frequency);
                    let steer = &mut self.record.greatest_steer;
                    *steer = steer.max(frequency.abs());
                }
                Action::Step(step) => {
                    let step = step.as_seconds_f64();
                    self.clock.step(step);
                    self.record.steps.push((now, step));
                    for source in self.sources.values_mut() {
                        source.association.handle_clock_step();
                    }
                }
                Action::SetLeap(leap) => {
                    self.clock.arm_leap(leap == LeapIndicator::Leap61);
                    self.record.leaps.push((now, leap));
                }
                Action::SetStatus(_) => {}
                Action::Panic(panic) => self.record.panic = Some(panic),
                Action::Report(report) => self.record.reports.push((now, report)),
            }
        }
    }

    /// Looks at what the controller says after a measurement.
    fn observe(&mut self) {
        let now = self.clock.true_time();
        let snapshot = self.controller.snapshot(self.clock.monotonic());
        for source in &snapshot.sources {
            if source.verdict.is_selected()
                && let Some(known) = self.sources.get(&source.id)
            {
                self.record.selected[known.server] = Some(now);
            }
        }
        if let Ok(synchronized) = snapshot.synchronization {
            self.record.updates += 1;
            let distance = synchronized.root_distance();
            self.record.beyond_root_distance += u64::from(self.clock.error().abs() > distance);
        }
    }
}
