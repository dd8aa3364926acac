//! What the tests have in common.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nts_pool_ke::SourceConfig;
use nts_pool_ke::fleet::State;
use testkit::deadline::DEADLINE;
use testkit::faulty_source::{Answer, Script};
use testkit::lab::{POOL_NAME, RealSource, RunningPool, loopback};
use testkit::user::{Failure, Session, plain_request};
use testkit::wire::{End, Transcript};
use testkit::{FaultySource, Lab};

pub(crate) const ERROR_1: &str = "80020002000180000000";
pub(crate) const ERROR_2: &str = "80020002000280000000";

/// What no exchange takes on a busy machine, unless it waits for something.
pub(crate) const WITHOUT_WAITING: Duration = Duration::from_secs(2);

/// The budget of exchanges in which a source is silent.
pub(crate) const SHORT: Duration = Duration::from_secs(2);

pub(crate) fn octets(hex: &str) -> Answer {
    Answer::Octets(hex::decode(hex).expect("hexadecimal digits"))
}

/// One source that will fail and three that never do: users' word alone ejects nobody of the last
/// three.
pub(crate) struct OneOfFour {
    pub(crate) lab: Lab,
    pub(crate) bad: FaultySource,
    pub(crate) good: [RealSource; 3],
}

impl OneOfFour {
    pub(crate) async fn new(script: Script) -> Self {
        let lab = Lab::new();
        let bad = lab.faulty_source(loopback(2), script).await;
        let good = [3, 4, 5].map(|last| lab.source(loopback(last)));
        Self { lab, bad, good }
    }

    /// All of them as a configuration has them.
    pub(crate) fn entries(&self) -> Vec<SourceConfig> {
        let mut entries = vec![self.bad.entry()];
        entries.extend(self.good.iter().map(RealSource::entry));
        entries
    }

    /// A pool of them, with this time for each exchange.
    pub(crate) fn pool(&self, budget: Duration) -> RunningPool {
        self.lab.pool_with(self.entries(), |config| {
            config.key_exchange_timeout = budget
        })
    }

    /// One user, who gets cookies from one of the good ones. Gives how long that took.
    pub(crate) async fn serve_by_good(&self, pool: &RunningPool) -> Duration {
        let begun = Instant::now();
        let server = server_of(&self.lab, pool).await;
        let time = begun.elapsed();
        assert!(
            self.good.iter().any(|good| good.ntp == server),
            "served by {server}"
        );
        time
    }

    /// So many users in a row, all served by the good ones. Gives the longest time.
    pub(crate) async fn serve_many_by_good(&self, pool: &RunningPool, users: usize) -> Duration {
        let mut longest = Duration::ZERO;
        for _ in 0..users {
            longest = longest.max(self.serve_by_good(pool).await);
        }
        longest
    }

    /// Users one after the other, all served by the good ones, until the bad one is ejected. Gives
    /// the longest time.
    pub(crate) async fn serve_until_ejected(&self, pool: &RunningPool) -> Duration {
        let mut longest = Duration::ZERO;
        let begun = Instant::now();
        while begun.elapsed() < DEADLINE {
            if pool.is_in(self.bad.address(), State::Ejected) {
                return longest;
            }
            longest = longest.max(self.serve_by_good(pool).await);
        }
        panic!("not ejected: {}", pool.running.registry().render());
    }

    /// Users until the bad one, which is not bad yet, has served one.
    pub(crate) async fn warm_up(&self, pool: &RunningPool) {
        while self.bad.seen().keys().is_empty() {
            server_of(&self.lab, pool).await;
        }
    }
}

/// One user.
pub(crate) async fn exchange(lab: &Lab, pool: &RunningPool) -> Result<Session, Failure> {
    lab.user()
        .key_exchange(pool.address, POOL_NAME, &plain_request())
        .await
}

/// One user, who gets cookies. Gives the server he is sent to.
pub(crate) async fn server_of(lab: &Lab, pool: &RunningPool) -> SocketAddr {
    let session = exchange(lab, pool).await;
    session
        .unwrap_or_else(|failure| panic!("{failure:?}\n{}", pool.running.registry().render()))
        .ntp_server()
}

/// One user. Gives the octets that he gets.
pub(crate) async fn answer(lab: &Lab, pool: &RunningPool) -> Transcript {
    let request = plain_request().encode();
    lab.user()
        .converse(pool.address, POOL_NAME, request.as_ref())
        .await
}

#[track_caller]
pub(crate) fn assert_refused(answer: &Transcript, expected: &str, what: &str) {
    assert_eq!(hex::encode(&answer.octets), expected, "{what}");
    assert_eq!(answer.end, End::CloseNotify, "{what}");
}
