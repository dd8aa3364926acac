//! Counters, gauges and histograms, and their rendering as Prometheus text.
//!
//! Instruments are cheap to clone and touch one atomic each. The number of series is bounded: a
//! family that is full counts everything new under the label value `other`.

mod exposition;
mod instruments;
mod registry;
#[cfg(test)]
mod tests;

pub use exposition::{Exposition, Kind, Label, push_label_value};
pub use instruments::{Counter, Gauge, GaugeGuard, Histogram};
pub use registry::{MAX_SERIES, Registry};
