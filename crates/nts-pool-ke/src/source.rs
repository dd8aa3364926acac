//! One time source: what the configuration says about it and what the pool has learnt since.
//!
//! Everything here is shared by all exchanges and the source's keeper. Locks are held for moments,
//! never while anything waits.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nts_proto::ke::name::NtpServerName;
use nts_proto::ke::token::AuthenticationToken;
use tokio::time::Instant;

use crate::config::{SourceConfig, UpstreamConfig};
use crate::cookies::CookieQuirks;
use crate::health::{Event, Health};
use crate::names::{DeniedNames, KnownNames, TooManyNames};
use crate::round_trip::RoundTrip;
use crate::select::Standing;
use crate::upstream::{
    Board, Class, Connection, Connector, Dialect, IdlePool, Means, OwnNames, Slots, UpstreamError,
};

/// A configured time source and its state.
pub(crate) struct Source {
    config: SourceConfig,
    means: Arc<Means>,
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
    names: Mutex<KnownNames>,
    health: Mutex<Health>,
}

/// What an operator wants to know of a source at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It has not said yet what it supports.
    Unknown,
    /// It is picked.
    InUse,
    /// It is tried last.
    Aside,
    /// Its weight is 0: it is never picked.
    Drained,
}

impl State {
    /// The number of this state in metrics (pool design §3.2); those between belong to states
    /// that this pool does not know.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::InUse => 1,
            Self::Aside => 2,
            Self::Drained => 5,
        }
    }
}

impl Source {
    /// A source of which nothing is known yet.
    pub(crate) fn new(config: SourceConfig, means: Arc<Means>) -> Self {
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
            names: Mutex::new(KnownNames::new(config.domain(), &config.ntp_names)),
            health: Mutex::default(),
            config,
            means,
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

    /// What selection may know of this source.
    pub(crate) fn standing(&self, denied: &DeniedNames, now: Instant) -> Standing {
        Standing {
            weight: self.config.weight,
            denied: lock(&self.names).is_denied(denied),
            aside: self.is_aside(now),
            excluded: false,
        }
    }

    /// What an operator wants to know.
    pub(crate) fn state(&self, now: Instant) -> State {
        if self.config.weight == 0 {
            State::Drained
        } else if self.is_aside(now) {
            State::Aside
        } else if self.board.known(now).is_some() {
            State::InUse
        } else {
            State::Unknown
        }
    }

    fn is_aside(&self, now: Instant) -> bool {
        lock(&self.health).is_aside(now) || self.board.is_unready(now)
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
        lock(&self.names).set_listed(names);
    }

    /// Remembers a name that the source put into an answer.
    ///
    /// # Errors
    /// If the source has too many names to be denied.
    pub(crate) fn note_name(&self, name: &NtpServerName) -> Result<(), TooManyNames> {
        lock(&self.names).note_seen(name, Instant::now())
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

    /// Takes note of a good answer.
    pub(crate) fn succeeded(&self, event: Event) {
        self.record(event);
    }

    /// Takes note of a failure, unless it was our own.
    pub(crate) fn failed(&self, event: Event, class: Class) {
        if class != Class::Local {
            self.record(event);
        }
    }

    fn record(&self, event: Event) {
        let now = Instant::now();
        let mut health = lock(&self.health);
        let was_aside = health.is_aside(now);
        health.record(event, now);
        let is_aside = health.is_aside(now);
        drop(health);
        match (was_aside, is_aside) {
            (false, true) => tracing::warn!(source = self.label, "time source set aside"),
            (true, false) => tracing::info!(source = self.label, "time source back in use"),
            _ => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
