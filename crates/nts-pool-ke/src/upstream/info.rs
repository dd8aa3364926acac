//! The two questions to a source that carry no keys: what it supports, and its servers' names.

use nts_proto::ke::name::NtpServerName;
use nts_proto::ke::negotiation::{Capabilities, UnknownAlgorithms};
use nts_proto::ke::request::InfoRequest;
use nts_proto::ke::response::InfoResponse;
use nts_proto::ke::token::AuthenticationToken;

use super::connection::Connection;
use super::dialect::Phrasing;
use super::error::UpstreamError;

/// Asks what the source supports, and to keep the connection. The connection must be new: some
/// sources do not keep one on which this is the second question.
///
/// Gives whether the source keeps the connection beside its answer.
///
/// # Errors
/// See [`UpstreamError`]; the connection is of no more use then.
pub(crate) async fn ask_capabilities(
    connection: &mut Connection,
    phrasing: Phrasing,
    token: Option<&AuthenticationToken>,
) -> Result<(Capabilities, bool), UpstreamError> {
    let request = InfoRequest {
        number_set: phrasing.number_set,
        token: token.filter(|_| phrasing.with_token).cloned(),
        protocols: phrasing.modern,
        algorithms: true,
        server_names: false,
        keep_alive: phrasing.modern,
    };
    let response = ask(connection, &request).await?;
    let capabilities = Capabilities::from_info(&response, UnknownAlgorithms::Allow)?;
    Ok((capabilities, response.keep_alive))
}

/// Asks for the names of the source's time servers. Empty if the source does not tell.
///
/// This stands apart from the other question, because it is critical and many sources do not know
/// it.
///
/// # Errors
/// See [`UpstreamError`]; the connection is of no more use in any case.
pub(crate) async fn ask_names(
    connection: &mut Connection,
    phrasing: Phrasing,
    token: Option<&AuthenticationToken>,
) -> Result<Vec<NtpServerName>, UpstreamError> {
    let request = InfoRequest {
        number_set: phrasing.number_set,
        token: token.filter(|_| phrasing.with_token).cloned(),
        protocols: false,
        algorithms: false,
        server_names: true,
        keep_alive: false,
    };
    match ask(connection, &request).await {
        Ok(response) => Ok(response.server_names),
        Err(error) if error.is_refusal_of_records() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

async fn ask(
    connection: &mut Connection,
    request: &InfoRequest,
) -> Result<InfoResponse, UpstreamError> {
    let message = connection.request(request.encode().as_ref()).await?;
    Ok(InfoResponse::parse(&message, request)?)
}
