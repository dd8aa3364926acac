//! Users behind a balancer, on real sockets.

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::proxy_protocol::ProxyProtocol;
use crate::shutdown::Trigger;

const DEADLINE: Duration = Duration::from_secs(30);

/// What a handler saw: who is served, and by which name of the balancer.
type Seen = (SocketAddr, bool, Option<String>);

/// A listener behind balancers on 127.0.0.0/8.
struct Service {
    address: SocketAddr,
    stats: Stats,
    gate: Gate,
    seen: UnboundedReceiver<Seen>,
    trigger: Trigger,
    serving: JoinHandle<()>,
}

impl Service {
    fn start(balancers: &str, prefixes: PrefixLimits) -> Self {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let gate = Gate::with_prefix_limits(9, prefixes);
        gate.set_proxy_protocol(ProxyProtocol::from_networks([balancers.parse().unwrap()]));
        let (trigger, shutdown) = shutdown::channel();
        let stats = stats();
        let (see, seen) = mpsc::unbounded_channel();
        let handler = move |mut connection: Connection| {
            let id = connection.forwarded.as_ref().unwrap().unique_id.clone();
            let id = id.map(|id| id.to_string());
            see.send((connection.peer, connection.is_from_user(), id))
                .unwrap();
            async move {
                let mut octet = [0];
                if connection.stream.read_exact(&mut octet).await.is_ok() {
                    connection.stream.write_all(&octet).await.unwrap();
                }
            }
        };
        let limits = with_first_byte();
        let serving = serve(
            listener,
            gate.clone(),
            limits,
            shutdown,
            stats.clone(),
            handler,
        );
        Self {
            address,
            stats,
            gate,
            seen,
            trigger,
            serving: tokio::spawn(serving),
        }
    }

    /// Sends these octets; the result is the connection.
    async fn send(&self, octets: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(octets).await.unwrap();
        stream
    }

    fn limited(&self, reason: LimitReason) -> u64 {
        self.stats.limited(reason).get()
    }

    async fn stop(self) {
        self.trigger.fire();
        timeout(DEADLINE, self.serving).await.unwrap().unwrap();
    }
}

/// A header that forwards this user, in hexadecimal its fields.
fn forwarding(user: [u8; 4], fields: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0".to_vec();
    header.push(u8::try_from(12 + fields.len()).unwrap());
    header.extend(user);
    header.extend([192, 0, 2, 1, 0x9c, 0x40, 0x11, 0x6c]);
    header.extend(fields);
    header
}

async fn is_closed(mut stream: TcpStream) -> bool {
    let read = timeout(DEADLINE, stream.read(&mut [0])).await.unwrap();
    // Octets that nobody read may make a reset of it.
    read.map_or(true, |count| count == 0)
}

#[tokio::test]
async fn the_user_is_who_the_balancer_says() {
    let mut service = Service::start("127.0.0.0/8", PrefixLimits::default());
    let id = [5, 0, 2, b'i', b'd'];
    let mut octets = forwarding([198, 51, 100, 7], &id);
    octets.push(b'x');
    // In two pieces, as the network may deliver it.
    let (first, second) = octets.split_at(20);
    let mut user = service.send(first).await;
    user.write_all(second).await.unwrap();
    assert_eq!(user.read_u8().await.unwrap(), b'x');
    let address = "198.51.100.7:40000".parse().unwrap();
    assert_eq!(
        service.seen.recv().await,
        Some((address, true, Some("id".into())))
    );
    service.stop().await;
}

#[tokio::test]
async fn limits_hold_for_the_users_network_not_the_balancers() {
    let limits = PrefixLimits {
        concurrency: 1,
        exempt: Vec::new(),
        ..PrefixLimits::default()
    };
    let mut service = Service::start("127.0.0.0/8", limits);
    let users = [[198, 51, 100, 7], [203, 0, 113, 1], [203, 0, 113, 77]];
    let mut streams = Vec::new();
    for user in users {
        let octets = forwarding(user, b"");
        let mut stream = service.send(&octets).await;
        stream.write_all(b"x").await.unwrap();
        streams.push(stream);
        service.seen.recv().await.unwrap();
    }
    let held = service.send(&forwarding(users[0], b"")).await;
    let second = service.send(&forwarding(users[0], b"")).await;
    let (held, second) = tokio::join!(is_closed(held), is_closed(second));
    assert!(held && second);
    assert_eq!(service.limited(LimitReason::PrefixConcurrency), 1);
    assert_eq!(service.limited(LimitReason::FirstByte), 1);
    service.stop().await;
}

#[tokio::test]
async fn proxy_allowlist() {
    let service = Service::start("192.0.2.0/24", PrefixLimits::default());
    // Neither a proper header nor none makes a difference for who is not on the list.
    for octets in [
        forwarding([198, 51, 100, 7], b""),
        b"x".to_vec(),
        Vec::new(),
    ] {
        assert!(is_closed(service.send(&octets).await).await);
    }
    assert_eq!(service.limited(LimitReason::Stranger), 3);
    assert_eq!(service.stats.accepted.get(), 0);
    // The list can be changed at any time.
    let networks = ["127.0.0.1/32".parse().unwrap()];
    service
        .gate
        .set_proxy_protocol(ProxyProtocol::from_networks(networks));
    let mut octets = forwarding([198, 51, 100, 7], b"");
    octets.push(b'x');
    let mut user = service.send(&octets).await;
    assert_eq!(user.read_u8().await.unwrap(), b'x');
    service.stop().await;
}

#[tokio::test]
async fn a_balancer_without_a_proper_header_is_closed_unserved() {
    let service = Service::start("127.0.0.0/8", PrefixLimits::default());
    // A user's first octets, as a balancer without `send-proxy-v2` forwards them.
    let hello = [0x16; 32];
    assert!(is_closed(service.send(&hello).await).await);
    // A piece of a header, and the end.
    let mut cut = service.send(&forwarding([1; 4], b"")[..20]).await;
    cut.shutdown().await.unwrap();
    assert!(is_closed(cut).await);
    assert_eq!(service.limited(LimitReason::ProxyHeader), 2);
    assert!(service.seen.is_empty());
    service.stop().await;
}

#[tokio::test]
async fn a_header_that_does_not_come_is_waited_for_250_ms() {
    let (accepted, mut user) = pair().await;
    user.write_all(b"\r\n\r\n").await.unwrap();
    accepted.0.readable().await.unwrap();
    let gate = gate();
    let balancers = "127.0.0.0/8".parse().unwrap();
    gate.set_proxy_protocol(ProxyProtocol::from_networks([balancers]));
    let (lived, stats) = life_unserved((accepted, user), gate).await;
    // The timer rounds up to a millisecond.
    assert!((250..253).contains(&lived.as_millis()), "{lived:?}");
    assert_eq!(stats.limited(LimitReason::ProxyHeader).get(), 1);
}

#[tokio::test]
async fn health_checks_are_no_users() {
    let mut service = Service::start("127.0.0.0/8", PrefixLimits::default());
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    let mut check = service.send(local).await;
    check.shutdown().await.unwrap();
    assert!(is_closed(check).await);
    assert_eq!(service.stats.health_checks.get(), 1);
    assert!(service.seen.is_empty());
    // One that goes on to ask for something is served, as the balancer.
    let mut check = service.send(&[&local[..], b"x"].concat()).await;
    assert_eq!(check.read_u8().await.unwrap(), b'x');
    let balancer = check.local_addr().unwrap();
    assert_eq!(service.seen.recv().await, Some((balancer, false, None)));
    service.stop().await;
}
