//! Numbered host names: `0.pool.example` to `3.pool.example` each stand for a quarter of a level,
//! so that a user who asks all four gets four different sources without saying so.

/// How many numbered host names there are.
pub const BINS: usize = 4;

/// The number at the front of the host name by which a user called the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostLabel(u8);

impl HostLabel {
    /// Reads it from the name that the user sent in TLS; `None` if there is no `0.` to `3.`.
    pub fn of_host(host: &str) -> Option<Self> {
        match host.as_bytes() {
            [digit @ b'0'..=b'3', b'.', _, ..] => Some(Self(digit - b'0')),
            _ => None,
        }
    }

    /// Whether it is `0.`, by which users ask for their first source.
    pub(super) fn is_first(self) -> bool {
        self.0 == 0
    }

    /// The bin that it stands for, below [`BINS`].
    pub fn bin(self) -> usize {
        usize::from(self.0)
    }
}

/// Spreads sources over the bins: the heaviest first, each to the lightest bin.
///
/// Gives each source's bin, in the order of the argument. Weights are the configured ones and ties
/// go by id, so that neither health nor the order of a file moves a source to another bin; bins
/// differ by at most the largest weight.
pub(super) fn assign(sources: &[(u32, &str)]) -> Vec<usize> {
    let mut order: Vec<_> = (0..sources.len()).collect();
    order.sort_by_key(|&at| {
        let (weight, id) = sources[at];
        (std::cmp::Reverse(weight), id)
    });
    let mut bins = vec![0; sources.len()];
    let mut loads = [0_u64; BINS];
    for at in order {
        let lightest = (0..BINS).min_by_key(|bin| loads[*bin]).unwrap_or_default();
        loads[lightest] += u64::from(sources[at].0);
        bins[at] = lightest;
    }
    bins
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_0_to_3_before_a_dot_and_a_name_are_labels() {
        let bin = |host| HostLabel::of_host(host).map(HostLabel::bin);
        assert_eq!(bin("0.pool.example"), Some(0));
        assert_eq!(bin("3.pool.example"), Some(3));
        for host in [
            "4.pool.example",
            "00.pool.example",
            "pool.example",
            "0.",
            "0",
            "",
        ] {
            assert_eq!(bin(host), None, "{host}");
        }
    }

    proptest! {
        #[test]
        fn p12_bins_partition_a_level_and_are_balanced(
            weights in prop::collection::vec(1..=1000_u32, 0..80),
        ) {
            let ids: Vec<_> = (0..weights.len()).map(|at| at.to_string()).collect();
            let sources: Vec<_> =
                weights.iter().copied().zip(ids.iter().map(String::as_str)).collect();
            let bins = assign(&sources);
            prop_assert_eq!(bins.len(), sources.len());
            let mut loads = [0; BINS];
            for (bin, weight) in bins.iter().zip(&weights) {
                loads[*bin] += weight;
            }
            let spread = loads.iter().max().unwrap() - loads.iter().min().unwrap();
            prop_assert!(spread <= weights.iter().copied().max().unwrap_or(0));
        }

        #[test]
        fn p12_the_order_of_sources_does_not_matter(
            weights in prop::collection::vec(1..=9_u32, 0..30),
        ) {
            let ids: Vec<_> = (0..weights.len()).map(|at| at.to_string()).collect();
            let mut sources: Vec<_> =
                weights.iter().copied().zip(ids.iter().map(String::as_str)).collect();
            let forwards = assign(&sources);
            sources.reverse();
            let mut backwards = assign(&sources);
            backwards.reverse();
            prop_assert_eq!(forwards, backwards);
        }
    }
}
