//! Which of the last polls were answered (RFC 5905 §9.2, `peer.reach`).

use std::fmt;

/// The eight-bit shift register of answered polls, the last one in the lowest bit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ReachRegister(u8);

impl ReachRegister {
    /// The register as a number, as other programs show it (often in octal).
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether any of the last eight polls was answered.
    pub const fn is_reachable(self) -> bool {
        self.0 != 0
    }

    /// Polls since the last answer, 0–8.
    pub const fn unanswered_polls(self) -> u32 {
        self.0.trailing_zeros()
    }

    /// A poll is sent.
    pub(super) const fn shift(&mut self) {
        self.0 <<= 1;
    }

    /// The last poll is answered.
    pub(super) const fn mark(&mut self) {
        self.0 |= 1;
    }
}

impl fmt::Debug for ReachRegister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReachRegister({:08b})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_for_eight_polls() {
        let mut reach = ReachRegister::default();
        assert!(!reach.is_reachable());
        assert_eq!(reach.unanswered_polls(), 8);
        reach.shift();
        reach.mark();
        assert_eq!((reach.bits(), reach.unanswered_polls()), (1, 0));
        for lost in 1..8 {
            reach.shift();
            assert!(reach.is_reachable());
            assert_eq!(reach.unanswered_polls(), lost);
        }
        reach.shift();
        assert!(!reach.is_reachable());
        assert_eq!(reach.unanswered_polls(), 8);
    }
}
