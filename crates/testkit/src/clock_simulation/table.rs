//! The table of the documentation: each case with what its runs come to, and what they must.

use std::fmt;

use super::noise::Jitter;
use super::scenario::Scenario;
use super::{Record, run};

/// What the runs of a case must come to.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Median of the root mean square of the error, s.
    pub rms: f64,
    /// Greatest error of any run once it has settled, s.
    pub greatest: f64,
    /// Median of the time after which the error stays below a millisecond, s.
    pub below_millisecond: f64,
    /// Greatest number of steps of any run.
    pub steps: usize,
}

/// A scenario and what must come of it.
#[derive(Debug, Clone)]
pub struct Case {
    /// The scenario.
    pub scenario: Scenario,
    /// The bounds.
    pub bounds: Bounds,
}

impl Case {
    fn new(scenario: Scenario, rms: f64, greatest: f64, below_millisecond: f64) -> Self {
        Self {
            scenario,
            bounds: Bounds {
                rms,
                greatest,
                below_millisecond,
                steps: 1,
            },
        }
    }

    fn allowing_steps(mut self, steps: usize) -> Self {
        self.bounds.steps = steps;
        self
    }

    /// All cases of the table.
    pub fn all() -> Vec<Self> {
        vec![
            Self::new(Scenario::lan(), 20e-6, 400e-6, 10.0),
            Self::new(Scenario::lan_four(), 12e-6, 300e-6, 10.0),
            Self::new(Scenario::wan_four(), 80e-6, 1e-3, 35.0),
            Self::new(Scenario::restless(), 120e-6, 2e-3, 10.0),
            Self::new(Scenario::jittery(), 0.1, 0.5, f64::INFINITY).allowing_steps(10),
            // One in a thousand starts with a frequency that is far off.
            Self::new(Scenario::wan_one(), 150e-6, 2e-3, 60.0).allowing_steps(2),
            Self::new(
                Scenario::lan()
                    .with_jitter(Jitter::HalfNormal(0.1e-3))
                    .named("A, half-normal jitter"),
                20e-6,
                400e-6,
                10.0,
            ),
            Self::new(
                Scenario::lan()
                    .with_jitter(Jitter::HeavyTail(0.1e-3))
                    .named("A, a tenth of the packets 10 times as late"),
                25e-6,
                600e-6,
                10.0,
            ),
            Self::new(
                Scenario::lan().with_loss(0.2).named("A, 20 % loss"),
                25e-6,
                400e-6,
                30.0,
            ),
            Self::new(
                Scenario::lan()
                    .starting_at(400e-6)
                    .named("A, clock 400 ppm fast"),
                20e-6,
                400e-6,
                10.0,
            ),
            Self::new(
                Scenario::wan_four()
                    .with_offset(3, 0.05)
                    .named("C, one lies by 50 ms"),
                100e-6,
                1e-3,
                35.0,
            ),
            Self::new(
                Scenario::wan_four()
                    .starting_at(-200e-6)
                    .named("C, clock 200 ppm slow"),
                80e-6,
                1e-3,
                35.0,
            ),
            Self::new(
                Scenario::wan_four()
                    .with_loss(0.3)
                    .lasting(43_200.0)
                    .named("C, 30 % loss, 12 h"),
                110e-6,
                1e-3,
                60.0,
            ),
            Self::new(
                Scenario::wan_one()
                    .knowing_its_drift()
                    .named("F, with a drift file"),
                150e-6,
                2e-3,
                10.0,
            ),
        ]
    }

    /// Runs the scenario with the seeds from 0 on.
    pub fn row(&self, seeds: u64) -> Row {
        let runs: Vec<Record> = (0..seeds).map(|seed| run(&self.scenario, seed)).collect();
        let settled = self.scenario.settled;
        let spread = |value: &dyn Fn(&Record) -> f64| Spread::of(runs.iter().map(value).collect());
        Row {
            name: self.scenario.name,
            bounds: self.bounds,
            rms: spread(&|run| run.rms(settled)),
            greatest: spread(&|run| run.greatest(settled)),
            below_millisecond: spread(&|run| run.below_for_good(1e-3)),
            mean_poll: spread(&Record::mean_poll),
            steps: spread(&|run| run.steps.len() as f64),
            selected: (0..self.scenario.servers.len())
                .map(|server| runs.iter().any(|run| run.selected[server].is_some()))
                .collect(),
        }
    }
}

/// Least, middle and greatest of many values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The least.
    pub least: f64,
    /// As many are below as above.
    pub median: f64,
    /// The greatest.
    pub greatest: f64,
}

impl Spread {
    /// That of some values; NaN of none.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let last = values.len().saturating_sub(1);
        Self {
            least: at(0),
            median: f64::midpoint(at(last / 2), at(values.len() / 2)),
            greatest: at(last),
        }
    }
}

/// What the runs of a case came to.
#[derive(Debug, Clone)]
pub struct Row {
    name: &'static str,
    bounds: Bounds,
    /// Root mean square of the error, s.
    pub rms: Spread,
    /// Greatest error, s.
    pub greatest: Spread,
    /// Time after which the error stays below a millisecond, s.
    pub below_millisecond: Spread,
    /// Time between requests to a server, s.
    pub mean_poll: Spread,
    /// Number of steps.
    pub steps: Spread,
    /// Which servers were ever selected.
    pub selected: Vec<bool>,
}

impl Row {
    /// What stands above the rows.
    pub fn header() -> String {
        format!(
            "{:43} {:>21} {:>21} {:>21} {:>15} {:>5}\n{:43} {:>21} {:>21} {:>21} {:>15}",
            "",
            "RMS error",
            "greatest error",
            "< 1 ms from",
            "mean poll",
            "steps",
            "",
            "µs",
            "µs",
            "s",
            "s"
        )
    }

    /// In what the runs were worse than they may be.
    pub fn shortcomings(&self) -> Vec<String> {
        let bounds = &self.bounds;
        let checks = [
            ("median RMS error", self.rms.median, bounds.rms),
            ("greatest error", self.greatest.greatest, bounds.greatest),
            (
                "median time to 1 ms",
                self.below_millisecond.median,
                bounds.below_millisecond,
            ),
            ("steps", self.steps.greatest, bounds.steps as f64),
        ];
        checks
            .into_iter()
            // What is not a number is no success either.
            .filter(|(_, value, bound)| !matches!(value.partial_cmp(bound), Some(order) if order.is_le()))
            .map(|(what, value, bound)| format!("{}: {what} {value:.3e} > {bound:.3e}", self.name))
            .collect()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let triple = |spread: &Spread, scale: f64| {
            let [a, b, c] = [spread.least, spread.median, spread.greatest].map(|it| it * scale);
            format!("{a:.0} / {b:.0} / {c:.0}")
        };
        write!(
            f,
            "{:43} {:>21} {:>21} {:>21} {:>15} {:>5.0}",
            self.name,
            triple(&self.rms, 1e6),
            triple(&self.greatest, 1e6),
            triple(&self.below_millisecond, 1.0),
            triple(&self.mean_poll, 1.0),
            self.steps.greatest,
        )
    }
}
