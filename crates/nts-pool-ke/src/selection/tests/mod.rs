//! The laws of selection. What a pool should do is worked out by `world`, which reads the rules in
//! the plainest way there is and shares no code with what it tests.

mod choosing;
mod levels;
mod properties;
mod statistics;
mod world;
