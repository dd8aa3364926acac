//! When to poll: the interval, its limits, the burst at the start, and what a source demands
//! (RFC 5905 §7.4, §13).

/// The greatest exponent that cookies survive: a cookie is used some eight polls after it was
/// issued, and sources keep their master keys for about a week.
const GREATEST_EXPONENT: i8 = 17;

/// Least and greatest poll interval, log2 of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollLimits {
    min: i8,
    max: i8,
}

/// Poll limits that are not `0 ≤ min ≤ max ≤ 17`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("poll interval limits must be 0 ≤ min ≤ max ≤ 17 (log2 of seconds)")]
pub struct InvalidPollLimits;

impl PollLimits {
    /// Takes both limits, log2 of seconds.
    ///
    /// # Errors
    /// [`InvalidPollLimits`] unless `0 ≤ min ≤ max ≤ 17`.
    pub const fn new(min: i8, max: i8) -> Result<Self, InvalidPollLimits> {
        if 0 <= min && min <= max && max <= GREATEST_EXPONENT {
            Ok(Self { min, max })
        } else {
            Err(InvalidPollLimits)
        }
    }

    /// The least interval, log2 of seconds.
    pub const fn min(self) -> i8 {
        self.min
    }

    /// The greatest interval, log2 of seconds.
    pub const fn max(self) -> i8 {
        self.max
    }
}

impl Default for PollLimits {
    /// 16 s to 1024 s.
    fn default() -> Self {
        Self { min: 4, max: 10 }
    }
}
