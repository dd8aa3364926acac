//! What is remembered of a run, and what can be asked of it.

use ntp_sync::action::Panic;
use ntp_sync::{Report, SystemSnapshot};
use nts_proto::ntp::header::LeapIndicator;

/// A run of a world. Times are true times in seconds.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// The clock's error at each full second, s; the first one at one second.
    pub errors: Vec<f64>,
    /// How much too fast the steered clock ran at each full second, s/s.
    pub frequency_errors: Vec<f64>,
    /// Steps, s.
    pub steps: Vec<(f64, f64)>,
    /// Requests to each server.
    pub requests: Vec<u64>,
    /// When each server's source was selected last.
    pub selected: Vec<Option<f64>>,
    /// What the controller reported.
    pub reports: Vec<(f64, Report)>,
    /// What the kernel was told about leap seconds.
    pub leaps: Vec<(f64, LeapIndicator)>,
    /// The end, if the controller gave up.
    pub panic: Option<Panic>,
    /// Greatest frequency that the clock was set to, s/s.
    pub greatest_steer: f64,
    /// Updates of a synchronised clock, and at how many of them the error was beyond the root
    /// distance.
    pub updates: u64,
    /// See `updates`.
    pub beyond_root_distance: u64,
    /// What the controller knew in the end.
    pub last: Option<SystemSnapshot>,
}

impl Record {
    /// The errors from second `from` on.
    pub fn after(&self, from: f64) -> &[f64] {
        self.between(from, f64::INFINITY)
    }

    /// The errors from second `from` to second `to`.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the casts saturate, and the ends are cut to what there is"
    )]
    pub fn between(&self, from: f64, to: f64) -> &[f64] {
        let index = |second: f64| ((second.max(1.0) - 1.0) as usize).min(self.errors.len());
        self.errors.get(index(from)..index(to)).unwrap_or_default()
    }

    /// Root mean square of the errors from a second on, s.
    pub fn rms(&self, from: f64) -> f64 {
        root_mean_square(self.after(from))
    }

    /// Greatest error from a second on, s.
    pub fn greatest(&self, from: f64) -> f64 {
        self.after(from)
            .iter()
            .copied()
            .map(f64::abs)
            .fold(0.0, f64::max)
    }

    /// The second from which on the error stays below `bound` (s).
    pub fn below_for_good(&self, bound: f64) -> f64 {
        let last = self.errors.iter().rposition(|error| error.abs() >= bound);
        last.map_or(1.0, |index| index as f64 + 2.0)
    }

    /// Mean time between requests to a server, s.
    pub fn mean_poll(&self) -> f64 {
        let requests: u64 = self.requests.iter().sum();
        self.errors.len() as f64 * self.requests.len() as f64 / requests.max(1) as f64
    }
}

/// Root mean square.
pub fn root_mean_square(values: &[f64]) -> f64 {
    let squares: f64 = values.iter().map(|value| value * value).sum();
    (squares / values.len().max(1) as f64).sqrt()
}
