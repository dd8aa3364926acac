//! What the operator tells a running program: SIGTERM, SIGINT and SIGHUP.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What is asked of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: finish what runs, then end. A second one means: end now.
    Stop,
    /// SIGHUP: reopen the log, reload certificates.
    Reload,
}

/// The stream of signals. As long as it lives none of them ends the program by itself.
#[derive(Debug)]
pub struct Signals {
    terminate: Stream,
    interrupt: Stream,
    hang_up: Stream,
}

impl Signals {
    /// Starts to listen; must be called on a tokio runtime, before the program says it is ready.
    ///
    /// # Errors
    /// If the system does not let us handle signals.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal. Cancel safe.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hang_up.recv() => Signal::Reload,
        }
    }
}
