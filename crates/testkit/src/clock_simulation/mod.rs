//! A clock in virtual time: the project's own association, server, filter, selection and
//! discipline, on a clock, a network and servers that are made up.
//!
//! No socket, no task, no real clock: a run is decided by its [`Scenario`] and its seed alone.
//! `just simulate-clock` prints the table of the documentation.

mod clock;
mod noise;
mod record;
mod scenario;
mod server;
mod table;
mod world;

pub use clock::ClockModel;
pub use noise::{Jitter, Path};
pub use record::{Record, root_mean_square};
pub use scenario::{Happening, LAN, Scenario, ServerModel, wan};
pub use table::{Bounds, Case, Row, Spread};

/// Runs a scenario to its end.
pub fn run(scenario: &Scenario, seed: u64) -> Record {
    world::World::new(scenario, seed).run()
}
