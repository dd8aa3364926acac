//! Values that both daemons' configurations share, as types that cannot hold a wrong one.
//!
//! Each refuses with a message that says what is wrong and what would be right.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::str::FromStr;

use rustls_pki_types::ServerName;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// A TCP or UDP port that one can connect to: 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(NonZeroU16);

impl Port {
    /// `None` for port 0.
    pub const fn new(port: u16) -> Option<Self> {
        match NonZeroU16::new(port) {
            Some(port) => Some(Self(port)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        u16::try_from(number)
            .ok()
            .and_then(Self::new)
            .ok_or_else(|| de::Error::custom("no such port; write a number from 1 to 65535"))
    }
}

/// A host as one connects to it with TLS: a DNS name or an IP address, never with a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host(ServerName<'static>);

impl Host {
    /// The name to connect to and to check the certificate against.
    pub fn server_name(&self) -> &ServerName<'static> {
        &self.0
    }

    /// The address, if the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.0 {
            ServerName::IpAddress(ip) => Some(ip.into()),
            _ => None,
        }
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A final dot names the same host, but no certificate carries it.
        let name = text.strip_suffix('.').unwrap_or(text);
        ServerName::try_from(name.to_owned())
            .map(Self)
            .map_err(|_| {
                "neither a DNS name nor an IP address; write a name like `time.example.org` \
             (letters, digits, `-`, `.`) or an address like `192.0.2.1` or `2001:db8::1`"
                    .to_owned()
            })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_str())
    }
}

/// `host`, `host:port`, `1.2.3.4:port`, `[v6]:port` or a bare IPv6 address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    host: Host,
    port: Option<Port>,
}

impl Address {
    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port as written, or `default`.
    pub fn port_or(&self, default: u16) -> u16 {
        self.port.map_or(default, Port::get)
    }

    /// The port as written.
    pub fn port(&self) -> Option<Port> {
        self.port
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains("//") {
            return Err("no URL; write the host alone, or with a port like \
                        `time.example.org:4460`"
                .to_owned());
        }
        let (host, port) = split_port(text)?;
        let port = match port {
            None => None,
            Some(digits) => Some(
                digits
                    .parse::<u16>()
                    .ok()
                    .and_then(Port::new)
                    .ok_or("no such port; after the colon stands a number from 1 to 65535")?,
            ),
        };
        Ok(Self {
            host: host.parse()?,
            port,
        })
    }
}

/// Splits a port off; more than one `:` means IPv6.
fn split_port(text: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest
            .split_once(']')
            .ok_or("`[` without `]`; write `[2001:db8::1]`")?;
        host.parse::<Ipv6Addr>().map_err(
            |_| "between `[` and `]` stands no IPv6 address; write `[2001:db8::1]:4460`",
        )?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err("text after `]`; write `[2001:db8::1]:4460`".to_owned()),
        };
    }
    match text.matches(':').count() {
        1 => Ok(text
            .split_once(':')
            .map_or((text, None), |(host, port)| (host, Some(port)))),
        _ => Ok((text, None)),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.host.ip(), self.port) {
            (Some(IpAddr::V6(ip)), Some(port)) => write!(f, "[{ip}]:{port}"),
            (_, Some(port)) => write!(f, "{}:{port}", self.host),
            (_, None) => write!(f, "{}", self.host),
        }
    }
}

/// An address and port to listen on. The port is not 0: nobody would find the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenAddress(SocketAddr);

impl ListenAddress {
    /// The address as the socket wants it.
    pub fn get(self) -> SocketAddr {
        self.0
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.parse::<SocketAddr>().map_err(|_| {
            "no socket address; write an IP address and a port like `0.0.0.0:4460`, \
             `[::]:4460` or `127.0.0.1:4460`"
        })?;
        if address.port() == 0 {
            return Err("port 0 means any port, so nobody would find it; \
                        write the port to listen on, like 4460 for NTS-KE or 123 for NTP"
                .to_owned());
        }
        Ok(Self(address))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where to listen: an address and port, or the word `systemd`, the sockets that the service
/// manager hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListenOn {
    /// This address.
    Address(SocketAddr),
    /// Inherited sockets.
    Inherited,
}

impl FromStr for ListenOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "systemd" => Ok(Self::Inherited),
            _ => Ok(Self::Address(text.parse::<ListenAddress>()?.get())),
        }
    }
}

/// Reads a string and hands it to [`FromStr`].
struct Text<T>(std::marker::PhantomData<T>);

impl<T: FromStr<Err = String>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! deserialize_from_str {
    ($($name:ty),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text(std::marker::PhantomData))
            }
        }
    )*};
}

deserialize_from_str!(Host, Address, ListenAddress, ListenOn);
