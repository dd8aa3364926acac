mod drain;
mod greeting;
mod listen;
mod memory;
mod proxy;

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::errno::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};

use super::*;
use crate::shutdown;
use crate::telemetry::metrics::Registry;

const LIMITS: Limits = Limits {
    first_byte: None,
    time_limit: Duration::from_secs(5),
    grace: Duration::from_secs(1),
    drain: Duration::from_secs(3),
};

const SLOTS: usize = 2;

fn gate() -> Gate {
    Gate::new(SLOTS)
}

fn stats() -> Stats {
    Stats::new(&Registry::new(), "test")
}

fn open(stats: &Stats) -> f64 {
    stats.open.get()
}

/// Both ends of a TCP connection: ours as accepted, and the user's.
pub(super) async fn pair() -> ((TcpStream, SocketAddr), TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let user = TcpStream::connect(listener.local_addr().unwrap());
    let (accepted, user) = tokio::join!(listener.accept(), user);
    (accepted.unwrap(), user.unwrap())
}

/// Gives what it was told to, then nothing more.
struct Script(VecDeque<io::Result<(TcpStream, SocketAddr)>>);

impl Script {
    fn of(steps: impl IntoIterator<Item = io::Result<(TcpStream, SocketAddr)>>) -> Self {
        Self(steps.into_iter().collect())
    }

    fn error(errno: Errno) -> io::Result<(TcpStream, SocketAddr)> {
        Err(errno.into())
    }
}

impl Incoming for Script {
    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        match self.0.pop_front() {
            Some(step) => step,
            None => pending().await,
        }
    }

    fn accept_now(&mut self) -> Option<io::Result<(TcpStream, SocketAddr)>> {
        self.0.pop_front()
    }
}

/// Counts the instances that live.
#[derive(Clone)]
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(count.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[tokio::test]
async fn each_connection_gets_its_handler() {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (trigger, shutdown) = shutdown::channel();
    let stats = stats();
    let handler = |mut connection: Connection| async move {
        assert!(connection.stream.tcp().nodelay().unwrap());
        let left = connection.lease.deadline() - Instant::now();
        assert!(left <= LIMITS.time_limit && left > Duration::from_secs(1));
        let peer = connection.peer.to_string();
        connection.stream.write_all(peer.as_bytes()).await.unwrap();
    };
    let served = tokio::spawn(serve(
        listener,
        gate(),
        LIMITS,
        shutdown,
        stats.clone(),
        handler,
    ));
    for _ in 0..5 {
        let mut user = TcpStream::connect(address).await.unwrap();
        let mut text = String::new();
        user.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, user.local_addr().unwrap().to_string());
    }
    trigger.fire();
    served.await.unwrap();
    let panicked = stats.panicked.get();
    assert_eq!((stats.accepted.get(), panicked, open(&stats)), (5, 0, 0.0));
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once() {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (trigger, shutdown) = shutdown::channel();
    let stats = stats();
    let (held, mut connections) = mpsc::unbounded_channel();
    let handler = move |connection| {
        let held = held.clone();
        async move {
            let done = Arc::new(Notify::new());
            held.send((connection, done.clone())).unwrap();
            done.notified().await;
        }
    };
    let served = tokio::spawn(serve(
        listener,
        gate(),
        LIMITS,
        shutdown,
        stats.clone(),
        handler,
    ));
    let mut users = Vec::new();
    let mut handlers: Vec<(Connection, Arc<Notify>)> = Vec::new();
    for _ in 0..SLOTS {
        users.push(TcpStream::connect(address).await.unwrap());
        handlers.push(connections.recv().await.unwrap());
    }
    let mut refused = TcpStream::connect(address).await.unwrap();
    assert_eq!(refused.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(
        (stats.accepted.get(), stats.refused.get(), open(&stats)),
        (2, 1, 2.0)
    );

    // A slot given back early lets another connection in while the handler goes on.
    handlers[0].0.lease.release_slot();
    users.push(TcpStream::connect(address).await.unwrap());
    handlers.push(connections.recv().await.unwrap());
    assert_eq!((stats.accepted.get(), open(&stats)), (3, 3.0));

    for (connection, done) in handlers {
        drop(connection);
        done.notify_one();
    }
    trigger.fire();
    served.await.unwrap();
    assert_eq!(open(&stats), 0.0);
}

/// Serves one connection with `handler` under virtual time; the result is how long it lived.
async fn life<F>(handler: impl Fn(Connection) -> F + Send + Sync + 'static) -> (Duration, Stats)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (accepted, mut user) = pair().await;
    let (trigger, shutdown) = shutdown::channel();
    let stats = stats();
    tokio::time::pause();
    let began = Instant::now();
    let serving = serve(
        Script::of([Ok(accepted)]),
        gate(),
        LIMITS,
        shutdown,
        stats.clone(),
        handler,
    );
    let ended = async {
        assert_eq!(user.read(&mut [0]).await.unwrap_or(0), 0);
        let lived = began.elapsed();
        trigger.fire();
        lived
    };
    let ((), lived) = tokio::join!(serving, ended);
    tokio::time::resume();
    (lived, stats)
}

#[tokio::test]
async fn a_handler_that_overruns_is_ended_after_the_grace() {
    let (lived, stats) = life(|connection| async move {
        let _held = connection;
        pending().await
    })
    .await;
    assert_eq!(lived.as_secs(), 6);
    assert_eq!((stats.overdue.get(), open(&stats)), (1, 0.0));
}

#[tokio::test]
async fn the_deadline_can_be_moved_both_ways() {
    for (moved, lived_seconds) in [(100, 101), (2, 3)] {
        let (lived, stats) = life(move |connection| async move {
            sleep(Duration::from_millis(500)).await;
            let accepted = connection.lease.deadline() - LIMITS.time_limit;
            connection
                .lease
                .set_deadline(accepted + Duration::from_secs(moved));
            let _held = connection;
            pending().await
        })
        .await;
        assert_eq!((lived.as_secs(), stats.overdue.get()), (lived_seconds, 1));
    }
}

#[tokio::test]
async fn a_panic_costs_one_connection_only() {
    let (first, mut one) = pair().await;
    let (second, mut two) = pair().await;
    let (third, mut three) = pair().await;
    let calls = AtomicUsize::new(0);
    let handler = move |mut connection: Connection| {
        let call = calls.fetch_add(1, SeqCst);
        assert_ne!(call, 0, "on purpose, in the closure");
        async move {
            assert_ne!(call, 1, "on purpose, in the future");
            connection.stream.write_all(b"x").await.unwrap();
        }
    };
    let (trigger, shutdown) = shutdown::channel();
    let stats = stats();
    let script = Script::of([Ok(first), Ok(second), Ok(third)]);
    let users = async {
        assert_eq!(one.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(two.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(three.read(&mut [0]).await.unwrap(), 1);
        trigger.fire();
    };
    tokio::join!(
        serve(
            script,
            Gate::new(3),
            LIMITS,
            shutdown,
            stats.clone(),
            handler
        ),
        users
    );
    assert_eq!(
        (stats.accepted.get(), stats.panicked.get(), open(&stats)),
        (3, 2, 0.0)
    );
}

#[tokio::test]
async fn failing_accepts_slow_the_listener_down_but_never_end_it() {
    let (accepted, mut user) = pair().await;
    let mut steps: Vec<_> = [
        Errno::ECONNABORTED,
        Errno::EPROTO,
        Errno::ENETDOWN,
        Errno::EINTR,
    ]
    .map(Script::error)
    .into_iter()
    .collect();
    // 10 + 20 + 40 + 80 + 160 + 320 + 640 ms, then 1 s each.
    steps.extend((0..9).map(|_| Script::error(Errno::EMFILE)));
    steps.push(Script::error(Errno::EBADF));
    steps.push(Ok(accepted));
    let (trigger, shutdown) = shutdown::channel();
    let stats = stats();
    let handler = |mut connection: Connection| async move {
        connection.stream.write_all(b"x").await.unwrap();
    };
    tokio::time::pause();
    let began = Instant::now();
    let served = async {
        user.read_exact(&mut [0]).await.unwrap();
        let waited = began.elapsed();
        trigger.fire();
        waited
    };
    let serving = serve(
        Script::of(steps),
        gate(),
        LIMITS,
        shutdown,
        stats.clone(),
        handler,
    );
    let ((), waited) = tokio::join!(serving, served);
    // The timer rounds each pause up to a millisecond.
    assert!((4270..4300).contains(&waited.as_millis()), "{waited:?}");
    let counts = AcceptErrorClass::ALL.map(|class| stats.accept_error(class).get());
    assert_eq!(counts, [4, 9, 1]);
}

#[tokio::test]
async fn after_a_success_the_pause_is_short_again() {
    let (first, _one) = pair().await;
    let (second, mut two) = pair().await;
    let (trigger, shutdown) = shutdown::channel();
    let full = || Script::error(Errno::ENFILE);
    let script = Script::of([full(), full(), full(), Ok(first), full(), Ok(second)]);
    tokio::time::pause();
    let began = Instant::now();
    let serving = serve(script, gate(), LIMITS, shutdown, stats(), |_| async {});
    let ended = async {
        assert_eq!(two.read(&mut [0]).await.unwrap(), 0);
        trigger.fire();
    };
    tokio::join!(serving, ended);
    let waited = began.elapsed().as_millis();
    assert!(
        (80..90).contains(&waited),
        "10 + 20 + 40, then 10: {waited}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_a_pause() {
    let (trigger, shutdown) = shutdown::channel();
    let began = Instant::now();
    let script = Script::of((0..99).map(|_| Script::error(Errno::EMFILE)));
    let handler = |_| async {};
    let serving = serve(script, gate(), LIMITS, shutdown, stats(), handler);
    let fire = async {
        sleep(Duration::from_millis(5_500)).await;
        trigger.fire();
    };
    tokio::join!(serving, fire);
    assert_eq!(began.elapsed().as_millis(), 5_500);
}

#[tokio::test]
async fn at_the_end_running_handlers_finish_and_stuck_ones_are_ended() {
    let (first, mut one) = pair().await;
    let (second, mut two) = pair().await;
    let (trigger, shutdown) = shutdown::channel();
    let alive = Arc::new(AtomicUsize::new(0));
    let stats = stats();
    let calls = AtomicUsize::new(0);
    let handler = {
        let alive = alive.clone();
        move |mut connection: Connection| {
            let alive = Alive::new(&alive);
            let polite = calls.fetch_add(1, SeqCst) == 0;
            async move {
                let _alive = alive;
                connection.lease.shutdown().requested().await;
                if polite {
                    sleep(Duration::from_secs(1)).await;
                    connection.stream.write_all(b"answer").await.unwrap();
                } else {
                    pending().await
                }
            }
        }
    };
    tokio::time::pause();
    let began = Instant::now();
    let fire = async {
        sleep(Duration::from_secs(2)).await;
        trigger.fire();
    };
    let script = Script::of([Ok(first), Ok(second)]);
    tokio::join!(
        serve(script, gate(), LIMITS, shutdown, stats.clone(), handler),
        fire
    );
    assert_eq!(began.elapsed().as_secs(), 2 + 3 + 1);
    assert_eq!((alive.load(SeqCst), open(&stats)), (0, 0.0));
    let mut answers = (String::new(), String::new());
    one.read_to_string(&mut answers.0).await.unwrap();
    two.read_to_string(&mut answers.1).await.unwrap();
    assert_eq!(answers, ("answer".to_owned(), String::new()));
}

#[tokio::test]
async fn what_the_kernel_has_accepted_is_still_served_at_the_end() {
    let (accepted, mut user) = pair().await;
    let (trigger, shutdown) = shutdown::channel();
    trigger.fire();
    let handler = |mut connection: Connection| async move {
        connection.stream.write_all(b"x").await.unwrap();
    };
    serve(
        Script::of([Ok(accepted)]),
        gate(),
        LIMITS,
        shutdown,
        stats(),
        handler,
    )
    .await;
    user.read_exact(&mut [0]).await.unwrap();
}

#[tokio::test]
async fn dropping_the_listener_ends_its_handlers() {
    let (accepted, mut user) = pair().await;
    let (_trigger, shutdown) = shutdown::channel();
    let started = Arc::new(Mutex::new(Some(Arc::new(Notify::new()))));
    let begun = started.lock().unwrap().clone().unwrap();
    let handler = move |connection: Connection| {
        let started = started.lock().unwrap().take().unwrap();
        async move {
            let _held = connection;
            started.notify_one();
            pending().await
        }
    };
    let serving = tokio::spawn(serve(
        Script::of([Ok(accepted)]),
        gate(),
        LIMITS,
        shutdown,
        stats(),
        handler,
    ));
    begun.notified().await;
    serving.abort();
    assert_eq!(user.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn addresses_that_cannot_be_listened_on_are_explained() {
    let taken = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = taken.local_addr().unwrap();
    let error = bind(address).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("cannot listen on {address}: another program")),
        "{text}"
    );
    let error = bind("192.0.2.1:4460".parse().unwrap()).unwrap_err();
    assert!(
        error.to_string().contains("no interface of this machine"),
        "{error}"
    );
}

#[tokio::test]
async fn both_families_can_share_a_port() {
    let Ok(both) = bind("[::]:0".parse().unwrap()) else {
        // A machine without IPv6.
        return;
    };
    let port = both.local_addr().unwrap().port();
    TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    drop(both);

    let list = [format!("0.0.0.0:{port}"), format!("[::]:{port}")];
    let list = list.map(|address| address.parse().unwrap());
    assert_eq!(bind_all(&list).unwrap().len(), 2);
}

const FIRST_BYTE: Duration = Duration::from_secs(2);

fn with_first_byte() -> Limits {
    Limits {
        first_byte: Some(FIRST_BYTE),
        ..LIMITS
    }
}

#[test]
fn a_connection_may_be_silent_for_half_of_its_time_but_at_most_two_seconds() {
    let limits = [1, 4, 5, 60].map(|seconds| first_byte_limit(Duration::from_secs(seconds)));
    assert_eq!(
        limits.map(|limit| limit.as_millis()),
        [500, 2000, 2000, 2000]
    );
}

/// How long a connection lives that never gets a handler.
async fn life_unserved(
    (accepted, mut user): ((TcpStream, SocketAddr), TcpStream),
    gate: Gate,
) -> (Duration, Stats) {
    let (trigger, shutdown) = shutdown::channel();
    let stats = stats();
    tokio::time::pause();
    let began = Instant::now();
    let script = Script::of([Ok(accepted)]);
    let handler = |_| async { panic!("there is nothing to handle") };
    let limits = with_first_byte();
    let serving = serve(script, gate, limits, shutdown, stats.clone(), handler);
    let ended = async {
        assert_eq!(user.read(&mut [0]).await.unwrap(), 0);
        trigger.fire();
        began.elapsed()
    };
    let ((), lived) = tokio::join!(serving, ended);
    assert_eq!((stats.overdue.get(), stats.panicked.get()), (0, 0));
    (lived, stats)
}

#[tokio::test]
async fn who_is_silent_is_closed_before_his_handler_is_called() {
    let (lived, stats) = life_unserved(pair().await, gate()).await;
    assert_eq!(lived.as_secs(), FIRST_BYTE.as_secs());
    assert_eq!(stats.limited(LimitReason::FirstByte).get(), 1);
}

#[tokio::test]
async fn at_the_limit_the_oldest_silent_connection_makes_room() {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (trigger, shutdown) = shutdown::channel();
    let stats = stats();
    let (speaks, mut speaking) = mpsc::unbounded_channel();
    let handler = move |mut connection: Connection| {
        let speaks = speaks.clone();
        async move {
            let _held = &connection.lease;
            let mut octet = [0];
            connection.stream.read_exact(&mut octet).await.unwrap();
            speaks.send(octet).unwrap();
            connection.stream.read_exact(&mut octet).await.unwrap();
            connection.stream.write_all(&octet).await.unwrap();
        }
    };
    let serving = serve(
        listener,
        gate(),
        with_first_byte(),
        shutdown,
        stats.clone(),
        handler,
    );
    let served = tokio::spawn(serving);
    let mut talker = TcpStream::connect(address).await.unwrap();
    talker.write_all(b"t").await.unwrap();
    assert_eq!(speaking.recv().await, Some(*b"t"));
    let mut silent = TcpStream::connect(address).await.unwrap();
    // Each newcomer takes the place of the silent one before him.
    for _ in 0..10 {
        let newcomer = TcpStream::connect(address).await.unwrap();
        assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
        silent = newcomer;
    }
    silent.write_all(b"s").await.unwrap();
    assert_eq!(speaking.recv().await, Some(*b"s"));
    // Nobody is silent any more, so the next one has to go himself.
    let mut refused = TcpStream::connect(address).await.unwrap();
    assert_eq!(refused.read(&mut [0]).await.unwrap(), 0);
    let limited = stats.limited(LimitReason::Global).get();
    assert_eq!(
        (stats.accepted.get(), stats.refused.get(), limited),
        (12, 1, 11)
    );
    for mut user in [talker, silent] {
        user.write_all(b"x").await.unwrap();
        assert_eq!(user.read_u8().await.unwrap(), b'x');
    }
    trigger.fire();
    served.await.unwrap();
}

#[tokio::test]
async fn one_gate_stands_before_all_addresses() {
    let (first, mut one) = pair().await;
    let (second, mut two) = pair().await;
    let (trigger, shutdown) = shutdown::channel();
    let (gate, stats) = (Gate::new(1), stats());
    let handler = |connection: Connection| async move {
        connection.lease.shutdown().requested().await;
    };
    let serving = |stream| {
        let (gate, stats) = (gate.clone(), stats.clone());
        serve(
            Script::of([Ok(stream)]),
            gate,
            LIMITS,
            shutdown.clone(),
            stats,
            handler,
        )
    };
    let users = async {
        let mut octets = ([0], [0]);
        tokio::select! {
            read = one.read(&mut octets.0) => assert_eq!(read.unwrap(), 0),
            read = two.read(&mut octets.1) => assert_eq!(read.unwrap(), 0),
        }
        trigger.fire();
    };
    tokio::join!(serving(first), serving(second), users);
    assert_eq!((stats.accepted.get(), stats.refused.get()), (1, 1));
}

#[tokio::test]
async fn a_network_that_takes_too_much_is_closed_at_once_and_a_released_slot_does_not_count() {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let limits = PrefixLimits {
        rate: 1,
        burst: 4,
        concurrency: 1,
        exempt: Vec::new(),
    };
    let (trigger, shutdown) = shutdown::channel();
    let stats = stats();
    let (held, mut connections) = mpsc::unbounded_channel();
    let handler = move |connection| {
        held.send(connection).unwrap();
        async {}
    };
    let gate = Gate::with_prefix_limits(100, limits);
    let serving = serve(listener, gate, LIMITS, shutdown, stats.clone(), handler);
    let served = tokio::spawn(serving);
    let mut users = vec![TcpStream::connect(address).await.unwrap()];
    let mut first = connections.recv().await.unwrap();
    let mut refused = TcpStream::connect(address).await.unwrap();
    assert_eq!(refused.read(&mut [0]).await.unwrap(), 0);
    first.lease.release_slot();
    users.push(TcpStream::connect(address).await.unwrap());
    drop(connections.recv().await.unwrap());
    users.push(TcpStream::connect(address).await.unwrap());
    drop(connections.recv().await.unwrap());
    let mut refused = TcpStream::connect(address).await.unwrap();
    assert_eq!(refused.read(&mut [0]).await.unwrap(), 0);
    let limited = LimitReason::ALL.map(|reason| stats.limited(reason).get());
    assert_eq!(limited, [1, 1, 0, 0, 0, 0]);
    trigger.fire();
    served.await.unwrap();
}
