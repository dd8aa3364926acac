//! What of a source's answer becomes the answer to the user (protocol §3.8, pool design §4.6).
//!
//! Nothing is forwarded. What was agreed before is said again, and what only the source can say is
//! looked at first: a source must not send users to somebody who never asked for them.

use nts_proto::cookie_quirks::CookieQuirks;
use nts_proto::ke::name::NtpServerName;
use nts_proto::ke::negotiation::Negotiated;
use nts_proto::ke::response::KeyExchangeResponse;
use nts_service::config::Host;

use crate::config::NamePolicy;
use crate::names::TooManyNames;
use crate::source::Source;
use crate::upstream::UpstreamError;

/// NTP's own port; below 1024 no other is allowed in an answer, lest users be sent against
/// somebody else's service.
const NTP_PORT: u16 = 123;
const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

/// Makes the user's answer: what was agreed, the source's cookies, and always a Server record,
/// since the user would otherwise look for the time server at the pool's address.
///
/// # Errors
/// If the source sends users where it must not.
pub(super) async fn rebuild(
    from_source: KeyExchangeResponse,
    negotiated: &Negotiated,
    source: &Source,
) -> Result<KeyExchangeResponse, UpstreamError> {
    if let Some(port) = from_source.port {
        check_port(port)?;
    }
    if let Some(name) = &from_source.server {
        check_name(name, source).await?;
    }
    source.note_cookies(CookieQuirks::of(&from_source.cookies));
    let server = from_source
        .server
        .unwrap_or_else(|| source.domain().clone());
    Ok(KeyExchangeResponse {
        protocol: negotiated.protocol(),
        algorithm: negotiated.algorithm(),
        compliant_exporter: negotiated.compliant_exporter(),
        server: Some(server),
        port: from_source.port,
        cookies: from_source.cookies,
    })
}

/// Whether users may be sent to this port.
///
/// # Errors
/// If not.
pub(crate) fn check_port(port: u16) -> Result<(), UpstreamError> {
    match port == NTP_PORT || port >= FIRST_UNPRIVILEGED_PORT {
        true => Ok(()),
        false => Err(UpstreamError::ForbiddenPort(port)),
    }
}

/// The host that a name stands for.
///
/// # Errors
/// If it is none: the type lets through what a resolver may take for something else, like
/// `fe80::1%eth0` or `127.1`.
pub(crate) fn check_host(name: &NtpServerName) -> Result<Host, UpstreamError> {
    let host = name.as_str().parse::<Host>();
    host.map_err(|_| UpstreamError::ForbiddenName(name.clone()))
}

async fn check_name(name: &NtpServerName, source: &Source) -> Result<(), UpstreamError> {
    let host = check_host(name)?;
    match source.policy().name_policy {
        NamePolicy::Any => {}
        NamePolicy::Verified if source.own_names.include(name, &host).await => {}
        NamePolicy::Verified => return Err(UpstreamError::UnverifiedName(name.clone())),
    }
    let noted = source.note_name(name);
    noted.map_err(|TooManyNames| UpstreamError::TooManyNames)
}
