//! Connecting to a source with several addresses, some of which may be dead (RFC 8305).
//!
//! The families take turns, each next address starts a little later than the one before it or as
//! soon as that has failed, and the address that answered first comes first for a while.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::reach::is_no_route;

/// The next address is tried when the one before has not answered for so long.
const STAGGER: Duration = Duration::from_millis(150);
/// More addresses than that are not tried.
const MOST_ADDRESSES: usize = 8;
/// For so long the address that answered first is tried first.
const MEMORY: Duration = Duration::from_secs(600);

/// The addresses of one source as racers.
#[derive(Debug, Default)]
pub(super) struct Race {
    winner: Mutex<Option<(SocketAddr, Instant)>>,
}

/// Who came first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Winner<T> {
    /// What `connect` gave for its address.
    pub(super) prize: T,
    /// How long that took, by itself.
    pub(super) time: Duration,
}

impl Race {
    /// Runs `connect` for one address after the other until one succeeds.
    ///
    /// # Errors
    /// The last failure when all have failed, rather one that says more than that there is no route:
    /// there often is none for one of the families.
    pub(super) async fn run<T, F>(
        &self,
        addresses: &[SocketAddr],
        connect: impl Fn(SocketAddr) -> F,
    ) -> io::Result<Winner<T>>
    where
        T: Send + 'static,
        F: Future<Output = io::Result<T>> + Send + 'static,
    {
        let first = self.remembered(Instant::now());
        let mut waiting = in_order(addresses, first).into_iter();
        let mut running = JoinSet::new();
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        loop {
            match waiting.next() {
                Some(address) => {
                    let connecting = connect(address);
                    running.spawn(async move {
                        let started = Instant::now();
                        let outcome = connecting.await;
                        (address, started.elapsed(), outcome)
                    });
                }
                None if running.is_empty() => return Err(failure),
                None => {}
            }
            tokio::select! {
                Some(ended) = running.join_next() => match ended.map_err(io::Error::other) {
                    Ok((address, time, Ok(prize))) => {
                        self.remember(address, Instant::now());
                        return Ok(Winner { prize, time });
                    }
                    Ok((_, _, Err(error))) | Err(error) => {
                        if !is_no_route(&error) || failure.kind() == io::ErrorKind::NotFound {
                            failure = error;
                        }
                    }
                },
                () = sleep(STAGGER), if waiting.len() > 0 => {}
            }
        }
    }

    fn remembered(&self, now: Instant) -> Option<SocketAddr> {
        let winner = *self.lock();
        winner
            .filter(|(_, since)| now < *since + MEMORY)
            .map(|(address, _)| address)
    }

    /// A winner is forgotten in time, so that a better address gets its chance.
    fn remember(&self, address: SocketAddr, now: Instant) {
        let mut winner = self.lock();
        match *winner {
            Some((old, since)) if old == address && now < since + MEMORY => {}
            _ => *winner = Some((address, now)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(SocketAddr, Instant)>> {
        self.winner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `first` if it is still an address, then the families by turns, each in its given order.
fn in_order(addresses: &[SocketAddr], first: Option<SocketAddr>) -> Vec<SocketAddr> {
    let first = first.filter(|first| addresses.contains(first));
    let leading = first.or(addresses.first().copied());
    let is_leading = |it: &SocketAddr| leading.is_some_and(|first| first.is_ipv6() == it.is_ipv6());
    let others = addresses.iter().filter(|it| Some(**it) != first);
    let (ours, theirs): (Vec<_>, Vec<_>) = others.partition(|it| is_leading(it));
    let mut ours = first.iter().chain(ours);
    let mut theirs = theirs.into_iter();
    let mut ordered = Vec::with_capacity(addresses.len());
    while ordered.len() < addresses.len() {
        ordered.extend(ours.next());
        ordered.extend(theirs.next());
    }
    ordered.truncate(MOST_ADDRESSES);
    ordered
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), 4460)
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| address(text)).collect()
    }

    #[test]
    fn families_take_turns() {
        assert_eq!(
            in_order(&addresses(&["::1", "::2", "::3", "0.0.0.1"]), None),
            addresses(&["::1", "0.0.0.1", "::2", "::3"])
        );
        assert_eq!(
            in_order(&addresses(&["0.0.0.1", "0.0.0.2", "::1"]), None),
            addresses(&["0.0.0.1", "::1", "0.0.0.2"])
        );
        assert_eq!(in_order(&[], None), []);
    }

    #[test]
    fn the_winner_of_before_is_first_while_it_is_an_address() {
        let all = addresses(&["::1", "::2", "0.0.0.1", "0.0.0.2"]);
        assert_eq!(
            in_order(&all, Some(address("0.0.0.2"))),
            addresses(&["0.0.0.2", "::1", "0.0.0.1", "::2"])
        );
        assert_eq!(
            in_order(&all, Some(address("0.0.0.3"))),
            in_order(&all, None)
        );
    }

    #[test]
    fn not_too_many_are_tried() {
        let many: Vec<_> = (0..20)
            .map(|last| SocketAddr::from(([10, 0, 0, last], 1)))
            .collect();
        assert_eq!(in_order(&many, None), many[..MOST_ADDRESSES]);
    }

    /// What a test's address does.
    #[derive(Clone, Copy)]
    enum Does {
        Answer(u64),
        Fail(u64),
        Silence,
        NoRoute,
    }

    /// A race in virtual time: who wins, after how many milliseconds.
    async fn outcome(race: &Race, field: &[(&str, Does)]) -> (Result<SocketAddr, String>, u64) {
        let started = Instant::now();
        let field: Vec<_> = field
            .iter()
            .map(|(text, does)| (address(text), *does))
            .collect();
        let addresses: Vec<_> = field.iter().map(|(address, _)| *address).collect();
        let connect = |address| {
            let entry = field.iter().find(|(other, _)| *other == address);
            let (_, does) = *entry.unwrap();
            async move {
                match does {
                    Does::Answer(after) => {
                        sleep(Duration::from_millis(after)).await;
                        Ok(address)
                    }
                    Does::Fail(after) => {
                        sleep(Duration::from_millis(after)).await;
                        Err(io::Error::other(address.to_string()))
                    }
                    Does::Silence => pending().await,
                    Does::NoRoute => Err(io::ErrorKind::NetworkUnreachable.into()),
                }
            }
        };
        let result = race.run(&addresses, connect).await;
        let took = u64::try_from(started.elapsed().as_millis()).unwrap();
        let winner = result.map(|winner| winner.prize);
        (winner.map_err(|error| error.to_string()), took)
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_costs_150_ms() {
        let field = [("::1", Does::Silence), ("10.0.0.1", Does::Answer(20))];
        let race = Race::default();
        assert_eq!(outcome(&race, &field).await, (Ok(address("10.0.0.1")), 170));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_address_costs_nothing_more() {
        let field = [
            ("::1", Does::Fail(10)),
            ("10.0.0.1", Does::Fail(10)),
            ("::2", Does::Answer(10)),
        ];
        let race = Race::default();
        assert_eq!(outcome(&race, &field).await, (Ok(address("::2")), 30));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_to_answer_wins_though_it_began_later() {
        let field = [("::1", Does::Answer(500)), ("10.0.0.1", Does::Answer(100))];
        let race = Race::default();
        assert_eq!(outcome(&race, &field).await, (Ok(address("10.0.0.1")), 250));
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_the_last_failure_is_told() {
        let field = [("::1", Does::Fail(20)), ("10.0.0.1", Does::Fail(10))];
        let race = Race::default();
        let (result, took) = outcome(&race, &field).await;
        assert_eq!((result, took), (Err("10.0.0.1:4460".to_owned()), 30));
    }

    #[tokio::test(start_paused = true)]
    async fn that_there_is_no_route_for_one_family_hides_no_other_failure() {
        for order in [["::1", "10.0.0.1"], ["10.0.0.1", "::1"]] {
            let does = |text| match text {
                "::1" => Does::NoRoute,
                _ => Does::Fail(10),
            };
            let (result, _) = outcome(&Race::default(), &order.map(|it| (it, does(it)))).await;
            assert_eq!(result, Err("10.0.0.1:4460".to_owned()));
        }
        let (result, _) = outcome(&Race::default(), &[("::1", Does::NoRoute)]).await;
        let none = io::Error::from(io::ErrorKind::NetworkUnreachable);
        assert_eq!(result, Err(none.to_string()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_winner_is_remembered_for_ten_minutes() {
        let field = [("::1", Does::Silence), ("10.0.0.1", Does::Answer(20))];
        let race = Race::default();
        assert_eq!(outcome(&race, &field).await.1, 170);
        tokio::time::advance(Duration::from_secs(599)).await;
        assert_eq!(outcome(&race, &field).await.1, 20);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(outcome(&race, &field).await.1, 170);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_is_that_of_the_winner_alone() {
        let race = Race::default();
        let connect = |address: SocketAddr| async move {
            match address.is_ipv6() {
                true => pending().await,
                false => sleep(Duration::from_millis(20)).await,
            }
            Ok(())
        };
        let all = addresses(&["::1", "10.0.0.1"]);
        let winner = race.run(&all, connect).await.unwrap();
        assert_eq!(winner.time, Duration::from_millis(20));
    }
}
