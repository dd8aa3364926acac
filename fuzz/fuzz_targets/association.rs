//! The client's association: any datagrams between polls, some of them properly sealed. No cookie
//! goes out twice, and only authentic answers bring new ones.
#![no_main]

use std::collections::HashSet;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use nts_fuzz::{key_set, rng, seal, session, split, take};
use nts_proto::association::{
    Association, AssociationConfig, DatagramOutcome, NtsSession, TimerAction,
};
use nts_proto::code_points::AeadAlgorithm;
use nts_proto::ntp::packet::Packet;
use nts_proto::time::{MonotonicTime, NtpTimestamp};

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let (algorithm, keys) = session(take(&mut data));
    let mut rng = rng();
    let cookies: Vec<_> = (0..8)
        .map(|_| key_set().seal(algorithm, &keys, &mut rng).unwrap())
        .collect();
    // A fuzzer that seals the same cookie twice gives it to us twice; these are given once.
    let mut unused: HashSet<_> = cookies.iter().map(|it| it.as_bytes().to_vec()).collect();
    let mut used = HashSet::new();
    let nts = NtsSession::new(algorithm, &keys, cookies).unwrap();
    let mut now = MonotonicTime::default();
    let mut association = Association::nts(AssociationConfig::default(), nts, now, now);
    let mut request = Vec::new();

    while !data.is_empty() {
        let choice = take(&mut data);
        if choice & 1 == 0 {
            now = association.next_timer().unwrap_or(now).max(now);
            if let TimerAction::Send(datagram) = association.handle_timer(now, &mut rng) {
                request = datagram.as_ref().to_vec();
                assert!(request.len() <= 1232);
                let cookie = Packet::parse(&request).unwrap().cookie.only().unwrap();
                assert!(!used.contains(cookie), "a cookie twice");
                used.extend(unused.take(cookie));
                association.handle_sent(NtpTimestamp::from_bits(5));
            }
            continue;
        }
        let length = usize::from(take(&mut data)) * 2;
        let (mut piece, rest) = data.split_at(length.min(data.len()));
        data = rest;
        let sealed = choice & 2 != 0;
        let datagram = match (choice >> 1) & 3 {
            0 => piece.to_vec(),
            1 | 3 => answer(&mut piece, &request, Some((algorithm, keys.s2c()))),
            _ => answer(&mut piece, &request, None),
        };
        now = now + Duration::from_millis(u64::from(choice));
        let before = association.status();
        let outcome = association.handle_datagram(now, NtpTimestamp::from_bits(9), &datagram, &[]);
        let after = association.status();
        assert!(after.cookies.unwrap() <= 8);
        if !sealed {
            assert_eq!(before.cookies, after.cookies);
            assert_eq!(
                (before.reach, before.finished),
                (after.reach, after.finished)
            );
            assert!(!matches!(
                outcome,
                DatagramOutcome::Measurement(_) | DatagramOutcome::Unusable(_)
            ));
        }
    }
});

/// An answer to `request` with the fuzzer's header and fields, sealed if there is a key.
fn answer(piece: &mut &[u8], request: &[u8], key: Option<(AeadAlgorithm, &[u8])>) -> Vec<u8> {
    if request.len() < 84 {
        return piece.to_vec();
    }
    let mut packet = vec![0; 48];
    for place in packet.iter_mut().take(16) {
        *place = take(piece);
    }
    packet[0] = packet[0] & 0xc0 | 0x24;
    packet[24..32].copy_from_slice(&request[40..48]);
    packet[32..48].fill(1);
    packet.extend(&request[48..84]);
    let (clear, hidden) = split(piece);
    packet.extend(clear);
    match key {
        Some((algorithm, key)) => seal(&mut packet, algorithm, key, hidden),
        None => packet.extend(hidden),
    }
    packet
}
