//! The port of a source: open, closed, or such that the system drops whoever knocks.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::script::Connect;

/// As many connections may wait to be accepted.
const BACKLOG: u32 = 1024;
/// On loopback the system accepts at once, or not at all.
const PATIENCE: Duration = Duration::from_millis(200);

/// See the module.
pub(super) struct Door {
    /// Bound and never listening, so that the port is ours while nobody listens.
    _reservation: TcpSocket,
    address: SocketAddr,
    state: State,
}

enum State {
    Open(TcpListener),
    /// Who connects is refused.
    Shut,
    /// The queue is full of our own connections, so the system drops every SYN.
    Lost {
        _listener: TcpListener,
        _queue: Vec<TcpStream>,
    },
}

impl Door {
    /// A door at any port of the address, as `connect` wants it.
    pub(super) async fn new(ip: IpAddr, connect: Connect) -> Self {
        let reservation = bind(SocketAddr::new(ip, 0));
        let address = reservation.local_addr().expect("a bound socket");
        let mut door = Self {
            _reservation: reservation,
            address,
            state: State::Shut,
        };
        door.become_as(connect).await;
        door
    }

    /// Where it is.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens it, shuts it or loses it.
    pub(super) async fn become_as(&mut self, connect: Connect) {
        let wanted = match connect {
            Connect::Refuse => State::Shut,
            Connect::Lost => self.lost().await,
            _ if matches!(self.state, State::Open(_)) => return,
            _ => {
                // The port cannot be listened to twice.
                self.state = State::Shut;
                State::Open(self.listen(BACKLOG))
            }
        };
        self.state = wanted;
    }

    /// The next connection; waits for ever while the door is not open. `None` if the system has no
    /// more to give.
    pub(super) async fn accept(&mut self) -> Option<TcpStream> {
        match &self.state {
            State::Open(listener) => Some(listener.accept().await.ok()?.0),
            State::Shut | State::Lost { .. } => std::future::pending().await,
        }
    }

    async fn lost(&mut self) -> State {
        self.state = State::Shut;
        let listener = self.listen(0);
        let mut queue = Vec::new();
        while let Ok(connected) = timeout(PATIENCE, TcpStream::connect(self.address)).await {
            queue.push(connected.expect("a queue that is not full"));
        }
        State::Lost {
            _listener: listener,
            _queue: queue,
        }
    }

    fn listen(&self, backlog: u32) -> TcpListener {
        let listener = bind(self.address).listen(backlog);
        listener.expect("a port that is ours")
    }
}

fn bind(address: SocketAddr) -> TcpSocket {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.expect("a socket");
    socket.set_reuseaddr(true).expect("a new socket");
    socket.bind(address).expect("an address of loopback");
    socket
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    /// How connecting ends: `None` if it does not.
    async fn knock(address: SocketAddr) -> Option<Result<(), ErrorKind>> {
        let connect = timeout(PATIENCE, TcpStream::connect(address)).await.ok()?;
        Some(connect.map(drop).map_err(|error| error.kind()))
    }

    #[tokio::test]
    async fn a_door_is_open_or_shut_or_lost_again_and_again() {
        let mut door = Door::new([127, 0, 0, 2].into(), Connect::Lost).await;
        let address = door.address();
        for _ in 0..2 {
            assert_eq!(knock(address).await, None);
            door.become_as(Connect::Refuse).await;
            let refused = Some(Err(ErrorKind::ConnectionRefused));
            assert_eq!(knock(address).await, refused);
            door.become_as(Connect::Silent).await;
            assert_eq!(knock(address).await, Some(Ok(())));
            assert!(door.accept().await.is_some());
            door.become_as(Connect::Lost).await;
        }
    }
}
