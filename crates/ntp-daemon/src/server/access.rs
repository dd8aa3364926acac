//! Who may ask: `denylist` before `allowlist`, each a sorted table of networks.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use crate::config::{FilterAction, FilterList};

/// The two lists of one server, ready for look-ups.
#[derive(Debug)]
pub(super) struct AccessLists {
    deny: Option<(Networks, FilterAction)>,
    allow: Option<(Networks, FilterAction)>,
}

impl AccessLists {
    /// Prepares the lists of a configuration.
    pub(super) fn new(deny: Option<&FilterList>, allow: Option<&FilterList>) -> Self {
        let prepare = |list: &FilterList| (Networks::new(&list.filter), list.action);
        Self {
            deny: deny.map(prepare),
            allow: allow.map(prepare),
        }
    }

    /// How a request from `address` is refused; `None` if it is not. An IPv4 address that was
    /// mapped into IPv6 counts as IPv4.
    pub(super) fn refusal(&self, address: IpAddr) -> Option<FilterAction> {
        let address = address.to_canonical();
        if let Some((networks, action)) = &self.deny
            && networks.contains(address)
        {
            return Some(*action);
        }
        match &self.allow {
            Some((networks, action)) if !networks.contains(address) => Some(*action),
            _ => None,
        }
    }
}

/// Disjoint networks as sorted ranges of addresses, both ends included.
#[derive(Debug)]
struct Networks {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Networks {
    fn new(networks: &[IpNet]) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        let canonical: Vec<IpNet> = networks.iter().copied().map(unmap).collect();
        for network in IpNet::aggregate(&canonical) {
            match network {
                IpNet::V4(n) => v4.push((n.network().to_bits(), n.broadcast().to_bits())),
                IpNet::V6(n) => v6.push((n.network().to_bits(), n.broadcast().to_bits())),
            }
        }
        v4.sort_unstable();
        v6.sort_unstable();
        Self { v4, v6 }
    }

    fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(a) => in_ranges(&self.v4, a.to_bits()),
            IpAddr::V6(a) => in_ranges(&self.v6, a.to_bits()),
        }
    }
}

/// A network inside `::ffff:0:0/96` as the IPv4 network it stands for.
fn unmap(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else {
        return network;
    };
    let mapped = v6
        .network()
        .to_ipv4_mapped()
        .zip(v6.prefix_len().checked_sub(96));
    mapped
        .and_then(|(address, length)| Ipv4Net::new(address, length).ok())
        .map_or(network, IpNet::V4)
}

fn in_ranges<T: Ord + Copy>(ranges: &[(T, T)], value: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= value);
    after
        .checked_sub(1)
        .and_then(|i| ranges.get(i))
        .is_some_and(|(_, last)| value <= *last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(networks: &[&str], action: FilterAction) -> FilterList {
        FilterList {
            filter: networks.iter().map(|n| n.parse().unwrap()).collect(),
            action,
        }
    }

    fn refusal(lists: &AccessLists, address: &str) -> Option<FilterAction> {
        lists.refusal(address.parse().unwrap())
    }

    #[test]
    fn without_lists_everybody_may_ask() {
        let lists = AccessLists::new(None, None);
        assert_eq!(refusal(&lists, "192.0.2.1"), None);
        assert_eq!(refusal(&lists, "2001:db8::1"), None);
    }

    #[test]
    fn deny_is_looked_at_before_allow() {
        let deny = list(&["192.0.2.128/25"], FilterAction::Deny);
        let allow = list(&["192.0.2.0/24", "2001:db8::/32"], FilterAction::Ignore);
        let lists = AccessLists::new(Some(&deny), Some(&allow));
        assert_eq!(refusal(&lists, "192.0.2.127"), None);
        assert_eq!(refusal(&lists, "192.0.2.128"), Some(FilterAction::Deny));
        assert_eq!(refusal(&lists, "192.0.3.0"), Some(FilterAction::Ignore));
        assert_eq!(refusal(&lists, "2001:db8:ffff::1"), None);
        assert_eq!(refusal(&lists, "2001:db9::1"), Some(FilterAction::Ignore));
    }

    #[test]
    fn host_bits_overlaps_and_whole_ranges_are_understood() {
        let deny = list(
            &["10.1.2.3/8", "10.0.0.0/16", "255.255.255.255/32"],
            FilterAction::Deny,
        );
        let lists = AccessLists::new(Some(&deny), None);
        for (address, refused) in [
            ("9.255.255.255", false),
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("255.255.255.255", true),
        ] {
            assert_eq!(refusal(&lists, address).is_some(), refused, "{address}");
        }
        let all = list(&["0.0.0.0/0", "::/0"], FilterAction::Ignore);
        let lists = AccessLists::new(Some(&all), None);
        assert!(refusal(&lists, "255.255.255.255").is_some());
        assert!(refusal(&lists, "ffff::").is_some());
    }

    #[test]
    fn mapped_addresses_and_mapped_networks_are_ipv4() {
        let deny = list(&["127.0.0.0/8"], FilterAction::Deny);
        let lists = AccessLists::new(Some(&deny), None);
        assert_eq!(
            refusal(&lists, "::ffff:127.0.0.1"),
            Some(FilterAction::Deny)
        );
        let deny = list(&["::ffff:10.0.0.0/104"], FilterAction::Deny);
        let lists = AccessLists::new(Some(&deny), None);
        assert_eq!(refusal(&lists, "10.200.0.1"), Some(FilterAction::Deny));
        assert_eq!(refusal(&lists, "11.0.0.1"), None);
    }
}
