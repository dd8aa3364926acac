//! A path to an NTP server that loses some datagrams: what firewalls and providers do.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// No datagram is longer.
const LONGEST: usize = 4096;

/// Forwards requests to a server and its answers back, as far as they pass. Ends when dropped.
pub struct UdpPath {
    address: SocketAddr,
    end: Arc<OnceLock<SocketAddr>>,
    _tasks: JoinSet<()>,
}

impl UdpPath {
    /// A path that begins at any port of `ip` and leads nowhere yet. `passes` decides by length, in
    /// both directions.
    ///
    /// # Panics
    /// If the address is none of this machine's.
    pub async fn new(ip: IpAddr, passes: impl Fn(usize) -> bool + Send + Sync + 'static) -> Self {
        let socket = UdpSocket::bind((ip, 0))
            .await
            .expect("an address of loopback");
        let address = socket.local_addr().expect("a bound socket");
        let end = Arc::new(OnceLock::new());
        let mut tasks = JoinSet::new();
        let server = Arc::clone(&end);
        tasks.spawn(async move {
            let forwarding = forward(Arc::new(socket), &server, Arc::new(passes));
            // A socket that fails ends the path, which a test sees as a loss.
            let _ = forwarding.await;
        });
        Self {
            address,
            end,
            _tasks: tasks,
        }
    }

    /// Makes it lead to this server, once and for all.
    pub fn lead_to(&self, server: SocketAddr) {
        self.end.get_or_init(|| server);
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn forward(
    front: Arc<UdpSocket>,
    server: &OnceLock<SocketAddr>,
    passes: Arc<dyn Fn(usize) -> bool + Send + Sync>,
) -> io::Result<()> {
    let mut ways: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut returns = JoinSet::new();
    let mut buffer = [0; LONGEST];
    loop {
        let (length, user) = front.recv_from(&mut buffer).await?;
        let Some(server) = server.get().filter(|_| passes(length)) else {
            continue;
        };
        let way = match ways.get(&user) {
            Some(way) => Arc::clone(way),
            None => {
                let way = Arc::new(UdpSocket::bind((server.ip(), 0)).await?);
                way.connect(server).await?;
                ways.insert(user, Arc::clone(&way));
                let (front, passes) = (Arc::clone(&front), Arc::clone(&passes));
                returns.spawn(come_back(Arc::clone(&way), front, user, passes));
                way
            }
        };
        way.send(&buffer[..length]).await?;
    }
}

/// Brings the answers of one user's requests.
async fn come_back(
    way: Arc<UdpSocket>,
    front: Arc<UdpSocket>,
    user: SocketAddr,
    passes: Arc<dyn Fn(usize) -> bool + Send + Sync>,
) {
    let mut buffer = [0; LONGEST];
    while let Ok(length) = way.recv(&mut buffer).await {
        // The user may be gone; that is for the test to see on the other side.
        if passes(length) && front.send_to(&buffer[..length], user).await.is_err() {
            return;
        }
    }
}
