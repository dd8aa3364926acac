//! Whole servers on loopback: datagram in, datagram and counters out.

use std::net::UdpSocket;
use std::time::Duration;

use arc_swap::ArcSwap;
use nts_proto::aead::AeadKey;
use nts_proto::code_points::AeadAlgorithm;
use nts_proto::cookie::Cookie;
use nts_proto::ke::keys::SessionKeys;
use nts_proto::ntp::header::{Header, LeapIndicator};
use nts_proto::ntp::packet::Packet;
use nts_proto::time::{NtpDuration, NtpTimestamp};

use super::*;
use crate::clock::reading;
use crate::config::{FilterAction, FilterList, KeysetConfig, RateKiss, SynchronizationConfig};

const LOOPBACK: &str = "127.0.0.1:0";
const TRANSMIT: u64 = 0x0123_4567_89ab_cdef;
const ALGORITHM: AeadAlgorithm = AeadAlgorithm::AesSivCmac256;

/// A running server and one client.
struct Lab {
    server: Server,
    keys: Arc<KeyStore>,
    client: UdpSocket,
}

impl Lab {
    fn new(change: impl FnOnce(&mut ServerConfig)) -> Self {
        Self::at(LOOPBACK, change)
    }

    fn at(listen: &str, change: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut config = ServerConfig::new(listen.parse().unwrap());
        change(&mut config);
        let keys = Arc::new(KeyStore::open(&KeysetConfig::default()).unwrap());
        let synchronization = SynchronizationConfig {
            local_stratum: 1,
            ..SynchronizationConfig::default()
        };
        let system = Arc::new(ArcSwap::from_pointee(system::without_discipline(
            &synchronization,
        )));
        let server = Server::start(&config, system, Arc::clone(&keys)).unwrap();
        let client = UdpSocket::bind(LOOPBACK).unwrap();
        let port = server.local_address().unwrap().port();
        client.connect(("127.0.0.1", port)).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        Self {
            server,
            keys,
            client,
        }
    }

    fn ask(&self, request: &[u8]) -> Vec<u8> {
        self.client.send(request).unwrap();
        self.read()
    }

    fn read(&self) -> Vec<u8> {
        let mut buffer = [0; 2048];
        let length = self.client.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    }

    /// Sends what gets no answer, then asks something of `other` kind that does: datagrams on
    /// loopback keep their order, so a wrong answer to the first would come first.
    fn ignored(&self, request: &[u8], other: &[u8]) -> Vec<u8> {
        self.client.send(request).unwrap();
        self.ask(other)
    }

    fn counted(&self) -> StatsSnapshot {
        self.server.stats().snapshot()
    }

    fn session(&self) -> Session {
        let keys = SessionKeys::new(&[1; 32], &[2; 32]).unwrap();
        let cookie = self
            .keys
            .current()
            .seal(ALGORITHM, &keys, &mut rand::rng())
            .unwrap();
        Session { keys, cookie }
    }
}

fn plain() -> Vec<u8> {
    Header::request(NtpTimestamp::from_bits(TRANSMIT))
        .to_bytes()
        .to_vec()
}

/// A plain request of NTPv3, whose version is in the answer.
fn version_3() -> Vec<u8> {
    let mut request = plain();
    request[0] = 0x1b;
    request
}

fn header(octets: &[u8]) -> Header {
    Header::from_bytes(octets.first_chunk().unwrap())
}

struct Session {
    keys: SessionKeys,
    cookie: Cookie,
}

impl Session {
    /// A request for one cookie, sealed by hand (RFC 8915 §5).
    fn request(&self) -> Vec<u8> {
        let mut request = plain();
        field(&mut request, 0x0104, &[0xc0; 32]);
        field(&mut request, 0x0204, self.cookie.as_bytes());
        let mut tag = [0; 16];
        let key = AeadKey::new(ALGORITHM, self.keys.c2s()).unwrap();
        key.seal_in_place(&[0xe0; 16], &request, &mut tag).unwrap();
        let value = [&[0, 16, 0, 16][..], &[0xe0; 16], &tag].concat();
        field(&mut request, 0x0404, &value);
        request
    }
}

fn field(packet: &mut Vec<u8>, kind: u16, value: &[u8]) {
    packet.extend(kind.to_be_bytes());
    packet.extend(u16::try_from(value.len() + 4).unwrap().to_be_bytes());
    packet.extend(value);
}

#[test]
fn plain_requests_get_the_time() {
    let lab = Lab::new(|_| {});
    let before = reading::now();
    let reply = lab.ask(&plain());
    let after = reading::now();
    assert_eq!(reply.len(), 48);
    assert_eq!(reply[0], 0x24);
    let header = header(&reply);
    assert_eq!(
        (header.stratum, header.reference_id.to_bytes()),
        (1, *b"XNON")
    );
    assert_eq!(header.origin.to_bits(), TRANSMIT);
    let order = [before, header.receive, header.transmit, after];
    assert!(
        order
            .windows(2)
            .all(|pair| pair[1].since(pair[0]).to_bits() >= 0),
        "{order:?}"
    );
    let expected = StatsSnapshot {
        received_packets: 1,
        accepted_packets: 1,
        ..StatsSnapshot::default()
    };
    assert_eq!(lab.counted(), expected);
}

#[test]
fn nts_requests_get_an_authenticated_answer_with_a_new_cookie() {
    let lab = Lab::new(|_| {});
    let session = lab.session();
    let request = session.request();
    let reply = lab.ask(&request);
    assert_eq!(reply.len(), request.len());
    let packet = Packet::parse(&reply).unwrap();
    assert_eq!(packet.unique_identifier.only(), Some(&[0xc0; 32][..]));
    let authenticator = packet.authenticator.unwrap();
    let mut plaintext = vec![0; authenticator.plaintext_length()];
    let key = AeadKey::new(ALGORITHM, session.keys.s2c()).unwrap();
    authenticator.open(&key, &mut plaintext).unwrap();
    assert_eq!(plaintext[..4], [2, 4, 0, 108]);
    assert!(lab.keys.current().open(&plaintext[4..]).is_ok());
    let expected = StatsSnapshot {
        received_packets: 1,
        accepted_packets: 1,
        nts_received_packets: 1,
        nts_accepted_packets: 1,
        ..StatsSnapshot::default()
    };
    assert_eq!(lab.counted(), expected);
}

#[test]
fn a_cookie_of_an_erased_key_gets_a_nak() {
    let lab = Lab::new(|_| {});
    let request = lab.session().request();
    for _ in 0..8 {
        lab.keys.rotate();
    }
    let reply = lab.ask(&request);
    assert_eq!(reply.len(), 84);
    let header = header(&reply);
    assert_eq!(
        (header.stratum, header.reference_id.to_bytes()),
        (0, *b"NTSN")
    );
    let expected = StatsSnapshot {
        received_packets: 1,
        nts_received_packets: 1,
        nts_nak_packets: 1,
        ..StatsSnapshot::default()
    };
    assert_eq!(lab.counted(), expected);
}

fn list(network: &str, action: FilterAction) -> Option<FilterList> {
    Some(FilterList {
        filter: vec![network.parse().unwrap()],
        action,
    })
}

#[test]
fn a_denied_client_is_told_so() {
    let lab = Lab::new(|config| config.denylist = list("127.0.0.0/8", FilterAction::Deny));
    let reply = lab.ask(&plain());
    let header = header(&reply);
    assert_eq!(
        (header.stratum, header.reference_id.to_bytes()),
        (0, *b"DENY")
    );
    let expected = StatsSnapshot {
        received_packets: 1,
        denied_packets: 1,
        ..StatsSnapshot::default()
    };
    assert_eq!(lab.counted(), expected);
}

#[test]
fn lists_of_ipv4_count_on_a_socket_of_both_families() {
    let lab = Lab::at("[::]:0", |config| {
        config.denylist = list("127.0.0.0/8", FilterAction::Deny);
    });
    assert_eq!(header(&lab.ask(&plain())).reference_id.to_bytes(), *b"DENY");
}

#[test]
fn plain_requests_are_ignored_where_nts_is_required() {
    let lab = Lab::new(|config| config.require_nts = Some(FilterAction::Ignore));
    let session = lab.session();
    let reply = lab.ignored(&plain(), &session.request());
    assert!(Packet::parse(&reply).unwrap().authenticator.is_some());
    let counted = lab.counted();
    assert_eq!(
        (counted.ignored_packets, counted.nts_accepted_packets),
        (1, 1)
    );
}

#[test]
fn only_accepted_versions_and_requests_are_answered() {
    let lab = Lab::new(|config| config.accept_ntp_versions.v4 = false);
    assert_eq!(lab.ignored(&plain(), &version_3())[0], 0x1c);
    let mut answer = version_3();
    answer[0] = 0x1c;
    assert_eq!(lab.ignored(&answer, &version_3())[0], 0x1c);
    assert_eq!(lab.ignored(&[0; 47], &version_3())[0], 0x1c);
    assert_eq!(lab.ignored(&[0x23; 2049], &version_3())[0], 0x1c);
    let counted = lab.counted();
    assert_eq!((counted.received_packets, counted.ignored_packets), (8, 4));
    assert_eq!(counted.accepted_packets, 4);
}

#[test]
fn who_asks_too_often_gets_fewer_answers() {
    let lab = Lab::new(|config| {
        config.rate_limiting_cache_size = 16;
        config.rate_limiting_cutoff = Duration::from_secs(3600);
    });
    let request = lab.session().request();
    for _ in 0..8 {
        lab.ask(&request);
    }
    // A quarter still gets through: wait for the one that does.
    let mut asked = 0;
    lab.client.set_nonblocking(true).unwrap();
    let mut buffer = [0; 2048];
    while lab.counted().nts_rate_limited_packets == 0 {
        lab.client.send(&request).unwrap();
        asked += 1;
        // These are counted last of all.
        let finished = |it: StatsSnapshot| it.nts_accepted_packets + it.nts_rate_limited_packets;
        while finished(lab.counted()) < 8 + asked {
            std::thread::yield_now();
        }
        let _ = lab.client.recv(&mut buffer);
    }
    let counted = lab.counted();
    assert_eq!(
        counted.rate_limited_packets,
        counted.nts_rate_limited_packets
    );
    assert_eq!(counted.nts_received_packets, counted.received_packets);
}

/// What comes back for 40 requests beyond the burst, of which a quarter leaks through.
fn beyond_the_burst(kiss: RateKiss, with_nts: bool) -> (Vec<Vec<u8>>, StatsSnapshot) {
    let lab = Lab::new(|config| {
        config.rate_limiting_cache_size = 16;
        config.rate_limiting_cutoff = Duration::from_secs(3600);
        config.rate_limiting_burst = 2;
        config.rate_limiting_kiss = kiss;
    });
    let request = match with_nts {
        true => lab.session().request(),
        false => plain(),
    };
    for _ in 0..2 {
        assert_eq!(header(&lab.ask(&request)).stratum, 1);
    }
    for _ in 0..40 {
        lab.client.send(&request).unwrap();
    }
    let counted = loop {
        let counted = lab.counted();
        if counted.accepted_packets + counted.rate_limited_packets == 42 {
            break counted;
        }
        std::thread::yield_now();
    };
    let kisses = match kiss {
        RateKiss::Never => 0,
        RateKiss::Nts => counted.nts_rate_limited_packets,
        RateKiss::Always => counted.rate_limited_packets,
    };
    let said = counted.accepted_packets - 2 + kisses;
    ((0..said).map(|_| lab.read()).collect(), counted)
}

#[test]
fn a_rate_kiss_is_said_to_whom_it_is_configured() {
    for (kiss, with_nts, expected) in [
        (RateKiss::Never, false, false),
        (RateKiss::Never, true, false),
        (RateKiss::Nts, false, false),
        (RateKiss::Nts, true, true),
        (RateKiss::Always, false, true),
        (RateKiss::Always, true, true),
    ] {
        let (said, counted) = beyond_the_burst(kiss, with_nts);
        let is_kiss = |it: &&Vec<u8>| header(it).reference_id.to_bytes() == *b"RATE";
        let kisses: Vec<_> = said.iter().filter(is_kiss).collect();
        assert_eq!(!kisses.is_empty(), expected, "{kiss:?} {with_nts}");
        for reply in kisses {
            assert_eq!(reply[..2], [0xe4, 0]);
            let sealed = Packet::parse(reply).unwrap().authenticator.is_some();
            assert_eq!(sealed, with_nts);
        }
        assert!(counted.rate_limited_packets > 0);
    }
}

#[test]
fn a_network_gets_few_naks() {
    let lab = Lab::new(|_| {});
    let request = lab.session().request();
    for _ in 0..8 {
        lab.keys.rotate();
    }
    for _ in 0..32 {
        assert_eq!(header(&lab.ask(&request)).reference_id.to_bytes(), *b"NTSN");
    }
    let mut limited = 0;
    while limited == 0 {
        lab.client.send(&request).unwrap();
        limited = lab.counted().nts_nak_limited_packets;
    }
    let counted = lab.counted();
    let all = counted.nts_nak_packets + counted.nts_nak_limited_packets;
    assert_eq!(counted.nts_received_packets, all);
    assert_eq!(counted.ignored_packets + counted.accepted_packets, 0);
}

#[test]
fn threads_serve_together_and_count_together() {
    let lab = Lab::new(|config| config.threads = 3);
    let address = lab.server.local_address().unwrap();
    for _ in 0..64 {
        // A new port each time, so that the kernel picks among the sockets.
        let client = UdpSocket::bind(LOOPBACK).unwrap();
        client.connect(address).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        client.send(&plain()).unwrap();
        let mut buffer = [0; 64];
        assert_eq!(client.recv(&mut buffer).unwrap(), 48);
    }
    assert_eq!(lab.counted().accepted_packets, 64);
    let shares: Vec<_> = (0..3)
        .filter_map(|thread| lab.server.stats().shard(thread))
        .map(stats::Shard::received)
        .collect();
    assert!(shares.iter().all(|it| (1..64).contains(it)), "{shares:?}");
    drop(lab.server);
    UdpSocket::bind(address).expect("all sockets are closed");
}

#[test]
fn an_unsynchronised_server_says_so() {
    let lab = Lab::new(|_| {});
    let state = system::without_discipline(&SynchronizationConfig::default());
    assert_eq!(state.system.leap, LeapIndicator::Unsynchronized);
    let keys = Arc::clone(&lab.keys);
    let config = ServerConfig::new(LOOPBACK.parse().unwrap());
    let system = Arc::new(ArcSwap::from_pointee(state));
    let server = Server::start(&config, Arc::clone(&system), keys).unwrap();
    lab.client.connect(server.local_address().unwrap()).unwrap();
    let reply = lab.ask(&plain());
    assert_eq!(
        (reply[0], header(&reply).reference_id.to_bytes()),
        (0xe4, *b"INIT")
    );
    // Whoever keeps the clock publishes, and the next answer says it.
    let state = SynchronizationConfig {
        local_stratum: 3,
        ..SynchronizationConfig::default()
    };
    system.store(Arc::new(system::without_discipline(&state)));
    assert_eq!(lab.ask(&plain())[..2], [0x24, 3]);
}

#[test]
fn the_daemons_own_clock_is_served_in_both_stamps() {
    let lab = Lab::new(|_| {});
    let mut served = system::without_discipline(&SynchronizationConfig::default());
    served.clock = served.clock.stepped(NtpDuration::from_bits(1000 << 32));
    let config = ServerConfig::new(LOOPBACK.parse().unwrap());
    let system = Arc::new(ArcSwap::from_pointee(served));
    let server = Server::start(&config, system, Arc::clone(&lab.keys)).unwrap();
    lab.client.connect(server.local_address().unwrap()).unwrap();
    let before = reading::now();
    let header = header(&lab.ask(&plain()));
    for stamp in [header.receive, header.transmit] {
        let ahead = stamp.since(before).as_seconds_f64();
        assert!((1000.0..1010.0).contains(&ahead), "{ahead}");
    }
}

#[test]
fn a_taken_address_is_tried_again() {
    let taken = UdpSocket::bind(LOOPBACK).unwrap();
    let address = taken.local_addr().unwrap();
    let keys = Arc::new(KeyStore::open(&KeysetConfig::default()).unwrap());
    let state = system::without_discipline(&SynchronizationConfig::default());
    let system = Arc::new(ArcSwap::from_pointee(state));
    let server = Server::start(&ServerConfig::new(address), system, keys).unwrap();
    assert_eq!(server.local_address(), None);
    assert_eq!(server.address(), address);
    drop(taken);
    while server.local_address().is_none() {
        std::thread::yield_now();
    }
    assert_eq!(server.local_address(), Some(address));
    drop(server);
    UdpSocket::bind(address).expect("dropping the server frees its address");
}

#[test]
fn a_flood_does_not_keep_it_from_stopping() {
    let lab = Lab::new(|_| {});
    let (server, client) = (lab.server, lab.client);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                // Once the server is gone the kernel says so.
                let _ = client.send(&plain());
            }
        });
        while server.stats().snapshot().received_packets < 1000 {
            std::thread::yield_now();
        }
        drop(server);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
