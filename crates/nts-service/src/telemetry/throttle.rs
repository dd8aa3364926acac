//! Keeps strangers from filling the log.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// Lets at most `burst` lines per interval through and counts the rest.
#[derive(Debug)]
pub struct Throttle {
    interval: Duration,
    burst: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    began: Option<Instant>,
    passed: u32,
    held_back: u64,
}

impl Throttle {
    /// At most `burst` lines in each `interval`.
    pub const fn new(burst: u32, interval: Duration) -> Self {
        let state = State {
            began: None,
            passed: 0,
            held_back: 0,
        };
        Self {
            interval,
            burst,
            state: Mutex::new(state),
        }
    }

    /// `Some(n)` if a line may be written now, `n` others having been held back before it.
    pub fn pass(&self) -> Option<u64> {
        let now = Instant::now();
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if state
            .began
            .is_none_or(|began| now.duration_since(began) >= self.interval)
        {
            state.began = Some(now);
            state.passed = 0;
        }
        if state.passed >= self.burst {
            state.held_back += 1;
            return None;
        }
        state.passed += 1;
        Some(std::mem::take(&mut state.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn passes_a_burst_per_interval_and_counts_the_rest() {
        let throttle = Throttle::new(2, Duration::from_secs(60));
        let passed: Vec<_> = (0..5).map(|_| throttle.pass()).collect();
        assert_eq!(passed, [Some(0), Some(0), None, None, None]);
        advance(Duration::from_millis(59_999)).await;
        assert_eq!(throttle.pass(), None);
        advance(Duration::from_millis(1)).await;
        assert_eq!(throttle.pass(), Some(4));
        assert_eq!(throttle.pass(), Some(0));
    }
}
