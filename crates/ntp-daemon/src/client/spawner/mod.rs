//! One spawner per `[[source]]`: it knows how many remotes the source owes, finds them, and
//! replaces those that are lost.
//!
//! What to do next is decided by pure plans ([`keyed`] for NTS, [`plain`] for NTP without
//! authentication); here they meet sockets, tasks and logs. What never happens here: falling back
//! from NTS to plain NTP.

mod backoff;
mod keyed;
mod keyed_run;
mod memory;
mod plain;
mod plain_run;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nts_proto::association::{Association, AssociationConfig, NtsSession, PollLimits};
use nts_proto::ntp::header::ReferenceId;
use nts_proto::time::MonotonicTime;
use rand::RngExt;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::SourceId;
use super::board::Board;
use super::cookies::CookieStore;
use super::nursery::Nursery;
use super::row::Facts;
use super::source::{Keep, Source};
use crate::clock::Keeper;
use crate::clock::timebase::Timebase;
use crate::config::{self, SourceConfig};
use crate::observe::state::{ConfiguredSourceState, SourceMode};

pub(super) use keyed_run::KeyedSpawner;
pub(super) use plain_run::PlainSpawner;

/// Shortest and longest pause before the first poll of a source, in milliseconds, so that many
/// sources do not speak all at once.
const FIRST_POLL_MILLISECONDS: std::ops::RangeInclusive<u64> = 50..=200;

/// What a plan wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Try to find a source now.
    Try,
    /// Try then, if nothing happens before.
    Wait(MonotonicTime),
    /// Nothing until something happens.
    Rest,
}

/// Why a source is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LossReason {
    /// It refused service.
    Refused,
    /// It did not answer.
    Unreachable,
    /// It contradicted the sources that are used.
    Falseticker,
    /// It could not be asked, for a reason on our side.
    Offline,
}

impl LossReason {
    fn text(self) -> &'static str {
        match self {
            Self::Refused => "it refused service",
            Self::Unreachable => "it did not answer",
            Self::Falseticker => "it contradicted the others for long",
            Self::Offline => "requests could not be sent; is the network down?",
        }
    }
}

/// What all spawners share.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) board: Arc<Board>,
    pub(super) keeper: Arc<Keeper>,
    /// Sessions of the last run, and for the next.
    pub(super) cookies: Option<Arc<CookieStore>>,
    /// Held by all tasks as long as they run.
    alive: mpsc::Sender<Infallible>,
    pub(super) timebase: Timebase,
    next_id: AtomicU64,
}

impl Common {
    pub(super) fn new(
        board: Arc<Board>,
        keeper: Arc<Keeper>,
        cookies: Option<Arc<CookieStore>>,
        alive: mpsc::Sender<Infallible>,
    ) -> Self {
        Self {
            board,
            timebase: keeper.timebase(),
            keeper,
            cookies,
            alive,
            next_id: AtomicU64::new(1),
        }
    }

    /// A number that was never given before.
    fn new_id(&self) -> SourceId {
        SourceId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }
}

/// What the spawners of all modes have: the configured source, its tasks and its row.
#[derive(Debug)]
pub(super) struct Base {
    common: Arc<Common>,
    /// Place of the source in the configuration.
    index: usize,
    name: String,
    mode: SourceMode,
    /// By what the next run knows the source.
    kept_as: String,
    wanted: usize,
    association: AssociationConfig,
    nursery: Nursery,
    /// Name and address of each running source, for the log.
    remotes: HashMap<SourceId, (String, SocketAddr)>,
    /// Why fewer sources are held than wanted.
    error: Option<String>,
}

/// Mode, address and whom to trust: who trusts others now has to ask anew who is there.
fn kept_as(config: &SourceConfig) -> String {
    let trusted = match &config.mode {
        config::SourceMode::Nts { trust } | config::SourceMode::NtsPool { trust, .. } => {
            trust.fingerprint()
        }
        config::SourceMode::Server | config::SourceMode::Pool { .. } => 0,
    };
    let (mode, address) = (config.mode.name(), &config.address);
    format!("{mode} {address} {trusted:016x}")
}

impl Base {
    pub(super) fn new(common: Arc<Common>, index: usize, config: &SourceConfig) -> Self {
        let limits = config.poll_interval_limits;
        Self {
            index,
            kept_as: kept_as(config),
            name: config.address.to_string(),
            mode: SourceMode::from(&config.mode),
            wanted: config.mode.count(),
            association: AssociationConfig {
                poll_limits: PollLimits::new(limits.min, limits.max).unwrap_or_default(),
                initial_poll: config.initial_poll_interval,
                burst: config.burst,
                precision: common.keeper.precision(),
            },
            nursery: Nursery::new(),
            remotes: HashMap::new(),
            error: None,
            common,
        }
    }

    fn now(&self) -> MonotonicTime {
        self.common.timebase.now()
    }

    fn until(&self, step: Step) -> Option<Instant> {
        match step {
            Step::Wait(time) => self.common.timebase.instant(time),
            Step::Try | Step::Rest => None,
        }
    }

    /// Starts a source, with NTS if there is a session.
    fn start(
        &mut self,
        id: SourceId,
        remote_name: String,
        address: SocketAddr,
        session: Option<NtsSession>,
    ) {
        tracing::info!(
            source = %self.name, remote = %remote_name, %address, nts = session.is_some(), %id,
            "new source"
        );
        let now = self.now();
        let pause = rand::rng().random_range(FIRST_POLL_MILLISECONDS);
        let first_poll = now + Duration::from_millis(pause);
        let association = match session {
            Some(session) => Association::nts(self.association, session, now, first_poll),
            None => Association::plain(self.association, first_poll),
        };
        self.remotes.insert(id, (remote_name.clone(), address));
        let facts = Facts {
            name: self.name.clone(),
            mode: self.mode,
            remote_name: remote_name.clone(),
            address,
        };
        let (place, timebase) = (self.common.board.place(id), self.common.timebase);
        let slot = self.common.keeper.add_source(
            id.0,
            format!("{remote_name} ({address})"),
            self.association.poll_limits,
            ReferenceId::from_address(address.ip()),
        );
        let keep = self.common.cookies.as_ref().map(|cookies| Keep {
            cookies: Arc::clone(cookies),
            configured: self.kept_as.clone(),
        });
        let alive = self.common.alive.clone();
        self.nursery.start(id, |events, keys| Source {
            id,
            address,
            association,
            facts,
            place,
            slot,
            keep,
            alive,
            timebase,
            events,
            keys,
        });
    }

    /// Stops a source for which there is a better one, and says why.
    fn stop(&mut self, id: SourceId, why: &str) {
        if let Some((remote, address)) = self.remotes.remove(&id) {
            tracing::info!(source = %self.name, %remote, %address, %id, "source is replaced: {why}");
        }
        self.nursery.stop(id);
    }

    /// Notes that a source has ended.
    fn lose(&mut self, id: SourceId, reason: LossReason) {
        let why = reason.text();
        if let Some((remote, address)) = self.remotes.remove(&id) {
            tracing::warn!(source = %self.name, %remote, %address, %id, "lost a source: {why}");
            self.error = Some(format!("lost {remote} ({address}): {why}"));
        }
    }

    /// Puts the configured source's row on the board.
    fn report(&self, held: usize, step: Step) {
        let complete = held >= self.wanted;
        let row = ConfiguredSourceState {
            name: self.name.clone(),
            mode: self.mode,
            wanted: self.wanted,
            held,
            last_error: self.error.clone().filter(|_| !complete),
            next_try_seconds: None,
        };
        let next_try = self.until(step).filter(|_| !complete);
        self.common.board.put_configured(self.index, row, next_try);
    }
}

/// A wait as people read it.
fn seconds(wait: Duration) -> String {
    format!("next try in {} s", wait.as_secs_f64().ceil())
}
