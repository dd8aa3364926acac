//! The key exchange of an ordinary user (RFC 8915 §4): step `key-exchange`.

use nts_proto::association::InvalidSession;
use nts_proto::code_points::{AeadAlgorithm, ErrorCode, ProtocolId};
use nts_proto::cookie::Cookie;
use nts_proto::error::ResponseError;
use nts_proto::ke::keys::SessionKeys;
use nts_proto::ke::message::RESPONSE_LIMIT;
use nts_proto::ke::name::NtpServerName;
use nts_proto::ke::request::KeyExchangeRequest;
use nts_proto::ke::response::KeyExchangeResponse;
use tokio::time::timeout;

use super::PATIENCE;
use super::handshake::{Session, explain_read};
use super::report::{Report, Step};
use crate::ke_stream;
use crate::tls;

/// What is offered, best first.
const OFFER: [AeadAlgorithm; 2] = [AeadAlgorithm::AesSivCmac256, AeadAlgorithm::AesSivCmac512];

/// What a user has after a key exchange.
pub struct Exchanged {
    /// The AEAD algorithm chosen.
    pub algorithm: AeadAlgorithm,
    /// The keys of the session.
    pub keys: SessionKeys,
    /// At least one.
    pub cookies: Vec<Cookie>,
    /// The NTP server, if the answer names one.
    pub server: Option<NtpServerName>,
    /// Its port, if the answer names one.
    pub port: Option<u16>,
}

/// Why there are no keys, and what to do about it.
pub(super) struct Refused {
    text: String,
    advice: String,
}

/// Exchanges keys as a user would. `id` is that of the step. `None` after it has failed.
pub async fn exchange_keys(
    report: &mut Report<'_>,
    id: &'static str,
    session: Session,
) -> Option<Exchanged> {
    match exchange(session).await {
        Ok(exchanged) => {
            let server = exchanged.server.as_ref().map(NtpServerName::as_str);
            let place = match (server, exchanged.port) {
                (None, None) => "NTP server: this host, port 123".to_owned(),
                (server, port) => format!(
                    "NTP server: {}, port {}",
                    server.unwrap_or("this host"),
                    port.unwrap_or(123)
                ),
            };
            let text = format!("NTPv4 with {}; {place}", exchanged.algorithm);
            let step = Step::ok(id, text).with("aead", exchanged.algorithm.code());
            report.add(step.with("server", server).with("port", exchanged.port));
            Some(exchanged)
        }
        Err(Refused { text, advice }) => {
            report.add(Step::failed(id, text, advice));
            None
        }
    }
}

async fn exchange(mut session: Session) -> Result<Exchanged, Refused> {
    let request = KeyExchangeRequest {
        protocols: vec![ProtocolId::Ntpv4],
        algorithms: OFFER.to_vec(),
        denied: Vec::new(),
        compliant_exporter: false,
    };
    let conversation = async {
        ke_stream::write_message(&mut session, request.encode().as_ref())
            .await
            .map_err(ke_stream::ReadError::Io)?;
        ke_stream::read_message(&mut session, RESPONSE_LIMIT).await
    };
    let message = timeout(PATIENCE, conversation)
        .await
        .map_err(|_| Refused::silent())?
        .map_err(Refused::unread)?;
    let mut response = KeyExchangeResponse::parse(&message, &request).map_err(Refused::answer)?;
    let negotiated = response
        .negotiated()
        .ok_or(Refused::answer(ResponseError::NoCommonAlgorithm))?;
    let keys = tls::export_session_keys(session.get_ref().1, &negotiated)
        .map_err(|error| Refused::new(error, "this is a defect of this program; report it"))?;
    let cookies = std::mem::take(&mut response.cookies);
    ke_stream::close(&mut session).await;
    if cookies.is_empty() {
        return Err(Refused::new(InvalidSession::NoCookies, SOFTWARE));
    }
    Ok(Exchanged {
        algorithm: negotiated.algorithm(),
        keys,
        cookies,
        server: response.server,
        port: response.port,
    })
}

const SOFTWARE: &str = "the server's software does not keep to RFC 8915: update it, and tell its \
                        makers if that does not help";

impl Refused {
    fn new(text: impl ToString, advice: impl Into<String>) -> Self {
        Self {
            text: text.to_string(),
            advice: advice.into(),
        }
    }

    fn silent() -> Self {
        Self::new(
            format!(
                "TLS works, but no answer to the request came within {} s",
                PATIENCE.as_secs()
            ),
            "the server hangs or is overloaded; if it is a pool, its time sources may not answer \
             it: look at its log",
        )
    }

    fn unread(error: ke_stream::ReadError) -> Self {
        let (text, advice) = explain_read(error);
        Self::new(
            text,
            advice.unwrap_or(
                "the server gave up without a word: it may be overloaded, limit the rate of this \
                 network, or fail inside; look at its log, and try again in a minute",
            ),
        )
    }

    fn answer(error: ResponseError) -> Self {
        let advice = match error {
            ResponseError::Error(ErrorCode::InternalServerError) => {
                "the server could not do it just now: try again in a minute; if it is a pool, it \
                 has no time source that works, and its operator should look at its log and \
                 `nts-pool-ke status`"
            }
            ResponseError::Error(ErrorCode::BadRequest) => {
                "the server takes our request for malformed, or it came too late for it: try \
                 again; if it stays so, the server's software does not keep to RFC 8915"
            }
            ResponseError::Error(ErrorCode::UnrecognizedCriticalRecord) => SOFTWARE,
            ResponseError::Error(_) => {
                "this is a code of the server's own, which only its operator can explain"
            }
            ResponseError::NoCommonProtocol => {
                "the server does not offer NTPv4: it is no server for ordinary users"
            }
            ResponseError::NoCommonAlgorithm => {
                "every server must support AEAD algorithm 15 (RFC 8915 §5.1): have its operator \
                 allow it"
            }
            _ => SOFTWARE,
        };
        Self::new(error, advice)
    }
}
