use super::*;

/// A plan on a virtual clock.
struct Bench {
    plan: PlainPlan,
    now: MonotonicTime,
    next_id: u64,
}

fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], 123))
}

impl Bench {
    fn new(plan: PlainPlan) -> Self {
        Self {
            plan,
            now: MonotonicTime::default(),
            next_id: 1,
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// A look-up that gives these hosts; then all sources that can start. Gives their hosts.
    fn look_up(&mut self, hosts: &[u8]) -> Vec<(SourceId, SocketAddr)> {
        assert_eq!(self.next(), Step::Try);
        let addresses: Vec<SocketAddr> = hosts.iter().copied().map(address).collect();
        assert_eq!(self.plan.handle_addresses(&addresses, self.now), None);
        self.start_all()
    }

    fn start_all(&mut self) -> Vec<(SourceId, SocketAddr)> {
        let mut started = Vec::new();
        loop {
            let id = SourceId(self.next_id);
            let Some(address) = self.plan.start(id) else {
                return started;
            };
            self.next_id += 1;
            started.push((id, address));
        }
    }

    fn lose(&mut self, id: SourceId, reason: LossReason) {
        self.plan.handle_lost(id, reason, self.now);
    }

    fn next(&self) -> Step {
        self.plan.next(self.now)
    }
}

fn hosts(started: &[(SourceId, SocketAddr)]) -> Vec<SocketAddr> {
    started.iter().map(|(_, address)| *address).collect()
}

#[test]
fn a_pool_takes_different_addresses_until_all_places_are_taken() {
    let mut bench = Bench::new(PlainPlan::pool(3, vec![address(2).ip()]));
    let started = bench.look_up(&[1, 2, 3]);
    assert_eq!(hosts(&started), [address(1), address(3)]);
    assert_eq!(bench.next(), Step::Try);
    let started = bench.look_up(&[3, 1, 4, 5]);
    assert_eq!(hosts(&started), [address(4)]);
    assert_eq!(bench.plan.held(), 3);
    assert_eq!(bench.next(), Step::Wait(MonotonicTime::default() + REFRESH));
}

#[test]
fn a_server_is_the_first_address() {
    let mut bench = Bench::new(PlainPlan::single());
    assert_eq!(hosts(&bench.look_up(&[5, 6])), [address(5)]);
    assert_eq!(bench.next(), Step::Rest);
}

#[test]
fn failed_look_ups_wait_longer_until_a_source_answers() {
    let mut bench = Bench::new(PlainPlan::single());
    let waits: Vec<u64> = (0..9)
        .map(|_| {
            let wait = bench.plan.handle_failure(bench.now);
            assert_eq!(bench.next(), Step::Wait(bench.now + wait));
            bench.wait(wait);
            wait.as_secs()
        })
        .collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 900, 900]);
    let (id, _) = bench.look_up(&[1])[0];
    bench.plan.handle_answered(id);
    bench.lose(id, LossReason::Unreachable);
    assert_eq!(bench.next(), Step::Try);
    let wait = bench.plan.handle_failure(bench.now);
    assert_eq!(wait.as_secs(), 1);
}

#[test]
fn a_server_that_never_answers_is_asked_less_and_less_often() {
    let mut bench = Bench::new(PlainPlan::single());
    for seconds in [1, 2, 4] {
        let (id, _) = bench.look_up(&[1])[0];
        bench.lose(id, LossReason::Unreachable);
        let wait = Duration::from_secs(seconds);
        assert_eq!(bench.next(), Step::Wait(bench.now + wait));
        bench.wait(wait);
    }
}

#[test]
fn a_lost_source_of_a_pool_is_replaced_by_another_address_if_there_is_one() {
    let mut bench = Bench::new(PlainPlan::pool(1, Vec::new()));
    let (id, _) = bench.look_up(&[1, 2])[0];
    bench.plan.handle_answered(id);
    bench.lose(id, LossReason::Unreachable);
    let started = bench.look_up(&[1, 2]);
    assert_eq!(hosts(&started), [address(2)]);
    bench.plan.handle_answered(started[0].0);
    bench.lose(started[0].0, LossReason::Unreachable);
    assert_eq!(hosts(&bench.look_up(&[1])), [address(1)]);
}

#[test]
fn an_address_that_refuses_is_not_used_for_a_day() {
    let mut bench = Bench::new(PlainPlan::pool(1, Vec::new()));
    let (id, _) = bench.look_up(&[1])[0];
    bench.plan.handle_answered(id);
    bench.lose(id, LossReason::Refused);
    assert_eq!(bench.look_up(&[1]), []);
    bench.wait(REFUSED_FOR);
    assert_eq!(hosts(&bench.look_up(&[1])), [address(1)]);
}

#[test]
fn an_only_server_that_refuses_is_never_asked_again() {
    let mut bench = Bench::new(PlainPlan::single());
    let (id, _) = bench.look_up(&[1])[0];
    bench.lose(id, LossReason::Refused);
    bench.wait(REFUSED_FOR * 10);
    assert_eq!(bench.next(), Step::Rest);
    assert!(bench.plan.finished());
}

#[test]
fn after_two_weeks_an_address_that_left_the_name_makes_room() {
    let mut bench = Bench::new(PlainPlan::pool(2, Vec::new()));
    let started = bench.look_up(&[1, 2]);
    bench.wait(REFRESH);
    assert_eq!(bench.next(), Step::Try);
    let retired = bench
        .plan
        .handle_addresses(&[2, 3, 4].map(address), bench.now);
    assert_eq!(retired, Some(started[0].0));
    assert_eq!(hosts(&bench.start_all()), [address(3)]);
    assert_eq!(bench.next(), Step::Wait(bench.now + REFRESH));
}

#[test]
fn a_refresh_that_brings_nothing_new_changes_nothing() {
    let mut bench = Bench::new(PlainPlan::pool(2, Vec::new()));
    bench.look_up(&[1, 2]);
    bench.wait(REFRESH);
    assert_eq!(bench.plan.handle_addresses(&[], bench.now), None);
    assert_eq!(bench.plan.held(), 2);
}
