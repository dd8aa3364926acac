//! The addresses of one source, remembered.
//!
//! A name is looked up again every minute, by one look-up at a time, and meanwhile the addresses
//! of before are good. They are so for a day when nobody says new ones: name servers fail more
//! often than sources move.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::sync::watch;
use tokio::time::Instant;

use super::error::UpstreamError;
use super::private::is_private;
use super::resolver::Resolve;

/// From one good look-up to the next.
const REFRESH: Duration = Duration::from_secs(60);
/// From a failed look-up to the next.
const RETRY: Duration = Duration::from_secs(2);
/// For so long addresses are good without a new look-up.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// The addresses of one source. Clones share what they know.
#[derive(Clone)]
pub(super) enum Addresses {
    /// It was configured by its address.
    Fixed(Result<Arc<[SocketAddr]>, Failure>),
    /// They belong to a name.
    OfName(Arc<Name>),
}

/// A name and what was found for it.
pub(super) struct Name {
    text: String,
    port: u16,
    /// Whether addresses of private networks are no addresses.
    deny_private: bool,
    resolver: Arc<dyn Resolve>,
    status: watch::Sender<Status>,
}

#[derive(Debug, Default)]
struct Status {
    /// The addresses that were found last, and when.
    known: Option<(Arc<[SocketAddr]>, Instant)>,
    /// The last look-up, if it failed.
    failed: Option<(Failure, Instant)>,
    /// Whether a look-up is under way.
    running: bool,
    /// How many look-ups have ended.
    ended: u64,
}

/// Why there are no addresses: an error that can be told to many.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    Unresolved(io::ErrorKind, String),
    Private,
}

impl Addresses {
    /// The addresses of `host`, as `resolver` knows them.
    pub(super) fn new(
        host: &ServerName<'_>,
        port: u16,
        deny_private: bool,
        resolver: Arc<dyn Resolve>,
    ) -> Self {
        if let ServerName::IpAddress(address) = host {
            let address = SocketAddr::new(IpAddr::from(*address), port);
            return Self::Fixed(allowed(vec![address], deny_private));
        }
        Self::OfName(Arc::new(Name {
            text: host.to_str().into_owned(),
            port,
            deny_private,
            resolver,
            status: watch::Sender::default(),
        }))
    }

    /// The addresses, best first, if need be after waiting for them. The caller limits the time.
    ///
    /// # Errors
    /// [`UpstreamError::Resolve`] or [`UpstreamError::PrivateAddress`]; the list is never empty.
    pub(super) async fn get(&self) -> Result<Arc<[SocketAddr]>, UpstreamError> {
        match self {
            Self::Fixed(addresses) => addresses.clone().map_err(UpstreamError::from),
            Self::OfName(name) => name.get().await,
        }
    }

    /// Looks the name up again if it is time, and waits until that is over. The caller limits the
    /// time.
    pub(super) async fn renew(&self) {
        if let Self::OfName(name) = self {
            name.look_up_if_due();
            // An error would mean that the sender is gone, but it lives in `self`.
            let _ = name.status.subscribe().wait_for(|it| !it.running).await;
        }
    }
}

impl Name {
    async fn get(self: &Arc<Self>) -> Result<Arc<[SocketAddr]>, UpstreamError> {
        self.look_up_if_due();
        let mut status = self.status.subscribe();
        let ended = {
            let status = status.borrow_and_update();
            if !status.running || status.usable(Instant::now()).is_some() {
                return status.result(Instant::now());
            }
            status.ended
        };
        // An error would mean that the sender is gone, but it lives in `self`.
        match status.wait_for(|status| status.ended != ended).await {
            Ok(status) => status.result(Instant::now()),
            Err(_) => Err(UpstreamError::Resolve(io::ErrorKind::NotFound.into())),
        }
    }

    /// Starts a look-up, unless there is no need, or one is under way.
    fn look_up_if_due(self: &Arc<Self>) {
        let now = Instant::now();
        let due = self.status.send_if_modified(|status| {
            let due = !status.running && now >= status.next_look_up(now);
            status.running |= due;
            due
        });
        if due {
            let name = Arc::clone(self);
            let answer = self.resolver.resolve(&self.text, self.port);
            // Whoever waits may leave, but what he asked for is of use to others.
            tokio::spawn(async move { name.end(answer.await) });
        }
    }

    /// A look-up has ended.
    fn end(&self, outcome: io::Result<Vec<SocketAddr>>) {
        let now = Instant::now();
        let outcome = outcome
            .map_err(|error| Failure::Unresolved(error.kind(), error.to_string()))
            .and_then(|found| allowed(found, self.deny_private));
        self.status.send_modify(|status| {
            status.running = false;
            status.ended += 1;
            match outcome {
                Ok(found) => {
                    status.known = Some((found, now));
                    status.failed = None;
                }
                Err(failure) => {
                    if let Failure::Private = failure {
                        status.known = None;
                    }
                    status.failed = Some((failure, now));
                }
            }
        });
    }
}

/// Those that may be connected to.
fn allowed(mut found: Vec<SocketAddr>, deny_private: bool) -> Result<Arc<[SocketAddr]>, Failure> {
    if found.is_empty() {
        let kind = io::ErrorKind::NotFound;
        return Err(Failure::Unresolved(kind, "it has no address".to_owned()));
    }
    if deny_private {
        found.retain(|address| !is_private(address.ip()));
    }
    match found.is_empty() {
        true => Err(Failure::Private),
        false => Ok(found.into()),
    }
}

impl Status {
    fn usable(&self, now: Instant) -> Option<Arc<[SocketAddr]>> {
        let (known, since) = self.known.as_ref()?;
        (now < *since + STALE).then(|| Arc::clone(known))
    }

    fn result(&self, now: Instant) -> Result<Arc<[SocketAddr]>, UpstreamError> {
        match (self.usable(now), &self.failed) {
            (Some(known), _) => Ok(known),
            (None, Some((failure, _))) => Err(failure.clone().into()),
            (None, None) => Err(UpstreamError::Resolve(io::ErrorKind::NotFound.into())),
        }
    }

    /// When the name is to be looked up again.
    fn next_look_up(&self, now: Instant) -> Instant {
        match (&self.failed, &self.known) {
            (Some((_, at)), _) => *at + RETRY,
            (None, Some((_, since))) => *since + REFRESH,
            (None, None) => now,
        }
    }
}

impl From<Failure> for UpstreamError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unresolved(kind, text) => Self::Resolve(io::Error::new(kind, text)),
            Failure::Private => Self::PrivateAddress,
        }
    }
}

#[cfg(test)]
mod tests;
