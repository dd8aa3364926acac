//! What one request costs the stateless server, in memory: no sockets, no clock.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a benchmark"
)]

mod cases;

use criterion::{Criterion, criterion_group, criterion_main};

fn respond(criterion: &mut Criterion) {
    for case in cases::all() {
        let (mut rng, mut out) = (rand::rng(), [0; 2048]);
        criterion.bench_function(&case.name, |bencher| {
            bencher.iter(|| case.respond(&mut rng, &mut out));
        });
    }
}

criterion_group!(benches, respond);
criterion_main!(benches);
