//! Time with the keys of a key exchange: steps `ntp`, `ntp-others`, `ntp-refresh` and
//! `ntp-tampered`.
//!
//! What never happens here: a cookie sent twice on purpose, or anything made of the time but a
//! figure on paper.

mod client;
mod explain;
pub(super) mod plain;
mod supply;

use std::net::SocketAddr;
use std::time::Duration;

use nts_proto::ntp::header::KissCode;

use self::client::{Client, Heard, Query, Sent};
use self::supply::Supply;
use super::report::{Report, Step};

pub use supply::Keys;

/// Time for one answer, and tries: one lost packet is no fault of anybody.
const PATIENCES: [Duration; 3] = [
    Duration::from_millis(1000),
    Duration::from_millis(1500),
    Duration::from_millis(2000),
];

const NTP: &str = "ntp";
const OTHERS: &str = "ntp-others";
const REFRESH: &str = "ntp-refresh";
const TAMPERED: &str = "ntp-tampered";

/// Asks the NTP server at the first of `addresses` for the time, then for new cookies, then with a
/// request that somebody changed on the way; the other addresses for the time alone.
pub async fn check_time(report: &mut Report<'_>, addresses: &[SocketAddr], keys: &Keys<'_>) {
    let Some((first, others)) = addresses.split_first() else {
        return;
    };
    let mut supply = Supply::new(keys);
    let asked = ask(*first, || supply.content_client(), Sent::AsItIs, &PATIENCES).await;
    let Some(length) = time(report, *first, asked).await else {
        for id in [REFRESH, TAMPERED] {
            report.add(Step::skipped(id, "not without an authenticated answer"));
        }
        return;
    };
    if let Some(mut client) = refresh(report, *first, &mut supply, length).await {
        tamper(report, *first, &mut client).await;
    } else {
        report.add(Step::skipped(
            TAMPERED,
            "there are no more cookies to try it with",
        ));
    }
    if !others.is_empty() {
        report.add(ask_others(others, &mut supply).await);
    }
}

/// What became of a question that was asked up to three times.
struct Asked {
    client: Client,
    last: Query,
    lost: usize,
}

/// Asks until something comes back.
async fn ask(
    address: SocketAddr,
    mut client: impl FnMut() -> Option<Client>,
    sent: Sent,
    patiences: &[Duration],
) -> std::io::Result<Option<Asked>> {
    let mut asked = None;
    for (lost, patience) in patiences.iter().enumerate() {
        let Some(mut client) = client() else { break };
        let Some(last) = client.query(address, sent, *patience).await? else {
            break;
        };
        let silent = last.heard == Heard::Silence;
        asked = Some(Asked { client, last, lost });
        if !silent {
            break;
        }
    }
    Ok(asked)
}

/// Says what came of the first question. Gives the length of the request if there was an
/// authenticated answer, be it without a time.
async fn time(
    report: &mut Report<'_>,
    address: SocketAddr,
    asked: std::io::Result<Option<Asked>>,
) -> Option<usize> {
    let Asked { last, lost, .. } = match asked {
        Ok(Some(asked)) => asked,
        Ok(None) => {
            report.add(Step::failed(
                NTP,
                "no request can be made with these keys and cookies",
                "the server's cookies are of no use to any client: have its software corrected",
            ));
            return None;
        }
        Err(error) => {
            report.add(explain::unsent(NTP, address, &error));
            return None;
        }
    };
    let answered = matches!(last.heard, Heard::Time(_) | Heard::NoTime(_));
    if answered && lost > 0 {
        report.add(Step::warning(
            "ntp-loss",
            format!("{lost} of {} requests got no answer", lost + 1),
            "one lost packet is nothing; if it is so each time, look for an overloaded line or a \
             rate limit",
        ));
    }
    report.add(match last.heard {
        Heard::Time(measurement) => explain::good(NTP, address, &measurement, last.length),
        heard => explain::failure(NTP, address, heard, last.length).await,
    });
    answered.then_some(last.length)
}

/// Has the store of cookies refilled with one request; gives a client with new cookies.
async fn refresh(
    report: &mut Report<'_>,
    address: SocketAddr,
    supply: &mut Supply<'_>,
    small: usize,
) -> Option<Client> {
    let asked = ask(
        address,
        || supply.hungry_client(),
        Sent::AsItIs,
        &PATIENCES[..2],
    )
    .await;
    let Ok(Some(Asked {
        mut client, last, ..
    })) = asked
    else {
        let reason = "there are no more cookies to try it with";
        report.add(Step::skipped(REFRESH, reason));
        return None;
    };
    let count = client.cookies();
    let length = last.length;
    let step = match last.heard {
        Heard::Time(_) | Heard::NoTime(_) if count > 0 => {
            let again = client.query(address, Sent::AsItIs, PATIENCES[2]).await;
            match again {
                Ok(Some(Query {
                    heard: Heard::Time(_) | Heard::NoTime(_),
                    ..
                })) => {
                    let step = Step::ok(
                        REFRESH,
                        format!(
                            "a request of {length} octets brought {count} new cookies, and they work"
                        ),
                    );
                    report.add(step.with("count", count).with("request_octets", length));
                    return Some(client);
                }
                _ => Step::failed(
                    REFRESH,
                    format!("{count} new cookies came, but a request with one of them failed"),
                    "the server seals cookies with a key that it does not open them with: are \
                     there several servers behind this address that do not share their keys?",
                ),
            }
        }
        Heard::Time(_) | Heard::NoTime(_) => Step::failed(
            REFRESH,
            "the answer holds no new cookie, so clients run out of them after eight requests",
            "the server's software does not keep to RFC 8915 §5.7: update it",
        ),
        Heard::Silence => explain::only_small(REFRESH, length, small),
        heard => explain::failure(REFRESH, address, heard, length).await,
    };
    report.add(step);
    None
}

/// A request that was changed must not be answered as if it were genuine.
async fn tamper(report: &mut Report<'_>, address: SocketAddr, client: &mut Client) {
    let mut heard = Heard::Silence;
    for patience in &PATIENCES[..2] {
        let query = client.query(address, Sent::Tampered, *patience).await;
        let Ok(Some(query)) = query else { break };
        heard = query.heard;
        if heard != Heard::Silence {
            break;
        }
    }
    report.add(match heard {
        Heard::Kiss(kiss) if kiss.code == KissCode::NtsNak => {
            Step::ok(TAMPERED, "a changed request is refused (NTS NAK)")
        }
        Heard::Time(_) | Heard::NoTime(_) => Step::failed(
            TAMPERED,
            "a changed request is answered as if it were genuine",
            "the server does not check what it receives: do not use it, and report this to the \
             makers of its software",
        ),
        Heard::Silence | Heard::Refused => Step::warning(
            TAMPERED,
            "a changed request gets no answer, where RFC 8915 §5.7 asks for an NTS NAK",
            "no harm in daily work (NTPsec does so too): clients only take longer to notice that \
             the server has lost its keys",
        ),
        other => Step::warning(
            TAMPERED,
            format!(
                "a changed request gets something else than an NTS NAK: {}",
                explain::word(other)
            ),
            "clients may take longer to notice that the server has lost its keys: report this to \
             the makers of its software",
        ),
    });
}

/// One request each.
async fn ask_others(others: &[SocketAddr], supply: &mut Supply<'_>) -> Step {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for address in others {
        let asked = ask(
            *address,
            || supply.content_client(),
            Sent::AsItIs,
            &PATIENCES[..1],
        )
        .await;
        match asked {
            Ok(Some(Asked { last, .. })) if matches!(last.heard, Heard::Time(_)) => {
                good.push(address.to_string());
            }
            Ok(Some(Asked { last, .. })) => {
                bad.push(format!("{address}: {}", explain::word(last.heard)));
            }
            Ok(None) => break,
            Err(error) => bad.push(format!("{address}: cannot be reached from here ({error})")),
        }
    }
    if bad.is_empty() {
        return Step::ok(OTHERS, format!("{} answer too", good.join(", ")));
    }
    Step::warning(
        OTHERS,
        bad.join("; "),
        "users take any address of the name, so each has to serve with the same keys: mend those, \
         take them out of DNS, or see whether it is this machine that has no IPv6",
    )
}
