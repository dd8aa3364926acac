//! The operator cap: how much of a level one operator may attract.

/// A level with fewer operators is not capped: there would be too little to choose from.
pub(super) const FEWEST_CAPPED: usize = 4;

/// The largest part of a level that one operator may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperatorShare {
    millionths: u32,
}

impl OperatorShare {
    /// Everything: no cap.
    pub const UNLIMITED: Self = Self {
        millionths: 1_000_000,
    };

    /// The fraction that it is.
    pub fn fraction(self) -> f64 {
        f64::from(self.millionths) / 1e6
    }

    /// A fraction, more than 0 and at most 1, taken to the nearest millionth above 0.
    pub fn from_fraction(fraction: f64) -> Option<Self> {
        if !(fraction > 0.0 && fraction <= 1.0) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and a million"
        )]
        let millionths = (fraction * 1e6).round() as u32;
        Some(Self {
            millionths: millionths.max(1),
        })
    }
}

/// The weight down to which every heavier operator has to be reduced, so that none has more than
/// its share of what then is the total. `None` if nobody is too heavy.
///
/// This is water-filling: what the capped lose, the others gain in proportion, and their weights
/// stay as they are. If there are too few operators for so small a share, all become equal.
pub(super) fn ceiling(totals: impl IntoIterator<Item = u64>, share: OperatorShare) -> Option<u64> {
    let mut totals: Vec<u128> = totals.into_iter().map(u128::from).collect();
    if totals.len() < FEWEST_CAPPED {
        return None;
    }
    totals.sort_unstable_by(|one, other| other.cmp(one));
    let smallest = *totals.last()?;
    let share = u128::from(share.millionths);
    let mut uncapped: u128 = totals.iter().sum();
    let mut left = 1_000_000;
    for (capped, total) in totals.into_iter().enumerate() {
        // Each of the `capped` heavier operators gets its share, the others divide what is left.
        match (share * uncapped).checked_div(left) {
            Some(ceiling) if total <= ceiling => {
                return (capped > 0).then(|| u64::try_from(ceiling).ok())?;
            }
            _ => {}
        }
        uncapped -= total;
        left = left.saturating_sub(share);
    }
    u64::try_from(smallest).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quarter() -> OperatorShare {
        OperatorShare::from_fraction(0.25).unwrap()
    }

    #[test]
    fn a_share_is_a_fraction() {
        for fraction in [0.0, -0.5, 1.000_001, f64::NAN, f64::INFINITY] {
            assert_eq!(OperatorShare::from_fraction(fraction), None);
        }
        assert_eq!(
            OperatorShare::from_fraction(1.0),
            Some(OperatorShare::UNLIMITED)
        );
        assert_eq!(quarter().millionths, 250_000);
        assert_eq!(quarter().fraction(), 0.25);
        assert_eq!(OperatorShare::from_fraction(1e-9).unwrap().millionths, 1);
    }

    #[test]
    fn one_heavy_operator_is_reduced_to_its_share() {
        // 100 is a quarter of 100 + 100 + 100 + 100.
        assert_eq!(ceiling([900, 100, 100, 100], quarter()), Some(100));
        // 200 is a quarter of 200 + 6 × 100.
        assert_eq!(
            ceiling([900, 100, 100, 100, 100, 100, 100], quarter()),
            Some(200)
        );
        // The second one is too heavy only after the first was reduced.
        assert_eq!(ceiling([1000, 260, 200, 200, 200], quarter()), Some(286));
        assert_eq!(ceiling([1000, 320, 200, 200, 200], quarter()), Some(300));
    }

    #[test]
    fn what_is_within_its_share_stays() {
        assert_eq!(ceiling([100, 100, 100, 100], quarter()), None);
        assert_eq!(ceiling([130, 100, 100, 100, 100], quarter()), None);
        assert_eq!(ceiling([900, 1, 1, 1], OperatorShare::UNLIMITED), None);
    }

    #[test]
    fn fewer_than_four_operators_are_not_capped() {
        assert_eq!(ceiling([], quarter()), None);
        assert_eq!(ceiling([900, 1, 1], quarter()), None);
    }

    #[test]
    fn a_share_that_cannot_be_makes_all_equal() {
        let tenth = OperatorShare::from_fraction(0.1).unwrap();
        assert_eq!(ceiling([50, 40, 30, 20, 10], tenth), Some(10));
    }

    #[test]
    fn p11_the_largest_weights_do_not_overflow() {
        let heavy = u64::MAX / 100;
        assert_eq!(ceiling(vec![heavy; 100], quarter()), None);
        assert_eq!(ceiling([heavy * 90, 1, 1, 1], quarter()), Some(1));
    }

    proptest! {
        #[test]
        fn p13_no_operator_has_more_than_its_share_and_no_less_than_it_must(
            totals in prop::collection::vec(1..1_000_000_000_u64, FEWEST_CAPPED..40),
            fraction in 0.01..1.0_f64,
        ) {
            let share = OperatorShare::from_fraction(fraction).unwrap();
            let ceiling = ceiling(totals.iter().copied(), share);
            let reduced: Vec<_> =
                totals.iter().map(|total| (*total).min(ceiling.unwrap_or(u64::MAX))).collect();
            let sum: u64 = reduced.iter().sum();
            // The least that the largest can have is an equal part.
            let allowed = fraction.max(1.0 / totals.len() as f64) * sum as f64;
            let largest = *reduced.iter().max().unwrap() as f64;
            let rounding = totals.len() as f64 + sum as f64 * 1e-6;
            prop_assert!(largest <= allowed + rounding, "{largest} > {allowed}");
            if ceiling.is_some() {
                prop_assert!(largest >= allowed - rounding, "{largest} < {allowed}");
            }
        }
    }
}
