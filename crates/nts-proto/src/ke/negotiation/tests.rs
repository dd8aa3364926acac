use proptest::prelude::*;

use super::super::testing::text;
use super::*;

fn request(protocols: &[u16], algorithms: &[u16], compliant_exporter: bool) -> KeyExchangeRequest {
    KeyExchangeRequest {
        protocols: protocols.iter().copied().map(ProtocolId::from).collect(),
        algorithms: algorithms
            .iter()
            .copied()
            .map(AeadAlgorithm::from)
            .collect(),
        denied: Vec::new(),
        compliant_exporter,
    }
}

fn source(protocols: Option<&[u16]>, algorithms: &[(u16, u16)]) -> InfoResponse {
    InfoResponse {
        protocols: protocols.map(|list| list.iter().copied().map(ProtocolId::from).collect()),
        algorithms: Some(
            algorithms
                .iter()
                .map(|(id, length)| (AeadAlgorithm::from(*id), *length))
                .collect(),
        ),
        server_names: Vec::new(),
        keep_alive: false,
    }
}

fn capabilities(algorithms: &[(u16, u16)]) -> Capabilities {
    let info = source(Some(&[0]), algorithms);
    Capabilities::from_info(&info, UnknownAlgorithms::Allow).unwrap()
}

fn listed(capabilities: &Capabilities) -> Vec<(u16, usize)> {
    capabilities
        .algorithms()
        .iter()
        .map(|(id, length)| (id.code(), *length))
        .collect()
}

/// Algorithm and key length that come of an offer; or the answer that refuses it.
fn check(
    request: &KeyExchangeRequest,
    supported: &Capabilities,
    expected: Result<(u16, usize), &str>,
) {
    let chosen = negotiate(request, supported)
        .map(|negotiated| (negotiated.algorithm().code(), negotiated.key_length()))
        .map_err(|refusal| text(refusal.encode()));
    assert_eq!(chosen, expected.map_err(str::to_owned), "{request:?}");
}

const NO_PROTOCOL: &str = "8001000080000000";
const NO_ALGORITHM: &str = "8001000200008004000080000000";

#[test]
fn the_users_first_that_is_supported_is_chosen() {
    let ours = Capabilities::ours();
    check(&request(&[0], &[15], false), &ours, Ok((15, 32)));
    check(&request(&[0], &[17, 15], false), &ours, Ok((17, 64)));
    check(&request(&[0], &[15, 17], false), &ours, Ok((15, 32)));
    check(
        &request(&[0x8001, 0], &[99, 16, 17, 15], false),
        &ours,
        Ok((17, 64)),
    );
    check(&request(&[0], &[16, 99], false), &ours, Err(NO_ALGORITHM));
    check(&request(&[0], &[], false), &ours, Err(NO_ALGORITHM));
    check(&request(&[0x8001], &[15], false), &ours, Err(NO_PROTOCOL));
}

#[test]
fn aead_30_is_for_users_with_the_right_exporter_context() {
    let source = capabilities(&[(15, 32), (30, 16)]);
    check(&request(&[0], &[30, 15], true), &source, Ok((30, 16)));
    check(&request(&[0], &[30, 15], false), &source, Ok((15, 32)));
    check(&request(&[0], &[30], false), &source, Err(NO_ALGORITHM));
    check(
        &request(&[0], &[30, 15], true),
        &Capabilities::ours(),
        Ok((15, 32)),
    );
    let chosen = |compliant| negotiate(&request(&[0], &[30, 15], compliant), &source).unwrap();
    assert!(chosen(true).compliant_exporter());
    assert!(!chosen(false).compliant_exporter());
}

#[test]
fn what_sources_announce_is_checked() {
    let source = capabilities(&[
        (15, 32),
        (17, 32),
        (30, 16),
        (99, 16),
        (98, 64),
        (97, 15),
        (96, 65),
    ]);
    assert_eq!(listed(&source), [(15, 32), (30, 16), (99, 16), (98, 64)]);
    let unusable: Vec<_> = source
        .unusable()
        .iter()
        .map(|(id, n)| (id.code(), *n))
        .collect();
    assert_eq!(unusable, [(17, 32), (97, 15), (96, 65)]);
    check(&request(&[0], &[17, 99], false), &source, Ok((99, 16)));
}

#[test]
fn unknown_algorithms_can_be_left_out() {
    let info = self::source(Some(&[0]), &[(99, 32), (15, 32)]);
    let source = Capabilities::from_info(&info, UnknownAlgorithms::Forbid).unwrap();
    assert_eq!(listed(&source), [(15, 32)]);
}

#[test]
fn sources_that_contradict_themselves_are_ignored() {
    let info = source(Some(&[0]), &[(15, 32), (99, 32), (99, 16)]);
    let error = Capabilities::from_info(&info, UnknownAlgorithms::Forbid).unwrap_err();
    assert_eq!(error, ConflictingKeyLengths(AeadAlgorithm::Unknown(99)));
    assert_eq!(listed(&capabilities(&[(15, 32), (15, 32)])), [(15, 32)]);
}

#[test]
fn only_ntpv4_has_a_rule_for_the_exporter() {
    for (protocols, expected) in [
        (None, Ok((15, 32))),
        (Some(&[0x8001, 0][..]), Ok((15, 32))),
        (Some(&[0x8001]), Err(NO_PROTOCOL)),
        (Some(&[]), Err(NO_PROTOCOL)),
    ] {
        let info = source(protocols, &[(15, 32)]);
        let source = Capabilities::from_info(&info, UnknownAlgorithms::Allow).unwrap();
        check(&request(&[0x8001, 0], &[15], false), &source, expected);
    }
}

#[test]
fn endless_lists_are_cut() {
    let many: Vec<_> = (100..1100).map(|id| (id, 32)).collect();
    assert_eq!(listed(&capabilities(&many)).len(), MAX_LISTED);
}

proptest! {
    #[test]
    fn what_is_chosen_was_offered_is_supported_and_has_a_sound_key(
        protocols in prop::collection::vec(0_u16..3, 1..4),
        algorithms in prop::collection::vec(14_u16..33, 0..6),
        announced in prop::collection::vec((14_u16..33, 0_u16..70), 0..6),
        compliant: bool,
    ) {
        let info = source(Some(&[0, 1]), &announced);
        let Ok(source) = Capabilities::from_info(&info, UnknownAlgorithms::Allow) else {
            return Ok(());
        };
        let request = request(&protocols, &algorithms, compliant);
        if let Ok(chosen) = negotiate(&request, &source) {
            prop_assert_eq!(chosen.protocol(), ProtocolId::Ntpv4);
            prop_assert!(request.protocols.contains(&chosen.protocol()));
            prop_assert!(request.algorithms.contains(&chosen.algorithm()));
            prop_assert!((16..=64).contains(&chosen.key_length()));
            let entry = (chosen.algorithm().code(), u16::try_from(chosen.key_length()).unwrap());
            prop_assert!(announced.contains(&entry));
            prop_assert!(compliant || !chosen.compliant_exporter());
        }
    }
}
