//! Addresses of names, as the system knows them.
//!
//! What never happens here: a limit of time; the caller sets one.

use std::io;
use std::net::{IpAddr, SocketAddr};

/// Greatest number of addresses of one name that are looked at.
const MAX_ADDRESSES: usize = 32;

/// Addresses of `host`, in the order in which the system prefers them; at least one.
///
/// # Errors
/// If the name cannot be resolved or has no address.
pub async fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let mut addresses = Vec::new();
    for address in tokio::net::lookup_host((host, port)).await? {
        if !addresses.contains(&address) && addresses.len() < MAX_ADDRESSES {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "it has no address"));
    }
    Ok(addresses)
}

/// Addresses of a name from a Server record (RFC 8915 §4.1.7): the name is complete, so no search
/// domain is added if there is another way; those in the family of `like` come first.
///
/// # Errors
/// As [`look_up`].
pub async fn look_up_absolute(name: &str, port: u16, like: IpAddr) -> io::Result<Vec<SocketAddr>> {
    let complete = name.ends_with('.') || name.parse::<IpAddr>().is_ok();
    let mut addresses = if complete {
        look_up(name, port).await?
    } else {
        // Names from the hosts file are not known with a final dot.
        match look_up(&format!("{name}."), port).await {
            Ok(addresses) => addresses,
            Err(_) => look_up(name, port).await?,
        }
    };
    addresses.sort_by_key(|address| address.is_ipv4() != like.is_ipv4());
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn literal_addresses_need_no_resolver() {
        assert_eq!(
            look_up("127.0.0.1", 7).await.unwrap(),
            ["127.0.0.1:7".parse().unwrap()]
        );
        let like = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(
            look_up_absolute("::1", 7, like).await.unwrap(),
            ["[::1]:7".parse().unwrap()]
        );
    }
}
