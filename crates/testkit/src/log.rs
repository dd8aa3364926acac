//! Everything that a process logs, kept for a test to look at.

use std::io::{self, Write};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The log of the whole process at the level `trace`, of every crate in it.
#[derive(Clone, Default)]
pub struct CapturedLog(Arc<Mutex<Vec<u8>>>);

impl CapturedLog {
    /// Becomes the log of the process, as `RUST_LOG=trace` would have it.
    ///
    /// # Panics
    /// If there is a log already.
    pub fn install() -> Self {
        Self::install_at("trace")
    }

    /// What the pool says to its operator at the level `info`, of all tests in this process. What
    /// was said before the first call is not in it.
    ///
    /// # Panics
    /// If there is another log.
    pub fn of_operators() -> Self {
        static LOG: LazyLock<CapturedLog> =
            LazyLock::new(|| CapturedLog::install_at("nts_pool_ke=info"));
        LOG.clone()
    }

    fn install_at(filter: &str) -> Self {
        let log = Self::default();
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(filter))
            .with_ansi(false)
            .with_writer(log.clone())
            .finish()
            .try_init()
            .expect("one log for each process");
        log
    }

    /// What was logged up to now.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock()).into_owned()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for CapturedLog {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.lock().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for CapturedLog {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}
