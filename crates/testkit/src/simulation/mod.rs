//! A pool in virtual time: the pool's own selection and health, everything around them made up.
//!
//! No socket, no task, no clock: users, sources and their faults are events in a queue, and what
//! an exchange does on the way is modelled by how long it takes and how it can fail. A run is
//! decided by its [`Scenario`] and its seed alone. `cargo run --release -p testkit --bin
//! pool-simulation` runs the large ones.

mod before_keys;
mod exchange;
mod fault;
mod queue;
mod report;
mod scenario;
mod setup;
mod shares;
mod source;
mod users;
mod view;
mod witness;
mod world;

pub use fault::{Fault, Spell};
pub use report::{Report, Times};
pub use scenario::Scenario;

/// Runs a scenario to its end.
pub fn run(scenario: &Scenario) -> Report {
    world::World::new(scenario).run()
}
