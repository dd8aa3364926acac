//! Cookies for keys that somebody else holds, on a connection that is kept: steps `fixed-keys`,
//! `keep-alive` and `other-algorithms`.

use nts_proto::code_points::{AeadAlgorithm, ProtocolId};
use nts_proto::cookie::Cookie;
use nts_proto::ke::keys::SessionKeys;
use nts_proto::ke::name::NtpServerName;
use nts_proto::ke::request::FixedKeyRequest;
use nts_proto::ke::response::FixedKeyResponse;
use nts_service::diagnosis::{Report, Step};
use rand::Rng as _;
use zeroize::Zeroizing;

use super::asking::{Asker, Fault, send_keys};
use super::authorization::Admitted;
use super::explain;
use crate::exchange::{check_host, check_port};
use crate::upstream::{Connection, Phrasing, UpstreamError};

const ID: &str = "fixed-keys";
const KEEP_ALIVE: &str = "keep-alive";
const OTHERS: &str = "other-algorithms";

/// What most users ask for.
const USUAL: AeadAlgorithm = AeadAlgorithm::AesSivCmac256;

/// What a user of the pool would have now.
pub(super) struct Obtained {
    /// The AEAD algorithm.
    pub(super) algorithm: AeadAlgorithm,
    /// Keys made up for the probe.
    pub(super) keys: SessionKeys,
    /// What the source made for them.
    pub(super) cookies: Vec<Cookie>,
    /// Where the user would be sent.
    pub(super) server: NtpServerName,
    /// To which port, if the source says.
    pub(super) port: Option<u16>,
}

/// Keys and the request to make cookies for them.
struct Wish {
    keys: SessionKeys,
    request: FixedKeyRequest,
}

/// Has cookies made, on the kept connection if there is one. `None` after a step has failed.
pub(super) async fn check(
    report: &mut Report<'_>,
    asker: &Asker<'_>,
    admitted: Admitted,
) -> Option<Obtained> {
    let Admitted {
        capabilities,
        phrasing,
        kept,
    } = admitted;
    let algorithms = capabilities.algorithms().iter().copied();
    let mut lengths: Vec<_> = algorithms.collect();
    lengths.sort_by_key(|(algorithm, _)| *algorithm != USUAL);
    let ((algorithm, length), others) = lengths.split_first()?;
    let wish = wish(asker, phrasing, *algorithm, *length)?;
    let (answer, kept) = ask(report, asker, phrasing, kept, &wish.request).await;
    let response = match answer {
        Ok(response) => response.exchange,
        Err(fault) => {
            report.add(explain::failed(ID, "no cookies for a user's keys", &fault));
            return None;
        }
    };
    let server = response.server.clone();
    if let Err(error) = misdirection(&server, response.port) {
        report.add(explain::failed(
            ID,
            "the pool would not pass this on",
            &error.into(),
        ));
        return None;
    }
    let place = match (&server, response.port) {
        (None, None) => "naming no server: users are sent to the source's own name".to_owned(),
        (server, port) => format!(
            "sending users to {}, port {}",
            server
                .as_ref()
                .map_or("the source's own name", NtpServerName::as_str),
            port.unwrap_or(123)
        ),
    };
    let text =
        format!("the source makes cookies for the keys of a pool's user ({algorithm}), {place}");
    report.add(Step::ok(ID, text).with("port", response.port));
    if !others.is_empty() {
        report.add(ask_others(asker, phrasing, kept, others).await);
    }
    Some(Obtained {
        algorithm: *algorithm,
        keys: wish.keys,
        cookies: response.cookies,
        server: match server {
            Some(server) => server,
            None => asker.peer().host().to_string().parse().ok()?,
        },
        port: response.port,
    })
}

/// Random keys of this length.
fn wish(
    asker: &Asker<'_>,
    phrasing: Phrasing,
    algorithm: AeadAlgorithm,
    length: usize,
) -> Option<Wish> {
    let mut octets = Zeroizing::new(vec![0; 2 * length]);
    rand::rng().fill_bytes(&mut octets);
    let (c2s, s2c) = octets.split_at(length);
    let keys = SessionKeys::new(c2s, s2c).ok()?;
    let token = asker.token().filter(|_| phrasing.with_token).cloned();
    let set = phrasing.number_set;
    let request = FixedKeyRequest::new(
        set,
        token,
        ProtocolId::Ntpv4,
        algorithm,
        &keys,
        phrasing.modern,
    );
    Some(Wish { keys, request })
}

/// Sends the keys, on the kept connection first; says how that went. Gives the connection if it is
/// still kept.
async fn ask(
    report: &mut Report<'_>,
    asker: &Asker<'_>,
    phrasing: Phrasing,
    kept: Option<Connection>,
    request: &FixedKeyRequest,
) -> (Result<FixedKeyResponse, Fault>, Option<Connection>) {
    let Some(mut connection) = kept else {
        if phrasing.modern {
            report.add(Step::warning(
                KEEP_ALIVE,
                "the source does not keep the connection for the next request",
                "it works, but each user costs another TLS handshake: have the source allow Keep \
                 Alive to this pool and more long-lived connections (in ntp-daemon: \
                 `longlived-connections`)",
            ));
        }
        return ask_afresh(asker, request).await;
    };
    let fault = match send_keys(&mut connection, request).await {
        Ok(response) => {
            let text = "the connection was kept, and served a second request";
            report.add(Step::ok(KEEP_ALIVE, text));
            let kept = response.keep_alive.then_some(connection);
            return (Ok(response), kept);
        }
        Err(fault) => fault,
    };
    if !matches!(fault, Fault::Source(UpstreamError::ClosedUnanswered)) {
        return (Err(fault), None);
    }
    let (answer, kept) = ask_afresh(asker, request).await;
    if answer.is_ok() {
        report.add(Step::warning(
            KEEP_ALIVE,
            "the source promised to keep the connection, and closed it",
            "the pool has to repeat requests: look for a limit of time in front of the source (a \
             proxy, a firewall), or update its software",
        ));
    }
    (answer, kept)
}

async fn ask_afresh(
    asker: &Asker<'_>,
    request: &FixedKeyRequest,
) -> (Result<FixedKeyResponse, Fault>, Option<Connection>) {
    let mut connection = match asker.open().await {
        Ok(connection) => connection,
        Err(fault) => return (Err(fault), None),
    };
    let answer = send_keys(&mut connection, request).await;
    let kept = answer.as_ref().is_ok_and(|response| response.keep_alive);
    (answer, kept.then_some(connection))
}

/// Where the pool lets no source send its users.
fn misdirection(server: &Option<NtpServerName>, port: Option<u16>) -> Result<(), UpstreamError> {
    if let Some(port) = port {
        check_port(port)?;
    }
    if let Some(server) = server {
        check_host(server)?;
    }
    Ok(())
}

/// Cookies for keys of the other algorithms that the source says it supports.
async fn ask_others(
    asker: &Asker<'_>,
    phrasing: Phrasing,
    mut kept: Option<Connection>,
    others: &[(AeadAlgorithm, usize)],
) -> Step {
    let mut good = Vec::new();
    for (algorithm, length) in others {
        let Some(Wish { request, .. }) = wish(asker, phrasing, *algorithm, *length) else {
            continue;
        };
        let answer = match kept.take() {
            Some(mut connection) => {
                let answer = send_keys(&mut connection, &request).await;
                let keep = answer.as_ref().is_ok_and(|response| response.keep_alive);
                kept = keep.then_some(connection);
                answer
            }
            None => {
                let (answer, connection) = ask_afresh(asker, &request).await;
                kept = connection;
                answer
            }
        };
        match answer {
            Ok(_) => good.push(algorithm.to_string()),
            Err(fault) => {
                let text = format!(
                    "no cookies for keys of {algorithm}, though the source says it supports that"
                );
                return explain::failed(OTHERS, &text, &fault);
            }
        }
    }
    Step::ok(
        OTHERS,
        format!("cookies for keys of {} too", good.join(", ")),
    )
}
