//! The exchange of the protocol, octet for octet, from the client's point of view.

use super::*;
use crate::testing::{ScriptedRng, range};

const START: MonotonicTime = MonotonicTime::from_duration(Duration::from_secs(5));
/// T1: 64 ms before T2.
const SENT: NtpTimestamp = NtpTimestamp::from_bits(0xec9f_3c80_3000_0000);
/// T4: 64 ms after T2.
const RECEIVED: NtpTimestamp = NtpTimestamp::from_bits(0xec9f_3c80_5000_0000);

/// An association that has sent the request of the vector. It holds seven cookies, of which that
/// of the vector is the oldest.
fn after_the_request() -> (Association, Vec<u8>) {
    let first = hex::decode(exchange::REQUEST_COOKIE).unwrap();
    let cookies = std::iter::once(first)
        .chain((1..7).map(|n| vec![n; 104]))
        .map(Cookie::new)
        .collect();
    let algorithm = AeadAlgorithm::AesSivCmac256;
    let session = NtsSession::new(algorithm, &exchange::session_keys(), cookies).unwrap();
    let mut association = Association::nts(AssociationConfig::default(), session, START, START);
    let mut script = ScriptedRng::new(&[
        &[0; 4],
        &0x0123_4567_89ab_cdef_u64.to_le_bytes(),
        &range(0xc0, 32),
        &range(0xe0, 16),
    ]);
    let TimerAction::Send(datagram) = association.handle_timer(START, &mut script) else {
        panic!("nothing was sent");
    };
    assert_eq!(script.left(), 0);
    association.handle_sent(SENT);
    (association, datagram.as_ref().to_vec())
}

#[test]
fn the_request() {
    let (association, datagram) = after_the_request();
    assert_eq!(hex::encode(&datagram), hex::encode(exchange::request()));
    assert_eq!(association.status().cookies, Some(6));
}

#[test]
fn the_response() {
    let (mut association, _) = after_the_request();
    let outcome = association.handle_datagram(START, RECEIVED, &exchange::response(), &[]);
    let measurement = measurement(outcome);
    // ((T2 − T1) + (T3 − T4)) / 2 with T2 − T1 = 0x1000_0000, T3 − T4 = 0x1_0000 − 0x1000_0000.
    assert_eq!(measurement.offset.to_bits(), 0x8000);
    assert_eq!(measurement.delay.to_bits(), 0x2000_0000 - 0x1_0000);
    assert_eq!(measurement.time.to_bits(), 0xec9f_3c80_4000_0000);
    assert_eq!((measurement.stratum, measurement.precision), (2, -23));
    assert_eq!(measurement.root_delay.to_bits(), 0x320);
    assert_eq!(measurement.root_dispersion.to_bits(), 0x640);
    assert_eq!(measurement.reference_id.to_bytes(), [192, 0, 2, 1]);
    assert!(measurement.authenticated);

    let nts = association.nts.as_mut().unwrap();
    assert_eq!(nts.session.cookies.len(), 8);
    let held: Vec<_> = std::iter::from_fn(|| nts.session.cookies.take())
        .map(|cookie| hex::encode(cookie.as_bytes()))
        .collect();
    assert_eq!(held[6..], exchange::RESPONSE_COOKIES);
}

#[test]
fn the_response_counts_once() {
    let (mut association, _) = after_the_request();
    let response = exchange::response();
    measurement(association.handle_datagram(START, RECEIVED, &response, &[]));
    assert_eq!(
        association.handle_datagram(START, RECEIVED, &response, &[]),
        DatagramOutcome::Ignored(IgnoreReason::NotExpected)
    );
    assert_eq!(association.status().cookies, Some(8));
}

#[test]
fn any_changed_octet_of_the_response_is_refused() {
    let response = exchange::response();
    for position in 0..response.len() {
        for bit in 0..8 {
            let (mut association, _) = after_the_request();
            let mut datagram = response.clone();
            datagram[position] ^= 1 << bit;
            let outcome = association.handle_datagram(START, RECEIVED, &datagram, &[]);
            assert!(
                matches!(outcome, DatagramOutcome::Ignored(_)),
                "octet {position}, bit {bit}: {outcome:?}"
            );
            // The genuine one is still welcome.
            assert_eq!(association.status().cookies, Some(6));
            measurement(association.handle_datagram(START, RECEIVED, &response, &[]));
        }
    }
}

#[test]
fn the_nak() {
    let (mut association, _) = after_the_request();
    let nak = hex::decode(exchange::NAK).unwrap();
    assert_eq!(
        association.handle_datagram(START, RECEIVED, &nak, &[]),
        DatagramOutcome::Kiss(Kiss {
            code: KissCode::NtsNak,
            authenticated: false
        })
    );
    assert_eq!(association.status().keys_wanted, None);
    measurement(association.handle_datagram(START, RECEIVED, &exchange::response(), &[]));
}
