//! The task of one remote: it sends what the association wants sent, hands in what comes back, and
//! keeps the remote's row on the board.
//!
//! What never happens here: a rule of the protocol (they are in `nts_proto::association`), a key
//! exchange, or a decision about the clock.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::SockaddrStorage;
use nts_proto::association::{
    Association, DatagramOutcome, KeyReason, Kiss, Measurement, NtsSession, TimerAction,
    UnusableReason,
};
use nts_proto::ntp::header::ReferenceId;
use nts_proto::time::NtpTimestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::SourceId;
use super::board::Place;
use super::cookies::{CookieStore, Kept};
use super::net::{ExchangeSocket, is_offline};
use super::row::{Facts, Row};
use super::spawner::LossReason;
use super::words::{explain_keys, explain_kiss, explain_unusable};
use crate::clock::timebase::{Timebase, wait_until};
use crate::clock::{Measured, SourceSlot};
use crate::observe::state::SourceMode;

/// How long an answer is waited for.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Measurements in a row that may contradict the others before a pool's source is replaced.
const CONTRADICTIONS: u32 = 8;

/// Greatest datagram in octets that is read; no genuine answer is longer than our requests.
const MAX_DATAGRAM: usize = 2048;

/// What a running source tells its spawner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourceEvent {
    /// The first good answer since the start or since new keys.
    Answered,
    /// It wants new keys, and goes on meanwhile.
    KeysWanted(KeyReason),
    /// It does not want new keys any more: its own are good after all.
    KeysUnwanted,
}

/// One remote.
pub(super) struct Source {
    pub(super) id: SourceId,
    pub(super) address: SocketAddr,
    pub(super) association: Association,
    pub(super) facts: Facts,
    pub(super) place: Place,
    /// Takes what is measured to the keeper of the clock.
    pub(super) slot: SourceSlot,
    /// Where its session goes when the daemon stops.
    pub(super) keep: Option<Keep>,
    /// Held as long as the task runs.
    #[expect(dead_code, reason = "others see it go")]
    pub(super) alive: mpsc::Sender<Infallible>,
    pub(super) timebase: Timebase,
    /// To the spawner.
    pub(super) events: mpsc::Sender<(SourceId, SourceEvent)>,
    /// New keys from the spawner.
    pub(super) keys: mpsc::Receiver<NtsSession>,
}

/// Where the session of a source goes when the daemon stops.
pub(super) struct Keep {
    pub(super) cookies: Arc<CookieStore>,
    /// By what the next run knows the configured source.
    pub(super) configured: String,
}

impl Drop for Source {
    fn drop(&mut self) {
        let Some(keep) = &self.keep else { return };
        keep.cookies.leave(|| {
            Some(Kept {
                configured: keep.configured.clone(),
                remote_name: self.facts.remote_name.parse().ok()?,
                address: self.address,
                session: self.association.take_session()?,
            })
        });
    }
}

impl Source {
    /// Runs until the source is lost.
    pub(super) async fn run(self) -> LossReason {
        let row = Row::new(self.facts.clone());
        let mut running = Running {
            source: self,
            row,
            exchange: None,
            answered: false,
            unusable: false,
            keys_wanted: false,
            offline: false,
            contradictions: 0,
        };
        loop {
            if let Some(reason) = running.step().await {
                return reason;
            }
        }
    }
}

/// The request that is out.
struct Exchange {
    socket: ExchangeSocket,
    until: Instant,
    /// The epoch of the clock when it began.
    epoch: u64,
    /// By which a source is found out that is synchronised to us.
    own_ids: Vec<ReferenceId>,
}

struct Running {
    source: Source,
    row: Row,
    exchange: Option<Exchange>,
    /// The spawner knows of an answer since the start or since new keys.
    answered: bool,
    /// The last answer gave no time to use.
    unusable: bool,
    /// The spawner was told that new keys are wanted.
    keys_wanted: bool,
    /// The last request could not be sent for want of a network.
    offline: bool,
    /// Measurements in a row that contradicted the sources that are used.
    contradictions: u32,
}

impl Running {
    /// Does what is due, then waits for one thing to happen. Gives the reason when all is over.
    async fn step(&mut self) -> Option<LossReason> {
        if let Some(reason) = self.work().await {
            return Some(reason);
        }
        self.report();
        let timer = self.source.association.next_timer();
        let timer = timer.and_then(|time| self.source.timebase.instant(time));
        let mut buffer = [0; MAX_DATAGRAM];
        tokio::select! {
            () = wait_until(timer) => None,
            received = receive(self.exchange.as_ref(), &mut buffer) => {
                self.handle_received(received, &buffer).await
            }
            session = self.source.keys.recv() => {
                // Without a spawner there is nobody to find successors.
                let Some(session) = session else { return Some(LossReason::Offline) };
                self.source.association.handle_keys(self.source.timebase.now(), session);
                self.answered = false;
                self.keys_wanted = false;
                None
            }
        }
    }

    async fn work(&mut self) -> Option<LossReason> {
        loop {
            let now = self.source.timebase.now();
            let action = self.source.association.handle_timer(now, &mut rand::rng());
            match action {
                TimerAction::Send(datagram) => self.send(datagram.as_ref()).await,
                TimerAction::NeedKeys(reason) => {
                    self.row.set_error(explain_keys(reason));
                    self.keys_wanted = true;
                    self.tell(SourceEvent::KeysWanted(reason)).await;
                }
                TimerAction::Unreachable if self.offline => return Some(LossReason::Offline),
                TimerAction::Unreachable => return Some(LossReason::Unreachable),
                TimerAction::Demobilize(_) => return Some(LossReason::Refused),
                TimerAction::Wait => return None,
            }
        }
    }

    async fn tell(&self, event: SourceEvent) {
        // If the spawner is gone, so is this task in a moment.
        let _ = self.source.events.send((self.source.id, event)).await;
    }

    async fn send(&mut self, datagram: &[u8]) {
        self.exchange = None;
        let epoch = self.source.slot.keeper().epoch();
        match open_and_send(self.source.address, datagram).await {
            Ok((socket, transmitted)) => {
                self.offline = false;
                let transmitted = self.by_our_clock(transmitted);
                self.source.association.handle_sent(transmitted);
                self.exchange = Some(Exchange {
                    socket,
                    until: Instant::now() + ANSWER_LIMIT,
                    epoch,
                    own_ids: own_reference_ids(),
                });
            }
            Err(error) => {
                self.offline = is_offline(&error);
                self.row.set_error(format!("cannot send: {error}"));
            }
        }
    }

    /// Takes a datagram, or the end of the wait for one.
    async fn handle_received(
        &mut self,
        received: Option<io::Result<(usize, NtpTimestamp)>>,
        buffer: &[u8],
    ) -> Option<LossReason> {
        let Some(Ok((length, received))) = received else {
            self.exchange = None;
            return None;
        };
        let exchange = self.exchange.as_ref()?;
        let epoch = exchange.epoch;
        if let Some(transmitted) = exchange.socket.transmit_stamp() {
            let transmitted = self.by_our_clock(transmitted);
            self.source.association.handle_sent(transmitted);
        }
        if self.source.slot.keeper().epoch() != epoch {
            self.source.association.handle_clock_step();
        }
        let (now, received) = (self.source.timebase.now(), self.by_our_clock(received));
        let datagram = buffer.get(..length).unwrap_or_default();
        let outcome =
            self.source
                .association
                .handle_datagram(now, received, datagram, &exchange.own_ids);
        match outcome {
            DatagramOutcome::Measurement(measurement) => {
                return self.take(&measurement, epoch).await;
            }
            DatagramOutcome::Unusable(reason) => self.take_unusable(reason).await,
            DatagramOutcome::Kiss(kiss) => self.note_kiss(kiss),
            DatagramOutcome::Demobilize(_) => return Some(LossReason::Refused),
            // Perhaps forged: the genuine answer may still come.
            DatagramOutcome::Ignored(reason) => {
                tracing::debug!(source = %self.source.facts.name, address = %self.source.address, ?reason, "ignored a datagram");
            }
        }
        None
    }

    /// What a stamp of the system's clock is by the clock that the daemon keeps.
    fn by_our_clock(&self, stamp: NtpTimestamp) -> NtpTimestamp {
        self.source.slot.keeper().map().apply(stamp)
    }

    /// Takes a measurement whose exchange began in `epoch` of the clock.
    async fn take(&mut self, measurement: &Measurement, epoch: u64) -> Option<LossReason> {
        self.exchange = None;
        self.row.add(measurement, epoch);
        let measured = self.source.slot.measure(epoch, measurement);
        if let Some(poll) = measured.poll {
            self.source.association.set_desired_poll(poll);
        }
        if !self.answered || self.unusable {
            self.unusable = false;
            tracing::info!(
                source = %self.source.facts.name,
                address = %self.source.address,
                stratum = measurement.stratum,
                authenticated = measurement.authenticated,
                offset = %format_args!("{:+.6} s", measurement.offset.as_seconds_f64()),
                delay = %format_args!("{:.6} s", measurement.delay.as_seconds_f64()),
                "source answers"
            );
        }
        self.note_answer().await;
        self.note_verdict(measured)
    }

    /// One of several that has contradicted the others for long makes room for another.
    fn note_verdict(&mut self, measured: Measured) -> Option<LossReason> {
        self.contradictions = match measured.falseticker {
            true => self.contradictions + 1,
            false => 0,
        };
        let replaceable = matches!(
            self.source.facts.mode,
            SourceMode::Pool | SourceMode::NtsPool
        );
        (replaceable && self.contradictions >= CONTRADICTIONS).then_some(LossReason::Falseticker)
    }

    async fn take_unusable(&mut self, reason: UnusableReason) {
        self.exchange = None;
        if reason != UnusableReason::NoSendTime {
            self.source.slot.unusable(reason);
        }
        let why = explain_unusable(reason);
        self.row.set_unusable(why);
        if !self.unusable {
            self.unusable = true;
            tracing::info!(
                source = %self.source.facts.name,
                address = %self.source.address,
                "source cannot be used: {why}"
            );
        }
        self.note_answer().await;
    }

    async fn note_answer(&mut self) {
        if self.keys_wanted && self.source.association.status().keys_wanted.is_none() {
            self.keys_wanted = false;
            self.tell(SourceEvent::KeysUnwanted).await;
        }
        if !self.answered {
            self.answered = true;
            self.tell(SourceEvent::Answered).await;
        }
    }

    /// A kiss that ends nothing. Its text is for the row; the association drew the conclusions.
    fn note_kiss(&mut self, kiss: Kiss) {
        tracing::debug!(source = %self.source.facts.name, address = %self.source.address, ?kiss, "kiss code");
        if let Some(text) = explain_kiss(kiss) {
            self.row.set_error(text);
        }
    }

    fn report(&self) {
        let next = self.source.association.next_timer();
        let next = next.and_then(|time| self.source.timebase.instant(time));
        let state = self
            .row
            .state(self.source.association.status(), self.source.id);
        self.source.place.put(state, next);
    }
}

async fn open_and_send(
    address: SocketAddr,
    datagram: &[u8],
) -> io::Result<(ExchangeSocket, NtpTimestamp)> {
    let socket = ExchangeSocket::connect(address).await?;
    let transmitted = socket.send(datagram).await?;
    Ok((socket, transmitted))
}

/// The next datagram of the exchange; `None` when its time is over. Waits for ever without one.
async fn receive(
    exchange: Option<&Exchange>,
    buffer: &mut [u8],
) -> Option<io::Result<(usize, NtpTimestamp)>> {
    match exchange {
        Some(exchange) => tokio::time::timeout_at(exchange.until, exchange.socket.receive(buffer))
            .await
            .ok(),
        None => std::future::pending().await,
    }
}

/// Reference ids of this machine's addresses. Loopback addresses are left out: a remote may
/// truthfully give one as its own reference.
fn own_reference_ids() -> Vec<ReferenceId> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else {
        return Vec::new();
    };
    interfaces
        .filter_map(|interface| interface_address(&interface.address?))
        .filter(|address| !address.is_loopback())
        .map(ReferenceId::from_address)
        .collect()
}

fn interface_address(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = || Some(IpAddr::V4(address.as_sockaddr_in()?.ip()));
    let v6 = || Some(IpAddr::V6(address.as_sockaddr_in6()?.ip()));
    v4().or_else(v6)
}
