//! Polls, reachability, cookies and keys over time.

use std::collections::HashSet;

use super::*;
use crate::aead::InvalidAeadKey;

#[test]
fn a_burst_of_four_then_sixteen_seconds() {
    let mut lab = Lab::plain();
    let mut gaps = Vec::new();
    let mut last = None;
    for _ in 0..7 {
        measurement(lab.exchange());
        gaps.extend(last.map(|last| lab.now.saturating_since(last).as_secs()));
        last = Some(lab.now);
    }
    assert_eq!(gaps, [2, 2, 2, 16, 16, 16]);
}

#[test]
fn the_first_poll_is_due_at_the_start() {
    let now = MonotonicTime::default();
    let start = now + Duration::from_millis(150);
    let mut association = Association::plain(AssociationConfig::default(), start);
    let mut rng = StdRng::seed_from_u64(1);
    assert_eq!(association.next_timer(), Some(start));
    assert_eq!(association.handle_timer(now, &mut rng), TimerAction::Wait);
    assert!(matches!(
        association.handle_timer(start, &mut rng),
        TimerAction::Send(_)
    ));
    assert_eq!(association.handle_timer(start, &mut rng), TimerAction::Wait);
}

#[test]
fn the_disciplines_wish_is_followed_within_the_limits() {
    let mut lab = Lab::plain();
    lab.association.set_desired_poll(8);
    assert_eq!(lab.association.status().poll, 8);
    lab.association.set_desired_poll(20);
    assert_eq!(lab.association.status().poll, 10);
}

#[test]
fn a_shorter_wish_brings_the_next_poll_forward() {
    let config = AssociationConfig {
        burst: false,
        initial_poll: 10,
        ..AssociationConfig::default()
    };
    let mut lab = Lab::with(config, None);
    measurement(lab.exchange());
    let wait = |lab: &Lab| {
        let next = lab.association.next_timer().unwrap();
        next.saturating_since(lab.now).as_secs()
    };
    lab.association.set_desired_poll(10);
    assert!((1024..=1076).contains(&wait(&lab)), "{}", wait(&lab));
    lab.association.set_desired_poll(4);
    assert_eq!(wait(&lab), 16);
    lab.association.set_desired_poll(10);
    assert_eq!(wait(&lab), 16, "a longer wish counts from the next poll on");
    // What the source demands stands above the wish.
    let request = lab.request();
    let _ = lab.deliver(&forged_kiss(&request, KissCode::Rate));
    let slowed = wait(&lab);
    lab.association.set_desired_poll(0);
    assert!(lab.association.status().poll > 4);
    assert!(wait(&lab) > 16 && wait(&lab) <= slowed, "{}", wait(&lab));
}

#[test]
fn with_nts_the_interval_stays_below_the_life_of_cookies() {
    let config = AssociationConfig {
        poll_limits: PollLimits::new(4, 17).unwrap(),
        initial_poll: 17,
        ..AssociationConfig::default()
    };
    assert_eq!(Lab::with(config, None).association.status().poll, 17);
    assert_eq!(Lab::with(config, Some(15)).association.status().poll, 14);
}

#[test]
fn unreachable_after_three_polls_at_the_start_and_eight_later() {
    for mut lab in [Lab::plain(), Lab::nts()] {
        lab.lose(3);
        assert_eq!(lab.timer(), TimerAction::Unreachable);
        assert!(lab.association.status().finished);
    }
    let mut lab = Lab::plain();
    measurement(lab.exchange());
    lab.lose(8);
    assert_eq!(lab.association.status().reach.unanswered_polls(), 8);
    assert_eq!(lab.timer(), TimerAction::Unreachable);
    assert_eq!(lab.association.next_timer(), None);
}

#[test]
fn one_answer_in_eight_keeps_it_reachable() {
    let mut lab = Lab::nts();
    for _ in 0..20 {
        measurement(lab.exchange());
        lab.lose(7);
    }
    assert!(!lab.association.status().finished);
}

#[test]
fn a_request_asks_for_the_cookies_that_are_missing() {
    for (algorithm, lengths) in [
        // 8 held, then one fewer each time, as nothing comes back.
        (15, [232, 340, 448, 556, 664, 772, 880, 988]),
        (17, [296, 468, 640, 812, 984, 1156, 1156, 1156]),
        (30, [196, 272, 348, 424, 500, 576, 652, 728]),
    ] {
        let mut lab = Lab::with(AssociationConfig::default(), Some(algorithm));
        measurement(lab.exchange());
        for length in lengths {
            assert_eq!(lab.request().len(), length);
        }
        assert_eq!(lab.cookies(), 0);
    }
}

#[test]
fn one_answer_fills_the_jar() {
    for (algorithm, filled) in [(15, 8), (17, 7), (30, 8)] {
        let mut lab = Lab::with(AssociationConfig::default(), Some(algorithm));
        measurement(lab.exchange());
        assert_eq!(lab.cookies(), 8);
        lab.lose(6);
        assert_eq!(lab.cookies(), 2);
        measurement(lab.exchange());
        assert_eq!(lab.cookies(), filled, "AEAD {algorithm}");
    }
}

#[test]
fn cookies_of_odd_length_are_padded_and_placeholders_match_them() {
    for (length, padded) in [(1, 12), (12, 12), (13, 16), (101, 104), (1024, 1024)] {
        let keys = exchange::session_keys();
        let cookies = vec![Cookie::new(vec![0xcc; length]); 7];
        let session = NtsSession::new(AeadAlgorithm::AesSivCmac256, &keys, cookies).unwrap();
        let now = MonotonicTime::default();
        let mut association = Association::nts(AssociationConfig::default(), session, now, now);
        let mut rng = StdRng::seed_from_u64(1);
        let TimerAction::Send(datagram) = association.handle_timer(now, &mut rng) else {
            panic!("no request");
        };
        let packet = Packet::parse(datagram.as_ref()).unwrap();
        let fields: Vec<_> = packet
            .clear_fields()
            .map(|field| (field.field_type.code(), field.value.len()))
            .collect();
        // Two of the greatest would not fit.
        let placeholder = (padded < 1024).then_some((0x0304, padded));
        let expected: Vec<_> = [(0x0104, 32), (0x0204, padded)]
            .into_iter()
            .chain(placeholder)
            .collect();
        assert_eq!(fields, expected);
        let mut expected = vec![0xcc; length];
        expected.resize(padded, 0);
        assert_eq!(packet.cookie.only(), Some(expected.as_slice()));
        assert!(datagram.as_ref().len() <= 1232);
    }
}

#[test]
fn the_request_authenticator_is_last_and_has_no_padding() {
    for (algorithm, length) in [(15, 40), (17, 40), (30, 36)] {
        let mut lab = Lab::with(AssociationConfig::default(), Some(algorithm));
        let request = lab.request();
        let packet = Packet::parse(&request).unwrap();
        let authenticator = packet.authenticator.unwrap();
        assert_eq!(request.len() - authenticator.associated_data.len(), length);
        assert_eq!(authenticator.plaintext_length(), 0);
        let nonce = authenticator.nonce.len();
        assert_eq!(length, 4 + 4 + nonce + 16);
    }
}

#[test]
fn without_cookies_keys_are_asked_for_once_and_nothing_is_sent() {
    let mut lab = Lab::nts();
    measurement(lab.exchange());
    // Seven losses leave it reachable, with one cookie.
    lab.lose(7);
    let mut starved = lab.association.nts.take().unwrap();
    while starved.session.cookies.take().is_some() {}
    lab.association.nts = Some(starved);

    assert_eq!(lab.timer(), TimerAction::NeedKeys(KeyReason::OutOfCookies));
    assert_eq!(lab.timer(), TimerAction::Wait);
    let status = lab.association.status();
    assert_eq!(status.keys_wanted, Some(KeyReason::OutOfCookies));
    assert_eq!(status.reach.unanswered_polls(), 8);
    lab.key_exchange(3);
    assert_eq!(lab.association.status().keys_wanted, None);
    measurement(lab.exchange());
    assert_eq!(lab.cookies(), 8);
}

#[test]
fn new_keys_are_tried_at_once_and_get_three_polls() {
    let mut lab = Lab::nts();
    for _ in 0..4 {
        measurement(lab.exchange());
    }
    lab.lose(7);
    lab.now = lab.now + Duration::from_secs(3);
    lab.key_exchange(8);
    assert_eq!(lab.association.next_timer(), Some(lab.now));
    lab.lose(3);
    assert_eq!(lab.timer(), TimerAction::Unreachable);
}

#[test]
fn new_keys_do_not_make_polls_come_closer_than_a_burst_or_break_a_demand() {
    let mut lab = Lab::nts();
    for _ in 0..4 {
        measurement(lab.exchange());
    }
    lab.key_exchange(8);
    let wait = lab
        .association
        .next_timer()
        .unwrap()
        .saturating_since(lab.now);
    assert_eq!(wait, Duration::from_secs(2));

    lab.treatment = Treatment::SlowDown;
    assert!(matches!(lab.exchange(), DatagramOutcome::Kiss(_)));
    let before = lab.association.next_timer();
    lab.key_exchange(8);
    assert_eq!(lab.association.next_timer(), before);
}

#[test]
fn an_answer_under_old_keys_does_not_count_after_new_ones_came() {
    let mut lab = Lab::nts();
    let request = lab.request();
    let answer = lab.answer_to(&request).unwrap();
    lab.key_exchange(8);
    assert_eq!(
        lab.deliver(&answer),
        DatagramOutcome::Ignored(IgnoreReason::NotExpected)
    );
}

#[test]
fn keys_are_renewed_after_four_weeks() {
    let mut lab = Lab::nts();
    let day = Duration::from_secs(86_400);
    measurement(lab.exchange());
    lab.now = lab.now + (28 * day - Duration::from_secs(60));
    measurement(lab.exchange());
    lab.now = lab.now + Duration::from_secs(60);
    assert_eq!(lab.timer(), TimerAction::NeedKeys(KeyReason::KeyAge));
    // Meanwhile everything goes on; answers do not take this wish back.
    measurement(lab.exchange());
    assert_eq!(
        lab.association.status().keys_wanted,
        Some(KeyReason::KeyAge)
    );
    measurement(lab.exchange());
    lab.key_exchange(8);
    lab.now = lab.now + 27 * day;
    measurement(lab.exchange());
}

#[test]
fn keys_for_a_plain_association_are_not_taken() {
    let mut lab = Lab::plain();
    lab.key_exchange(8);
    assert!(!lab.association.status().nts);
    assert_eq!(lab.association.status().cookies, None);
    assert_eq!(lab.request().len(), 48);
}

#[test]
fn no_cookie_goes_out_twice_in_a_long_life() {
    let mut lab = Lab::nts();
    let mut seen = HashSet::new();
    for round in 0..300 {
        let request = lab.request();
        let cookie = Packet::parse(&request).unwrap().cookie.only().unwrap();
        assert!(seen.insert(cookie.to_vec()), "round {round}");
        if round % 3 > 0 {
            let answer = lab.answer_to(&request).unwrap();
            measurement(lab.deliver(&answer));
        }
    }
}

#[test]
fn sessions_are_checked() {
    let keys = exchange::session_keys();
    let cookie = || Cookie::new([1; 104]);
    let new = |algorithm: u16, cookies| {
        NtsSession::new(algorithm.into(), &keys, cookies).map(|session| session.cookies.len())
    };
    assert_eq!(new(15, vec![cookie(); 9]), Ok(8));
    assert_eq!(new(15, vec![]), Err(InvalidSession::NoCookies));
    let unusable = vec![Cookie::new([]), Cookie::new([1; 1025])];
    assert_eq!(new(15, unusable), Err(InvalidSession::NoCookies));
    assert_eq!(
        new(17, vec![cookie()]),
        Err(InvalidSession::Key(InvalidAeadKey::WrongLength))
    );
    assert_eq!(
        new(16, vec![cookie()]),
        Err(InvalidSession::Key(InvalidAeadKey::UnsupportedAlgorithm(
            AeadAlgorithm::AesSivCmac384
        )))
    );
}

#[test]
fn debug_shows_neither_keys_nor_cookies() {
    let mut lab = Lab::nts();
    let TimerAction::Send(datagram) = lab.timer() else {
        panic!("no request");
    };
    assert_eq!(format!("{datagram:?}"), "OutgoingDatagram(<232 octets>)");
    let text = format!("{:?}", lab.association);
    assert!(text.contains("AeadKey(AesSivCmac256 (15), <redacted>)"));
    assert!(text.contains("Cookie(<104 octets redacted>)"));
}

/// Takes the session apart and makes it anew, as a restart of the program does.
fn restarted(lab: &mut Lab) -> Association {
    let parts = lab.association.take_session().unwrap().into_parts();
    let session = NtsSession::new(parts.algorithm, &parts.keys, parts.cookies).unwrap();
    Association::nts(AssociationConfig::default(), session, lab.now, lab.now)
}

#[test]
fn what_is_left_of_a_session_is_good_after_a_restart_and_no_cookie_is_used_twice() {
    let mut lab = Lab::nts();
    let mut seen = HashSet::new();
    for _ in 0..3 {
        measurement(lab.exchange());
        let request = lab.request();
        let cookie = Packet::parse(&request).unwrap().cookie.only().unwrap();
        assert!(seen.insert(cookie.to_vec()));
        let held = lab.cookies();
        lab.association = restarted(&mut lab);
        assert_eq!(lab.cookies(), held);
    }
    measurement(lab.exchange());
}

#[test]
fn a_session_that_may_be_void_is_not_kept() {
    let kept = |lab: &mut Lab| lab.association.take_session().is_some();
    assert!(!kept(&mut Lab::plain()));
    let mut never_answered = Lab::nts();
    assert!(!kept(&mut never_answered));
    assert_eq!(never_answered.association.next_timer(), None);
    let mut refused = Lab::nts();
    measurement(refused.exchange());
    refused.forget_server_keys();
    let request = refused.request();
    let nak = refused.answer_to(&request).unwrap();
    let _ = refused.deliver(&nak);
    let _ = refused.timer();
    assert!(!kept(&mut refused));
    let mut used_up = Lab::nts();
    measurement(used_up.exchange());
    used_up.lose(8);
    assert!(!kept(&mut used_up));
}
