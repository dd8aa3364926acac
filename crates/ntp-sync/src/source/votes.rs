//! A score that votes push up and down and that acts when it is far enough from zero.

use std::cmp::Ordering;

/// What a measurement says about a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vote {
    /// It should be less.
    Less,
    /// It should be more.
    More,
    /// It is right.
    Neither,
}

/// The score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Score(i64);

impl Score {
    /// Counts a vote. At `hysteresis` votes net, says what is to be done and begins anew; a
    /// measurement without a vote takes the score one step back to zero.
    pub(super) fn count(&mut self, vote: Vote, hysteresis: u32) -> Ordering {
        self.0 += match vote {
            Vote::Less => -1,
            Vote::More => 1,
            Vote::Neither => -self.0.signum(),
        };
        if self.0.unsigned_abs() < u64::from(hysteresis) {
            return Ordering::Equal;
        }
        let action = self.0.cmp(&0);
        self.0 = 0;
        action
    }

    pub(super) fn reset(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_acts_at_the_hysteresis_and_starts_anew() {
        let mut score = Score::default();
        for _ in 0..2 {
            assert_eq!(score.count(Vote::More, 3), Ordering::Equal);
            assert_eq!(score.count(Vote::More, 3), Ordering::Equal);
            assert_eq!(score.count(Vote::More, 3), Ordering::Greater);
        }
        for expected in [Ordering::Equal, Ordering::Equal, Ordering::Less] {
            assert_eq!(score.count(Vote::Less, 3), expected);
        }
    }

    #[test]
    fn no_vote_pulls_to_zero_and_not_beyond() {
        let mut score = Score::default();
        let _ = score.count(Vote::Less, 3);
        for _ in 0..3 {
            assert_eq!(score.count(Vote::Neither, 3), Ordering::Equal);
        }
        assert_eq!(score, Score::default());
    }

    #[test]
    fn a_reset_forgets() {
        let mut score = Score::default();
        let _ = score.count(Vote::More, 2);
        score.reset();
        assert_eq!(score.count(Vote::More, 2), Ordering::Equal);
    }
}
