//! The spawner of a `server` or `pool` source: carries out a [`PlainPlan`].

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nts_service::look_up::look_up;
use tokio::time::timeout;

use super::plain::PlainPlan;
use super::{Base, Step, seconds};
use crate::client::net::has_route;
use crate::client::nursery::Heard;
use crate::client::source::SourceEvent;
use crate::clock::timebase::wait_until;
use crate::config::RemoteAddress;

/// Time for one look-up.
const LOOK_UP_LIMIT: Duration = Duration::from_secs(10);

/// Finds sources by DNS.
#[derive(Debug)]
pub(in crate::client) struct PlainSpawner {
    base: Base,
    plan: PlainPlan,
    remote: RemoteAddress,
}

impl PlainSpawner {
    /// One server.
    pub(in crate::client) fn single(base: Base, remote: RemoteAddress) -> Self {
        Self {
            base,
            plan: PlainPlan::single(),
            remote,
        }
    }

    /// Up to `count` servers behind one name, none of them in `ignore`.
    pub(in crate::client) fn pool(
        base: Base,
        remote: RemoteAddress,
        count: usize,
        ignore: Vec<IpAddr>,
    ) -> Self {
        Self {
            base,
            plan: PlainPlan::pool(count, ignore),
            remote,
        }
    }

    /// Runs for ever.
    pub(in crate::client) async fn run(mut self) {
        loop {
            let step = self.plan.next(self.base.now());
            self.base.report(self.plan.held(), step);
            match step {
                Step::Try => self.try_look_up().await,
                Step::Wait(_) | Step::Rest => {
                    let until = self.base.until(step);
                    tokio::select! {
                        () = wait_until(until) => {}
                        heard = self.base.nursery.hear() => self.handle(heard),
                    }
                }
            }
        }
    }

    async fn try_look_up(&mut self) {
        let looked_up = timeout(LOOK_UP_LIMIT, look_up(&self.remote.host, self.remote.port))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let problem = match looked_up {
            Ok(addresses) => {
                let addresses = with_route(addresses).await;
                self.start_all(&addresses)
            }
            Err(error) => Some(format!("cannot look up {}: {error}", self.remote.host)),
        };
        let Some(problem) = problem else { return };
        let wait = self.plan.handle_failure(self.base.now());
        let repeated = self.base.error.as_deref() == Some(&problem);
        if repeated || self.plan.held() > 0 {
            tracing::debug!(source = %self.base.name, "{problem}; {}", seconds(wait));
        } else {
            tracing::warn!(source = %self.base.name, "{problem}; {}", seconds(wait));
        }
        self.base.error = Some(problem);
    }

    /// Starts what can be started; says what is wrong if that is nothing.
    fn start_all(&mut self, addresses: &[SocketAddr]) -> Option<String> {
        if addresses.is_empty() {
            return Some(format!("there is no route to {}", self.remote.host));
        }
        if let Some(gone) = self.plan.handle_addresses(addresses, self.base.now()) {
            self.base.stop(gone, "its address has left the name");
        }
        let before = self.plan.held();
        loop {
            let id = self.base.common.new_id();
            let Some(address) = self.plan.start(id) else {
                break;
            };
            self.base.start(id, self.remote.host.clone(), address, None);
        }
        let held = self.plan.held();
        (held == before && held < self.base.wanted)
            .then(|| format!("{} has no further address to use", self.remote.host))
    }

    fn handle(&mut self, heard: Heard) {
        match heard {
            Heard::Event(id, SourceEvent::Answered) => self.plan.handle_answered(id),
            // A source without NTS has no keys.
            Heard::Event(_, SourceEvent::KeysWanted(_) | SourceEvent::KeysUnwanted) => {}
            Heard::Lost(id, reason) => {
                self.base.lose(id, reason);
                self.plan.handle_lost(id, reason, self.base.now());
                if self.plan.finished() {
                    tracing::warn!(source = %self.base.name, "this server is not asked again until the daemon restarts");
                    self.base.error =
                        Some("the server refused service; it is not asked again".into());
                }
            }
        }
    }
}

async fn with_route(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut usable = Vec::with_capacity(addresses.len());
    for address in addresses {
        if has_route(address).await {
            usable.push(address);
        }
    }
    usable
}
