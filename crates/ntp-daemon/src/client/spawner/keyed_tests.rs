use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::memory::{FAILED_FOR, REFUSED_FOR};
use super::*;

/// A plan on a virtual clock; time moves only by `wait` and to the next try.
struct Bench {
    plan: KeyedPlan,
    now: MonotonicTime,
    rng: StdRng,
    next_id: u64,
}

impl Bench {
    fn new(plan: KeyedPlan) -> Self {
        Self {
            plan,
            now: MonotonicTime::default(),
            rng: StdRng::seed_from_u64(7),
            next_id: 1,
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// Moves on to the next try and gives the time that passed.
    fn until_next_try(&mut self) -> Duration {
        match self.plan.next(self.now) {
            Step::Try => Duration::ZERO,
            Step::Wait(until) => {
                let waited = until.saturating_since(self.now);
                self.now = until;
                assert_eq!(self.plan.next(self.now), Step::Try);
                waited
            }
            Step::Rest => panic!("nothing to do"),
        }
    }

    /// A key exchange that names `name` at 192.0.2.`host`.
    fn keys(&mut self, name: &str, host: u8) -> (SourceId, Verdict) {
        self.until_next_try();
        let id = SourceId(self.next_id);
        self.next_id += 1;
        let verdict = self.plan.handle_keys(
            id,
            &name.parse().unwrap(),
            SocketAddr::from(([192, 0, 2, host], 123)),
            self.now,
            &mut self.rng,
        );
        (id, verdict)
    }

    /// A key exchange that starts a new source.
    fn start(&mut self, name: &str, host: u8) -> SourceId {
        let (id, verdict) = self.keys(name, host);
        assert_eq!(verdict, Verdict::Start { replaces: vec![] });
        id
    }

    /// One that starts a source which then answers.
    fn serve(&mut self, name: &str, host: u8) -> SourceId {
        let id = self.start(name, host);
        self.plan.handle_authenticated(id, self.now);
        id
    }

    fn lose(&mut self, id: SourceId, reason: LossReason) {
        self.plan.handle_lost(id, reason, self.now, &mut self.rng);
    }

    fn want_keys(&mut self, id: SourceId, reason: KeyReason) {
        self.plan
            .handle_keys_wanted(id, reason, self.now, &mut self.rng);
    }

    fn fail(&mut self, nothing_left: bool) -> Duration {
        self.plan
            .handle_failure(nothing_left, self.now, &mut self.rng)
    }

    fn denied(&self) -> Vec<String> {
        let denied = self.plan.denied(self.now);
        denied.iter().map(ToString::to_string).collect()
    }

    fn next(&self) -> Step {
        self.plan.next(self.now)
    }
}

fn assert_near(wait: Duration, nominal: f64) {
    let wait = wait.as_secs_f64();
    assert!(
        (0.75 * nominal..=1.25 * nominal).contains(&wait),
        "{wait} for {nominal}"
    );
}

#[test]
fn a_pool_is_asked_until_all_places_are_taken_each_time_denying_those_held() {
    let mut bench = Bench::new(KeyedPlan::pool(3));
    assert_eq!(bench.denied(), [""; 0]);
    bench.start("A.test", 1);
    assert_eq!(bench.denied(), ["A.test"]);
    assert_eq!(bench.next(), Step::Try);
    bench.start("b.test.", 2);
    assert_eq!(bench.denied(), ["A.test", "b.test."]);
    bench.start("c.test", 3);
    assert_eq!(bench.next(), Step::Rest);
    assert_eq!(bench.plan.held(), 3);
}

#[test]
fn one_server_is_never_told_names_to_deny() {
    let mut bench = Bench::new(KeyedPlan::single());
    let id = bench.serve("a.test", 1);
    assert_eq!(bench.next(), Step::Rest);
    bench.wait(SETTLED);
    bench.lose(id, LossReason::Unreachable);
    assert_eq!(bench.next(), Step::Try);
    assert_eq!(bench.denied(), [""; 0]);
}

#[test]
fn a_name_already_held_is_a_failed_try() {
    let mut bench = Bench::new(KeyedPlan::pool(2));
    bench.serve("a.test", 1);
    for nominal in [10.0, 15.0, 22.5] {
        let (_, verdict) = bench.keys("A.TEST.", 9);
        let Verdict::Discard { why, wait, news } = verdict else {
            panic!("{verdict:?}")
        };
        // It is said once.
        assert_eq!((why, news), (Unwanted::SameName, nominal == 10.0));
        assert_near(wait, nominal);
        assert_eq!(bench.next(), Step::Wait(bench.now + wait));
    }
    bench.start("b.test", 2);
    assert_eq!(bench.next(), Step::Rest);
}

#[test]
fn a_second_name_of_a_host_already_held_is_a_failed_try() {
    let mut bench = Bench::new(KeyedPlan::pool(2));
    bench.start("a.test", 1);
    let (_, verdict) = bench.keys("alias.test", 1);
    let Verdict::Discard { why, wait, news } = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!((why, news), (Unwanted::SameAddress, true));
    assert_near(wait, 10.0);
    assert_eq!(bench.plan.held(), 1);
}

#[test]
fn that_a_pool_has_too_few_is_news_again_after_it_had_one_more() {
    let mut bench = Bench::new(KeyedPlan::pool(3));
    let is_news = |bench: &mut Bench, name, host| match bench.keys(name, host).1 {
        Verdict::Discard { news, .. } => Some(news),
        Verdict::Start { .. } | Verdict::Renew(_) => None,
    };
    bench.serve("a.test", 1);
    // Another reason is none to say it again.
    assert_eq!(is_news(&mut bench, "a.test", 1), Some(true));
    assert_eq!(is_news(&mut bench, "alias.test", 1), Some(false));
    bench.serve("b.test", 2);
    assert_eq!(is_news(&mut bench, "b.test", 2), Some(true));
    assert_eq!(is_news(&mut bench, "a.test", 1), Some(false));
}

#[test]
fn a_lost_source_frees_its_place_at_once_and_is_denied_for_an_hour() {
    let mut bench = Bench::new(KeyedPlan::pool(2));
    let first = bench.serve("a.test", 1);
    bench.serve("b.test", 2);
    bench.wait(SETTLED);
    bench.lose(first, LossReason::Unreachable);
    assert_eq!(bench.next(), Step::Try);
    assert_eq!(bench.denied(), ["b.test", "a.test"]);
    bench.serve("c.test", 3);
    assert_eq!(bench.next(), Step::Rest);
    bench.wait(FAILED_FOR);
    assert_eq!(bench.denied(), ["b.test", "c.test"]);
    // Its number is gone: what still comes from its task changes nothing.
    bench.lose(first, LossReason::Unreachable);
    bench.want_keys(first, KeyReason::NtsNak);
    assert_eq!(bench.next(), Step::Rest);
}

#[test]
fn a_server_that_refuses_is_denied_for_a_day_and_not_taken_meanwhile() {
    let mut bench = Bench::new(KeyedPlan::pool(2));
    let first = bench.serve("a.test", 1);
    bench.serve("b.test", 2);
    bench.lose(first, LossReason::Refused);
    bench.wait(REFUSED_FOR - Duration::from_secs(1));
    assert_eq!(bench.denied(), ["b.test", "a.test"]);
    let (_, verdict) = bench.keys("a.test", 1);
    assert!(
        matches!(
            verdict,
            Verdict::Discard {
                why: Unwanted::Refused,
                ..
            }
        ),
        "{verdict:?}"
    );
    // The pool has nothing else: it was told to forget the oldest name, so the next answer counts.
    assert_eq!(bench.denied(), ["b.test"]);
    bench.start("a.test", 1);
}

#[test]
fn without_our_own_network_nobody_is_blamed() {
    let mut bench = Bench::new(KeyedPlan::pool(1));
    let id = bench.serve("a.test", 1);
    bench.lose(id, LossReason::Offline);
    assert_eq!(bench.denied(), [""; 0]);
    bench.serve("a.test", 1);
}

#[test]
fn a_failed_server_that_the_pool_gives_all_the_same_is_taken() {
    let mut bench = Bench::new(KeyedPlan::pool(1));
    let id = bench.serve("a.test", 1);
    bench.lose(id, LossReason::Unreachable);
    assert_eq!(bench.denied(), ["a.test"]);
    bench.serve("a.test", 1);
    assert_eq!(bench.denied(), ["a.test"]); // held, no longer remembered
    assert_eq!(bench.plan.memory.forget_oldest(), None);
}

#[test]
fn when_the_pool_has_nothing_left_remembered_names_go_oldest_first_and_held_ones_stay() {
    let mut bench = Bench::new(KeyedPlan::pool(3));
    let lost: Vec<SourceId> = [("a.test", 1), ("b.test", 2)]
        .map(|(name, host)| bench.serve(name, host))
        .into();
    bench.serve("c.test", 3);
    for id in lost {
        bench.lose(id, LossReason::Unreachable);
        bench.wait(Duration::from_secs(1));
    }
    assert_eq!(bench.denied(), ["c.test", "b.test", "a.test"]);
    bench.fail(true);
    assert_eq!(bench.denied(), ["c.test", "b.test"]);
    bench.fail(false);
    assert_eq!(bench.denied(), ["c.test", "b.test"]);
    bench.fail(true);
    bench.fail(true);
    assert_eq!(bench.denied(), ["c.test"]);
}

#[test]
fn waits_grow_and_only_an_authenticated_answer_after_a_key_exchange_resets_them() {
    let mut bench = Bench::new(KeyedPlan::pool(2));
    let old = bench.serve("a.test", 1);
    let mut nominal = 10.0;
    for _ in 0..20 {
        assert_near(bench.fail(false), nominal);
        nominal = f64::min(nominal * 1.5, 3600.0);
        bench.until_next_try();
        // Answers under old keys prove nothing about key exchanges.
        bench.plan.handle_authenticated(old, bench.now);
    }
    // Keys alone do not reset …
    let id = bench.start("b.test", 2);
    bench.lose(id, LossReason::Offline);
    assert_near(bench.until_next_try(), 3600.0);
    // … nor do keys that were good for a moment, which is let pass once …
    for wait in [0.0, 3600.0] {
        let id = bench.serve("b.test", 2);
        bench.wait(Duration::from_secs(10));
        bench.lose(id, LossReason::Unreachable);
        assert_near(bench.until_next_try(), wait);
    }
    // … but those that were good for long do.
    let id = bench.serve("b.test", 2);
    bench.wait(SETTLED);
    bench.lose(id, LossReason::Unreachable);
    assert_eq!(bench.until_next_try(), Duration::ZERO);
    assert_near(bench.fail(false), 10.0);
}

#[test]
fn after_a_failure_one_source_is_tried_at_a_time() {
    let mut bench = Bench::new(KeyedPlan::pool(3));
    bench.fail(false);
    let id = bench.start("a.test", 1);
    assert_eq!(bench.next(), Step::Rest);
    bench.plan.handle_authenticated(id, bench.now);
    // It works again: the other places are filled as at the start.
    bench.start("b.test", 2);
    assert_eq!(bench.next(), Step::Try);
}

#[test]
fn rejected_cookies_bring_new_keys_for_the_same_source() {
    let mut bench = Bench::new(KeyedPlan::single());
    let id = bench.serve("a.test", 1);
    bench.want_keys(id, KeyReason::NtsNak);
    assert_eq!(bench.plan.held(), 1);
    let (_, verdict) = bench.keys("a.test", 1);
    assert_eq!(verdict, Verdict::Renew(id));
    assert_eq!(bench.next(), Step::Rest);
    // They are rejected again before they were of any use: wait.
    bench.want_keys(id, KeyReason::NtsNak);
    assert_near(bench.until_next_try(), 10.0);
    assert_eq!(bench.keys("a.test", 1).1, Verdict::Renew(id));
    bench.want_keys(id, KeyReason::NtsNak);
    assert_near(bench.until_next_try(), 15.0);
}

#[test]
fn a_forged_refusal_of_cookies_is_forgotten_when_an_answer_comes() {
    let mut bench = Bench::new(KeyedPlan::pool(1));
    let id = bench.start("a.test", 1);
    bench.want_keys(id, KeyReason::NtsNak);
    assert_ne!(bench.next(), Step::Rest);
    bench.plan.handle_keys_unwanted(id);
    assert_eq!(bench.next(), Step::Rest);
    assert_eq!(bench.denied(), ["a.test"]);
    assert_eq!(bench.plan.memory.forget_oldest(), None);
}

#[test]
fn a_source_of_a_pool_that_lost_its_keys_may_be_given_again() {
    let mut bench = Bench::new(KeyedPlan::pool(2));
    let first = bench.serve("a.test", 1);
    bench.serve("b.test", 2);
    bench.want_keys(first, KeyReason::NtsNak);
    assert_eq!(bench.denied(), ["b.test"]);
    assert_eq!(bench.plan.held(), 2); // it goes on until there are new keys
    assert_eq!(bench.keys("a.test", 1).1, Verdict::Renew(first));
    assert_eq!(bench.next(), Step::Rest);
}

#[test]
fn a_source_of_a_pool_that_rejects_fresh_cookies_is_denied_and_replaced() {
    let mut bench = Bench::new(KeyedPlan::pool(2));
    let first = bench.start("a.test", 1);
    bench.serve("b.test", 2);
    bench.want_keys(first, KeyReason::NtsNak);
    bench.want_keys(first, KeyReason::NtsNak);
    assert_eq!(bench.denied(), ["b.test", "a.test"]);
    assert_near(bench.until_next_try(), 10.0);
    let (_, verdict) = bench.keys("c.test", 3);
    assert_eq!(
        verdict,
        Verdict::Start {
            replaces: vec![first]
        }
    );
    assert_eq!(bench.denied(), ["b.test", "c.test", "a.test"]);
    assert_eq!(bench.next(), Step::Rest);
}

#[test]
fn a_pool_of_two_heals_when_one_of_them_failed() {
    let mut bench = Bench::new(KeyedPlan::pool(2));
    let first = bench.serve("a.test", 1);
    bench.serve("b.test", 2);
    bench.lose(first, LossReason::Unreachable);
    // Both are denied, so the pool gives either; first the wrong one.
    let (_, verdict) = bench.keys("b.test", 2);
    assert!(matches!(verdict, Verdict::Discard { .. }), "{verdict:?}");
    assert_eq!(bench.denied(), ["b.test"]);
    assert_near(bench.until_next_try(), 10.0);
    bench.start("a.test", 1);
    assert_eq!(bench.next(), Step::Rest);
}

#[test]
fn old_keys_are_no_fault_of_the_server() {
    let mut bench = Bench::new(KeyedPlan::pool(2));
    let first = bench.serve("a.test", 1);
    bench.serve("b.test", 2);
    bench.want_keys(first, KeyReason::KeyAge);
    assert_eq!(bench.denied(), ["b.test"]);
    assert_eq!(bench.keys("a.test", 1).1, Verdict::Renew(first));
}

#[test]
fn a_host_with_a_new_address_replaces_its_old_self_even_while_places_are_free() {
    let mut bench = Bench::new(KeyedPlan::pool(4));
    let first = bench.serve("a.test", 1);
    bench.want_keys(first, KeyReason::OutOfCookies);
    let (_, verdict) = bench.keys("a.test", 2);
    assert_eq!(
        verdict,
        Verdict::Start {
            replaces: vec![first]
        }
    );
    assert_eq!(bench.plan.held(), 1);
}

#[test]
fn a_host_that_is_two_of_our_sources_at_once_replaces_both() {
    let mut bench = Bench::new(KeyedPlan::pool(3));
    let first = bench.serve("a.test", 1);
    let second = bench.serve("b.test", 2);
    bench.serve("c.test", 3);
    bench.want_keys(first, KeyReason::NtsNak);
    bench.want_keys(second, KeyReason::NtsNak);
    let (_, verdict) = bench.keys("a.test", 2);
    assert_eq!(
        verdict,
        Verdict::Start {
            replaces: vec![first, second]
        }
    );
    assert_eq!(bench.plan.held(), 2);
}

#[test]
fn another_server_fills_a_free_place_before_it_replaces() {
    let mut bench = Bench::new(KeyedPlan::pool(2));
    let first = bench.serve("a.test", 1);
    bench.wait(SETTLED);
    bench.want_keys(first, KeyReason::OutOfCookies);
    bench.start("b.test", 2);
    assert_eq!(bench.next(), Step::Try);
    assert_eq!(bench.keys("a.test", 1).1, Verdict::Renew(first));
}

#[test]
fn sessions_of_the_last_run_take_the_places_if_they_are_different() {
    let mut bench = Bench::new(KeyedPlan::pool(2));
    let resume = |bench: &mut Bench, name: &str, host: u8| {
        bench.next_id += 1;
        let (id, name) = (SourceId(bench.next_id), name.parse().unwrap());
        let address = SocketAddr::from(([192, 0, 2, host], 123));
        bench.plan.resume(id, &name, address).then_some(id)
    };
    let first = resume(&mut bench, "a.test", 1).unwrap();
    assert_eq!(resume(&mut bench, "A.test.", 2), None);
    assert_eq!(resume(&mut bench, "b.test", 1), None);
    assert!(resume(&mut bench, "b.test", 2).is_some());
    assert_eq!(resume(&mut bench, "c.test", 3), None);
    assert_eq!(bench.next(), Step::Rest);
    // Void keys are nobody's fault: new ones are asked for at once, and nobody is denied.
    bench.want_keys(first, KeyReason::NtsNak);
    assert_eq!(bench.next(), Step::Try);
    assert_eq!(bench.denied(), ["b.test"]);
}

#[test]
fn an_only_server_that_refuses_is_asked_again_with_growing_waits() {
    let mut bench = Bench::new(KeyedPlan::single());
    let id = bench.start("a.test", 1);
    bench.lose(id, LossReason::Refused);
    assert_near(bench.until_next_try(), 10.0);
    let id = bench.start("a.test", 1);
    bench.lose(id, LossReason::Refused);
    assert_near(bench.until_next_try(), 15.0);
}

#[test]
fn never_more_than_32_names_and_never_a_request_over_1024_octets() {
    let mut bench = Bench::new(KeyedPlan::pool(40));
    for number in 0..40 {
        bench.start(&format!("n{number}.test"), number);
    }
    assert_eq!(bench.denied().len(), 32);

    let mut bench = Bench::new(KeyedPlan::pool(8));
    for number in 0..8 {
        bench.start(&format!("{number}{}", "x".repeat(200)), number);
    }
    let denied = bench.denied();
    assert_eq!(denied.len(), 4);
    assert!(denied.iter().map(|name| 4 + name.len()).sum::<usize>() <= MAX_DENIED_OCTETS);
}

/// Something that happens to a plan.
#[derive(Clone, Debug)]
enum Happening {
    Keys { name: u8, host: u8 },
    Failure { nothing_left: bool },
    Answer { held: usize },
    WantKeys { held: usize, reason: KeyReason },
    Lose { held: usize, reason: LossReason },
    Pass { seconds: u64 },
}

fn happening() -> impl Strategy<Value = Happening> {
    let reason = prop_oneof![
        Just(KeyReason::NtsNak),
        Just(KeyReason::OutOfCookies),
        Just(KeyReason::KeyAge),
    ];
    let loss = prop_oneof![
        Just(LossReason::Refused),
        Just(LossReason::Unreachable),
        Just(LossReason::Offline),
    ];
    prop_oneof![
        4 => (0..8_u8, 0..8_u8).prop_map(|(name, host)| Happening::Keys { name, host }),
        1 => any::<bool>().prop_map(|nothing_left| Happening::Failure { nothing_left }),
        2 => (0..4_usize).prop_map(|held| Happening::Answer { held }),
        1 => (0..4_usize, reason).prop_map(|(held, reason)| Happening::WantKeys { held, reason }),
        1 => (0..4_usize, loss).prop_map(|(held, reason)| Happening::Lose { held, reason }),
        1 => (0..100_000_u64).prop_map(|seconds| Happening::Pass { seconds }),
    ]
}

impl Bench {
    fn happen(&mut self, happening: &Happening) {
        let nth = |plan: &KeyedPlan, n: usize| plan.held.get(n).map(|held| held.id);
        match *happening {
            // A key exchange only ever ends after a try.
            Happening::Keys { name, host } => {
                if self.next() != Step::Rest {
                    self.keys(&format!("n{name}.test"), host);
                }
            }
            Happening::Failure { nothing_left } => {
                self.fail(nothing_left);
            }
            Happening::Answer { held } => {
                if let Some(id) = nth(&self.plan, held) {
                    self.plan.handle_authenticated(id, self.now);
                }
            }
            Happening::WantKeys { held, reason } => {
                if let Some(id) = nth(&self.plan, held) {
                    self.want_keys(id, reason);
                }
            }
            Happening::Lose { held, reason } => {
                if let Some(id) = nth(&self.plan, held) {
                    self.lose(id, reason);
                }
            }
            Happening::Pass { seconds } => self.wait(Duration::from_secs(seconds)),
        }
    }
}

fn distinct<T: Ord>(items: impl Iterator<Item = T>) -> bool {
    let mut items: Vec<T> = items.collect();
    let before = items.len();
    items.sort_unstable();
    items.dedup();
    items.len() == before
}

proptest! {
    /// Whatever a pool says and sources do: never too many, never the same one twice, never a
    /// long list, never idle while something is owed, and never a wait beyond an hour and a
    /// quarter.
    #[test]
    fn whatever_happens(happenings in proptest::collection::vec(happening(), 0..60)) {
        let mut bench = Bench::new(KeyedPlan::pool(3));
        for happening in &happenings {
            bench.happen(happening);
            let held = &bench.plan.held;
            prop_assert!(held.len() <= 3);
            prop_assert!(distinct(held.iter().map(|held| held.id)));
            prop_assert!(distinct(held.iter().map(|held| held.name.canonical())));
            prop_assert!(distinct(held.iter().map(|held| held.address)));
            let denied = bench.denied();
            prop_assert!(denied.len() <= 32 && distinct(denied.iter()));
            for held in held.iter().filter(|held| !held.needs_keys) {
                prop_assert!(denied.iter().any(|name| name == held.name.as_str()));
            }
            match bench.next() {
                Step::Rest => {
                    let on_trial = held.iter().any(|held| !held.proved);
                    prop_assert!(held.len() == 3 || on_trial);
                }
                Step::Try => {}
                Step::Wait(until) => {
                    let wait = until.saturating_since(bench.now);
                    prop_assert!(wait <= Duration::from_secs(4500));
                }
            }
        }
    }
}
