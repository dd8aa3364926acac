//! Finding the way to a host: the first of its addresses that takes a TCP connection.
//!
//! Addresses of both families are tried in turn, each new try 300 ms after the one before or at
//! once when that one failed (in the manner of RFC 8305). What never happens here: a limit of time;
//! the caller sets one around everything.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;

/// Time that a connection gets before the next address is tried beside it.
const STAGGER: Duration = Duration::from_millis(300);

/// No address took the connection.
#[derive(Debug, thiserror::Error)]
#[error("{}", list(.0))]
pub(super) struct ConnectError(Vec<(SocketAddr, io::Error)>);

fn list(failures: &[(SocketAddr, io::Error)]) -> String {
    let each: Vec<String> = failures
        .iter()
        .map(|(address, error)| format!("{address}: {error}"))
        .collect();
    each.join("; ")
}

/// Opens a connection to the first address that takes one; the others are given up.
///
/// # Errors
/// [`ConnectError`] when all have failed.
pub(super) async fn connect_first<T, F>(
    addresses: &[SocketAddr],
    connect: impl Fn(SocketAddr) -> F,
) -> Result<(T, SocketAddr), ConnectError>
where
    T: Send + 'static,
    F: Future<Output = io::Result<T>> + Send + 'static,
{
    let mut waiting = alternate(addresses).into_iter();
    let mut tries = JoinSet::new();
    let mut failures = Vec::new();
    loop {
        let next = waiting.next();
        let last = next.is_none();
        if let Some(address) = next {
            let attempt = connect(address);
            tries.spawn(async move { (address, attempt.await) });
        }
        let pause = tokio::time::sleep(STAGGER);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                ended = tries.join_next() => match ended {
                    Some(Ok((address, Ok(connection)))) => return Ok((connection, address)),
                    Some(Ok((address, Err(error)))) => {
                        failures.push((address, error));
                        if !last {
                            break;
                        }
                    }
                    Some(Err(_)) => {}
                    None if last => return Err(ConnectError(failures)),
                    None => break,
                },
                () = &mut pause, if !last => break,
            }
        }
    }
}

/// The same addresses, families in turn, beginning with that of the first.
fn alternate(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<SocketAddr>, Vec<SocketAddr>) = addresses
        .iter()
        .copied()
        .partition(|address| address.is_ipv4() == first_is_v4);
    let mut order = Vec::with_capacity(addresses.len());
    for index in 0..first.len().max(second.len()) {
        order.extend(first.get(index).copied());
        order.extend(second.get(index).copied());
    }
    order
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::time::Instant;

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_the_preferred_one_begins() {
        let order = alternate(&addresses(&[
            "[::1]:1",
            "[::2]:1",
            "[::3]:1",
            "1.1.1.1:1",
            "1.1.1.2:1",
        ]));
        assert_eq!(
            order,
            addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "1.1.1.2:1", "[::3]:1"])
        );
        let order = alternate(&addresses(&["1.1.1.1:1", "[::1]:1"]));
        assert_eq!(order, addresses(&["1.1.1.1:1", "[::1]:1"]));
        assert_eq!(alternate(&[]), []);
    }

    /// What an address does, in virtual time.
    #[derive(Clone, Copy)]
    enum Behaviour {
        Silent,
        Refuse,
        AcceptAfter(u64),
    }

    type Begun = Vec<(SocketAddr, Duration)>;

    /// Connects to addresses that behave as told; gives the result and when each try began.
    async fn run(
        behaviours: &[(&str, Behaviour)],
    ) -> (Result<((), SocketAddr), ConnectError>, Begun) {
        let table: Vec<(SocketAddr, Behaviour)> = behaviours
            .iter()
            .map(|(text, behaviour)| (text.parse().unwrap(), *behaviour))
            .collect();
        let all: Vec<SocketAddr> = table.iter().map(|(address, _)| *address).collect();
        let begun = Arc::new(Mutex::new(Vec::new()));
        let start = Instant::now();
        let result = connect_first(&all, |address| {
            let behaviour = table.iter().find(|(known, _)| *known == address).unwrap().1;
            begun.lock().unwrap().push((address, start.elapsed()));
            async move {
                match behaviour {
                    Behaviour::Silent => std::future::pending().await,
                    Behaviour::Refuse => Err(io::ErrorKind::ConnectionRefused.into()),
                    Behaviour::AcceptAfter(milliseconds) => {
                        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                        Ok(())
                    }
                }
            }
        })
        .await;
        let begun = begun.lock().unwrap().clone();
        (result, begun)
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_costs_300_milliseconds() {
        let (result, begun) = run(&[
            ("[::1]:1", Behaviour::Silent),
            ("1.1.1.1:1", Behaviour::AcceptAfter(10)),
        ])
        .await;
        assert_eq!(result.unwrap().1, "1.1.1.1:1".parse().unwrap());
        assert_eq!(begun[0].1, Duration::ZERO);
        assert_eq!(begun[1].1, STAGGER);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_costs_nothing() {
        let (result, begun) = run(&[
            ("[::1]:1", Behaviour::Refuse),
            ("1.1.1.1:1", Behaviour::AcceptAfter(0)),
        ])
        .await;
        assert_eq!(result.unwrap().1, "1.1.1.1:1".parse().unwrap());
        assert_eq!(begun[1].1, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_to_answer_wins_even_if_it_began_earlier() {
        let (result, begun) = run(&[
            ("[::1]:1", Behaviour::AcceptAfter(500)),
            ("1.1.1.1:1", Behaviour::Silent),
            ("[::2]:1", Behaviour::Silent),
        ])
        .await;
        assert_eq!(result.unwrap().1, "[::1]:1".parse().unwrap());
        assert_eq!(begun.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_the_error_names_each() {
        let (result, _) = run(&[
            ("[::1]:1", Behaviour::Refuse),
            ("1.1.1.1:1", Behaviour::Refuse),
        ])
        .await;
        assert_eq!(
            result.unwrap_err().to_string(),
            "[::1]:1: connection refused; 1.1.1.1:1: connection refused"
        );
    }
}
