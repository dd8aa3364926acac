//! The spawner of an `nts` or `nts-pool` source: carries out a [`KeyedPlan`].

use std::time::Duration;

use nts_proto::association::KeyReason;
use nts_service::tls::TrustAnchors;

use super::keyed::{KeyedPlan, Unwanted, Verdict};
use super::{Base, Step, seconds};
use crate::client::SourceId;
use crate::client::key_exchange::{Exchanged, KeyExchangeClient};
use crate::client::nursery::Heard;
use crate::client::source::SourceEvent;
use crate::clock::timebase::wait_until;
use crate::config::RemoteAddress;

/// Finds sources by NTS key exchange.
#[derive(Debug)]
pub(in crate::client) struct KeyedSpawner {
    base: Base,
    plan: KeyedPlan,
    client: KeyExchangeClient,
}

impl KeyedSpawner {
    /// One server (`pool` is `None`), or `count` servers from a pool.
    pub(in crate::client) fn new(
        base: Base,
        server: RemoteAddress,
        trust: &TrustAnchors,
        pool: Option<usize>,
    ) -> Self {
        Self {
            client: KeyExchangeClient::new(server, trust, base.common.keeper.certificate_time()),
            base,
            plan: pool.map_or_else(KeyedPlan::single, KeyedPlan::pool),
        }
    }

    /// Runs for ever.
    pub(in crate::client) async fn run(mut self) {
        self.resume();
        loop {
            let step = self.plan.next(self.base.now());
            self.base.report(self.plan.held(), step);
            match step {
                Step::Try => self.try_exchange().await,
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

    /// Goes on with the sessions that the last run left.
    fn resume(&mut self) {
        let Some(cookies) = self.base.common.cookies.clone() else {
            return;
        };
        for kept in cookies.found(&self.base.kept_as) {
            let id = self.base.common.new_id();
            if self.plan.resume(id, &kept.remote_name, kept.address) {
                let name = kept.remote_name.to_string();
                self.base.start(id, name, kept.address, Some(kept.session));
            }
        }
    }

    async fn try_exchange(&mut self) {
        let denied = self.plan.denied(self.base.now());
        tracing::debug!(source = %self.base.name, ?denied, "key exchange");
        let result = self.client.run(denied).await;
        // What happened meanwhile comes first: it may free a place.
        while let Some(heard) = self.base.nursery.hear_now() {
            self.handle(heard);
        }
        match result {
            Ok(exchanged) => self.place(exchanged),
            Err(error) => {
                let now = self.base.now();
                let nothing_left = error.nothing_left();
                let wait = self
                    .plan
                    .handle_failure(nothing_left, now, &mut rand::rng());
                self.failed(format!("key exchange failed: {error}"), wait, true);
            }
        }
    }

    fn place(&mut self, exchanged: Exchanged) {
        let Exchanged {
            session,
            name,
            named,
            address,
        } = exchanged;
        let id = self.base.common.new_id();
        let now = self.base.now();
        let verdict = self
            .plan
            .handle_keys(id, &name, address, now, &mut rand::rng());
        match verdict {
            Verdict::Start { replaces } => {
                for old in replaces {
                    self.base
                        .stop(old, "it needed new keys, and the key exchange gave another");
                }
                self.base.error = None;
                self.base
                    .start(id, name.to_string(), address, Some(session));
            }
            Verdict::Renew(id) => {
                tracing::info!(source = %self.base.name, remote = %name, %address, %id, "source has new keys");
                self.base.error = None;
                self.base.nursery.give_keys(id, session);
            }
            Verdict::Discard { why, wait, news } => {
                let why = match why {
                    Unwanted::SameName | Unwanted::SameAddress if !named => {
                        "the server names no time source, so it is no pool".to_owned()
                    }
                    Unwanted::SameName => {
                        format!("the pool named {name} again, so it seems to have no other now")
                    }
                    Unwanted::SameAddress => {
                        format!("the pool named {name}, but we have a source at {address} already")
                    }
                    Unwanted::Refused => {
                        format!(
                            "the pool named {name}, which refused service or told a wrong time lately"
                        )
                    }
                };
                self.failed(why, wait, news);
            }
        }
    }

    /// Shows why there are fewer sources than wanted; the log is to say it only once.
    fn failed(&mut self, error: String, wait: Duration, news: bool) {
        if news {
            tracing::warn!(source = %self.base.name, "{error}; {}", seconds(wait));
        } else {
            tracing::debug!(source = %self.base.name, "{error}; {}", seconds(wait));
        }
        self.base.error = Some(error);
    }

    fn handle(&mut self, heard: Heard) {
        let now = self.base.now();
        match heard {
            Heard::Event(id, SourceEvent::Answered) => self.plan.handle_authenticated(id, now),
            Heard::Event(id, SourceEvent::KeysWanted(reason)) => {
                self.log_keys_wanted(id, reason);
                self.plan
                    .handle_keys_wanted(id, reason, now, &mut rand::rng());
            }
            Heard::Event(id, SourceEvent::KeysUnwanted) => self.plan.handle_keys_unwanted(id),
            Heard::Lost(id, reason) => {
                self.base.lose(id, reason);
                self.plan.handle_lost(id, reason, now, &mut rand::rng());
            }
        }
    }

    fn log_keys_wanted(&self, id: SourceId, reason: KeyReason) {
        let why = match reason {
            KeyReason::OutOfCookies => "it has no cookies left",
            KeyReason::NtsNak => "it cannot read our cookies any more",
            KeyReason::KeyAge => "its keys are old",
        };
        tracing::info!(source = %self.base.name, %id, "source needs a new key exchange: {why}");
    }
}
