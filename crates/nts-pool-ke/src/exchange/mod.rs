//! One user's exchange, as a type that changes when keys are sent (protocol §3.6).
//!
//! ```text
//! Exchange<PreKey>      may try one source after the other; has the exporter, and no keys yet
//!       | commit        consumes the exchange and the exporter, fixes the source
//!       v
//! Exchange<Committed>   has the keys and one source; knows no other, and cannot name one
//! ```
//!
//! A user's keys therefore reach at most one source. Nothing of the user's message is forwarded to
//! it but the choice of protocol and algorithm, and nothing of its answer to the user unchecked.

mod committed;
mod pre_key;
mod reply;
mod report;
#[cfg(test)]
mod tests;

pub(crate) use pre_key::ExportKeys;
pub(crate) use reply::{check_host, check_port};
pub(crate) use report::{Phases, Report};

use committed::Committed;
use pre_key::Candidate;

use nts_proto::ke::name::NtpServerName;
use nts_proto::ke::request::KeyExchangeRequest;
use nts_proto::ke::response::KeyExchangeResponse;

use crate::error::ExchangeError;
use crate::key_rule::Budget;
use crate::selection::{Family, HostLabel, Location, User};
use crate::sources::Sources;

/// One user's exchange in the state `S`.
pub(crate) struct Exchange<S> {
    budget: Budget,
    state: S,
}

/// What is known of the user beside his request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// The family of his address.
    pub(crate) family: Family,
    /// Where he is.
    pub(crate) location: Location,
    /// The number at the front of the name by which he called the pool.
    pub(crate) label: Option<HostLabel>,
}

/// Runs a whole exchange: from the user's request to the answer for the user.
///
/// Whatever the outcome, it is decided by [`Budget::answer_by`].
///
/// # Errors
/// Why there are no cookies for this user; see [`ExchangeError::answer`].
pub(crate) async fn run(
    request: &KeyExchangeRequest,
    exporter: impl ExportKeys,
    origin: Origin,
    sources: &Sources,
    budget: Budget,
    report: &mut Report,
) -> Result<KeyExchangeResponse, ExchangeError> {
    let snapshot = sources.snapshot();
    let denied = request.denied.iter().map(NtpServerName::as_str);
    let denial = snapshot.names().deny(denied, snapshot.roster());
    let choice = snapshot.choose(User {
        family: origin.family,
        location: origin.location,
        label: origin.label,
        denial,
    });
    let mut exchange = Exchange::new(request, exporter, sources, choice, budget)?;
    let candidate = exchange.find_candidate(report).await?;
    exchange.commit(candidate)?.obtain_cookies(report).await
}
