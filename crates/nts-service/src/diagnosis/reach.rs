//! The way to a host: its addresses, and which of them take a TCP connection.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::PATIENCE;
use super::report::{Report, Step};
use crate::config::Host;
use crate::look_up;
use crate::quick_ack::QuickAckStream;

/// So many addresses of one name are looked at.
const MOST_ADDRESSES: usize = 8;

/// Looks up `host`; step `name`. `None` if that failed.
pub(super) async fn look_up(
    report: &mut Report<'_>,
    host: &Host,
    port: u16,
) -> Option<Vec<SocketAddr>> {
    const ID: &str = "name";
    if let Some(ip) = host.ip() {
        report.add(Step::ok(
            ID,
            format!("{ip} is an address; no name to look up"),
        ));
        return Some(vec![SocketAddr::new(ip, port)]);
    }
    let name = host.to_string();
    match in_time(look_up::look_up(&name, port)).await {
        Ok(addresses) => {
            let list = list(&addresses);
            report.add(
                Step::ok(
                    ID,
                    format!(
                        "{host} has the address{} {}",
                        plural(&list),
                        list.join(", ")
                    ),
                )
                .with("addresses", list),
            );
            Some(addresses)
        }
        Err(error) => {
            report.add(failed_look_up(ID, &name, &error));
            None
        }
    }
}

/// What to say about a name that could not be looked up.
pub(super) fn failed_look_up(id: &'static str, name: &str, error: &io::Error) -> Step {
    let text = error.to_string();
    if error.kind() == io::ErrorKind::TimedOut {
        let text = format!(
            "no name server answered for {name} within {} s",
            PATIENCE.as_secs()
        );
        return Step::failed(id, text, RESOLVER);
    }
    if text.contains("emporary failure") {
        return Step::failed(
            id,
            format!("the name servers could not be asked for {name}: {text}"),
            RESOLVER,
        );
    }
    Step::failed(
        id,
        format!("{name} cannot be looked up: {text}"),
        "check the spelling, and that the name has an A or AAAA record in public DNS",
    )
}

const RESOLVER: &str = "this machine's own DNS is at fault: look at /etc/resolv.conf and whether \
                        other names can be looked up; nothing is known about the server yet";

/// What a look-up gives within its time, no more than [`MOST_ADDRESSES`].
pub(super) async fn in_time(
    look_up: impl Future<Output = io::Result<Vec<SocketAddr>>>,
) -> io::Result<Vec<SocketAddr>> {
    let found = timeout(PATIENCE, look_up).await;
    let mut found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    found.truncate(MOST_ADDRESSES);
    Ok(found)
}

pub(super) fn list(addresses: &[SocketAddr]) -> Vec<String> {
    addresses.iter().map(|it| it.ip().to_string()).collect()
}

fn plural(list: &[String]) -> &'static str {
    if list.len() == 1 { "" } else { "es" }
}

/// The addresses that accept connections.
pub struct Reached {
    /// A connection to the first of them.
    pub stream: QuickAckStream,
    /// The first of them.
    pub address: SocketAddr,
    /// The others.
    pub others: Vec<SocketAddr>,
}

/// Connects to *every* address, for users come to each of them; step `tcp`. `None` if none accepts a
/// connection.
pub async fn connect(report: &mut Report<'_>, addresses: &[SocketAddr]) -> Option<Reached> {
    const ID: &str = "tcp";
    let mut tries = JoinSet::new();
    for (index, address) in addresses.iter().copied().enumerate() {
        tries.spawn(async move {
            let begun = Instant::now();
            let outcome = open(address).await;
            (index, begun.elapsed(), outcome)
        });
    }
    let mut outcomes = tries.join_all().await;
    outcomes.sort_by_key(|(index, ..)| *index);
    let mut reached = None;
    let (mut good, mut bad, mut advice) = (Vec::new(), Vec::new(), "");
    for ((_, time, outcome), address) in outcomes.into_iter().zip(addresses) {
        match outcome {
            Ok(stream) => {
                good.push(format!(
                    "{address} accepts connections ({})",
                    milliseconds(time)
                ));
                reached = Some(reach(reached, stream, *address));
            }
            Err(error) => {
                let (fault, cure) = explain(&error);
                bad.push(format!("{address} {fault}"));
                advice = cure;
            }
        }
    }
    let text = [bad.as_slice(), good.as_slice()].concat().join("; ");
    let step = match (&reached, bad.is_empty()) {
        (Some(_), true) => Step::ok(ID, text),
        (Some(_), false) => Step::warning(
            ID,
            text,
            format!("users try each address of the name, so every one should work: {advice}"),
        ),
        (None, _) => Step::failed(ID, text, advice),
    };
    report.add(step);
    reached
}

/// One more address accepts connections.
fn reach(before: Option<Reached>, stream: QuickAckStream, address: SocketAddr) -> Reached {
    match before {
        Some(mut reached) => {
            reached.others.push(address);
            reached
        }
        None => Reached {
            stream,
            address,
            others: Vec::new(),
        },
    }
}

/// Opens one connection, set up for short messages.
pub(super) async fn open(address: SocketAddr) -> io::Result<QuickAckStream> {
    let stream = timeout(PATIENCE, TcpStream::connect(address))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    // A help, not a need.
    let _ = stream.set_nodelay(true);
    Ok(QuickAckStream::new(stream))
}

/// What an address does that takes no connection, and what to do about it.
fn explain(error: &io::Error) -> (String, &'static str) {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => (
            "refuses the connection".to_owned(),
            "nothing listens on this port: on the server, start its NTS-KE server and see that it \
             listens on this address and port (TCP, usually 4460), and that no firewall rejects \
             it; here, check the port",
        ),
        Kind::TimedOut => (
            format!("does not answer within {} s", PATIENCE.as_secs()),
            "packets are lost on the way: open the TCP port in the server's firewall and its \
             provider's, and check the address; or the network here lets this port not out, so \
             try from elsewhere too",
        ),
        Kind::NetworkUnreachable | Kind::HostUnreachable | Kind::AddrNotAvailable => (
            format!("cannot be reached from here ({error})"),
            "this machine has no route there: if it is IPv6, does this machine have IPv6 at all? \
             Try from a machine that has",
        ),
        Kind::PermissionDenied => (
            "may not be connected to".to_owned(),
            "a firewall on this machine forbids it",
        ),
        _ => (
            format!("cannot be connected to: {error}"),
            "see whether this machine has a working network",
        ),
    }
}

/// A time as people read it.
pub(super) fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
