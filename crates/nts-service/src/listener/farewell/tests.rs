use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::*;
use crate::listener::tests::pair;

/// What each user is told last.
const LAST: &[u8] = b"the cookies";

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
    let end = timeout(Duration::from_secs(60), user.read_to_end(&mut heard)).await;
    end.expect("the connection is closed").unwrap();
    assert_eq!(heard, LAST);
}

impl Farewell {
    fn see_off(&self, ours: tokio::net::TcpStream) {
        self.keep(ours.into_std().unwrap());
    }

    fn waiting(&self) -> usize {
        self.lock().leaving.len()
    }
}

/// A farewell with an attendant for as long as `work` takes.
async fn attended<F: Future>(work: impl FnOnce(Farewell) -> F) -> F::Output {
    let farewell = Farewell::beside(1024);
    tokio::select! {
        outcome = work(farewell.clone()) => outcome,
        () = farewell.attend() => unreachable!("it never ends"),
    }
}

#[tokio::test]
async fn whoever_comes_finds_out_who_has_gone() {
    let farewell = Farewell::beside(1024);
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

#[tokio::test(start_paused = true)]
async fn who_stays_is_closed_in_time_and_so_is_the_next_one() {
    attended(async |farewell| {
        // Between the two the attendant has nobody.
        for _ in 0..2 {
            let (mut user, ours) = told().await;
            let began = Instant::now();
            farewell.see_off(ours);
            hear_out(&mut user).await;
            assert_eq!(began.elapsed().as_millis(), CLOSE_WAIT.as_millis());
            tokio::time::sleep(Duration::from_secs(3600)).await;
            assert_eq!(farewell.waiting(), 0);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn each_has_his_own_time() {
    const APART: Duration = Duration::from_millis(40);
    attended(async |farewell| {
        let (mut first, ours) = told().await;
        let began = Instant::now();
        farewell.see_off(ours);
        tokio::time::sleep(APART).await;
        let (mut second, ours) = told().await;
        farewell.see_off(ours);
        hear_out(&mut first).await;
        assert_eq!(began.elapsed().as_millis(), CLOSE_WAIT.as_millis());
        hear_out(&mut second).await;
        assert_eq!(
            began.elapsed().as_millis(),
            (CLOSE_WAIT + APART).as_millis()
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
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
    let farewell = Farewell::beside(1024);
    let (mut user, ours) = told().await;
    let flood = async { user.write_all(&[0; MAX_DRAIN]).await.unwrap() };
    tokio::join!(flood, arrived(&ours, MAX_DRAIN));
    farewell.see_off(ours);
    farewell.part_from_those_gone();
    assert_eq!(farewell.waiting(), 0);
}

#[tokio::test]
async fn there_is_room_for_a_few_and_who_has_waited_longest_goes_first() {
    let rooms = [1, 16, 1_000_000].map(|connections| Farewell::beside(connections).0.most);
    assert_eq!(rooms, [1, 1, MOST]);
    let farewell = Farewell::beside(32);
    let mut users = Vec::new();
    for _ in 0..3 {
        let (user, ours) = told().await;
        farewell.see_off(ours);
        users.push(user);
    }
    assert_eq!(farewell.waiting(), 2);
    hear_out(&mut users[0]).await;
    users[1].read_exact(&mut [0; LAST.len()]).await.unwrap();
    let error = users[1].try_read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_those_who_stay() {
    let farewell = Farewell::beside(1024);
    let (user, ours) = told().await;
    leaves(user, b"", &ours).await;
    farewell.see_off(ours);
    let began = Instant::now();
    farewell.finish().await;
    assert_eq!(began.elapsed(), Duration::ZERO);

    let (mut user, ours) = told().await;
    user.write_all(b"more").await.unwrap();
    arrived(&ours, 4).await;
    farewell.see_off(ours);
    let began = Instant::now();
    farewell.finish().await;
    assert_eq!(began.elapsed().as_millis(), CLOSE_WAIT.as_millis());
    hear_out(&mut user).await;
}
