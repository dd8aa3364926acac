//! Where the NTP server is that a key exchange names (RFC 8915 §4.1.7, §4.1.8): step `ntp-server`.

use std::net::{IpAddr, SocketAddr};

use nts_proto::ke::name::NtpServerName;

use super::reach::{failed_look_up, in_time, list};
use super::report::{Report, Step};
use crate::look_up::look_up_absolute;

const NTP_PORT: u16 = 123;

/// The addresses of the NTP server, those in the family of `peer`, the key exchange server, first.
/// `None` after the step has failed.
pub async fn find_time_server(
    report: &mut Report<'_>,
    server: Option<&NtpServerName>,
    port: Option<u16>,
    peer: IpAddr,
) -> Option<Vec<SocketAddr>> {
    const ID: &str = "ntp-server";
    let port = port.unwrap_or(NTP_PORT);
    let Some(server) = server else {
        let address = SocketAddr::new(peer, port);
        let text = format!("{address}, the same host, as the answer names no other");
        report.add(Step::ok(ID, text).with("address", address.to_string()));
        return Some(vec![address]);
    };
    match in_time(look_up_absolute(server.as_str(), port, peer)).await {
        Ok(found) => {
            let list = list(&found);
            let text = format!("{server}, UDP port {port}: {}", list.join(", "));
            report.add(
                Step::ok(ID, text)
                    .with("port", port)
                    .with("addresses", list),
            );
            Some(found)
        }
        Err(error) => {
            report.add(failed_look_up(ID, server.as_str(), &error));
            None
        }
    }
}
