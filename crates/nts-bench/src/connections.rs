//! TCP connections begun in this network namespace, as the kernel counts them.

use std::{fs, io};

/// How many connections anybody has begun so far.
///
/// # Errors
/// If the kernel does not tell.
pub(crate) fn begun() -> io::Result<u64> {
    active_opens(&fs::read_to_string("/proc/self/net/snmp")?)
        .ok_or_else(|| io::Error::other("the kernel does not count TCP connections"))
}

/// The number under `ActiveOpens`: there is a line of names, and one of numbers in the same order.
fn active_opens(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Tcp:"));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let mut columns = names.split_whitespace().zip(numbers.split_whitespace());
    columns
        .find(|(name, _)| *name == "ActiveOpens")?
        .1
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_that_is_begun_is_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let before = begun().unwrap();
        TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(begun().unwrap() > before);
    }

    #[test]
    fn the_column_is_found_by_its_name() {
        let snmp = "Ip: Forwarding\nIp: 1\nTcp: RtoMin ActiveOpens\nTcp: 200 7\nUdp: In\nUdp: 3\n";
        assert_eq!(active_opens(snmp), Some(7));
        assert_eq!(active_opens("Tcp: RtoMin\nTcp: 200\n"), None);
        assert_eq!(active_opens(""), None);
    }
}
