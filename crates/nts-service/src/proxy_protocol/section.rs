//! `[proxy-protocol]`, the same for all servers.

use std::fmt;

use ipnet::IpNet;
use serde::Deserialize;

use super::ProxyProtocol;
use crate::config::Section;

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Off,
    Required,
}

/// Reads the section: `mode` is `off` (the default) or `required`, `allow` is the list of networks
/// that connections must come from. `None` if the protocol is off, or after the problem has been
/// reported.
pub fn read(section: &Section<'_>) -> Option<ProxyProtocol> {
    const ALLOW: &str = "allow";
    let mode = section.or("mode", Mode::Off);
    let texts = section.list::<String>(ALLOW);
    let mut networks = Vec::new();
    for text in texts.iter().flatten() {
        match text.parse::<IpNet>() {
            Ok(network) if network.prefix_len() == 0 => {
                section.problems().error(
                    text.place(),
                    "anybody could claim any address; name the balancers alone",
                );
            }
            Ok(network) => networks.push(network),
            Err(_) => section.problems().error(
                text.place(),
                "no network; write an address and a length like `192.0.2.1/32` or `2001:db8::/64`",
            ),
        }
    }
    if mode == Mode::Off {
        return None;
    }
    match texts {
        None => {
            section.required::<Vec<String>>(ALLOW);
        }
        Some(texts) if texts.is_empty() => section.error(
            ALLOW,
            "nobody could connect; write the networks of the balancers, like [\"192.0.2.0/28\"]",
        ),
        Some(_) => {}
    }
    ProxyProtocol::from_networks(networks)
}

/// The section as it is in effect where the protocol is required.
impl fmt::Display for ProxyProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[proxy-protocol]")?;
        writeln!(f, "mode = \"required\"")?;
        let networks = self.networks().iter();
        let networks: Vec<_> = networks.map(|it| format!("\"{it}\"")).collect();
        writeln!(f, "allow = [{}]", networks.join(", "))
    }
}
