//! What holds for any request.

use super::*;

proptest! {
    #[test]
    fn any_octets_are_survived(
        datagram in prop::collection::vec(any::<u8>(), 0..400),
        request_like: bool,
    ) {
        let mut datagram = datagram;
        if request_like && !datagram.is_empty() {
            datagram[0] = 0x23;
        }
        if let Ok(answer) = Server::default().answer(&datagram) {
            prop_assert!(answer.bytes.len() <= datagram.len());
            prop_assert!(!answer.authenticated);
        }
    }

    #[test]
    fn a_genuine_request_with_anything_changed_is_survived(
        position: prop::sample::Index,
        octets in prop::collection::vec(any::<u8>(), 1..8),
        cut in 0_usize..400,
    ) {
        let mut datagram = exchange::request();
        let position = position.index(datagram.len());
        for (place, octet) in datagram[position..].iter_mut().zip(octets) {
            *place = octet;
        }
        datagram.truncate(cut);
        if let Ok(answer) = Server::default().answer(&datagram) {
            prop_assert!(answer.bytes.len() <= datagram.len());
            prop_assert!(!answer.authenticated || datagram == exchange::request());
        }
    }

    #[test]
    fn drafts_never_get_more_than_they_sent(
        algorithm in prop::sample::select(vec![15_u16, 17, 30]),
        identifier in 32_usize..100,
        placeholders in prop::collection::vec(60_usize..180, 0..12),
        genuine in 0_usize..12,
        hidden in prop::collection::vec((0x0300_u16..0x0306, 0_usize..180), 0..5),
    ) {
        let mut draft = Draft::new(algorithm);
        draft.identifiers = vec![identifier];
        let cookie = crate::keyset::cookie_length(draft.algorithm).unwrap();
        draft.placeholders = placeholders;
        draft.placeholders.extend(vec![cookie; genuine]);
        draft.hidden = hidden;
        let answer = draft.answer().unwrap();
        prop_assert_eq!(answer.kind, TIME);
        let cookies = answer.cookies(&draft.s2c());
        prop_assert!((1..=8).contains(&cookies.len()));
        for cookie in cookies {
            prop_assert!(draft.server.keys.open(&cookie).is_ok());
        }
    }
}
