//! Under which names a source may send users to its time servers, where not every name will do.

use std::net::IpAddr;

use nts_proto::ke::name::NtpServerName;
use nts_service::config::Host;

use super::addresses::Addresses;

/// The configured names of a source, and the addresses to which they lead.
pub(crate) struct OwnNames {
    names: Vec<NtpServerName>,
    addresses: Vec<Addresses>,
}

impl OwnNames {
    /// These names, and the addresses that belong to them.
    pub(super) fn new(names: Vec<NtpServerName>, addresses: Vec<Addresses>) -> Self {
        Self { names, addresses }
    }

    /// Whether `name`, read as `host`, is one of the names or an address of one of them. May wait
    /// for name servers; the caller limits the time.
    pub(crate) async fn include(&self, name: &NtpServerName, host: &Host) -> bool {
        if self.names.iter().any(|own| own.same_host(name)) {
            return true;
        }
        let Some(ip) = host.ip().map(|ip| ip.to_canonical()) else {
            return false;
        };
        for addresses in &self.addresses {
            if addresses.include(ip).await {
                return true;
            }
        }
        false
    }
}

impl Addresses {
    /// Whether `ip` is one of them. If nobody knows them, it is not.
    async fn include(&self, ip: IpAddr) -> bool {
        let known = self.get().await;
        known.is_ok_and(|known| known.iter().any(|known| known.ip().to_canonical() == ip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{SourceConfig, UpstreamConfig};
    use crate::testing::{Authority, TestResolver, means_with};
    use crate::upstream::Connector;

    /// Whether a source `a.test` with these names may send users to `name`.
    async fn may_send_to(resolver: &std::sync::Arc<TestResolver>, name: &str) -> bool {
        let mut source = SourceConfig::new("a.test", 4460).unwrap();
        source.ntp_names = ["ntp.a.test", "192.0.2.9", "2001:db8::9"]
            .map(|name| name.parse().unwrap())
            .to_vec();
        let policy = UpstreamConfig::default();
        let means = means_with(&Authority::new(), policy, resolver.clone());
        let names = Connector::new(&source, means).own_names(&source);
        let name: NtpServerName = name.parse().unwrap();
        names.include(&name, &name.as_str().parse().unwrap()).await
    }

    #[tokio::test]
    async fn names_and_what_they_lead_to_are_the_sources_own() {
        let resolver = TestResolver::finding(&["192.0.2.1", "2001:db8::1"]);
        for own in [
            "a.test",
            "A.test.",
            "NTP.a.test",
            "192.0.2.1",
            "192.0.2.9",
            "::ffff:192.0.2.9",
            "2001:db8::1",
            "2001:DB8:0::9",
        ] {
            assert!(may_send_to(&resolver, own).await, "{own}");
        }
        for foreign in ["b.test", "ntp2.a.test", "192.0.2.2", "2001:db8::2", "::1"] {
            assert!(!may_send_to(&resolver, foreign).await, "{foreign}");
        }
    }

    #[tokio::test]
    async fn without_name_servers_only_what_is_configured_is() {
        let resolver = TestResolver::finding(&[]);
        resolver.fail();
        for own in ["a.test", "ntp.a.test", "192.0.2.9"] {
            assert!(may_send_to(&resolver, own).await, "{own}");
        }
        assert!(!may_send_to(&resolver, "192.0.2.1").await);
    }
}
