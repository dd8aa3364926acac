//! One time source: what the configuration says about it and what the pool has learnt since.
//!
//! Everything here is shared by all exchanges and the source's keeper. Locks are held for moments,
//! never while anything waits.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nts_proto::cookie_quirks::CookieQuirks;
use nts_proto::ke::name::NtpServerName;
use nts_proto::ke::token::AuthenticationToken;

use crate::config::{SourceConfig, UpstreamConfig};
use crate::directory::Directory;
use crate::fleet::{Event, SourceKey, State};
use crate::metrics::Requests;
use crate::names::TooManyNames;
use crate::round_trip::RoundTrip;
use crate::selection::Family;
use crate::track::{Occasion, Track};
use crate::upstream::{
    Allowance, Board, Connection, Connector, Dialect, IdlePool, Means, OwnNames, Slots,
    UpstreamError,
};

/// A configured time source and its state.
///
/// When the configuration says something else about it there is another of these, which shares with
/// the former one what is still true.
pub(crate) struct Source {
    config: SourceConfig,
    means: Arc<Means>,
    place: Place,
    label: String,
    connector: Arc<Connector>,
    /// What the source supports.
    pub(crate) board: Arc<Board>,
    /// Connections that wait for a request.
    pub(crate) idle: Arc<IdlePool>,
    /// The right to exchanges with it.
    pub(crate) slots: Slots,
    /// Where it may send users under the name policy `verified`.
    pub(crate) own_names: Arc<OwnNames>,
    /// What became of requests to it.
    pub(crate) requests: Arc<Requests>,
    memory: Arc<Memory>,
}

/// What was seen of a source.
#[derive(Default)]
struct Memory {
    cookie_quirks: Mutex<Option<CookieQuirks>>,
    round_trip: RoundTrip,
    track: Track,
    /// Whether the last thing that it did was to fail.
    failing: AtomicBool,
}

/// Where a source stands among the others.
#[derive(Clone)]
pub(crate) struct Place {
    /// What it is known by.
    pub(crate) key: SourceKey,
    /// What holds for all.
    pub(crate) directory: Arc<Directory>,
}

impl Source {
    /// A source of which nothing is known yet.
    pub(crate) fn new(config: SourceConfig, means: Arc<Means>, place: Place) -> Self {
        let connector = Connector::new(&config, Arc::clone(&means));
        Self {
            label: config.id(),
            own_names: Arc::new(connector.own_names(&config)),
            connector: Arc::new(connector),
            board: Arc::default(),
            idle: Arc::new(idle_pool(&config, &means)),
            slots: Slots::new(concurrency(&config, &means)),
            requests: Arc::default(),
            memory: Arc::default(),
            config,
            means,
            place,
        }
    }

    /// The same source, of which `config` now says something else, or which is dealt with by other
    /// `means`.
    ///
    /// With other means no connection of before is used again, and no TLS session resumed.
    pub(crate) fn renewed(&self, config: SourceConfig, means: Arc<Means>) -> Self {
        let same_means = Arc::ptr_eq(&self.means, &means);
        let mut renewed = Self::new(config, means, self.place.clone());
        renewed.board = Arc::clone(&self.board);
        renewed.requests = Arc::clone(&self.requests);
        renewed.memory = Arc::clone(&self.memory);
        if self.concurrency() == renewed.concurrency() {
            renewed.slots = self.slots.clone();
        }
        if same_means && renewed.config.connects_like(&self.config) {
            renewed.connector = Arc::clone(&self.connector);
            renewed.own_names = Arc::clone(&self.own_names);
            renewed.idle = Arc::clone(&self.idle);
        }
        if renewed.dialect() != self.dialect() {
            renewed.board.mistrust();
        }
        renewed
    }

    /// What it is known by.
    pub(crate) fn key(&self) -> SourceKey {
        self.place.key
    }

    /// What the configuration says about it.
    pub(crate) fn config(&self) -> &SourceConfig {
        &self.config
    }

    /// How it is dealt with.
    pub(crate) fn means(&self) -> &Arc<Means> {
        &self.means
    }

    /// Says good-bye on all connections that `successor`, the same source, does not use.
    pub(crate) fn part_from(&self, successor: &Self) {
        if !Arc::ptr_eq(&self.idle, &successor.idle) {
            self.leave();
        }
    }

    /// Says good-bye on all connections that wait.
    pub(crate) fn leave(&self) {
        for connection in self.idle.clear() {
            tokio::spawn(connection.close());
        }
    }

    fn concurrency(&self) -> usize {
        concurrency(&self.config, &self.means)
    }

    /// How all sources are dealt with.
    pub(crate) fn policy(&self) -> &UpstreamConfig {
        &self.means.policy
    }

    /// The configured id, for logs and metrics.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// The configured domain, for answers in which the source names no server.
    pub(crate) fn domain(&self) -> &NtpServerName {
        self.config.domain()
    }

    /// The token this source knows the pool by.
    pub(crate) fn token(&self) -> Option<&AuthenticationToken> {
        self.config.auth_token.as_ref()
    }

    /// The configured dialect.
    pub(crate) fn dialect(&self) -> Dialect {
        self.config.dialect
    }

    /// Whether the configuration wants no user to be sent there.
    pub(crate) fn is_drained(&self) -> bool {
        self.config.weight == 0
    }

    /// What is thought of it.
    pub(crate) fn state(&self) -> State {
        self.place.directory.state(self.place.key)
    }

    /// The smoothed round-trip time, if it was ever measured.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.memory.round_trip.get()
    }

    /// Takes one measured round trip into account.
    pub(crate) fn note_round_trip(&self, sample: Duration) {
        self.memory.round_trip.record(sample);
    }

    /// The family over which it has to be asked for a user of that family, if that matters.
    pub(crate) fn family_for(&self, user: Family) -> Option<Family> {
        self.config.match_family.then_some(user)
    }

    /// Opens a new connection, over that family if there is one given. The caller limits the time.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub(crate) async fn open(&self, family: Option<Family>) -> Result<Connection, UpstreamError> {
        // On the heap, so that exchanges over kept connections do not carry its state.
        let connected = Box::pin(self.connector.open(family)).await?;
        self.note_round_trip(connected.round_trip);
        Ok(connected.connection)
    }

    /// Where it is, by a new look at its name if that is due; `None` if nobody says.
    pub(crate) async fn renew_addresses(&self) -> Option<Arc<[SocketAddr]>> {
        self.connector.renew_addresses().await
    }

    /// Replaces the names that the source itself lists.
    pub(crate) fn set_listed_names(&self, names: &[NtpServerName]) {
        let Place { key, directory } = &self.place;
        directory.set_listed_names(*key, names);
    }

    /// Remembers a name that the source put into an answer.
    ///
    /// # Errors
    /// If the source has too many names to be denied.
    pub(crate) fn note_name(&self, name: &NtpServerName) -> Result<(), TooManyNames> {
        let Place { key, directory } = &self.place;
        directory.note_name(*key, name)
    }

    /// Takes note of the cookies in an answer, and warns when they become unusual.
    pub(crate) fn note_cookies(&self, quirks: CookieQuirks) {
        let before = lock(&self.memory.cookie_quirks).replace(quirks);
        if before != Some(quirks) && !quirks.is_none() {
            tracing::warn!(
                source = self.label,
                "time source makes cookies that some users drop: {quirks}"
            );
        }
    }

    /// In what its last cookies were unusual, if it has made any.
    pub(crate) fn cookie_quirks(&self) -> Option<CookieQuirks> {
        *lock(&self.memory.cookie_quirks)
    }

    /// Whether the last thing that it did was to fail. The next check tells, which is soon; until
    /// then users had better go elsewhere.
    pub(crate) fn is_failing(&self) -> bool {
        self.memory.failing.load(Ordering::Relaxed)
    }

    /// Remembers, for people, why something failed.
    pub(crate) fn note_error(&self, occasion: Occasion, error: &UpstreamError) {
        self.memory.track.failure(occasion, &error.to_string());
    }

    /// How it has done, for people.
    pub(crate) fn track(&self) -> &Track {
        &self.memory.track
    }

    /// Exchanges with it that are under way.
    pub(crate) fn busy(&self) -> usize {
        self.concurrency().saturating_sub(self.slots.free())
    }

    /// Takes note of what it did: what follows for its users is the business of all sources
    /// together.
    pub(crate) fn report(&self, event: Event) {
        if let Some(failing) = event.is_failure() {
            self.memory.failing.store(failing, Ordering::Relaxed);
            if !matches!(event, Event::CheckPassed | Event::CheckFailed(_)) {
                self.memory.track.exchange(!failing);
            }
        }
        self.place.directory.report(self.place.key, event);
    }
}

fn idle_pool(config: &SourceConfig, means: &Means) -> IdlePool {
    let allowance = Allowance {
        kept: means.policy.idle_per_source,
        busy: concurrency(config, means),
        limit: means.policy.idle_timeout,
    };
    IdlePool::new(allowance, means.node.idle_share.clone())
}

fn concurrency(config: &SourceConfig, means: &Means) -> usize {
    let general = means.policy.source_concurrency;
    config.max_concurrency.unwrap_or(general)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
