//! What choosing a source costs: `cargo bench -p nts-pool-ke --bench pick`.
//!
//! The goal is a pick in less than 100 ns for 1,000 healthy sources of which the user denies 3,
//! and less than 50 µs whatever the user sends.

use std::collections::HashSet;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use nts_pool_ke::selection::{
    Choice, Denial, Entry, Families, Family, Groups, Live, Location, NameIndex, Pick, Roster,
    SelectionPolicy, Snapshot, SourceIndex, Standing, User,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// A pool of which some sources were withdrawn after the snapshot was made.
struct Pool {
    snapshot: Arc<Snapshot>,
    names: Vec<String>,
    withdrawn: Vec<bool>,
}

impl Pool {
    fn new(size: u32, withdrawn: f64) -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        let entries = (0..size).map(|at| Entry {
            id: at.to_string(),
            weight: rng.random_range(1..=1000),
            on_probation: false,
            families: Families::BOTH,
            operator: None,
            regions: Vec::new(),
        });
        let roster = Roster::new(entries.collect(), Groups::default()).expect("good entries");
        let names: Vec<_> = (0..size)
            .map(|at| format!("ntp{at}.pool.example"))
            .collect();
        let index = NameIndex::new(roster.sources().zip(names.iter().map(String::as_str)));
        let policy = SelectionPolicy::default();
        let healthy = |_| Standing::HEALTHY;
        let snapshot = Snapshot::new(Arc::new(roster), Arc::new(index), policy, healthy);
        Self {
            snapshot: Arc::new(snapshot),
            names,
            withdrawn: (0..size).map(|_| rng.random_bool(withdrawn)).collect(),
        }
    }

    fn deny(&self, names: &[&str]) -> Denial {
        self.snapshot
            .names()
            .deny(names.iter().copied(), self.snapshot.roster())
    }

    /// The first candidate of a user; with all that is freed after it.
    fn pick(&self, denial: Denial, rng: &mut StdRng) -> (Option<Pick>, Choice) {
        let user = User {
            family: Family::V4,
            location: Location::default(),
            label: None,
            denial,
        };
        let mut choice = self.snapshot.choose(user);
        (choice.next(self, rng), choice)
    }
}

impl Live for Pool {
    fn admits(&self, source: SourceIndex) -> bool {
        !self.withdrawn[source.get()]
    }

    fn can_serve(&self, _source: SourceIndex) -> bool {
        true
    }

    fn is_in_panic(&self) -> bool {
        false
    }
}

fn picks(criterion: &mut Criterion) {
    let mut rng = StdRng::seed_from_u64(2);
    for (name, size, withdrawn) in [
        ("10 healthy", 10, 0.0),
        ("1,000 healthy", 1_000, 0.0),
        ("10,000 healthy", 10_000, 0.0),
        ("1,000, half withdrawn", 1_000, 0.5),
        ("10,000, nine tenths withdrawn", 10_000, 0.9),
    ] {
        let pool = Pool::new(size, withdrawn);
        let names = [1, 4, 9].map(|at| pool.names[at].as_str());
        let denial = pool.deny(&names);
        criterion.bench_function(&format!("pick/{name}, 3 denied"), |bench| {
            bench.iter_batched(
                || denial.clone(),
                |denial| pool.pick(black_box(denial), &mut rng),
                BatchSize::SmallInput,
            );
        });
    }
}

fn denials(criterion: &mut Criterion) {
    let mut rng = StdRng::seed_from_u64(3);
    let pool = Pool::new(1_000, 0.0);
    let three = [1, 4, 9].map(|at| pool.names[at].as_str());
    criterion.bench_function("deny 3 names and pick", |bench| {
        bench.iter(|| pool.pick(pool.deny(black_box(&three)), &mut rng));
    });
    // 16 KiB of deny records, of which the names are as long and as awkward as can be.
    let flood: Vec<_> = (0..65)
        .map(|at| format!("{at}{}.", "X".repeat(240)))
        .collect();
    let flood: Vec<_> = flood.iter().map(String::as_str).collect();
    criterion.bench_function("deny 16 KiB and pick", |bench| {
        bench.iter(|| pool.pick(pool.deny(black_box(&flood)), &mut rng));
    });
    let distinct: HashSet<_> = flood.iter().collect();
    assert_eq!(distinct.len(), 65);
}

fn rebuilds(criterion: &mut Criterion) {
    let pool = Pool::new(10_000, 0.1);
    let (roster, names) = (pool.snapshot.roster(), pool.snapshot.names());
    criterion.bench_function("fold 10,000 sources into tables", |bench| {
        bench.iter_batched(
            || (Arc::clone(roster), Arc::clone(names)),
            |(roster, names)| {
                let policy = SelectionPolicy::default();
                Snapshot::new(roster, names, policy, |_| Standing::HEALTHY)
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, picks, denials, rebuilds);
criterion_main!(benches);
