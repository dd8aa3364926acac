//! Sockets that the service manager has opened for us, and keeps: while the program is restarted,
//! connections wait in them instead of being refused (systemd.socket(5), sd_listen_fds(3)).

use std::io;
use std::net::TcpListener as StdListener;

use listenfd::ListenFd;
use socket2::SockRef;
use tokio::net::TcpListener;

use super::bind::no_delay;

/// The sockets that this process was started with.
#[derive(Debug, Default)]
pub struct Inherited(Vec<StdListener>);

/// Why the sockets that this process was started with cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// There are none.
    #[error(
        "`listen = \"systemd\"`, but the service manager has handed over no socket; start the \
         program by a .socket unit, or write addresses"
    )]
    Nothing,
    /// One is of another kind.
    #[error(
        "socket number {number} from the service manager is no listening TCP socket; write \
         ListenStream= with a port in the .socket unit"
    )]
    OtherKind {
        /// Counted from 1.
        number: usize,
    },
    /// One cannot be used.
    #[error("a socket from the service manager cannot be used: {0}")]
    Io(#[from] io::Error),
}

impl Inherited {
    /// Takes the sockets, if there are any. To be called first of all, while the program has one
    /// thread: it takes them out of the environment too.
    ///
    /// # Errors
    /// [`InheritError::OtherKind`].
    pub fn take() -> Result<Self, InheritError> {
        let mut manager = ListenFd::from_env();
        let mut listeners = Vec::new();
        for index in 0..manager.len() {
            let other_kind = InheritError::OtherKind { number: index + 1 };
            match manager.take_tcp_listener(index) {
                Ok(Some(listener)) if is_listening(&listener) => listeners.push(listener),
                Ok(_) | Err(_) => return Err(other_kind),
            }
        }
        Ok(Self(listeners))
    }

    /// No sockets.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sockets, to accept from. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// [`InheritError`]; without sockets too.
    pub(super) fn into_listeners(self) -> Result<Vec<TcpListener>, InheritError> {
        if self.is_empty() {
            return Err(InheritError::Nothing);
        }
        let listener = |listener: StdListener| {
            listener.set_nonblocking(true)?;
            no_delay(&listener);
            TcpListener::from_std(listener)
        };
        let listeners: io::Result<_> = self.0.into_iter().map(listener).collect();
        Ok(listeners?)
    }
}

fn is_listening(listener: &StdListener) -> bool {
    SockRef::from(listener).is_listener().unwrap_or(false)
}

impl From<Vec<StdListener>> for Inherited {
    fn from(listeners: Vec<StdListener>) -> Self {
        Self(listeners)
    }
}
