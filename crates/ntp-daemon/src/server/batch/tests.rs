use std::net::UdpSocket;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;

fn bind(address: &str) -> ServerSocket {
    ServerSocket::bind_all(address.parse().unwrap(), 1)
        .unwrap()
        .remove(0)
}

fn client(bind: &str) -> UdpSocket {
    let client = UdpSocket::bind(bind).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    client
}

fn read(client: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 64];
    let (length, from) = client.recv_from(&mut buffer).unwrap();
    (buffer[..length].to_vec(), from)
}

/// Waits for a batch; a wait that was too long is one more.
fn receive<A: Address, T>(
    inbox: &mut Inbox<A>,
    socket: &ServerSocket,
    mut handle: impl FnMut(Batch<'_, A>) -> T,
) -> T {
    loop {
        match inbox.receive(socket, &mut handle) {
            Ok(given) => return given,
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Receives `count` datagrams and answers each with what it said, twice.
fn answer_twice<A: Address>(socket: &ServerSocket, mut count: usize) {
    let (mut inbox, mut outbox) = (Inbox::<A>::new(), Outbox::<A>::new());
    while count > 0 {
        receive(&mut inbox, socket, |batch| {
            for datagram in batch {
                assert!(!datagram.truncated);
                count -= 1;
                if !outbox.fits(&datagram.sender) {
                    assert_eq!(outbox.send(socket), (0, None));
                }
                outbox.put(&datagram.sender, |out| {
                    let answer = datagram.octets.repeat(2);
                    out[..answer.len()].copy_from_slice(&answer);
                    Some(answer.len())
                });
            }
        });
        assert_eq!(outbox.send(socket), (0, None));
    }
}

/// Asks a socket that listens on every address at two of them, by turns, and checks who answers.
fn answers_come_from_where_it_was_asked<A: Address>(listen: &str, from: &str, hosts: [&str; 2]) {
    let socket = bind(listen);
    let port = socket.address().port();
    let client = client(from);
    let asked: Vec<SocketAddr> = (0..50)
        .map(|i| format!("{}:{port}", hosts[i % 2]).parse().unwrap())
        .collect();
    for (i, address) in asked.iter().enumerate() {
        client
            .send_to(&[u8::try_from(i).unwrap()], address)
            .unwrap();
    }
    answer_twice::<A>(&socket, asked.len());
    for (i, address) in asked.iter().enumerate() {
        assert_eq!(read(&client), (vec![u8::try_from(i).unwrap(); 2], *address));
    }
}

#[test]
fn ipv4_is_answered_from_the_address_that_was_asked() {
    let hosts = ["127.0.0.7", "127.0.0.8"];
    answers_come_from_where_it_was_asked::<SockaddrIn>("0.0.0.0:0", "127.0.0.1:0", hosts);
}

#[test]
fn ipv6_sockets_serve_both_families() {
    let hosts = ["127.0.0.7", "127.0.0.8"];
    answers_come_from_where_it_was_asked::<SockaddrIn6>("[::]:0", "127.0.0.1:0", hosts);
    answers_come_from_where_it_was_asked::<SockaddrIn6>("[::]:0", "[::1]:0", ["[::1]"; 2]);
}

#[test]
fn a_socket_with_one_address_needs_no_name_for_it() {
    let hosts = ["127.0.0.9"; 2];
    answers_come_from_where_it_was_asked::<SockaddrIn>("127.0.0.9:0", "127.0.0.1:0", hosts);
    answers_come_from_where_it_was_asked::<SockaddrIn6>("[::1]:0", "[::1]:0", ["[::1]"; 2]);
}

#[test]
fn the_kernel_says_who_sent_it_and_when_it_came() {
    let socket = bind("127.0.0.1:0");
    let since_1970 = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let client = client("127.0.0.1:0");
    let before = since_1970();
    client.send_to(b"x", socket.address()).unwrap();
    receive(&mut Inbox::<SockaddrIn>::new(), &socket, |mut batch| {
        let datagram = batch.next().unwrap();
        let received = Duration::from(datagram.received.expect("a timestamp"));
        let after = since_1970();
        assert!(
            before <= received && received <= after,
            "{before:?} {received:?} {after:?}"
        );
        let from: SocketAddr = datagram.sender.from.into();
        assert_eq!(from, client.local_addr().unwrap());
        assert!(batch.next().is_none());
    });
}

#[test]
fn a_long_datagram_is_marked_and_an_empty_one_is_one() {
    let socket = bind("127.0.0.1:0");
    let client = client("127.0.0.1:0");
    client.send_to(&[7; LONGEST + 1], socket.address()).unwrap();
    client.send_to(&[], socket.address()).unwrap();
    client.send_to(&[8; LONGEST], socket.address()).unwrap();
    let mut seen = Vec::new();
    let mut inbox = Inbox::<SockaddrIn>::new();
    while seen.len() < 3 {
        receive(&mut inbox, &socket, |batch| {
            seen.extend(batch.map(|it| (it.octets.len(), it.truncated)));
        });
    }
    assert_eq!(seen, [(LONGEST, true), (0, false), (LONGEST, false)]);
}

#[test]
fn an_answer_that_the_kernel_refuses_does_not_keep_the_others_back() {
    let socket = bind("127.0.0.1:0");
    let client = client("127.0.0.1:0");
    client.send_to(b"x", socket.address()).unwrap();
    let mut outbox = Outbox::<SockaddrIn>::new();
    receive(&mut Inbox::<SockaddrIn>::new(), &socket, |batch| {
        for datagram in batch {
            let nowhere = Sender {
                from: SockaddrIn::new(127, 0, 0, 1, 0),
                to: None,
            };
            for (sender, octet) in [(&datagram.sender, 1), (&nowhere, 2), (&datagram.sender, 3)] {
                outbox.put(sender, |out| {
                    out[0] = octet;
                    Some(1)
                });
            }
        }
    });
    assert_eq!(outbox.send(&socket), (1, Some(Errno::EINVAL)));
    assert_eq!(read(&client).0, [1]);
    assert_eq!(read(&client).0, [3]);
    assert_eq!(outbox.send(&socket), (0, None));
}

#[test]
fn receiving_and_sending_allocate_nothing() {
    let socket = bind("0.0.0.0:0");
    let client = client("127.0.0.1:0");
    let to = SocketAddr::new("127.0.0.1".parse().unwrap(), socket.address().port());
    let (mut inbox, mut outbox) = (Inbox::<SockaddrIn>::new(), Outbox::<SockaddrIn>::new());
    for _ in 0..BATCH {
        client.send_to(&[1; 48], to).unwrap();
    }
    let allocated = allocation_counter::measure(|| {
        let mut missing = BATCH;
        while missing > 0 {
            let handled = inbox.receive(&socket, |batch| {
                let put = |datagram: Datagram<'_, SockaddrIn>| {
                    outbox.put(&datagram.sender, |out| {
                        out[..48].copy_from_slice(datagram.octets);
                        Some(48)
                    });
                };
                batch.map(put).count()
            });
            missing -= handled.unwrap_or_default();
        }
        outbox.send(&socket);
    });
    assert_eq!(allocated.count_total, 0);
    assert_eq!(read(&client).0, [1; 48]);
}

#[test]
fn sockets_of_one_server_share_an_address_and_nobody_else_does() {
    let sockets = ServerSocket::bind_all("127.0.0.1:0".parse().unwrap(), 3).unwrap();
    let address = sockets[0].address();
    assert!(sockets.iter().all(|it| it.address() == address));
    for count in [1, 2] {
        let error = ServerSocket::bind_all(address, count).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    }
    drop(sockets);
    ServerSocket::bind_all(address, 2).unwrap();
}

#[test]
fn waking_ends_a_wait_at_once() {
    let socket = bind("127.0.0.1:0");
    let started = std::time::Instant::now();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut waits = 0;
            // Half a second of waking is enough for any machine; one wait takes a second.
            while started.elapsed() < Duration::from_millis(500) {
                let _ = Inbox::<SockaddrIn>::new().receive(&socket, |_| ());
                waits += 1;
            }
            waits
        });
        socket.wake();
        assert!(waiting.join().unwrap() > 1);
    });
}
