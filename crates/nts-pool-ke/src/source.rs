//! One time source: what the configuration says about it and what the pool has learnt since.
//!
//! Everything here is shared by all exchanges and the source's keeper. Locks are held for moments,
//! never while anything waits.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nts_proto::ke::name::NtpServerName;
use nts_proto::ke::token::AuthenticationToken;

use crate::config::{SourceConfig, UpstreamConfig};
use crate::cookies::CookieQuirks;
use crate::directory::Directory;
use crate::fleet::{Event, State};
use crate::names::TooManyNames;
use crate::round_trip::RoundTrip;
use crate::selection::SourceIndex;
use crate::upstream::{
    Board, Connection, Connector, Dialect, IdlePool, Means, OwnNames, Slots, UpstreamError,
};

/// A configured time source and its state.
pub(crate) struct Source {
    config: SourceConfig,
    means: Arc<Means>,
    place: Place,
    label: String,
    connector: Connector,
    /// What the source supports.
    pub(crate) board: Board,
    /// Connections that wait for a request.
    pub(crate) idle: IdlePool,
    /// The right to exchanges with it.
    pub(crate) slots: Slots,
    /// Where it may send users under the name policy `verified`.
    pub(crate) own_names: OwnNames,
    cookie_quirks: Mutex<Option<CookieQuirks>>,
    round_trip: RoundTrip,
}

/// Where a source stands among the others.
#[derive(Clone)]
pub(crate) struct Place {
    /// Its position.
    pub(crate) index: SourceIndex,
    /// What holds for all.
    pub(crate) directory: Arc<Directory>,
}

impl Source {
    /// A source of which nothing is known yet.
    pub(crate) fn new(config: SourceConfig, means: Arc<Means>, place: Place) -> Self {
        let policy = &means.policy;
        let concurrency = config.max_concurrency;
        let connector = Connector::new(&config, Arc::clone(&means));
        Self {
            label: config.id(),
            own_names: connector.own_names(&config),
            cookie_quirks: Mutex::default(),
            connector,
            board: Board::default(),
            idle: IdlePool::new(
                policy.idle_per_source,
                policy.idle_timeout,
                means.idle_share.clone(),
            ),
            slots: Slots::new(concurrency.unwrap_or(policy.source_concurrency)),
            round_trip: RoundTrip::default(),
            config,
            means,
            place,
        }
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
        self.place.directory.state(self.place.index)
    }

    /// The smoothed round-trip time, if it was ever measured.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip.get()
    }

    /// Takes one measured round trip into account.
    pub(crate) fn note_round_trip(&self, sample: Duration) {
        self.round_trip.record(sample);
    }

    /// Opens a new connection. The caller limits the time.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub(crate) async fn open(&self) -> Result<Connection, UpstreamError> {
        let connected = self.connector.open().await?;
        self.note_round_trip(connected.round_trip);
        Ok(connected.connection)
    }

    /// Where it is, by a new look at its name if that is due; `None` if nobody says.
    pub(crate) async fn renew_addresses(&self) -> Option<Arc<[SocketAddr]>> {
        self.connector.renew_addresses().await
    }

    /// Replaces the names that the source itself lists.
    pub(crate) fn set_listed_names(&self, names: &[NtpServerName]) {
        let Place { index, directory } = &self.place;
        directory.set_listed_names(*index, names);
    }

    /// Remembers a name that the source put into an answer.
    ///
    /// # Errors
    /// If the source has too many names to be denied.
    pub(crate) fn note_name(&self, name: &NtpServerName) -> Result<(), TooManyNames> {
        let Place { index, directory } = &self.place;
        directory.note_name(*index, name)
    }

    /// Takes note of the cookies in an answer, and warns when they become unusual.
    pub(crate) fn note_cookies(&self, quirks: CookieQuirks) {
        let before = lock(&self.cookie_quirks).replace(quirks);
        if before != Some(quirks) && !quirks.is_none() {
            tracing::warn!(
                source = self.label,
                "time source makes cookies that some users drop: {quirks}"
            );
        }
    }

    /// In what its last cookies were unusual, if it has made any.
    pub(crate) fn cookie_quirks(&self) -> Option<CookieQuirks> {
        *lock(&self.cookie_quirks)
    }

    /// Takes note of what it did: what follows for its users is the business of all sources
    /// together.
    pub(crate) fn report(&self, event: Event) {
        self.place.directory.report(self.place.index, event);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
