use nts_proto::ntp::header::Header;
use nts_proto::server::SystemState;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::config::FilterList;

#[test]
fn a_decision_allocates_nothing() {
    let listen = "127.0.0.1:0".parse().unwrap();
    let handler = Handler::new(&ServerConfig {
        rate_limiting_cache_size: 64,
        rate_limiting_cutoff: Duration::from_secs(1),
        denylist: Some(FilterList {
            filter: vec!["192.0.2.0/24".parse().unwrap()],
            action: FilterAction::Deny,
        }),
        ..ServerConfig::new(listen)
    });
    let mut rng = StdRng::seed_from_u64(1);
    let (system, keys) = (SystemState::unsynchronized(-20), KeySet::new(&mut rng, 7));
    let moment = Moment {
        system: &system,
        keys: &keys,
        now: Instant::now(),
    };
    let request = Header::request(NtpTimestamp::from_bits(1)).to_bytes();
    let mut out = [0; 64];
    let mut counted = StatsSnapshot::default();
    let allocated = allocation_counter::measure(|| {
        for (from, length) in [([127, 0, 0, 1], Some(48)), ([192, 0, 2, 1], Some(48))] {
            let arrival = Arrival {
                from: from.into(),
                octets: &request,
                truncated: false,
                received: NtpTimestamp::from_bits(2),
            };
            let transmit = || NtpTimestamp::from_bits(3);
            let answer = handler.answer(
                &moment,
                &arrival,
                transmit,
                &mut rng,
                &mut out,
                &mut counted,
            );
            assert_eq!(answer, length);
        }
    });
    assert_eq!(allocated.count_total, 0);
    assert_eq!((counted.accepted_packets, counted.denied_packets), (1, 1));
}
