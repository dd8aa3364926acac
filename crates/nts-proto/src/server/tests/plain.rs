//! Requests without NTS, and rules that hold with it too.

use super::*;

#[test]
fn plain_time() {
    let mut datagram = plain_request();
    datagram[2] = 6;
    let answer = Server::default().answer(&datagram).unwrap();
    assert_eq!((answer.kind, answer.authenticated), (TIME, false));
    let expected = concat!(
        "240206e90000032000000640c0000201ec9f3c0000000000",
        "0123456789abcdefec9f3c8040000000ec9f3c8040010000"
    );
    assert_eq!(hex::encode(answer.bytes), expected);
}

#[test]
fn plain_time_for_version_3() {
    let mut datagram = plain_request();
    datagram[0] = 0x1b;
    let answer = Server::default().answer(&datagram).unwrap();
    assert_eq!(answer.bytes[0], 0x1c);
    // With a MAC that we cannot check: the plain answer, which its sender will not believe.
    datagram.extend([0xaa; 20]);
    assert_eq!(Server::default().answer(&datagram).unwrap().bytes.len(), 48);
}

#[test]
fn an_unsynchronized_server_says_so() {
    let server = Server {
        system: SystemState::unsynchronized(-20),
        ..Server::default()
    };
    let answer = server.answer(&plain_request()).unwrap();
    assert_eq!(answer.bytes[..4], [0xe4, 0, 0, 0xec]);
    assert_eq!(answer.bytes[12..16], *b"INIT");
    assert_eq!(answer.header().receive, SERVER_RECEIVED);
    assert_eq!(answer.header().transmit, SERVER_SENT);
}

/// The first 24 octets, which speak of the clock, for each state that it can be in.
#[test]
fn each_state_of_the_clock_octet_for_octet() {
    let now = NtpTimestamp::from_bits(0xec9f_3c00_0000_0000);
    let local = |stratum, id: [u8; 4]| {
        SystemState::local_clock(stratum, ReferenceId::from_bytes(id), -20, now)
    };
    let by_sources = |leap, stratum, reference_id| SystemState {
        leap,
        stratum,
        precision: -23,
        root_delay: NtpShort::from_bits(0x0001_8000),
        root_dispersion: NtpShort::from_bits(0x0000_0321),
        reference_id,
        reference: now,
    };
    let v4 = ReferenceId::from_address("192.0.2.1".parse().unwrap());
    let v6 = ReferenceId::from_address("2001:db8::1".parse().unwrap());
    let none = LeapIndicator::NoWarning;
    for (system, expected) in [
        // Never synchronised, or not any more: leap 3, stratum 0, INIT, nothing else.
        (
            SystemState::unsynchronized(-20),
            "e40000ec0000000000000000494e49540000000000000000",
        ),
        // A clock that something else keeps: its dispersion is its precision, rounded up.
        (
            local(1, *b"GPS\0"),
            "240100ec000000000000000147505300ec9f3c0000000000",
        ),
        (
            local(2, [127, 127, 1, 1]),
            "240200ec00000000000000017f7f0101ec9f3c0000000000",
        ),
        (
            local(15, [127, 127, 1, 1]),
            "240f00ec00000000000000017f7f0101ec9f3c0000000000",
        ),
        // Synchronised to sources, and with a leap second ahead.
        (
            by_sources(none, 2, v4),
            "240200e90001800000000321c0000201ec9f3c0000000000",
        ),
        (
            by_sources(none, 15, v6),
            "240f00e9000180000000032139ab9b37ec9f3c0000000000",
        ),
        (
            by_sources(LeapIndicator::Leap61, 2, v4),
            "640200e90001800000000321c0000201ec9f3c0000000000",
        ),
        (
            by_sources(LeapIndicator::Leap59, 2, v4),
            "a40200e90001800000000321c0000201ec9f3c0000000000",
        ),
    ] {
        let server = Server {
            system,
            ..Server::default()
        };
        let plain = server.answer(&plain_request()).unwrap();
        assert_eq!(hex::encode(&plain.bytes[..24]), expected);
        assert_eq!(plain.bytes[24..32], plain_request()[40..48]);
        assert_eq!(plain.header().receive, SERVER_RECEIVED);
        assert_eq!(plain.header().transmit, SERVER_SENT);
        // With NTS the same is said.
        let protected = server.answer(&exchange::request()).unwrap();
        assert!(protected.authenticated);
        assert_eq!(protected.bytes[..48], plain.bytes);
    }
}

#[test]
fn the_identifier_is_echoed_without_nts_too() {
    let mut datagram = plain_request();
    datagram.extend(&exchange::request()[48..84]);
    let answer = Server::default().answer(&datagram).unwrap();
    assert_eq!(answer.bytes[48..], datagram[48..]);
    assert!(!answer.authenticated);
}

#[test]
fn only_requests_of_accepted_versions_are_answered() {
    for flags in 0..=0xff_u8 {
        let mut datagram = plain_request();
        datagram[0] = flags;
        let (version, mode) = ((flags >> 3) & 7, flags & 7);
        for (accept_v3, accept_v4) in [(true, true), (false, true), (true, false), (false, false)] {
            let server = Server {
                policy: Policy {
                    accept_v3,
                    accept_v4,
                    ..Policy::default()
                },
                ..Server::default()
            };
            let expected = if mode != 3 {
                Err(DropReason::NotARequest)
            } else if (version == 3 && accept_v3) || (version == 4 && accept_v4) {
                Ok(TIME)
            } else {
                Err(DropReason::Version)
            };
            let result = server.answer(&datagram).map(|answer| answer.kind);
            assert_eq!(result, expected, "flags {flags:#x}");
        }
    }
}

#[test]
fn malformed_requests_are_dropped() {
    let server = Server::default();
    for length in 0..48 {
        assert_eq!(
            server.answer(&plain_request()[..length]),
            Err(DropReason::Malformed)
        );
    }
    let mut datagram = plain_request();
    datagram.extend([0xff; 25]);
    assert_eq!(server.answer(&datagram), Err(DropReason::Malformed));
}

#[test]
fn a_server_that_requires_nts() {
    for (plain_requests, expected) in [
        (PlainRequests::Answer, Ok(TIME)),
        (PlainRequests::Ignore, Err(DropReason::PlainRequest)),
        (PlainRequests::Deny, Ok(ReplyKind::Deny)),
    ] {
        let server = Server {
            policy: Policy {
                plain_requests,
                ..Policy::default()
            },
            ..Server::default()
        };
        let plain = server.answer(&plain_request()).map(|answer| answer.kind);
        assert_eq!(plain, expected);
        let nts = server.answer(&exchange::request()).unwrap();
        assert_eq!((nts.kind, nts.authenticated), (TIME, true));
    }
}

#[test]
fn kisses_octet_for_octet() {
    for (treatment, code) in [
        (Treatment::Deny, "44454e59"),
        (Treatment::SlowDown, "52415445"),
    ] {
        let server = Server {
            treatment,
            ..Server::default()
        };
        let answer = server.answer(&plain_request()).unwrap();
        let expected = format!(
            "e40000000000000000000000{code}00000000000000000123456789abcdef{}",
            "00".repeat(16)
        );
        assert_eq!(hex::encode(&answer.bytes), expected);
        assert!(!answer.authenticated);
    }
}
