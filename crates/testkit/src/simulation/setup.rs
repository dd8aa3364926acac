//! A world as a scenario has it, at its start.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nts_pool_ke::effort::Effort;
use nts_pool_ke::fleet::{Arrival, Fleet, HealthPolicy, Place};
use nts_pool_ke::selection::{
    Country, Entry, Families, Groups, Location, NameIndex, Offer, Region, Roster, Snapshot,
    SourceIndex, Supported,
};
use nts_proto::code_points::{AeadAlgorithm, ProtocolId};
use nts_proto::ke::negotiation::Capabilities;
use nts_proto::ke::request::KeyExchangeRequest;
use rand::{SeedableRng as _, rngs::StdRng};

use super::queue::Queue;
use super::report::Report;
use super::scenario::{COUNTRIES, Scenario, ScriptedSource};
use super::shares::Shares;
use super::view::View;
use super::witness::Witness;
use super::world::World;

impl<'a> World<'a> {
    /// The world before anything has happened.
    pub(super) fn new(scenario: &'a Scenario) -> Self {
        // Not near the beginning of the machine's clock, before which there is no time.
        let start = Instant::now() + Duration::from_secs(100_000);
        let mut rng = StdRng::seed_from_u64(scenario.seed);
        let count = scenario.sources.len();
        let roster = Roster::new(entries(scenario), Groups::default()).expect("good entries");
        let names: Vec<_> = (0..count).map(|at| format!("ntp{at}.test")).collect();
        let index = NameIndex::new(roster.sources().zip(names.iter().map(String::as_str)));
        let mut fleet = Fleet::new(HealthPolicy::default());
        let keys: Vec<_> = roster
            .sources()
            .map(|_| fleet.add(Arrival::AtStart, start))
            .collect();
        let place = |source: SourceIndex| Place {
            source: keys[source.get()],
            weight: roster.weight(source),
        };
        fleet.place(roster.sources().map(place).collect(), start, &mut rng);
        let index_of = keys.iter().copied().zip(roster.sources()).collect();
        let standing = |source: SourceIndex| fleet.standing(keys[source.get()]);
        let (roster, index) = (Arc::new(roster), Arc::new(index));
        let snapshot = Snapshot::new(roster, index, scenario.policy, standing);
        Self {
            scenario,
            start,
            now: start,
            rng,
            queue: Queue::new(),
            users_left: scenario.users,
            in_progress: 0,
            names,
            locations: COUNTRIES.map(location).to_vec(),
            offers: [offer(&[17, 15]), offer(&[17])],
            supported: [supports(&[15]), supports(&[15, 17])],
            fleet,
            index_of,
            snapshot: Arc::new(snapshot),
            effort: Effort::default(),
            witness: Witness::default(),
            rebuilt: start,
            rebuild: false,
            view: View::new(scenario, start),
            keys,
            shares: Shares::new(count),
            report: Report {
                name: scenario.name.clone(),
                users: scenario.users,
                is_outage: scenario.outage_until.is_some(),
                measures_shares: scenario.sources.iter().all(|source| source.mishaps == 0.0),
                ..Report::default()
            },
        }
    }
}

fn entries(scenario: &Scenario) -> Vec<Entry> {
    let entry = |(at, source): (usize, &ScriptedSource)| Entry {
        id: at.to_string(),
        weight: source.weight,
        on_probation: false,
        families: Families {
            v4: source.v4,
            v6: source.v6,
        },
        operator: None,
        regions: Country::from_code(source.country)
            .map(Region::Country)
            .into_iter()
            .collect(),
    };
    scenario.sources.iter().enumerate().map(entry).collect()
}

fn location(country: &str) -> Location {
    Location {
        country: Country::from_code(country),
        continent: None,
    }
}

fn offer(algorithms: &[u16]) -> Offer {
    Offer::from(&KeyExchangeRequest {
        protocols: vec![ProtocolId::Ntpv4],
        algorithms: algorithms.iter().map(|code| (*code).into()).collect(),
        denied: Vec::new(),
        compliant_exporter: false,
    })
}

fn supports(algorithms: &[u16]) -> Supported {
    let algorithms: Vec<_> = algorithms
        .iter()
        .map(|code| AeadAlgorithm::from(*code))
        .collect();
    Supported::from(&Capabilities::ntpv4(&algorithms))
}
