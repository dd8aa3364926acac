//! Opening connections to one time source: name, TCP, TLS, certificate, application protocol.
//!
//! Nothing is written to a source before its certificate has been verified, so no token goes to
//! a stranger.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nts_service::config::Host;
use nts_service::quick_ack::QuickAckStream;
use nts_service::tls;
use rand::RngExt as _;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::addresses::Addresses;
use super::connection::Connection;
use super::error::UpstreamError;
use super::idle::IdleShare;
use super::own_names::OwnNames;
use super::race::Race;
use super::reach::{LastReached, LostSince, is_no_route};
use super::resolver::Resolve;
use super::sessions::Sessions;
use crate::config::{SourceConfig, UpstreamConfig};
use crate::effort::Effort;
use crate::selection::Family;

/// Silence on a kept-alive connection after which the system looks whether anyone is there.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// Nobody waits longer for the new addresses of a name whose old ones are known.
const LOOK_UP_PATIENCE: Duration = Duration::from_secs(1);

/// What the connections to all sources have in common.
pub(crate) struct Means {
    /// `[upstream]`.
    pub(crate) policy: UpstreamConfig,
    /// The time of one user's exchange.
    pub(crate) exchange_timeout: Duration,
    /// Whom the pool trusts, and what it shows of itself.
    pub(crate) tls: Arc<ClientConfig>,
    /// What stays as it is when all that changes.
    pub(crate) node: Arc<Node>,
}

/// What belongs to this machine, whatever its configuration says.
pub(crate) struct Node {
    /// What idle connections may have together.
    pub(crate) idle_share: IdleShare,
    /// Where addresses come from.
    pub(crate) resolver: Arc<dyn Resolve>,
    /// When a source was last reached.
    last_reached: LastReached,
    /// What may be done beside trying one source for each user.
    effort: Mutex<Effort>,
}

impl Node {
    /// A machine that has done nothing yet.
    pub(crate) fn new(idle_share: IdleShare, resolver: Arc<dyn Resolve>) -> Self {
        Self {
            idle_share,
            resolver,
            last_reached: LastReached::default(),
            effort: Mutex::default(),
        }
    }

    /// What may be done beside trying one source for each user.
    pub(crate) fn effort(&self) -> MutexGuard<'_, Effort> {
        self.effort.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything needed to connect to one source.
pub(crate) struct Connector {
    means: Arc<Means>,
    sessions: Sessions,
    /// `None`: no certificate could be good for the source's name.
    target: Option<Target>,
    race: Race,
    lost: LostSince,
}

struct Target {
    name: ServerName<'static>,
    addresses: Addresses,
}

/// A new connection and how long the way there and back takes.
pub(crate) struct Connected {
    /// The connection.
    pub(crate) connection: Connection,
    /// The time of the TCP handshake: one round trip.
    pub(crate) round_trip: Duration,
}

impl Connector {
    /// A connector to `source`, whose certificate has to be good for its very name.
    pub(crate) fn new(source: &SourceConfig, means: Arc<Means>) -> Self {
        let target = source.server_name().map(|name| Target {
            name: name.clone(),
            addresses: addresses_of(name, source, &means),
        });
        Self {
            sessions: Sessions::new(&means.tls, Instant::now()),
            target,
            race: Race::default(),
            lost: LostSince::default(),
            means,
        }
    }

    /// Where `source`, the same source, may send users if it must keep to its own names.
    pub(crate) fn own_names(&self, source: &SourceConfig) -> OwnNames {
        let mut names = vec![source.domain().clone()];
        names.extend_from_slice(&source.ntp_names);
        let others = source.ntp_names.iter();
        let others = others.filter_map(|name| name.as_str().parse::<Host>().ok());
        let others = others.map(|host| addresses_of(host.server_name(), source, &self.means));
        let own = self.target.iter().map(|target| target.addresses.clone());
        OwnNames::new(names, own.chain(others).collect())
    }

    /// The addresses that can be connected to, looked up again if that is due and name servers
    /// answer soon. `None` if there are none.
    pub(crate) async fn renew_addresses(&self) -> Option<Arc<[SocketAddr]>> {
        let addresses = &self.target.as_ref()?.addresses;
        // Those of before are good too.
        let _ = timeout(LOOK_UP_PATIENCE, addresses.renew()).await;
        let known = timeout(Duration::ZERO, addresses.get()).await;
        known.ok()?.ok()
    }

    /// Opens a connection, over that family if there is one given. The caller limits the time.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub(crate) async fn open(&self, family: Option<Family>) -> Result<Connected, UpstreamError> {
        let target = self.target.as_ref().ok_or_else(unverifiable)?;
        let mut addresses = target.addresses.get().await?;
        if let Some(family) = family {
            let of_family = |it: &&SocketAddr| Family::of(it.ip()) == family;
            addresses = addresses.iter().filter(of_family).copied().collect();
            if addresses.is_empty() {
                return Err(UpstreamError::NoAddressOf(family));
            }
        }
        let winner = self.race.run(&addresses, TcpStream::connect).await;
        let winner = winner.map_err(|error| self.unconnected(error))?;
        self.lost
            .reached(&self.means.node.last_reached, Instant::now());
        let tcp = winner.prize;
        prepare(&tcp, self.means.exchange_timeout);
        let tls = self.sessions.tls(Instant::now());
        let stream = tls::connect(tls, target.name.clone(), QuickAckStream::new(tcp))
            .await
            .map_err(UpstreamError::Handshake)?;
        // So that not all are renewed at once.
        let max_age = self.means.policy.max_age;
        let lifetime = max_age.mul_f64(rand::rng().random_range(0.9..=1.1));
        Ok(Connected {
            connection: Connection::new(stream, Instant::now(), lifetime),
            round_trip: winner.time,
        })
    }
}

impl Connector {
    /// What it means that there is no TCP connection.
    fn unconnected(&self, error: io::Error) -> UpstreamError {
        let (anybody, now) = (&self.means.node.last_reached, Instant::now());
        match error.kind() {
            io::ErrorKind::ConnectionRefused => self.lost.reached(anybody, now),
            _ if is_no_route(&error) && self.lost.is_own_fault(anybody, now) => {
                return UpstreamError::Local(error);
            }
            _ => {}
        }
        UpstreamError::connect(error)
    }
}

fn addresses_of(name: &ServerName<'_>, source: &SourceConfig, means: &Means) -> Addresses {
    let allow_private = source.allow_private;
    let deny_private = !allow_private.unwrap_or(!means.policy.deny_private_addresses);
    let resolver = Arc::clone(&means.node.resolver);
    Addresses::new(name, source.port(), deny_private, resolver)
}

fn unverifiable() -> UpstreamError {
    let reason = "no certificate can be checked against a name that ends in a number";
    UpstreamError::Resolve(io::Error::new(io::ErrorKind::InvalidInput, reason))
}

/// Sets what makes short messages fast and dead peers noticed: those that acknowledge nothing for
/// longer than `patience`, because no user waits longer. Each is a help, none is needed.
fn prepare(tcp: &TcpStream, patience: Duration) {
    let _ = tcp.set_nodelay(true);
    let socket = SockRef::from(tcp);
    let keepalive = TcpKeepalive::new().with_time(TCP_KEEPALIVE);
    let _ = socket.set_tcp_keepalive(&keepalive);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(patience));
    #[cfg(not(target_os = "linux"))]
    let _ = patience;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Authority, means};
    use crate::upstream::Class;

    #[test]
    fn no_route_to_anybody_is_never_the_sources_fault() {
        let means = means(&Authority::new(), UpstreamConfig::default());
        let connector = |port| {
            let source = SourceConfig::new("127.0.0.1", port).unwrap();
            Connector::new(&source, Arc::clone(&means))
        };
        let (one, other) = (connector(1), connector(2));
        let class = |connector: &Connector, code| {
            let error = io::Error::from_raw_os_error(code);
            connector.unconnected(error).class()
        };
        const ENETUNREACH: i32 = 101;
        const EHOSTUNREACH: i32 = 113;
        const EADDRNOTAVAIL: i32 = 99;
        const ECONNREFUSED: i32 = 111;
        for code in [ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, ENETUNREACH] {
            assert_eq!(class(&one, code), Class::Local);
            assert_eq!(class(&other, code), Class::Local);
        }
        // Whoever refuses has been reached.
        assert_eq!(class(&other, ECONNREFUSED), Class::Reach);
        for code in [ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL] {
            assert_eq!(class(&one, code), Class::Reach);
            assert_eq!(class(&other, code), Class::Local);
        }
    }
}
