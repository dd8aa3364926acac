//! How long to wait before a name of plain NTP servers is looked up again. Pure.
//!
//! The waits between key exchanges are another rule: `nts_proto::association::backoff`.

use std::time::Duration;

/// Wait after the first failure; it doubles with each further one.
const FIRST: Duration = Duration::from_secs(1);

/// Longest wait that doubling reaches.
const DOUBLED: Duration = Duration::from_secs(64);

/// Wait after that.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Counts look-ups in a row that were of no use.
#[derive(Clone, Debug, Default)]
pub(super) struct LookUpBackoff {
    failures: u32,
}

impl LookUpBackoff {
    /// Notes a failure and gives the wait before the next try: 1 s, doubling to 64 s, then 15 min.
    pub(super) fn fail(&mut self) -> Duration {
        let wait = 2_u32
            .checked_pow(self.failures)
            .and_then(|factor| FIRST.checked_mul(factor))
            .filter(|wait| *wait <= DOUBLED)
            .unwrap_or(LONGEST);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// Forgets all failures.
    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_64_seconds_then_are_15_minutes() {
        let mut backoff = LookUpBackoff::default();
        let waits: Vec<u64> = (0..100).map(|_| backoff.fail().as_secs()).collect();
        assert_eq!(waits[..9], [1, 2, 4, 8, 16, 32, 64, 900, 900]);
        assert!(waits[9..].iter().all(|wait| *wait == 900));
        backoff.reset();
        assert_eq!(backoff.fail(), Duration::from_secs(1));
    }
}
