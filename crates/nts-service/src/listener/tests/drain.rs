//! The end of a listener.

use super::*;
use crate::ke_stream::CLOSE_WAIT;

#[tokio::test]
async fn who_takes_too_long_is_cut_short_and_has_the_grace_to_say_so() {
    let (first, mut one) = pair().await;
    let (second, mut two) = pair().await;
    let (trigger, shutdown) = shutdown::channel();
    let limits = Limits {
        time_limit: Duration::from_secs(60),
        ..LIMITS
    };
    let polite = std::sync::atomic::AtomicBool::new(true);
    let handler = move |mut connection: Connection| {
        let polite = polite.swap(false, SeqCst);
        async move {
            connection.lease.cut_short().requested().await;
            if polite {
                connection.stream.write_all(b"sorry").await.unwrap();
            } else {
                pending().await
            }
        }
    };
    tokio::time::pause();
    let began = Instant::now();
    trigger.fire();
    let script = Script::of([Ok(first), Ok(second)]);
    serve(script, gate(), limits, shutdown, stats(), handler).await;
    let taken = limits.drain + limits.grace;
    assert_eq!(began.elapsed().as_secs(), taken.as_secs());
    let mut answers = (String::new(), String::new());
    one.read_to_string(&mut answers.0).await.unwrap();
    two.read_to_string(&mut answers.1).await.unwrap();
    assert_eq!(answers, ("sorry".to_owned(), String::new()));
}

#[tokio::test]
async fn limits_can_be_changed_while_serving() {
    let (accepted, mut user) = pair().await;
    let (trigger, shutdown) = shutdown::channel();
    let live = LiveLimits::new(LIMITS);
    live.set(Limits {
        time_limit: Duration::from_secs(1),
        ..LIMITS
    });
    tokio::time::pause();
    let began = Instant::now();
    let handler = |connection: Connection| async move {
        let _held = connection;
        pending().await
    };
    let script = Script::of([Ok(accepted)]);
    let serving = serve(script, gate(), live, shutdown, stats(), handler);
    let ended = async {
        assert_eq!(user.read(&mut [0]).await.unwrap(), 0);
        trigger.fire();
        began.elapsed()
    };
    let ((), lived) = tokio::join!(serving, ended);
    assert_eq!(lived.as_secs(), 2);
}

#[tokio::test]
async fn connections_that_the_runtime_has_not_heard_of_are_in_the_backlog_too() {
    let mut listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    // Nothing is awaited from here on, so the runtime hears of nothing.
    let users = [(); 3].map(|()| std::net::TcpStream::connect(address).unwrap());
    for user in &users {
        let (_, peer) = listener.accept_now().unwrap().unwrap();
        assert_eq!(peer, user.local_addr().unwrap());
    }
    assert!(listener.accept_now().is_none());
}

#[tokio::test]
async fn a_connection_that_failed_in_the_backlog_costs_none_behind_it() {
    let (accepted, mut user) = pair().await;
    let (trigger, shutdown) = shutdown::channel();
    trigger.fire();
    let handler = |mut connection: Connection| async move {
        connection.stream.write_all(b"x").await.unwrap();
    };
    let script = Script::of([Script::error(Errno::ECONNABORTED), Ok(accepted)]);
    serve(script, gate(), LIMITS, shutdown, stats(), handler).await;
    user.read_exact(&mut [0]).await.unwrap();
}

#[tokio::test]
async fn who_is_seen_off_holds_no_slot_but_is_waited_for_at_the_end() {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (trigger, shutdown) = shutdown::channel();
    let (seen_off, mut others) = mpsc::unbounded_channel();
    let handler = move |mut connection: Connection| {
        let seen_off = seen_off.clone();
        async move {
            connection.stream.write_all(b"last").await.unwrap();
            connection.lease.see_off(connection.stream);
            seen_off.send(()).unwrap();
        }
    };
    let serving = serve(listener, Gate::new(4), LIMITS, shutdown, stats(), handler);
    let serving = tokio::spawn(serving);
    let mut users = Vec::new();
    let mut began = Instant::now();
    for _ in 0..6 {
        began = Instant::now();
        let mut user = TcpStream::connect(address).await.unwrap();
        user.read_exact(&mut [0; 4]).await.unwrap();
        others.recv().await.unwrap();
        users.push(user);
    }
    // There is room for one who waits.
    assert_eq!(users[0].read(&mut [0]).await.unwrap(), 0);
    trigger.fire();
    serving.await.unwrap();
    assert!(began.elapsed() >= CLOSE_WAIT);
    assert_eq!(users[5].read(&mut [0]).await.unwrap(), 0);
}
