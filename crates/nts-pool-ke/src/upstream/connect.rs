//! Opening connections to one time source: name, TCP, TLS, certificate, application protocol.
//!
//! Nothing is written to a source before its certificate has been verified, so no token goes to
//! a stranger.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nts_service::quick_ack::QuickAckStream;
use nts_service::tls;
use rand::RngExt as _;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::connection::Connection;
use super::error::UpstreamError;
use super::look_up::LookUps;
use super::sessions::Sessions;

/// The next address of a source is tried when the one before has not answered for so long.
const STAGGER: Duration = Duration::from_millis(150);
/// More addresses than that are not tried.
const MOST_ADDRESSES: usize = 8;
/// Silence on a kept-alive connection after which the system looks whether anyone is there.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// Everything needed to connect to one source.
pub(crate) struct Connector {
    sessions: Sessions,
    look_ups: LookUps,
    name: Option<ServerName<'static>>,
    port: u16,
    max_age: Duration,
}

/// A new connection and how long the way there and back takes.
pub(crate) struct Connected {
    /// The connection.
    pub(crate) connection: Connection,
    /// The time of the TCP handshake: one round trip.
    pub(crate) round_trip: Duration,
}

impl Connector {
    /// A connector to `name`, whose certificate has to be good for that very name. Without a name
    /// nothing is ever connected to. Connections get as old as `max_age`, give or take a tenth.
    pub(crate) fn new(
        tls: &ClientConfig,
        name: Option<ServerName<'static>>,
        port: u16,
        max_age: Duration,
    ) -> Self {
        Self {
            sessions: Sessions::new(tls, Instant::now()),
            look_ups: LookUps::new(),
            name,
            port,
            max_age,
        }
    }

    /// Opens a connection. The caller limits the time.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub(crate) async fn open(&self) -> Result<Connected, UpstreamError> {
        let name = self.name.as_ref().ok_or_else(unverifiable)?;
        let addresses = self.resolve(name).await?;
        let started = Instant::now();
        let tcp = connect_any(addresses)
            .await
            .map_err(UpstreamError::connect)?;
        let round_trip = started.elapsed();
        prepare(&tcp);
        let tls = self.sessions.tls(Instant::now());
        let stream = tls::connect(tls, name.clone(), QuickAckStream::new(tcp))
            .await
            .map_err(UpstreamError::Handshake)?;
        // So that not all are renewed at once.
        let lifetime = self.max_age.mul_f64(rand::rng().random_range(0.9..=1.1));
        Ok(Connected {
            connection: Connection::new(stream, Instant::now(), lifetime),
            round_trip,
        })
    }

    async fn resolve(&self, name: &ServerName<'_>) -> Result<Vec<SocketAddr>, UpstreamError> {
        if let ServerName::IpAddress(address) = name {
            return Ok(vec![SocketAddr::new(IpAddr::from(*address), self.port)]);
        }
        let found = self.look_ups.addresses(&name.to_str(), self.port).await;
        let mut addresses = found.map_err(UpstreamError::Resolve)?;
        addresses.truncate(MOST_ADDRESSES);
        if addresses.is_empty() {
            return Err(UpstreamError::Resolve(io::ErrorKind::NotFound.into()));
        }
        Ok(addresses)
    }
}

fn unverifiable() -> UpstreamError {
    let reason = "no certificate can be checked against a name that ends in a number";
    UpstreamError::Resolve(io::Error::new(io::ErrorKind::InvalidInput, reason))
}

/// Connects to the address that answers first; each later one starts a little after the one
/// before it, or at once when that has failed.
async fn connect_any(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut running = JoinSet::new();
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    loop {
        match waiting.next() {
            Some(address) => {
                running.spawn(TcpStream::connect(address));
            }
            None if running.is_empty() => return Err(failure),
            None => {}
        }
        tokio::select! {
            Some(ended) = running.join_next() => match ended.map_err(io::Error::other) {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) | Err(error) => failure = error,
            },
            () = sleep(STAGGER), if waiting.len() > 0 => {}
        }
    }
}

/// Sets what makes short messages fast and dead peers noticed. Each is a help, none is needed.
fn prepare(tcp: &TcpStream) {
    let _ = tcp.set_nodelay(true);
    let keepalive = TcpKeepalive::new().with_time(TCP_KEEPALIVE);
    let _ = SockRef::from(tcp).set_tcp_keepalive(&keepalive);
}
