//! The NTP server: whatever comes, the answer is never longer, and authenticated only if the
//! request was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nts_fuzz::{key_set, rng, seal, session, split, take};
use nts_proto::ntp::header::Mode;
use nts_proto::ntp::packet::Packet;
use nts_proto::server::{
    Outcome, PlainRequests, Policy, Request, Responder, SystemState, Treatment,
};
use nts_proto::time::NtpTimestamp;

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let choice = take(&mut data);
    let sealed = choice & 1 != 0;
    let treatment = match (choice >> 1) % 3 {
        0 => Treatment::Serve,
        1 => Treatment::Deny,
        _ => Treatment::SlowDown,
    };
    let plain_requests = match (choice >> 3) % 3 {
        0 => PlainRequests::Answer,
        1 => PlainRequests::Ignore,
        _ => PlainRequests::Deny,
    };
    let datagram = if sealed { genuine(data) } else { data.to_vec() };
    let keys = key_set();
    let responder = Responder {
        system: &SystemState::unsynchronized(-20),
        keys: &keys,
        policy: &Policy {
            plain_requests,
            ..Policy::default()
        },
    };
    let request = Request {
        datagram: &datagram,
        received: NtpTimestamp::from_bits(1),
        treatment,
    };
    let transmit = || NtpTimestamp::from_bits(2);
    let mut out = vec![0; datagram.len() + 500];
    if let Outcome::Reply {
        length,
        authenticated,
        ..
    } = responder.respond(&request, transmit, &mut rng(), &mut out)
    {
        assert!(length <= datagram.len());
        assert!(sealed || !authenticated);
        assert!(
            out[length..]
                .iter()
                .skip(datagram.len())
                .all(|octet| *octet == 0)
        );
        let asked = Packet::parse(&datagram).unwrap();
        let answer = Packet::parse(&out[..length]).unwrap();
        assert_eq!(answer.header.mode, Mode::Server);
        assert_eq!(answer.header.origin, asked.header.transmit);
        assert_eq!(answer.authenticator.is_some(), authenticated);
    }
});

/// A request that verifies: a cookie of ours, then clear fields, then hidden ones of the fuzzer's
/// choice.
fn genuine(mut data: &[u8]) -> Vec<u8> {
    let (algorithm, keys) = session(take(&mut data));
    let cookie = key_set().seal(algorithm, &keys, &mut rng()).unwrap();
    let (clear, hidden) = split(&mut data);
    let mut packet = vec![0; 48];
    packet[0] = 0x23;
    packet[40] = 1;
    packet.extend([0x01, 0x04, 0, 36]);
    packet.extend([9; 32]);
    packet.extend([0x02, 0x04]);
    packet.extend(u16::try_from(4 + cookie.len()).unwrap().to_be_bytes());
    packet.extend(cookie.as_bytes());
    packet.extend(clear);
    seal(&mut packet, algorithm, keys.c2s(), hidden);
    packet
}
