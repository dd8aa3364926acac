//! The mathematics of time: what measurements say about the clocks of sources, whom to believe,
//! and how to keep the local clock right.
//!
//! Everything here is a pure function of its arguments: no clock is read or set, nothing is sent
//! or stored. What one exchange with a source says is in
//! [`nts_proto::association::Measurement`]; [`Controller`] takes those and gives [`Action`]s that
//! the caller carries out.
//!
//! | module | job |
//! | --- | --- |
//! | [`config`] | the configuration's numbers |
//! | [`estimate`] | a Kalman filter of offset and frequency |
//! | [`source`] | the filter of one source: noise from delays, wander, poll interval |
//! | [`selection`] | which sources agree |
//! | [`combine`] | one estimate from several |
//! | `steering` | slews, steps and their limits |
//! | `leap` | leap seconds |
//! | [`controller`] | all of it together |
//! | [`action`], [`snapshot`] | what it tells the caller |
//! | [`filter`] | the last eight measurements of one source, and the best of them |

pub mod action;
pub mod combine;
pub mod config;
pub mod controller;
pub mod estimate;
pub mod filter;
mod leap;
pub mod selection;
pub mod snapshot;
pub mod source;
mod source_id;
mod steering;
#[cfg(test)]
mod testing;

pub use action::{Action, Report};
pub use config::Config;
pub use controller::{ClockStart, Controller};
pub use snapshot::SystemSnapshot;
pub use source_id::SourceId;
