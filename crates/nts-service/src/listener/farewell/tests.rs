use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::*;
use crate::listener::tests::pair;

/// What each user is told last.
const LAST: &[u8] = b"the cookies";

const DEADLINE: Duration = Duration::from_secs(60);

/// A user who has been told the last message, not yet read it, and our end.
async fn told() -> (tokio::net::TcpStream, tokio::net::TcpStream) {
    let ((mut ours, _), user) = pair().await;
    ours.write_all(LAST).await.unwrap();
    (user, ours)
}

/// Waits until so many octets of the user are there.
async fn arrived(ours: &tokio::net::TcpStream, count: usize) {
    let mut octets = vec![0; count];
    while ours.peek(&mut octets).await.unwrap() < count {
        yield_now().await;
    }
}

/// Lets the user read what he was told, say something and close, and waits until that is there.
async fn leaves(mut user: tokio::net::TcpStream, says: &[u8], ours: &tokio::net::TcpStream) {
    user.read_exact(&mut [0; LAST.len()]).await.unwrap();
    user.write_all(says).await.unwrap();
    drop(user);
    let closed = async || {
        ours.ready(Interest::READABLE)
            .await
            .unwrap()
            .is_read_closed()
    };
    while !closed().await {
        yield_now().await;
    }
}

/// Reads to the end: that the message is there, and that the end is not a reset.
async fn hear_out(user: &mut tokio::net::TcpStream) {
    let mut heard = Vec::new();
    user.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, LAST);
}

impl Farewell {
    fn see_off(&self, ours: tokio::net::TcpStream) {
        self.keep(ours.into_std().unwrap());
    }

    fn look(&self) {
        self.part_from_those_gone(&lock(&self.0.looking));
    }

    fn waiting(&self) -> usize {
        self.lock().leaving.len()
    }
}

fn farewell() -> Farewell {
    Farewell::behind(Gate::new(1024))
}

/// A farewell with an attendant for as long as `work` takes, which is not for ever.
async fn attended<F: Future>(work: impl FnOnce(Farewell) -> F) -> F::Output {
    let farewell = farewell();
    tokio::select! {
        outcome = timeout(DEADLINE, work(farewell.clone())) => outcome.unwrap(),
        () = farewell.attend() => unreachable!("it never ends"),
    }
}

#[tokio::test]
async fn whoever_comes_finds_out_who_has_gone() {
    let farewell = farewell();
    for says_more in [&b""[..], b"close_notify"] {
        let (user, ours) = told().await;
        leaves(user, says_more, &ours).await;
        farewell.see_off(ours);
        let (_stays, ours) = told().await;
        farewell.see_off(ours);
        assert_eq!(farewell.waiting(), 1);
        drop(farewell.lock().leaving.pop_front());
    }
}

#[tokio::test]
async fn who_stays_is_closed_in_time_and_so_is_the_next_one() {
    attended(async |farewell| {
        // Between the two the attendant has nobody.
        for _ in 0..2 {
            let (mut user, ours) = told().await;
            let began = Instant::now();
            farewell.see_off(ours);
            hear_out(&mut user).await;
            assert!(began.elapsed() >= CLOSE_WAIT);
            while farewell.lock().attended {
                yield_now().await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn each_has_his_own_time() {
    const APART: Duration = Duration::from_millis(90);
    attended(async |farewell| {
        let (mut first, ours) = told().await;
        let began = Instant::now();
        farewell.see_off(ours);
        sleep(APART).await;
        let (mut second, ours) = told().await;
        let then = Instant::now();
        farewell.see_off(ours);
        hear_out(&mut first).await;
        assert!(began.elapsed() >= CLOSE_WAIT);
        hear_out(&mut second).await;
        assert!(then.elapsed() >= CLOSE_WAIT);
    })
    .await;
}

#[tokio::test]
async fn what_a_user_still_sends_costs_him_nothing() {
    attended(async |farewell| {
        let (mut user, ours) = told().await;
        user.write_all(b"more").await.unwrap();
        arrived(&ours, 4).await;
        farewell.see_off(ours);
        hear_out(&mut user).await;
    })
    .await;
}

#[tokio::test]
async fn who_sends_too_much_has_had_his_time() {
    const HALF: usize = MAX_DRAIN / 2;
    let farewell = farewell();
    let (mut user, ours) = told().await;
    tokio::join!(arrived(&ours, HALF), async {
        user.write_all(&[0; HALF]).await.unwrap();
    });
    farewell.see_off(ours);
    // Time is not what ends it.
    farewell.lock().leaving[0].until += 2 * DEADLINE;
    farewell.look();
    assert_eq!(farewell.waiting(), 1);
    // The second half is taken as it comes.
    user.write_all(&[0; HALF]).await.unwrap();
    timeout(DEADLINE, async {
        while farewell.waiting() > 0 {
            yield_now().await;
            farewell.look();
        }
    })
    .await
    .unwrap();
}

#[tokio::test(start_paused = true)]
async fn there_is_room_for_a_few_and_who_has_waited_longest_goes_first() {
    let gate = Gate::new(24);
    let farewell = Farewell::behind(gate.clone());
    let mut users = Vec::new();
    for room in [3, 3, 3, 3, 1] {
        gate.set_max_connections(8 * room);
        let (mut user, ours) = told().await;
        user.write_all(b"more").await.unwrap();
        arrived(&ours, 4).await;
        farewell.see_off(ours);
        users.push(user);
        assert_eq!(farewell.waiting(), users.len().min(room));
    }
    let last = users.pop().unwrap();
    for user in &mut users {
        hear_out(user).await;
    }
    last.readable().await.unwrap();
    assert_eq!(last.try_read(&mut [0; 100]).unwrap(), LAST.len());
    let error = last.try_read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    // There is always room for one.
    gate.set_max_connections(0);
    farewell.see_off(told().await.1);
    assert_eq!(farewell.waiting(), 1);
}

#[tokio::test]
async fn many_who_have_gone_are_not_looked_at_in_one_go() {
    let farewell = farewell();
    let mut all = Vec::new();
    for _ in 0..=BATCH {
        let (user, ours) = told().await;
        leaves(user, b"", &ours).await;
        all.push(ours);
    }
    let until = Instant::now() + CLOSE_WAIT;
    let leaving = all.into_iter().map(|ours| Leaving {
        stream: ours.into_std().unwrap(),
        until,
        drained: 0,
    });
    farewell.lock().leaving.extend(leaving);
    let more = farewell.part_from_those_gone(&lock(&farewell.0.looking));
    assert_eq!((more, farewell.waiting()), (true, 1));
    let more = farewell.part_from_those_gone(&lock(&farewell.0.looking));
    assert_eq!((more, farewell.waiting()), (false, 0));
}

#[tokio::test]
async fn the_end_waits_for_those_who_stay() {
    let farewell = farewell();
    let (user, ours) = told().await;
    leaves(user, b"", &ours).await;
    farewell.see_off(ours);
    // At the first look.
    let mut finish = pin!(farewell.finish());
    assert!(
        poll_fn(|context| Poll::Ready(finish.as_mut().poll(context)))
            .await
            .is_ready()
    );

    let (mut user, ours) = told().await;
    user.write_all(b"more").await.unwrap();
    arrived(&ours, 4).await;
    let began = Instant::now();
    farewell.see_off(ours);
    timeout(DEADLINE, farewell.finish()).await.unwrap();
    assert!(began.elapsed() >= CLOSE_WAIT);
    hear_out(&mut user).await;
}
