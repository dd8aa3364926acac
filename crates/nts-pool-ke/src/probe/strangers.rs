//! Whether the source takes everybody for a pool: step `strangers`.

use nts_service::diagnosis::{Peer, Report, Step};

use super::asking::{Asker, Fault};

const ID: &str = "strangers";

/// Asks without token and certificate. `stranger` shows no certificate.
pub(super) async fn check(report: &mut Report<'_>, stranger: &Peer) {
    let asker = Asker::new(stranger, None, false);
    let mut served = None;
    for phrasing in asker.phrasings() {
        let asked = async {
            let mut connection = asker.open().await?;
            asker.capabilities(&mut connection, phrasing).await
        };
        match asked.await {
            Ok((_, kept)) => {
                served = Some(kept);
                break;
            }
            Err(Fault::Source(_)) => {}
            Err(Fault::Unconnected(text)) => {
                report.add(Step::skipped(ID, text));
                return;
            }
        }
    }
    report.add(match served {
        None => Step::ok(ID, "pools that the source does not know are refused"),
        Some(kept) => {
            let held = match kept {
                true => ", and may hold its connections",
                false => "",
            };
            Step::warning(
                ID,
                format!("whoever asks is taken for a pool{held}"),
                "anybody can make it a source of his pool: have it demand a token (in ntp-daemon: \
                 `accepted-pool-authentication-tokens`)",
            )
        }
    });
}
