//! What a run is made of: sources, their faults, and users.

use std::time::Duration;

use nts_pool_ke::selection::SelectionPolicy;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::fault::{Fault, Spell};

/// Where users and sources are.
pub(super) const COUNTRIES: [&str; 6] = ["DE", "NL", "SE", "US", "BR", "JP"];

/// The whole time of an exchange.
pub(super) const EXCHANGE_TIME: Duration = Duration::from_millis(1000);
/// So many sources are tried for one user.
pub(super) const ATTEMPTS: usize = 3;

/// So many users come per second and source.
const USERS_PER_SOURCE: f64 = 2.5;

/// A source as the scenario has it.
#[derive(Clone, Debug)]
pub(super) struct ScriptedSource {
    pub(super) weight: u32,
    pub(super) country: &'static str,
    pub(super) v4: bool,
    pub(super) v6: bool,
    /// It supports AEAD 17 besides 15.
    pub(super) has_17: bool,
    pub(super) round_trip: Duration,
    /// In order, without overlaps.
    pub(super) spells: Vec<Spell>,
    /// How likely any single step goes wrong, in any way that there is.
    pub(super) mishaps: f64,
}

/// Everything that decides a run.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub(super) name: String,
    pub(super) seed: u64,
    pub(super) users: u64,
    pub(super) users_per_second: f64,
    pub(super) policy: SelectionPolicy,
    pub(super) sources: Vec<ScriptedSource>,
    /// The last moment at which most sources were cut off, if that happens.
    pub(super) outage_until: Option<Duration>,
}

impl Scenario {
    /// So many sources and users, and nothing is wrong.
    pub fn calm(sources: usize, users: u64, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            name: format!("{sources} sources, all well"),
            seed,
            users,
            users_per_second: USERS_PER_SOURCE * sources as f64,
            policy: SelectionPolicy::default(),
            sources: (0..sources).map(|at| source(at, &mut rng)).collect(),
            outage_until: None,
        }
    }

    /// A part of the sources is up for a minute and down for half a minute on average, each time
    /// in another way.
    pub fn flapping(sources: usize, part: f64, users: u64, seed: u64) -> Self {
        let mut scenario = Self::calm(sources, users, seed);
        scenario.name = format!("{sources} sources, {:.0} % flapping", part * 100.0);
        let mut rng = StdRng::seed_from_u64(seed ^ 0xF1A9);
        let length = scenario.length();
        let flapping = (sources as f64 * part).round();
        for (at, source) in scenario.sources.iter_mut().enumerate() {
            // Spread over countries and weights.
            let before = (at as f64 * flapping / sources as f64).floor();
            let after = ((at + 1) as f64 * flapping / sources as f64).floor();
            if before < after {
                source.spells = spells(length, &mut rng);
            }
        }
        scenario
    }

    /// A part of the sources is cut off all at once, for a time; that is, this node's own network
    /// is at fault.
    pub fn outage(sources: usize, part: f64, lasts: Duration, users: u64, seed: u64) -> Self {
        let mut scenario = Self::calm(sources, users, seed);
        scenario.name = format!(
            "{sources} sources, {:.0} % cut off for {} s",
            part * 100.0,
            lasts.as_secs()
        );
        let from = scenario.length() / 3;
        let spell = Spell {
            from,
            until: from + lasts,
            fault: Fault::Blackholed,
        };
        let mut rng = StdRng::seed_from_u64(seed ^ 0x0FF);
        for source in &mut scenario.sources {
            if rng.random_bool(part) {
                source.spells.push(spell);
            }
        }
        scenario.outage_until = Some(spell.until);
        scenario
    }

    /// One source answers every question, but makes nothing of keys, from a minute after the start
    /// on.
    pub fn one_broken(sources: usize, users: u64, seed: u64) -> Self {
        let mut scenario = Self::calm(sources, users, seed);
        scenario.name = format!("{sources} sources, one makes nothing of keys");
        let spell = Spell {
            from: Duration::from_secs(60),
            until: scenario.length() + Duration::from_secs(3600),
            fault: Fault::Broken,
        };
        scenario.sources[0].spells.push(spell);
        scenario
    }

    /// Any step towards any source goes wrong with this probability, in any way that there is: an
    /// exchange meets every mishap in every order.
    pub fn storm(sources: usize, mishaps: f64, users: u64, seed: u64) -> Self {
        let mut scenario = Self::calm(sources, users, seed);
        scenario.name = format!(
            "{sources} sources, {:.0} % of all steps go wrong in any way",
            mishaps * 100.0
        );
        for source in &mut scenario.sources {
            source.mishaps = mishaps;
        }
        scenario
    }

    /// All sources of one country are cut off for a time, the others are well.
    pub fn country_outage(sources: usize, lasts: Duration, users: u64, seed: u64) -> Self {
        let mut scenario = Self::calm(sources, users, seed);
        scenario.name = format!("{sources} sources, those of a country cut off");
        let from = scenario.length() / 3;
        let spell = Spell {
            from,
            until: from + lasts,
            fault: Fault::Blackholed,
        };
        let mut there = scenario.sources.iter_mut();
        there
            .by_ref()
            .filter(|source| source.country == COUNTRIES[0])
            .for_each(|source| source.spells.push(spell));
        scenario
    }

    /// How long it takes until all users have come.
    pub(super) fn length(&self) -> Duration {
        Duration::from_secs_f64(self.users as f64 / self.users_per_second)
    }
}

fn source(at: usize, rng: &mut StdRng) -> ScriptedSource {
    let family = rng.random_range(0..10);
    ScriptedSource {
        // Nobody is so heavy that his slots would not do: then others would get his users.
        weight: [1, 1, 2, 3, 5, 8][rng.random_range(0..6)],
        country: COUNTRIES[at % COUNTRIES.len()],
        v4: family != 0,
        v6: family != 1,
        has_17: rng.random_bool(0.8),
        // From 5 to 150 ms, the short ones as likely as the long ones.
        round_trip: Duration::from_secs_f64(0.005 * 30_f64.powf(rng.random_range(0.0..1.0))),
        spells: Vec::new(),
        mishaps: 0.0,
    }
}

fn spells(length: Duration, rng: &mut StdRng) -> Vec<Spell> {
    let exponential = |mean: f64, rng: &mut StdRng| {
        Duration::from_secs_f64(-mean * (1.0 - rng.random_range(0.0..1.0_f64)).ln())
    };
    let mut spells = Vec::new();
    let mut from = exponential(60.0, rng);
    while from < length {
        let until = from + exponential(30.0, rng);
        spells.push(Spell {
            from,
            until,
            fault: Fault::ALL[rng.random_range(0..Fault::ALL.len())],
        });
        from = until + exponential(60.0, rng);
    }
    spells
}
