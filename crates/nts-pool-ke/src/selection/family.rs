//! Address families: what a user needs and what a source serves.

use std::net::IpAddr;

/// The family of the address a user comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4, also as IPv4-mapped IPv6.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of a user's address; `::ffff:192.0.2.1` is IPv4.
    pub fn of(address: IpAddr) -> Self {
        if address.to_canonical().is_ipv4() {
            Self::V4
        } else {
            Self::V6
        }
    }

    /// The name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }
}

/// The families whose users a source may be given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    /// It serves IPv4 users.
    pub v4: bool,
    /// It serves IPv6 users.
    pub v6: bool,
}

impl Families {
    /// Both families, the default.
    pub const BOTH: Self = Self { v4: true, v6: true };

    /// Whether users of this family can be sent to the source.
    pub fn includes(self, family: Family) -> bool {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_are_ipv4() {
        let family = |text: &str| Family::of(text.parse().unwrap());
        assert_eq!(family("192.0.2.1"), Family::V4);
        assert_eq!(family("::ffff:192.0.2.1"), Family::V4);
        assert_eq!(family("2001:db8::1"), Family::V6);
        assert_eq!(family("::1"), Family::V6);
    }
}
