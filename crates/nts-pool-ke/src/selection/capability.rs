//! Whether a source can serve what a user offers: two bit masks, ready before the pick.
//!
//! This only says *whether* `nts_proto::ke::negotiation::negotiate` will find something, fast
//! enough to ask it of many sources; what is chosen stays that function's business.

use nts_proto::code_points::{AeadAlgorithm, ProtocolId};
use nts_proto::ke::negotiation::Capabilities;
use nts_proto::ke::request::KeyExchangeRequest;

/// A set of code points: a bit for each of 0–63, which all that are in use fit into, and a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct CodePoints {
    small: u64,
    others: Box<[u16]>,
}

impl CodePoints {
    fn intersects(&self, other: &Self) -> bool {
        self.small & other.small != 0 || self.others.iter().any(|code| other.others.contains(code))
    }

    fn union(&self, other: &Self) -> Self {
        self.iter().chain(other.iter()).collect()
    }

    fn iter(&self) -> impl Iterator<Item = u16> {
        let small = (0..64_u16).filter(|code| self.small & (1 << code) != 0);
        small.chain(self.others.iter().copied())
    }
}

impl FromIterator<u16> for CodePoints {
    fn from_iter<I: IntoIterator<Item = u16>>(codes: I) -> Self {
        let mut small = 0;
        let mut others = Vec::new();
        for code in codes {
            match code {
                0..64 => small |= 1 << code,
                code if others.contains(&code) => {}
                code => others.push(code),
            }
        }
        Self {
            small,
            others: others.into(),
        }
    }
}

/// What one source supports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supported {
    protocols: CodePoints,
    algorithms: CodePoints,
}

impl From<&Capabilities> for Supported {
    fn from(capabilities: &Capabilities) -> Self {
        let codes = |(algorithm, _): &(AeadAlgorithm, _)| algorithm.code();
        Self {
            protocols: capabilities
                .protocols()
                .iter()
                .map(|id| id.code())
                .collect(),
            algorithms: capabilities.algorithms().iter().map(codes).collect(),
        }
    }
}

/// What one user offers, as far as it may be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    protocols: CodePoints,
    algorithms: CodePoints,
}

impl From<&KeyExchangeRequest> for Offer {
    fn from(request: &KeyExchangeRequest) -> Self {
        let usable = |algorithm: &&AeadAlgorithm| {
            request.compliant_exporter || **algorithm != AeadAlgorithm::Aes128GcmSiv
        };
        Self {
            protocols: request.protocols.iter().map(|id| id.code()).collect(),
            algorithms: request
                .algorithms
                .iter()
                .filter(usable)
                .map(|id| id.code())
                .collect(),
        }
    }
}

impl Offer {
    /// Whether a source that supports this can serve the user.
    pub fn matches(&self, supported: &Supported) -> bool {
        self.protocols.intersects(&supported.protocols)
            && self.algorithms.intersects(&supported.algorithms)
    }
}

/// What the whole pool and one user do not have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NothingInCommon {
    /// No protocol.
    Protocol,
    /// This protocol, but no AEAD algorithm together with it.
    Algorithm(ProtocolId),
}

/// Whether the user has to be told that nothing is in common with any source of the pool.
///
/// `pool` gives what every source supports, `None` where it is not known: such a source may be
/// the one, so the answer then is `None`. It also is `None` for a pool without sources.
pub fn nothing_in_common<'a>(
    offer: &Offer,
    pool: impl IntoIterator<Item = Option<&'a Supported>>,
) -> Option<NothingInCommon> {
    let mut protocols = CodePoints::default();
    let mut empty = true;
    for supported in pool {
        let supported = supported?;
        if offer.matches(supported) {
            return None;
        }
        protocols = protocols.union(&supported.protocols);
        empty = false;
    }
    if empty {
        return None;
    }
    let common = offer
        .protocols
        .iter()
        .find(|code| protocols.iter().any(|other| other == *code));
    Some(common.map_or(NothingInCommon::Protocol, |code| {
        NothingInCommon::Algorithm(code.into())
    }))
}

#[cfg(test)]
mod tests {
    use nts_proto::ke::negotiation::negotiate;
    use proptest::prelude::*;

    use super::*;

    fn supported(protocols: &[u16], algorithms: &[u16]) -> Supported {
        Supported {
            protocols: protocols.iter().copied().collect(),
            algorithms: algorithms.iter().copied().collect(),
        }
    }

    fn request(protocols: &[u16], algorithms: &[u16], exporter: bool) -> KeyExchangeRequest {
        KeyExchangeRequest {
            protocols: protocols.iter().map(|code| (*code).into()).collect(),
            algorithms: algorithms.iter().map(|code| (*code).into()).collect(),
            denied: Vec::new(),
            compliant_exporter: exporter,
        }
    }

    #[test]
    fn one_common_protocol_and_algorithm_is_enough() {
        let offer = Offer::from(&request(&[0x8001, 0], &[17, 15], false));
        assert!(offer.matches(&supported(&[0], &[15])));
        assert!(!offer.matches(&supported(&[0], &[16, 30])));
        assert!(!offer.matches(&supported(&[1], &[15])));
        assert!(!offer.matches(&Supported::default()));
    }

    #[test]
    fn numbers_above_63_are_compared_too() {
        let offer = Offer::from(&request(&[0], &[64, 4711], false));
        assert!(offer.matches(&supported(&[0], &[4711])));
        assert!(!offer.matches(&supported(&[0], &[0, 65])));
    }

    #[test]
    fn algorithm_30_needs_the_right_exporter_context() {
        let ours = supported(&[0], &[30]);
        assert!(!Offer::from(&request(&[0], &[30], false)).matches(&ours));
        assert!(Offer::from(&request(&[0], &[30], true)).matches(&ours));
    }

    #[test]
    fn only_a_pool_without_any_match_has_nothing_in_common() {
        let offer = Offer::from(&request(&[0], &[15], false));
        let (fits, other, alien) = (
            supported(&[0], &[15]),
            supported(&[0], &[17]),
            supported(&[7], &[15]),
        );
        let ask = |pool: &[Option<&Supported>]| nothing_in_common(&offer, pool.iter().copied());
        assert_eq!(ask(&[Some(&other), Some(&fits)]), None);
        assert_eq!(ask(&[Some(&other), None]), None);
        assert_eq!(ask(&[]), None);
        assert_eq!(ask(&[Some(&alien)]), Some(NothingInCommon::Protocol));
        assert_eq!(
            ask(&[Some(&alien), Some(&other)]),
            Some(NothingInCommon::Algorithm(ProtocolId::Ntpv4))
        );
    }

    proptest! {
        #[test]
        fn p05_the_masks_say_what_negotiation_finds(
            offered in prop::collection::vec(
                prop::sample::select(vec![15_u16, 16, 17, 30, 31]), 0..5),
            has in prop::collection::vec(
                prop::sample::select(vec![15_u16, 16, 17, 30, 31]), 0..5),
            protocols in prop::collection::vec(0..3_u16, 0..3),
            exporter in any::<bool>(),
        ) {
            let request = request(&protocols, &offered, exporter);
            let has: Vec<_> = has.into_iter().map(AeadAlgorithm::from).collect();
            let capabilities = Capabilities::ntpv4(&has);
            prop_assert_eq!(
                Offer::from(&request).matches(&Supported::from(&capabilities)),
                negotiate(&request, &capabilities).is_ok()
            );
        }
    }
}
