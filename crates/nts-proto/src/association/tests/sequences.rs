//! Any sequence of events, genuine and hostile, against a model of what must hold.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Event {
    /// The next timer runs out, or the time before it passes in part.
    Timer,
    Pause(u16),
    /// The genuine answer to the last request arrives.
    Answer,
    /// The one before it arrives again or late.
    OldAnswer,
    /// Somebody who sees our packets makes kisses.
    Forge(KissCode),
    /// Somebody changes an octet of the genuine answer.
    Tamper(prop::sample::Index, u8),
    Garbage(Vec<u8>),
    /// The server treats us otherwise from now on.
    Treat(Treatment),
    ServerLosesKeys,
    KeyExchange(usize),
    ClockStep,
}

fn code() -> impl Strategy<Value = KissCode> {
    prop::sample::select(vec![
        KissCode::NtsNak,
        KissCode::NtsNak,
        KissCode::Rate,
        KissCode::Deny,
        KissCode::Restrict,
        KissCode::Init,
        KissCode::Other(ReferenceId::from_bytes(*b"ABCD")),
    ])
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => Just(Event::Timer),
        1 => any::<u16>().prop_map(Event::Pause),
        6 => Just(Event::Answer),
        1 => Just(Event::OldAnswer),
        2 => code().prop_map(Event::Forge),
        1 => (any::<prop::sample::Index>(), 1..=255_u8).prop_map(|(i, x)| Event::Tamper(i, x)),
        1 => prop::collection::vec(any::<u8>(), 0..120).prop_map(Event::Garbage),
        1 => prop::sample::select(vec![Treatment::Serve, Treatment::SlowDown])
            .prop_map(Event::Treat),
        1 => Just(Event::ServerLosesKeys),
        1 => (1_usize..10).prop_map(Event::KeyExchange),
        1 => Just(Event::ClockStep),
    ]
}

/// What the model knows of the last poll.
#[derive(Default)]
struct Model {
    lab: Option<Lab>,
    cookies_seen: HashSet<Vec<u8>>,
    last_request: Vec<u8>,
    last_sent: Option<MonotonicTime>,
    answer: Option<Vec<u8>>,
    old_answer: Option<Vec<u8>>,
    nak_since_poll: bool,
    proven_since_poll: bool,
}

impl Model {
    fn lab(&mut self) -> &mut Lab {
        self.lab.as_mut().unwrap()
    }

    fn timer(&mut self) {
        let lab = self.lab();
        let Some(due) = lab.association.next_timer() else {
            return;
        };
        lab.now = lab.now.max(due);
        for _ in 0..4 {
            let held = self.lab().association.status().cookies;
            let lab = self.lab();
            let now = lab.now;
            match lab.association.handle_timer(now, &mut lab.rng) {
                TimerAction::Send(datagram) => self.sent(datagram.as_ref()),
                TimerAction::NeedKeys(reason) => self.keys_asked_for(reason, held),
                TimerAction::Unreachable | TimerAction::Demobilize(_) => {
                    let status = self.lab().association.status();
                    assert!(status.finished && !status.reach.is_reachable());
                }
                TimerAction::Wait => break,
            }
        }
    }

    /// No cookie twice, never closer than the burst, never longer than the least MTU allows.
    fn sent(&mut self, datagram: &[u8]) {
        assert!(datagram.len() <= 1232);
        let packet = Packet::parse(datagram).unwrap();
        if self.lab().association.status().nts {
            let cookie = packet.cookie.only().unwrap();
            assert!(self.cookies_seen.insert(cookie.to_vec()), "a cookie twice");
            assert!(packet.authenticator.is_some());
        } else {
            assert_eq!(datagram.len(), 48);
        }
        let now = self.lab().now;
        if let Some(last) = self.last_sent.replace(now) {
            assert!(now.saturating_since(last) >= Duration::from_secs(2));
        }
        let clock = self.lab().clock();
        self.lab().association.handle_sent(clock);
        let answer = self.lab().answer_to(datagram);
        self.old_answer = std::mem::replace(&mut self.answer, answer);
        self.last_request = datagram.to_vec();
        self.nak_since_poll = false;
        self.proven_since_poll = false;
    }

    /// Keys are asked for only if the rules say so.
    fn keys_asked_for(&mut self, reason: KeyReason, held: Option<usize>) {
        match reason {
            KeyReason::OutOfCookies => assert_eq!(held, Some(0)),
            KeyReason::NtsNak => assert!(self.nak_since_poll && !self.proven_since_poll),
            KeyReason::KeyAge => panic!("nothing runs for four weeks here"),
        }
    }

    /// Hands in what a stranger could have made: it costs neither cookies nor keys.
    fn deliver_hostile(&mut self, datagram: &[u8]) {
        let before = self.lab().association.status();
        let outcome = self.lab().deliver(datagram);
        let after = self.lab().association.status();
        assert_eq!(before.cookies, after.cookies);
        assert_eq!(before.keys_wanted, after.keys_wanted);
        assert_eq!(before.finished, after.finished);
        if after.nts {
            assert_eq!(before.reach, after.reach);
            let harmless = matches!(
                outcome,
                DatagramOutcome::Kiss(Kiss {
                    authenticated: false,
                    ..
                }) | DatagramOutcome::Ignored(_)
            );
            assert!(harmless, "{outcome:?}");
        }
    }

    fn deliver_genuine(&mut self) {
        let Some(datagram) = self.answer.clone() else {
            return;
        };
        let outcome = self.lab().deliver(&datagram);
        let authentic = matches!(
            outcome,
            DatagramOutcome::Measurement(Measurement {
                authenticated: true,
                ..
            }) | DatagramOutcome::Unusable(_)
                | DatagramOutcome::Kiss(Kiss {
                    authenticated: true,
                    ..
                })
        );
        self.proven_since_poll |= authentic;
        self.note_nak(outcome);
    }

    fn note_nak(&mut self, outcome: DatagramOutcome) {
        if let DatagramOutcome::Kiss(kiss) = outcome {
            self.nak_since_poll |= kiss.code == KissCode::NtsNak && !kiss.authenticated;
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Timer => self.timer(),
            Event::Pause(milliseconds) => {
                let lab = self.lab();
                let now = lab.now + Duration::from_millis(milliseconds.into());
                lab.now = now.min(lab.association.next_timer().unwrap_or(now));
            }
            Event::Answer => self.deliver_genuine(),
            Event::OldAnswer => {
                if let Some(datagram) = self.old_answer.clone() {
                    self.deliver_hostile(&datagram);
                }
            }
            Event::Forge(code) => {
                if !self.last_request.is_empty() {
                    let kiss = forged_kiss(&self.last_request, code);
                    if code == KissCode::NtsNak {
                        let open = self.lab().association.outstanding.is_some();
                        self.nak_since_poll |= open;
                    }
                    if self.lab().association.status().nts {
                        self.deliver_hostile(&kiss);
                    } else {
                        let _ = self.lab().deliver(&kiss);
                    }
                }
            }
            Event::Tamper(index, flip) => {
                if let Some(mut datagram) = self.answer.clone() {
                    let position = index.index(datagram.len());
                    datagram[position] ^= flip;
                    if self.lab().association.status().nts {
                        let outcome = {
                            self.deliver_hostile(&datagram);
                            self.lab().association.outstanding.is_some()
                        };
                        // A NAK that was tampered with may still be one.
                        self.nak_since_poll |= outcome && datagram.len() == 84;
                    } else {
                        let _ = self.lab().deliver(&datagram);
                    }
                }
            }
            Event::Garbage(octets) => self.deliver_hostile(&octets),
            Event::Treat(treatment) => self.lab().treatment = treatment,
            Event::ServerLosesKeys => self.lab().forget_server_keys(),
            Event::KeyExchange(cookies) => {
                if !self.lab().association.status().finished {
                    self.lab().key_exchange(cookies);
                    self.answer = None;
                    self.nak_since_poll = false;
                }
            }
            Event::ClockStep => self.lab().association.handle_clock_step(),
        }
    }
}

fn run(lab: Lab, events: Vec<Event>) {
    let nts = lab.association.status().nts;
    let mut model = Model {
        lab: Some(lab),
        ..Model::default()
    };
    for event in events {
        model.apply(event);
        let status = model.lab().association.status();
        assert_eq!(status.nts, nts, "NTS neither comes nor goes");
        assert!(status.cookies.unwrap_or(0) <= 8);
        assert!((4..=10).contains(&status.poll));
    }
}

proptest! {
    #[test]
    fn nts(algorithm in prop::sample::select(vec![15_u16, 17, 30]),
           events in prop::collection::vec(event(), 0..120)) {
        run(Lab::with(AssociationConfig::default(), Some(algorithm)), events);
    }

    #[test]
    fn plain(events in prop::collection::vec(event(), 0..120)) {
        run(Lab::plain(), events);
    }
}
