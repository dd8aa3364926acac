//! Which answers are believed, and what they are turned into.

use super::*;
use crate::aead::AeadKey;
use crate::code_points::ExtensionFieldType;
use crate::ntp::authenticator::Sealing;
use crate::ntp::writer::PacketWriter;
use crate::time::{NtpDuration, NtpShort};

fn ignored(reason: IgnoreReason) -> DatagramOutcome {
    DatagramOutcome::Ignored(reason)
}

fn unusable(reason: UnusableReason) -> DatagramOutcome {
    DatagramOutcome::Unusable(reason)
}

/// A plain exchange whose answer had `change` applied.
fn changed(change: impl FnOnce(&mut Header)) -> (DatagramOutcome, u8) {
    let mut lab = Lab::plain();
    let request = lab.request();
    let mut header = Packet::parse(&lab.answer_to(&request).unwrap())
        .unwrap()
        .header;
    change(&mut header);
    let outcome = lab.deliver(&header.to_bytes());
    (outcome, lab.association.status().reach.bits())
}

#[test]
fn plain_time() {
    let mut lab = Lab::plain();
    let request = lab.request();
    assert_eq!(request.len(), 48);
    assert_eq!(request[..4], [0x23, 0, 0, 0x20]);
    assert!(request[4..40].iter().all(|octet| *octet == 0));
    let answer = lab.answer_to(&request).unwrap();
    let measurement = measurement(lab.deliver(&answer));
    assert_eq!(measurement.offset.to_bits(), OFFSET);
    assert_eq!(measurement.delay.to_bits(), 2 * LEG);
    assert_eq!(measurement.monotonic, lab.now);
    assert!(!measurement.authenticated);
    assert_eq!(lab.association.status().reach.bits(), 1);
}

#[test]
fn every_request_has_its_own_random_number() {
    let mut lab = Lab::plain();
    let (first, second) = (lab.request(), lab.request());
    assert_ne!(first[40..], second[40..]);
    assert_ne!(first[40..48], lab.clock().to_bits().to_be_bytes());
}

#[test]
fn test_a_shape() {
    let mut lab = Lab::plain();
    let request = lab.request();
    let answer = lab.answer_to(&request).unwrap();
    for length in 0..48 {
        assert_eq!(
            lab.deliver(&answer[..length]),
            ignored(IgnoreReason::Malformed)
        );
    }
    for flags in 0..=0xff_u8 {
        let mut lab = Lab::plain();
        let request = lab.request();
        let mut answer = lab.answer_to(&request).unwrap();
        answer[0] = flags;
        let outcome = lab.deliver(&answer);
        match ((flags >> 3) & 7, flags & 7, flags >> 6) {
            (3 | 4, 4, 0..=2) => drop(measurement(outcome)),
            (3 | 4, 4, _) => assert_eq!(outcome, unusable(UnusableReason::Unsynchronized)),
            _ => assert_eq!(outcome, ignored(IgnoreReason::NotAnAnswer)),
        }
    }
}

#[test]
fn test_b_origin_and_window() {
    assert_eq!(
        changed(|header| header.origin = NtpTimestamp::from_bits(1)).0,
        ignored(IgnoreReason::WrongOrigin)
    );

    let mut lab = Lab::plain();
    assert_eq!(lab.deliver(&[0x24; 48]), ignored(IgnoreReason::NotExpected));
    let request = lab.request();
    let answer = lab.answer_to(&request).unwrap();
    measurement(lab.deliver(&answer));
    assert_eq!(lab.deliver(&answer), ignored(IgnoreReason::NotExpected));

    // After the next request, an answer to the one before comes too late.
    let first = lab.request();
    let late = lab.answer_to(&first).unwrap();
    let second = lab.request();
    assert_eq!(lab.deliver(&late), ignored(IgnoreReason::WrongOrigin));
    let answer = lab.answer_to(&second).unwrap();
    measurement(lab.deliver(&answer));
}

#[test]
fn test_b_five_seconds_at_most() {
    for (milliseconds, in_time) in [(4999, true), (5000, true), (5001, false)] {
        let config = AssociationConfig {
            burst: false,
            ..AssociationConfig::default()
        };
        let mut lab = Lab::with(config, None);
        let request = lab.request();
        let answer = lab.answer_to(&request).unwrap();
        lab.now = lab.now + Duration::from_millis(milliseconds);
        let outcome = lab.deliver(&answer);
        assert_eq!(
            outcome == ignored(IgnoreReason::NotExpected),
            !in_time,
            "{milliseconds} ms"
        );
    }
}

#[test]
fn test_c_nothing_unprotected_is_believed() {
    let mut lab = Lab::nts();
    let request = lab.request();
    let answer = lab.answer_to(&request).unwrap();
    assert_eq!(
        lab.deliver(&answer[..48]),
        ignored(IgnoreReason::WrongUniqueIdentifier)
    );
    assert_eq!(
        lab.deliver(&answer[..84]),
        ignored(IgnoreReason::NotAuthenticated)
    );
    let mut tampered = answer.clone();
    *tampered.last_mut().unwrap() ^= 1;
    assert_eq!(
        lab.deliver(&tampered),
        ignored(IgnoreReason::BadAuthenticator)
    );
    measurement(lab.deliver(&answer));
}

/// An answer with fields of our choice before and after `hidden` ones, properly sealed.
fn sealed_answer(lab: &Lab, request: &[u8], clear: &[u8], hidden: &[u8], tail: &[u8]) -> Vec<u8> {
    let session = &lab.association.nts.as_ref().unwrap().session;
    let s2c: &AeadKey = &session.s2c;
    let asked = Packet::parse(request).unwrap().header;
    let header = Header {
        mode: Mode::Server,
        stratum: 1,
        origin: asked.transmit,
        receive: lab.clock() + NtpDuration::from_bits(LEG),
        transmit: lab.clock() + NtpDuration::from_bits(LEG),
        ..asked
    };
    let mut buffer = vec![0; 4000];
    let mut writer = PacketWriter::new(&mut buffer).unwrap();
    writer.put(clear).unwrap();
    writer.set_header(&header);
    let sealing = Sealing::begin(&mut writer, s2c, &mut StdRng::seed_from_u64(3)).unwrap();
    writer.put(hidden).unwrap();
    sealing.finish(&mut writer, s2c).unwrap();
    writer.put(tail).unwrap();
    let length = writer.len();
    buffer.truncate(length);
    buffer
}

fn field(field_type: ExtensionFieldType, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap();
    let header = [field_type.code().to_be_bytes(), length.to_be_bytes()].concat();
    [header.as_slice(), value].concat()
}

#[test]
fn test_c_the_identifier_must_be_authentic() {
    let mut lab = Lab::nts();
    let request = lab.request();
    let identifier = request[48..84].to_vec();
    let none = sealed_answer(&lab, &request, &[], &[], &[]);
    assert_eq!(
        lab.deliver(&none),
        ignored(IgnoreReason::WrongUniqueIdentifier)
    );
    let after = sealed_answer(&lab, &request, &[], &[], &identifier);
    assert_eq!(
        lab.deliver(&after),
        ignored(IgnoreReason::WrongUniqueIdentifier)
    );
    let hidden = sealed_answer(&lab, &request, &[], &identifier, &[]);
    assert_eq!(
        lab.deliver(&hidden),
        ignored(IgnoreReason::WrongUniqueIdentifier)
    );
    let twice = sealed_answer(&lab, &request, &identifier.repeat(2), &[], &[]);
    assert_eq!(
        lab.deliver(&twice),
        ignored(IgnoreReason::WrongUniqueIdentifier)
    );
    let right = sealed_answer(&lab, &request, &identifier, &[], &[]);
    measurement(lab.deliver(&right));
}

#[test]
fn only_encrypted_cookies_of_usable_length_are_kept() {
    let mut lab = Lab::nts();
    measurement(lab.exchange());
    lab.lose(6);
    let request = lab.request();
    assert_eq!(lab.cookies(), 1);
    let cookie = |length| field(ExtensionFieldType::NtsCookie, &vec![9; length]);
    let clear = [request[48..84].to_vec(), cookie(104)].concat();
    let hidden = [cookie(0), cookie(1028), cookie(1024), cookie(8)].concat();
    let answer = sealed_answer(&lab, &request, &clear, &hidden, &cookie(104));
    measurement(lab.deliver(&answer));
    assert_eq!(lab.cookies(), 3);
}

#[test]
fn no_more_than_eight_cookies_are_kept() {
    let mut lab = Lab::nts();
    let request = lab.request();
    let hidden = field(ExtensionFieldType::NtsCookie, &[9; 40]).repeat(20);
    let answer = sealed_answer(&lab, &request, &request[48..84], &hidden, &[]);
    measurement(lab.deliver(&answer));
    assert_eq!(lab.cookies(), 8);
}

#[test]
fn broken_or_nested_hidden_fields_spoil_the_answer() {
    let mut lab = Lab::nts();
    let request = lab.request();
    let cookie = field(ExtensionFieldType::NtsCookie, &[9; 40]);
    for hidden in [
        [cookie.as_slice(), &[2, 4, 0, 8]].concat(),
        field(ExtensionFieldType::NtsAuthenticator, &[0; 36]),
    ] {
        let answer = sealed_answer(&lab, &request, &request[48..84], &hidden, &[]);
        assert_eq!(lab.deliver(&answer), ignored(IgnoreReason::Malformed));
        assert_eq!(lab.cookies(), 7);
    }
}

#[test]
fn test_e_timestamps() {
    let bad = (ignored(IgnoreReason::BadTimestamps), 0);
    assert_eq!(changed(|header| header.receive = NtpTimestamp::ZERO), bad);
    assert_eq!(changed(|header| header.transmit = NtpTimestamp::ZERO), bad);
    let later = |bits| {
        changed(move |header| header.transmit = header.receive + NtpDuration::from_bits(bits))
    };
    assert_eq!(later(-1), bad);
    assert_eq!(later(1 << 32), bad);
    // Slower than the whole round trip by more than the clocks' granularity: 2^-20 + 2^-23 s.
    let granularity = (1 << 12) + (1 << 9);
    assert_eq!(later(2 * LEG + granularity + 1), bad);
    let edge = measurement(later(2 * LEG + granularity).0);
    assert_eq!(edge.delay.to_bits(), 1 << 14);
}

#[test]
fn test_e_a_source_that_took_a_second_or_more() {
    for (processing, believed) in [((1 << 32) - 1, true), (1 << 32, false)] {
        let mut lab = Lab::plain();
        let request = lab.request();
        let answer = lab.answer_to(&request).unwrap();
        let mut header = Packet::parse(&answer).unwrap().header;
        header.transmit = header.receive + NtpDuration::from_bits(processing);
        // The request left so early that the delay is possible either way.
        let sent = lab.clock() - NtpDuration::from_bits(2 << 32);
        lab.association.handle_sent(sent);
        let outcome = lab.deliver(&header.to_bytes());
        if believed {
            measurement(outcome);
        } else {
            assert_eq!(outcome, ignored(IgnoreReason::BadTimestamps));
        }
    }
}

#[test]
fn test_e_a_coarse_precision_is_not_believed() {
    let (outcome, _) = changed(|header| {
        header.precision = 10;
        header.transmit = header.receive + NtpDuration::from_bits(2 * LEG + (1 << 27));
    });
    assert_eq!(outcome, ignored(IgnoreReason::BadTimestamps));
}

#[test]
fn test_f_unsynchronized_but_reachable() {
    let expected = (unusable(UnusableReason::Unsynchronized), 1);
    assert_eq!(
        changed(|header| header.leap = LeapIndicator::Unsynchronized),
        expected
    );
    for stratum in 16..=255 {
        assert_eq!(changed(|header| header.stratum = stratum), expected);
    }
    for code in [KissCode::Init, KissCode::Step] {
        let said = changed(|header| {
            header.stratum = 0;
            header.reference_id = code.into();
            header.receive = NtpTimestamp::ZERO;
        });
        assert_eq!(said, expected);
    }
    for stratum in 1..=15 {
        measurement(changed(|header| header.stratum = stratum).0);
    }
}

#[test]
fn an_unsynchronized_source_of_ours_is_reachable_under_nts() {
    let mut lab = Lab::nts();
    lab.system = SystemState::unsynchronized(-20);
    assert_eq!(lab.exchange(), unusable(UnusableReason::Unsynchronized));
    assert_eq!(lab.association.status().reach.bits(), 1);
    assert_eq!(lab.cookies(), 8);
}

#[test]
fn test_g_root_distance() {
    let absurd = (ignored(IgnoreReason::RootDistance), 0);
    let with = |delay: u32, dispersion: u32| {
        changed(move |header| {
            header.root_delay = NtpShort::from_bits(delay);
            header.root_dispersion = NtpShort::from_bits(dispersion);
        })
    };
    assert_eq!(with(0, 16 << 16), absurd);
    assert_eq!(with(32 << 16, 0), absurd);
    assert_eq!(with(u32::MAX, u32::MAX), absurd);
    measurement(with(16 << 16, (8 << 16) - 1).0);
}

#[test]
fn test_h_loop() {
    let own = ReferenceId::from_bytes([10, 0, 0, 9]);
    assert_eq!(
        changed(|header| header.reference_id = own),
        (unusable(UnusableReason::Loop), 1)
    );
    // At stratum 1 the id is a clock's name.
    measurement(
        changed(|header| {
            header.reference_id = own;
            header.stratum = 1;
        })
        .0,
    );
}

#[test]
fn without_a_time_of_sending_there_is_no_measurement() {
    let mut lab = Lab::nts();
    let TimerAction::Send(request) = lab.timer() else {
        panic!("no request");
    };
    let answer = lab.answer_to(request.as_ref()).unwrap();
    assert_eq!(lab.deliver(&answer), unusable(UnusableReason::NoSendTime));
    assert_eq!(lab.association.status().reach.bits(), 1);
    assert_eq!(lab.cookies(), 8);
}

#[test]
fn a_step_of_the_clock_spoils_the_exchange_in_flight() {
    let mut lab = Lab::plain();
    let request = lab.request();
    let answer = lab.answer_to(&request).unwrap();
    lab.association.handle_clock_step();
    lab.association.handle_sent(lab.clock());
    assert_eq!(lab.deliver(&answer), unusable(UnusableReason::NoSendTime));
    measurement(lab.exchange());
}

#[test]
fn a_better_time_of_sending_replaces_the_first() {
    let mut lab = Lab::plain();
    let request = lab.request();
    let answer = lab.answer_to(&request).unwrap();
    lab.association
        .handle_sent(lab.clock() + NtpDuration::from_bits(LEG));
    let measurement = measurement(lab.deliver(&answer));
    assert_eq!(measurement.delay.to_bits(), LEG);
}
