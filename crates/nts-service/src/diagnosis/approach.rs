//! All steps up to a TLS session with a server whose certificate is good.

use super::handshake::{Peer, Session, check_others, shake_hands};
use super::reach::{Reached, connect, look_up};
use super::report::Report;
use crate::config::Address;
use crate::tls::{Identity, TrustAnchors};

/// A server and a session with it.
pub struct Approached {
    /// The server, for further sessions.
    pub peer: Peer,
    /// The first session.
    pub session: Session,
}

/// Looks up the host of `server`, connects to its addresses and shakes hands; steps `name`, `tcp`,
/// `tls`, `certificate`, `tls-others`. `None` after a step has failed.
pub async fn approach(
    report: &mut Report<'_>,
    server: &Address,
    default_port: u16,
    trust: &TrustAnchors,
    identity: Option<&Identity>,
) -> Option<Approached> {
    let host = server.host();
    let addresses = look_up(report, host, server.port_or(default_port)).await?;
    let Reached {
        stream,
        address,
        others,
    } = connect(report, &addresses).await?;
    let peer = Peer::new(host, address, trust, identity);
    let session = shake_hands(report, stream, &peer, trust, identity).await?;
    check_others(report, &others, &peer).await;
    Some(Approached { peer, session })
}
