//! What is likely a mistake though each key by itself is right: warnings, by which
//! `ntp-ctl validate` fails and the daemon does not.

use nts_service::config::{Located, Section};

use super::NTP_PORT;
use super::ke_server::KeServerConfig;
use super::server::ServerConfig;
use super::source::SourceConfig;
use super::synchronization::SynchronizationConfig;

/// Looks at the configuration as a whole and adds warnings.
pub(super) fn cross_check(
    root: &Section<'_>,
    sources: &[SourceConfig],
    servers: &[ServerConfig],
    ke_servers: &[Located<KeServerConfig>],
    synchronization: &SynchronizationConfig,
) {
    too_few_sources(root, sources, synchronization.minimum_agreeing_sources);
    for ke_server in ke_servers {
        unserved_ntp_port(root, servers, ke_server);
    }
}

fn too_few_sources(root: &Section<'_>, sources: &[SourceConfig], needed: usize) {
    let possible: usize = sources.iter().map(|source| source.mode.count()).sum();
    if sources.is_empty() || possible >= needed {
        return;
    }
    let message = format!(
        "{needed} sources must agree, but there can be no more than {possible}, so the clock would \
         never be set; add sources or write a smaller number"
    );
    let place = root
        .place("synchronization")
        .at_key("synchronization.minimum-agreeing-sources");
    root.problems().warning(&place, message);
}

/// A key exchange server that sends its clients to this host, at a port where nobody answers.
fn unserved_ntp_port(
    root: &Section<'_>,
    servers: &[ServerConfig],
    ke_server: &Located<KeServerConfig>,
) {
    let port = ke_server.ntp_port.unwrap_or(NTP_PORT);
    let served = servers
        .iter()
        .any(|ntp| ntp.listen.port() == port && ntp.accept_ntp_versions.v4);
    if ke_server.ntp_server.is_none() && !served {
        let message = format!(
            "clients are sent to NTPv4 port {port} of this host, where no [[server]] listens; \
             add one, or set ntp-port or ntp-server"
        );
        root.problems().warning(ke_server.place(), message);
    }
}
