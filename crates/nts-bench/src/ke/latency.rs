//! How long exchanges took.

use std::time::Duration;

use serde::Serialize;

/// Milliseconds from the start of the connection to the whole answer, that so many per cent of the
/// exchanges did not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

impl Latency {
    /// Of these times, which are put in order; `None` if there are none.
    pub(super) fn of(times: &mut [Duration]) -> Option<Self> {
        times.sort_unstable();
        let last = times.len().checked_sub(1)?;
        let at =
            |percent: usize| times[(times.len() * percent / 100).min(last)].as_secs_f64() * 1e3;
        Some(Self {
            p50: at(50),
            p90: at(90),
            p99: at(99),
            max: at(100),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_per_cent_are_not_longer() {
        let mut times: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        let expected = Latency {
            p50: 101.0,
            p90: 181.0,
            p99: 199.0,
            max: 200.0,
        };
        assert_eq!(Latency::of(&mut times), Some(expected));
        assert_eq!(Latency::of(&mut []), None);
    }
}
