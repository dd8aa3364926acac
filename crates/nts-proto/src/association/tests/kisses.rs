//! Kiss codes: what they can do when they are authentic, and what when anybody could have made
//! them.

use super::*;

fn unproven(code: KissCode) -> DatagramOutcome {
    DatagramOutcome::Kiss(Kiss {
        code,
        authenticated: false,
    })
}

/// Polls and answers with a forged kiss.
fn forge(lab: &mut Lab, code: KissCode) -> DatagramOutcome {
    let request = lab.request();
    let kiss = forged_kiss(&request, code);
    lab.deliver(&kiss)
}

#[test]
fn authentic_refusal_ends_it_at_once() {
    let mut lab = Lab::nts();
    lab.treatment = Treatment::Deny;
    assert_eq!(
        lab.exchange(),
        DatagramOutcome::Demobilize(DemobilizeReason::Denied)
    );
    assert!(lab.association.status().finished);
    assert_eq!(lab.association.next_timer(), None);
    let far = lab.now + Duration::from_secs(100_000);
    assert_eq!(
        lab.association.handle_timer(far, &mut lab.rng),
        TimerAction::Wait
    );
    assert_eq!(
        lab.deliver(&[0x24; 48]),
        DatagramOutcome::Ignored(IgnoreReason::Finished)
    );
}

#[test]
fn refusal_that_may_be_forged_is_noted_and_counts_only_when_nothing_else_comes() {
    for mut lab in [Lab::plain(), Lab::nts()] {
        for code in [KissCode::Deny, KissCode::Restrict] {
            // The genuine answer that follows wins.
            let request = lab.request();
            let kiss = forged_kiss(&request, code);
            assert_eq!(lab.deliver(&kiss), unproven(code));
            let answer = lab.answer_to(&request).unwrap();
            measurement(lab.deliver(&answer));
        }
        // After a good answer, nothing is left of it: silence is just silence.
        lab.lose(8);
        assert_eq!(lab.timer(), TimerAction::Unreachable);
    }
}

#[test]
fn refusal_and_then_silence() {
    for mut lab in [Lab::plain(), Lab::nts()] {
        measurement(lab.exchange());
        assert_eq!(forge(&mut lab, KissCode::Deny), unproven(KissCode::Deny));
        lab.lose(7);
        assert!(!lab.association.status().finished);
        assert_eq!(
            lab.timer(),
            TimerAction::Demobilize(DemobilizeReason::DeniedAndSilent)
        );
        assert!(lab.association.status().finished);
    }
}

#[test]
fn rate_for_plain_ntp_doubles_the_interval_up_to_the_limit() {
    let mut lab = Lab::plain();
    for expected in [5, 6, 7, 8, 9, 10, 10] {
        assert_eq!(forge(&mut lab, KissCode::Rate), unproven(KissCode::Rate));
        assert_eq!(lab.association.status().poll, expected);
        let wait = lab
            .association
            .next_timer()
            .unwrap()
            .saturating_since(lab.now);
        assert!(
            wait >= Duration::from_secs(1 << expected),
            "the burst is over"
        );
        // An answer keeps it reachable; the interval stays raised.
        let request = lab.request();
        let answer = lab.answer_to(&request).unwrap();
        measurement(lab.deliver(&answer));
        assert_eq!(lab.association.status().poll, expected);
    }
}

#[test]
fn one_request_raises_the_interval_once() {
    for mut lab in [Lab::plain(), Lab::nts()] {
        let request = lab.request();
        let kiss = forged_kiss(&request, KissCode::Rate);
        for _ in 0..5 {
            assert_eq!(lab.deliver(&kiss), unproven(KissCode::Rate));
            assert_eq!(lab.association.status().poll, 5);
        }
    }
}

#[test]
fn a_forged_rate_against_nts_is_bounded() {
    let mut lab = Lab::nts();
    for expected in [5, 6, 7, 7, 7] {
        assert_eq!(forge(&mut lab, KissCode::Rate), unproven(KissCode::Rate));
        assert_eq!(lab.association.status().poll, expected);
        measurement(lab.exchange());
    }
}

#[test]
fn an_authentic_rate_is_obeyed_to_the_limit_and_brings_cookies() {
    let mut lab = Lab::nts();
    for expected in [5, 6, 7, 8, 9, 10, 10] {
        lab.treatment = Treatment::SlowDown;
        assert_eq!(
            lab.exchange(),
            DatagramOutcome::Kiss(Kiss {
                code: KissCode::Rate,
                authenticated: true
            })
        );
        assert_eq!(lab.association.status().poll, expected);
        assert_eq!(lab.cookies(), 8);
        lab.treatment = Treatment::Serve;
        measurement(lab.exchange());
    }
}

#[test]
fn other_codes_do_nothing() {
    let other = KissCode::Other(ReferenceId::from_bytes(*b"XFUN"));
    for mut lab in [Lab::plain(), Lab::nts()] {
        let before = lab.association.status();
        let request = lab.request();
        let codes = match before.nts {
            true => vec![other, KissCode::Init, KissCode::Step],
            false => vec![other, KissCode::NtsNak],
        };
        for code in codes {
            let kiss = forged_kiss(&request, code);
            assert_eq!(lab.deliver(&kiss), unproven(code));
        }
        let after = lab.association.status();
        assert_eq!((after.poll, after.keys_wanted), (before.poll, None));
        let answer = lab.answer_to(&request).unwrap();
        measurement(lab.deliver(&answer));
    }
}

#[test]
fn a_kiss_that_does_not_match_the_request_is_nothing() {
    for code in [KissCode::Deny, KissCode::Rate, KissCode::NtsNak] {
        let mut lab = Lab::nts();
        let request = lab.request();
        let mut kiss = forged_kiss(&request, code);
        kiss[24] ^= 1;
        assert_eq!(
            lab.deliver(&kiss),
            DatagramOutcome::Ignored(IgnoreReason::WrongOrigin)
        );
        kiss[24] ^= 1;
        kiss[60] ^= 1;
        assert_eq!(
            lab.deliver(&kiss),
            DatagramOutcome::Ignored(IgnoreReason::WrongUniqueIdentifier)
        );
        kiss[60] ^= 1;
        assert_eq!(
            lab.deliver(&kiss[..48]),
            DatagramOutcome::Ignored(IgnoreReason::WrongUniqueIdentifier)
        );
        assert_eq!(lab.deliver(&kiss), unproven(code));
    }
}

#[test]
fn a_forged_nak_before_the_genuine_answer_does_nothing() {
    let mut lab = Lab::nts();
    for _ in 0..20 {
        let request = lab.request();
        let kiss = forged_kiss(&request, KissCode::NtsNak);
        assert_eq!(lab.deliver(&kiss), unproven(KissCode::NtsNak));
        let answer = lab.answer_to(&request).unwrap();
        measurement(lab.deliver(&answer));
        assert_eq!(lab.association.status().keys_wanted, None);
        assert_eq!(lab.cookies(), 8);
    }
}

#[test]
fn a_nak_is_believed_at_the_next_poll_and_polling_goes_on() {
    let mut lab = Lab::nts();
    measurement(lab.exchange());
    lab.forget_server_keys();
    let request = lab.request();
    let nak = lab.answer_to(&request).unwrap();
    assert_eq!(lab.deliver(&nak), unproven(KissCode::NtsNak));
    assert_eq!(lab.association.status().keys_wanted, None, "not yet");

    assert_eq!(lab.timer(), TimerAction::NeedKeys(KeyReason::NtsNak));
    assert_eq!(
        lab.association.status().keys_wanted,
        Some(KeyReason::NtsNak)
    );
    // Said once; with the keys that are left, polling goes on.
    for left in [6, 5, 4] {
        let request = lab.request();
        assert_eq!(lab.cookies(), left);
        let nak = lab.answer_to(&request).unwrap();
        assert_eq!(lab.deliver(&nak), unproven(KissCode::NtsNak));
    }
    lab.key_exchange(8);
    assert_eq!(lab.association.status().keys_wanted, None);
    assert_eq!(lab.cookies(), 8);
    measurement(lab.exchange());
}

#[test]
fn an_authentic_answer_takes_the_wish_for_keys_back() {
    let mut lab = Lab::nts();
    assert_eq!(
        forge(&mut lab, KissCode::NtsNak),
        unproven(KissCode::NtsNak)
    );
    assert_eq!(lab.timer(), TimerAction::NeedKeys(KeyReason::NtsNak));
    measurement(lab.exchange());
    assert_eq!(lab.association.status().keys_wanted, None);
    // The next need is said again.
    assert_eq!(
        forge(&mut lab, KissCode::NtsNak),
        unproven(KissCode::NtsNak)
    );
    assert_eq!(lab.timer(), TimerAction::NeedKeys(KeyReason::NtsNak));
}
