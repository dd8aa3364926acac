//! Small pools with everything in them, and an oracle for what they should do.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::super::*;

/// Two letters each; AT and DE are in a group of their own.
pub(super) const COUNTRIES: [&str; 5] = ["DE", "AT", "FR", "US", "JP"];

pub(super) fn country(code: &str) -> Country {
    Country::from_code(code).unwrap()
}

pub(super) fn groups() -> Groups {
    let group = Group {
        name: "dach".to_owned(),
        countries: vec![country("DE"), country("AT")],
    };
    Groups::new(vec![group]).unwrap()
}

/// A source with all that selection may ask about it.
#[derive(Clone, Debug)]
pub(super) struct TestSource {
    pub(super) weight: u32,
    pub(super) tenths: u8,
    pub(super) on_probation: bool,
    pub(super) admitted: bool,
    /// Health takes it out of service after the snapshot was made.
    pub(super) withdrawn: bool,
    pub(super) v4: bool,
    pub(super) v6: bool,
    /// Has something in common with the user, and a free slot.
    pub(super) can_serve: bool,
    pub(super) operator: Option<u8>,
    pub(super) country: Option<&'static str>,
    pub(super) denied: bool,
}

impl TestSource {
    pub(super) fn new(weight: u32) -> Self {
        Self {
            weight,
            tenths: 10,
            on_probation: false,
            admitted: true,
            withdrawn: false,
            v4: true,
            v6: true,
            can_serve: true,
            operator: None,
            country: None,
            denied: false,
        }
    }

    fn entry(&self, at: usize) -> Entry {
        Entry {
            id: format!("source-{at}"),
            weight: self.weight,
            on_probation: self.on_probation,
            families: Families {
                v4: self.v4,
                v6: self.v6,
            },
            operator: self.operator.map(|operator| operator.to_string()),
            regions: self
                .country
                .map(country)
                .map(Region::Country)
                .into_iter()
                .collect(),
        }
    }

    /// Whether users may be sent there at the time of the pick.
    pub(super) fn is_live(&self) -> bool {
        self.admitted && !self.withdrawn
    }

    fn serves(&self, family: Family) -> bool {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }
}

/// A pool and one user of it.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) sources: Vec<TestSource>,
    pub(super) policy: SelectionPolicy,
    pub(super) panic: bool,
    pub(super) family: Family,
    pub(super) location: Option<&'static str>,
    pub(super) label: Option<HostLabel>,
}

impl World {
    pub(super) fn new(sources: Vec<TestSource>) -> Self {
        Self {
            sources,
            policy: SelectionPolicy::default(),
            panic: false,
            family: Family::V4,
            location: None,
            label: None,
        }
    }

    pub(super) fn roster(&self) -> Roster {
        let entries = self.sources.iter().enumerate();
        let entries = entries.map(|(at, source)| source.entry(at)).collect();
        Roster::new(entries, groups()).unwrap()
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        let roster = Arc::new(self.roster());
        let names: Vec<_> = (0..self.sources.len()).map(name).collect();
        let index = NameIndex::new(roster.sources().zip(names.iter().map(String::as_str)));
        let standing = |source: SourceIndex| {
            let source = &self.sources[source.get()];
            Standing {
                admitted: source.admitted,
                tenths: source.tenths,
            }
        };
        let snapshot = Snapshot::new(roster, Arc::new(index), self.policy, standing);
        Arc::new(snapshot)
    }

    pub(super) fn denial(&self, snapshot: &Snapshot) -> Denial {
        let names: Vec<_> = (0..self.sources.len())
            .filter(|at| self.sources[*at].denied)
            .map(name)
            .collect();
        snapshot
            .names()
            .deny(names.iter().map(String::as_str), snapshot.roster())
    }

    pub(super) fn user(&self, denial: Denial) -> User {
        User {
            family: self.family,
            location: Location {
                country: self.location.map(country),
                continent: None,
            },
            label: self.label,
            denial,
        }
    }

    pub(super) fn live(&self) -> TestLive<'_> {
        TestLive {
            sources: &self.sources,
            panic: self.panic,
            questions: Cell::new(0),
        }
    }

    /// All candidates of one exchange.
    pub(super) fn candidates(&self, seed: u64) -> Vec<Pick> {
        use rand::{SeedableRng as _, rngs::StdRng};
        let snapshot = self.snapshot();
        let denial = self.denial(&snapshot);
        let mut choice = snapshot.choose(self.user(denial));
        let mut rng = StdRng::seed_from_u64(seed);
        std::iter::from_fn(|| choice.next(&self.live(), &mut rng)).collect()
    }
}

fn name(at: usize) -> String {
    format!("ntp{at}.example")
}

/// Answers as the sources are, and counts the questions.
pub(super) struct TestLive<'a> {
    sources: &'a [TestSource],
    panic: bool,
    pub(super) questions: Cell<usize>,
}

impl Live for TestLive<'_> {
    fn admits(&self, source: SourceIndex) -> bool {
        self.questions.set(self.questions.get() + 1);
        self.sources[source.get()].is_live()
    }

    fn can_serve(&self, source: SourceIndex) -> bool {
        self.sources[source.get()].can_serve
    }

    fn is_in_panic(&self) -> bool {
        self.panic
    }
}

/// What the first pick should be: the probability of each source, and the tier.
#[derive(Debug, PartialEq)]
pub(super) struct Expected {
    pub(super) tier: Tier,
    pub(super) shares: BTreeMap<usize, f64>,
}

/// The plain reading of the rules.
pub(super) struct Oracle<'a> {
    world: &'a World,
    bins: Vec<Vec<Option<usize>>>,
    ladder: Vec<BTreeSet<usize>>,
}

impl<'a> Oracle<'a> {
    pub(super) fn new(world: &'a World) -> Self {
        let all: BTreeSet<_> = (0..world.sources.len()).collect();
        let of = |wanted: &dyn Fn(&str) -> bool| -> BTreeSet<usize> {
            let listed = |at: &usize| world.sources[*at].country.is_some_and(wanted);
            all.iter().copied().filter(listed).collect()
        };
        let continent = |code: &str| match code {
            "US" => "north-america",
            "JP" => "asia",
            _ => "europe",
        };
        let mut ladder = Vec::new();
        if let Some(here) = world.location {
            ladder.push(of(&|code| code == here));
            if ["DE", "AT"].contains(&here) {
                ladder.push(of(&|code| ["DE", "AT"].contains(&code)));
            }
            ladder.push(of(&|code| continent(code) == continent(here)));
        }
        ladder.push(all);
        let bins = ladder.iter().map(|level| world.bins(level)).collect();
        Self {
            world,
            bins,
            ladder,
        }
    }

    /// The first pick; `None` if there is nobody.
    pub(super) fn first_pick(&self) -> Option<Expected> {
        let denies = self.world.sources.iter().any(|source| source.denied);
        let serve_denied = denies && self.world.policy.all_denied == AllDenied::Serve;
        let start = self.start(denies);
        let not_denied = |at: usize| !self.world.sources[at].denied;
        let other_operator = |at: usize| !self.has_denied_operator(at);
        let mut tiers: Vec<(Tier, &dyn Fn(usize) -> bool)> = Vec::new();
        if denies && self.world.policy.operator_diversity {
            tiers.push((Tier::OtherOperator, &other_operator));
        }
        tiers.push((Tier::Wanted, &not_denied));
        if serve_denied {
            tiers.push((Tier::Denied, &|_| true));
        }
        for (tier, belongs) in tiers {
            for level in start..self.ladder.len() {
                let shares = self.shares(level, |at| {
                    belongs(at) && self.world.sources[at].is_live() && self.usable(at)
                });
                if let Some(shares) = shares {
                    return Some(Expected { tier, shares });
                }
            }
        }
        if !self.world.panic {
            return None;
        }
        let shares = self
            .panic_shares(|at| not_denied(at) && self.usable(at))
            .or_else(|| serve_denied.then(|| self.panic_shares(|at| self.usable(at)))?)?;
        let tier = Tier::Panic;
        Some(Expected { tier, shares })
    }

    fn usable(&self, at: usize) -> bool {
        let source = &self.world.sources[at];
        source.weight > 0 && source.serves(self.world.family) && source.can_serve
    }

    fn has_denied_operator(&self, at: usize) -> bool {
        let source = &self.world.sources[at];
        source.denied
            || source.operator.is_some_and(|operator| {
                let mut denied = self.world.sources.iter().filter(|other| other.denied);
                denied.any(|other| other.operator == Some(operator))
            })
    }

    fn start(&self, denies: bool) -> usize {
        let policy = &self.world.policy;
        let first = !denies && self.world.label.is_none_or(|label| label.bin() == 0);
        let enough = |level: &BTreeSet<usize>| {
            let here: Vec<_> = level
                .iter()
                .map(|at| (*at, &self.world.sources[*at]))
                .filter(|(_, it)| it.admitted && it.weight > 0 && it.serves(self.world.family))
                .collect();
            if !first {
                return here.len() >= policy.wide_min_sources;
            }
            let operators: BTreeSet<_> = here
                .iter()
                .map(|(at, source)| source.operator.map_or(1000 + at, usize::from))
                .collect();
            here.len() >= policy.local_min_sources && operators.len() >= policy.local_min_operators
        };
        let found = self.ladder.iter().position(enough);
        found.unwrap_or(self.ladder.len() - 1)
    }

    fn shares(
        &self,
        level: usize,
        eligible: impl Fn(usize) -> bool,
    ) -> Option<BTreeMap<usize, f64>> {
        let weights = self.world.level_weights(&self.ladder[level]);
        let bin = self.world.label.map(HostLabel::bin);
        let in_bin = |at: usize| bin.is_some() && self.bins[level][at] == bin;
        normalized(&weights, |at| eligible(at) && in_bin(at))
            .or_else(|| normalized(&weights, eligible))
    }

    fn panic_shares(&self, eligible: impl Fn(usize) -> bool) -> Option<BTreeMap<usize, f64>> {
        let weights = self.world.sources.iter().enumerate();
        let weights = weights
            .map(|(at, source)| (at, f64::from(source.weight)))
            .collect();
        normalized(&weights, eligible)
    }
}

fn normalized(
    weights: &BTreeMap<usize, f64>,
    eligible: impl Fn(usize) -> bool,
) -> Option<BTreeMap<usize, f64>> {
    let chosen = weights
        .iter()
        .filter(|(at, weight)| **weight > 0.0 && eligible(**at));
    let mut shares: BTreeMap<_, _> = chosen.map(|(at, weight)| (*at, *weight)).collect();
    let total: f64 = shares.values().sum();
    shares.values_mut().for_each(|share| *share /= total);
    (!shares.is_empty()).then_some(shares)
}

impl World {
    /// Effective weights in one level, the operator cap by bisection.
    fn level_weights(&self, level: &BTreeSet<usize>) -> BTreeMap<usize, f64> {
        let mut weights: BTreeMap<_, _> = level
            .iter()
            .filter(|at| self.sources[**at].admitted)
            .map(|at| {
                let source = &self.sources[*at];
                let probation = if source.on_probation { 0.1 } else { 1.0 };
                let ramp = f64::from(source.tenths) / 10.0;
                (*at, f64::from(source.weight) * ramp * probation)
            })
            .filter(|(_, weight)| *weight > 0.0)
            .collect();
        let operator = |at: usize| self.sources[at].operator.map_or(1000 + at, usize::from);
        let mut totals = BTreeMap::<usize, f64>::new();
        for (at, weight) in &weights {
            *totals.entry(operator(*at)).or_default() += weight;
        }
        let share = self.cap();
        let Some(share) = share.filter(|_| totals.len() >= 4) else {
            return weights;
        };
        let share = share.max(1.0 / totals.len() as f64);
        let (mut low, mut high) = (0.0, totals.values().sum::<f64>());
        for _ in 0..200 {
            let middle = (low + high) / 2.0;
            let sum: f64 = totals.values().map(|total| total.min(middle)).sum();
            if middle > share * sum * (1.0 + 1e-12) {
                high = middle;
            } else {
                low = middle;
            }
        }
        for (at, weight) in &mut weights {
            let total = totals[&operator(*at)];
            *weight *= (low / total).min(1.0);
        }
        weights
    }

    fn cap(&self) -> Option<f64> {
        [0.25, 0.4].into_iter().find(|share| {
            OperatorShare::from_fraction(*share) == Some(self.policy.operator_share_max)
        })
    }

    /// Each source's bin in a level.
    fn bins(&self, level: &BTreeSet<usize>) -> Vec<Option<usize>> {
        let mut order: Vec<_> = level
            .iter()
            .copied()
            .filter(|at| self.sources[*at].weight > 0)
            .collect();
        order.sort_by_key(|at| (u32::MAX - self.sources[*at].weight, format!("source-{at}")));
        let mut loads = [0; BINS];
        let mut bins = vec![None; self.sources.len()];
        for at in order {
            let bin = (0..BINS).min_by_key(|bin| (loads[*bin], *bin)).unwrap();
            loads[bin] += self.sources[at].weight;
            bins[at] = Some(bin);
        }
        bins
    }
}

/// A source with a good chance of each trait.
pub(super) fn any_source() -> impl Strategy<Value = TestSource> {
    (
        (
            prop_oneof![1 => Just(0_u32), 8 => 1..20_u32, 1 => 1..=1000_u32],
            prop_oneof![3 => Just(10_u8), 1 => 1..=10_u8],
            prop::bool::weighted(0.1),
            prop::bool::weighted(0.8),
            prop::bool::weighted(0.1),
        ),
        (
            prop_oneof![6 => Just((true, true)), 1 => Just((true, false)), 1 => Just((false, true))],
            prop::bool::weighted(0.85),
            prop::option::of(0..5_u8),
            prop::option::of(prop::sample::select(COUNTRIES.to_vec())),
            prop::bool::weighted(0.15),
        ),
    )
        .prop_map(
            |(
                (weight, tenths, on_probation, admitted, withdrawn),
                ((v4, v6), can_serve, operator, country, denied),
            )| TestSource {
                weight,
                tenths,
                on_probation,
                admitted,
                withdrawn,
                v4,
                v6,
                can_serve,
                operator,
                country,
                denied,
            },
        )
}

fn any_policy() -> impl Strategy<Value = SelectionPolicy> {
    (
        1..5_usize,
        1..4_usize,
        1..20_usize,
        prop::sample::select(vec![1.0, 0.4, 0.25]),
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.8),
    )
        .prop_map(
            |(sources, operators, wide, share, diversity, serve)| SelectionPolicy {
                local_min_sources: sources,
                local_min_operators: operators,
                wide_min_sources: wide,
                operator_share_max: OperatorShare::from_fraction(share).unwrap(),
                operator_diversity: diversity,
                all_denied: if serve {
                    AllDenied::Serve
                } else {
                    AllDenied::Error
                },
            },
        )
}

/// Any small pool with any user; at most `denials` sources are denied.
pub(super) fn any_world(sizes: std::ops::Range<usize>) -> impl Strategy<Value = World> {
    (
        prop::collection::vec(any_source(), sizes),
        any_policy(),
        prop::bool::weighted(0.3),
        any::<bool>(),
        prop::option::of(prop::sample::select(COUNTRIES.to_vec())),
        prop::option::weighted(0.4, 0..4_u8),
        prop::bool::weighted(0.5),
    )
        .prop_map(
            |(mut sources, policy, panic, v4, location, label, denies)| {
                let mut left = if denies { MAX_DENIED } else { 0 };
                for source in &mut sources {
                    source.denied &= left > 0;
                    left -= usize::from(source.denied);
                }
                World {
                    sources,
                    policy,
                    panic,
                    family: if v4 { Family::V4 } else { Family::V6 },
                    location,
                    label: label
                        .and_then(|digit| HostLabel::of_host(&format!("{digit}.pool.test"))),
                }
            },
        )
}
