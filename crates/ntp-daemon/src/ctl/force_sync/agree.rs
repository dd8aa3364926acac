//! Whether enough sources say the same. Pure.

use ntp_sync::selection::{Agreement, Interval};

/// How far from its offset a source's time may be, s: enough for a clock set by hand, and little
/// enough to tell a wrong source from right ones.
const RADIUS: f64 = 0.5;

/// What the sources agree on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Agreed {
    /// How far the clock is behind, s.
    pub(super) offset: f64,
    /// How many say so.
    pub(super) agreeing: usize,
    /// Of how many that answered.
    pub(super) measured: usize,
}

/// Too few agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{agreeing} of {measured} sources that answered agree, {needed} must \
     (minimum-agreeing-sources, and at least half of those configured); the clock was not touched"
)]
pub(super) struct Disagreement {
    agreeing: usize,
    measured: usize,
    needed: usize,
}

impl Agreed {
    /// The mean of the offsets, s, of those sources that agree: at least `minimum`, and half of
    /// the `expected` ones.
    ///
    /// # Errors
    /// [`Disagreement`]
    pub(super) fn of(
        offsets: &[f64],
        expected: usize,
        minimum: usize,
    ) -> Result<Self, Disagreement> {
        let intervals: Vec<Interval> = offsets
            .iter()
            .map(|offset| Interval::around(*offset, RADIUS))
            .collect();
        let agreement = Agreement::of(&intervals);
        let needed = minimum.max(expected.div_ceil(2)).max(1);
        let (agreeing, measured) = (agreement.agreeing, offsets.len());
        // Two groups of the same size are no agreement.
        if agreeing < needed || 2 * agreeing <= measured {
            return Err(Disagreement {
                agreeing,
                measured,
                needed: needed.max(measured / 2 + 1),
            });
        }
        let chosen = offsets.iter().zip(&agreement.chosen);
        let chosen: Vec<f64> = chosen
            .filter(|(_, chosen)| **chosen)
            .map(|(offset, _)| *offset)
            .collect();
        Ok(Self {
            offset: chosen.iter().sum::<f64>() / chosen.len() as f64,
            agreeing,
            measured,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_agree_are_averaged_and_a_liar_left_out() {
        let agreed = Agreed::of(&[90_000.1, 90_000.3, 5.0], 3, 2).unwrap();
        assert!((agreed.offset - 90_000.2).abs() < 1e-9, "{agreed:?}");
        assert_eq!((agreed.agreeing, agreed.measured), (2, 3));
    }

    #[test]
    fn too_few_are_refused() {
        for (offsets, expected, minimum) in [
            (&[][..], 1, 1),
            (&[1.0], 1, 2),
            (&[1.0], 3, 1),
            (&[1.0, 1.1, 9.0, 9.1], 4, 1),
            (&[1.0, 2.1, 3.2], 3, 2),
        ] {
            let result = Agreed::of(offsets, expected, minimum);
            assert!(result.is_err(), "{offsets:?}: {result:?}");
        }
        assert_eq!(
            Agreed::of(&[1.0, 9.0], 4, 3).unwrap_err().to_string(),
            "1 of 2 sources that answered agree, 3 must (minimum-agreeing-sources, and at least \
             half of those configured); the clock was not touched"
        );
    }
}
