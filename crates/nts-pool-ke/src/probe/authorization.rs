//! Whether the source takes us for a pool, and under which record numbers: step `authorization`.

use nts_proto::ke::negotiation::Capabilities;
use nts_proto::ke::number_set::NumberSet;
use nts_service::diagnosis::{Report, Session, Step, exchange_keys};

use super::asking::{Asker, Fault, connection};
use super::explain;
use crate::upstream::{Connection, Phrasing};

const ID: &str = "authorization";

/// The source takes us for a pool.
pub(super) struct Admitted {
    /// What it supports.
    pub(super) capabilities: Capabilities,
    /// How requests to it are phrased.
    pub(super) phrasing: Phrasing,
    /// The connection, if the source keeps it.
    pub(super) kept: Option<Connection>,
}

/// Asks without keys, first under the present numbers, then under the old ones. `None` after the
/// step has failed; then it is also looked whether the source serves at least ordinary users.
pub(super) async fn check(
    report: &mut Report<'_>,
    asker: &Asker<'_>,
    session: Session,
) -> Option<Admitted> {
    let mut first = Some(connection(session));
    let mut refusal = None;
    for phrasing in asker.phrasings() {
        match ask(asker, first.take(), phrasing).await {
            Ok(admitted) => {
                report.add(admission(asker, phrasing));
                return Some(admitted);
            }
            Err(Fault::Source(error)) if error.is_refusal_of_records() => {
                // The first answer is the most telling: it came to the present numbers.
                refusal.get_or_insert(error);
            }
            Err(fault) => {
                report.add(explain::failed(
                    ID,
                    "no answer to a pool's question",
                    &fault,
                ));
                return None;
            }
        }
    }
    if let Some(error) = refusal {
        report.add(explain::refused(ID, &error, asker));
    }
    serves_users(report, asker).await;
    None
}

async fn ask(
    asker: &Asker<'_>,
    connection: Option<Connection>,
    phrasing: Phrasing,
) -> Result<Admitted, Fault> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => asker.open().await?,
    };
    let (capabilities, kept) = asker.capabilities(&mut connection, phrasing).await?;
    let kept = match kept {
        true => Some(connection),
        false => {
            connection.close().await;
            None
        }
    };
    Ok(Admitted {
        capabilities,
        phrasing,
        kept,
    })
}

fn admission(asker: &Asker<'_>, phrasing: Phrasing) -> Step {
    let proof = match (
        asker.token().filter(|_| phrasing.with_token),
        asker.has_credentials(),
    ) {
        (Some(_), _) => "with this token",
        (None, true) => "with this certificate",
        (None, false) => "without any proof",
    };
    let old = phrasing.number_set == NumberSet::Draft;
    let step = if old {
        let dialect = if phrasing.with_token {
            "draft-token"
        } else {
            "draft-mtls"
        };
        Step::warning(
            ID,
            format!(
                "the source takes us for a pool {proof}, but knows only the old record numbers (0x400x)"
            ),
            format!(
                "it works: the pool finds that out by itself, or write `dialect = \"{dialect}\"`; \
                 update the source's software when there is one with the numbers of \
                 draft-ietf-ntp-nts-keyexchange-pool-01"
            ),
        )
    } else if !asker.has_credentials() {
        Step::warning(
            ID,
            format!("the source takes us for a pool {proof}"),
            "anybody can make it a source of his pool: agree on a token and have the source demand \
             it (in ntp-daemon: `accepted-pool-authentication-tokens`)",
        )
    } else {
        Step::ok(ID, format!("the source takes us for a pool {proof}"))
    };
    step.with("record_numbers", if old { "draft" } else { "ietf" })
}

/// A source that refuses pools but serves users is no broken NTS server, only none for this pool.
async fn serves_users(report: &mut Report<'_>, asker: &Asker<'_>) {
    match asker.peer().open().await {
        Ok(session) => {
            exchange_keys(report, "ordinary-users", session).await;
        }
        Err(text) => report.add(Step::skipped("ordinary-users", text)),
    }
}
