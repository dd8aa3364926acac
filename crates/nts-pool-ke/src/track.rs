//! How a source has done lately, for people who look at the pool: nothing is decided by it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use nts_service::printable::printable;
use tokio::time::Instant;

/// So many exchanges are remembered one by one.
const RECENT: u32 = u128::BITS;
/// No text is longer, in characters.
const LONGEST_TEXT: usize = 200;

/// When something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// In a check without keys.
    Check,
    /// In a user's exchange, before keys were sent.
    BeforeKeys,
    /// In a user's exchange, after keys were sent.
    AfterKeys,
}

impl Occasion {
    /// In words.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::BeforeKeys => "before keys",
            Self::AfterKeys => "after keys",
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Track(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The last exchanges, the latest in the lowest bit; 1 is a success.
    recent: u128,
    exchanges: u64,
    failures: u64,
    last_error: Option<LastError>,
}

/// The last failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LastError {
    /// At which stage.
    pub(crate) occasion: Occasion,
    /// Why; nothing in it that a terminal would obey.
    pub(crate) text: String,
    /// When.
    pub(crate) at: Instant,
}

/// What there is to say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Summary {
    /// Which part of the last 128 users' exchanges was served; `None` before the first.
    pub(crate) success: Option<f64>,
    /// Users' exchanges since the pool knows the source.
    pub(crate) exchanges: u64,
    /// How many of them it failed.
    pub(crate) failures: u64,
    /// The last failure, of an exchange or a check.
    pub(crate) last_error: Option<LastError>,
}

impl Track {
    /// Takes note of a user's exchange.
    pub(crate) fn exchange(&self, served: bool) {
        let mut inner = self.lock();
        inner.recent = inner.recent << 1 | u128::from(served);
        inner.exchanges += 1;
        inner.failures += u64::from(!served);
    }

    /// Remembers why something failed.
    pub(crate) fn failure(&self, occasion: Occasion, text: &str) {
        let text: String = text.chars().take(LONGEST_TEXT).collect();
        let error = LastError {
            occasion,
            text: printable(&text),
            at: Instant::now(),
        };
        self.lock().last_error = Some(error);
    }

    /// What there is to say now.
    pub(crate) fn summary(&self) -> Summary {
        let inner = self.lock();
        let known = u32::try_from(inner.exchanges).map_or(RECENT, |count| count.min(RECENT));
        let served = f64::from(inner.recent.count_ones());
        Summary {
            success: (known > 0).then(|| served / f64::from(known)),
            exchanges: inner.exchanges,
            failures: inner.failures,
            last_error: inner.last_error.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_128_exchanges_count() {
        let track = Track::default();
        assert_eq!(track.summary().success, None);
        for _ in 0..3 {
            track.exchange(true);
        }
        track.exchange(false);
        assert_eq!(track.summary().success, Some(0.75));
        for _ in 0..128 {
            track.exchange(true);
        }
        let summary = track.summary();
        assert_eq!(summary.success, Some(1.0));
        assert_eq!((summary.exchanges, summary.failures), (132, 1));
    }

    #[tokio::test]
    async fn the_last_error_is_short_and_harmless() {
        let track = Track::default();
        track.failure(Occasion::Check, "first");
        track.failure(Occasion::AfterKeys, &"\u{1b}".repeat(300));
        let error = track.summary().last_error.unwrap();
        assert_eq!(error.occasion, Occasion::AfterKeys);
        assert_eq!(error.text, "\\u{1b}".repeat(200));
    }
}
