//! How much of a client's address may stand in the log: by default nothing.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;

/// How much of a client's address may stand in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAddress {
    /// Nothing.
    #[default]
    None,
    /// Its network: an IPv4 /24 or an IPv6 /48.
    Prefix,
    /// All of it.
    Full,
}

impl ClientAddress {
    /// The name, as it stands in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Prefix => "prefix",
            Self::Full => "full",
        }
    }

    /// What may be shown of `address`, if anything.
    pub fn show(self, address: IpAddr) -> Option<Shown> {
        let address = address.to_canonical();
        match self {
            Self::None => None,
            Self::Prefix => {
                let length = if address.is_ipv4() { 24 } else { 48 };
                let network = IpNet::new(address, length).ok()?;
                Some(Shown::Prefix(network.trunc()))
            }
            Self::Full => Some(Shown::Full(address)),
        }
    }
}

/// What is shown of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The network.
    Prefix(IpNet),
    /// The address.
    Full(IpAddr),
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(network) => network.fmt(f),
            Self::Full(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_shown_than_was_chosen() {
        let shown = |choice: ClientAddress, address: &str| {
            let shown = choice.show(address.parse().unwrap());
            shown.map(|it| it.to_string())
        };
        for (address, prefix, full) in [
            ("192.0.2.77", "192.0.2.0/24", "192.0.2.77"),
            ("::ffff:192.0.2.77", "192.0.2.0/24", "192.0.2.77"),
            ("2001:db8:1:2::3", "2001:db8:1::/48", "2001:db8:1:2::3"),
        ] {
            assert_eq!(shown(ClientAddress::default(), address), None);
            assert_eq!(shown(ClientAddress::Prefix, address).unwrap(), prefix);
            assert_eq!(shown(ClientAddress::Full, address).unwrap(), full);
        }
    }
}
