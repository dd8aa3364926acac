//! The choice of a time source: pure, so that its laws can be tested with seeded randomness.
//!
//! Nothing here connects, waits or knows a clock. A random source is an argument; callers hand in a
//! cryptographic one, because predictable picks help targeted attacks.

use rand::{CryptoRng, RngExt as _};

/// What selection may know of one source for one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Share of the picks; 0 is never picked.
    pub(crate) weight: u32,
    /// The user denied one of this source's names.
    pub(crate) denied: bool,
    /// The source failed lately and has not proved itself since.
    pub(crate) aside: bool,
    /// Not usable in this exchange: tried before, or known to share nothing with the user's offer.
    pub(crate) excluded: bool,
}

/// How good a pick is. Tiers are tried in this order; a later one only when all before are empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// Not denied, not set aside.
    Wanted,
    /// Denied by the user: a repeated source is better than a failed exchange (protocol §3.7).
    Denied,
    /// Set aside after failures, and not denied.
    Aside,
    /// Set aside and denied.
    AsideDenied,
}

impl Tier {
    /// All tiers, best first.
    pub(crate) const IN_ORDER: [Self; 4] =
        [Self::Wanted, Self::Denied, Self::Aside, Self::AsideDenied];

    fn holds(self, standing: &Standing) -> bool {
        let (denied, aside) = match self {
            Self::Wanted => (false, false),
            Self::Denied => (true, false),
            Self::Aside => (false, true),
            Self::AsideDenied => (true, true),
        };
        !standing.excluded && standing.denied == denied && standing.aside == aside
    }

    /// The name of this tier in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Wanted => "wanted",
            Self::Denied => "denied",
            Self::Aside => "aside",
            Self::AsideDenied => "aside_denied",
        }
    }
}

/// One picked source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pick {
    /// Position in the slice that was given to [`pick`].
    pub(crate) index: usize,
    /// The tier it came from.
    pub(crate) tier: Tier,
}

/// Draws one source, in exact proportion to the weights of the best tier that has any.
///
/// Returns `None` when every source is excluded or weighs nothing.
pub(crate) fn pick(standings: &[Standing], rng: &mut impl CryptoRng) -> Option<Pick> {
    Tier::IN_ORDER.into_iter().find_map(|tier| {
        let index = draw(standings, |standing| tier.holds(standing), rng)?;
        Some(Pick { index, tier })
    })
}

fn draw(
    standings: &[Standing],
    eligible: impl Fn(&Standing) -> bool,
    rng: &mut impl CryptoRng,
) -> Option<usize> {
    let weight = |standing: &Standing| u64::from(standing.weight) * u64::from(eligible(standing));
    let total: u64 = standings.iter().map(weight).sum();
    if total == 0 {
        return None;
    }
    let mut ticket = rng.random_range(0..total);
    standings.iter().position(|standing| {
        let weight = weight(standing);
        let won = ticket < weight;
        ticket = ticket.saturating_sub(weight);
        won
    })
}

#[cfg(test)]
mod tests;
