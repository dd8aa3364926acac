//! The HTTP endpoint for metrics and health: GET only, one answer per connection.
//!
//! It shares nothing with the NTS-KE port. Requests are bounded in size, time and number.

use std::sync::Arc;

use tokio::net::TcpListener;

use crate::shutdown::Shutdown;

type Render = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;
type Ready = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What the endpoint shows.
#[derive(Clone)]
pub struct Pages {
    metrics: Render,
    ready: Ready,
}

impl Pages {
    /// `/metrics` as rendered by `metrics` (an error gives status 500), `/healthz` for as long as
    /// the process lives.
    pub fn new(metrics: impl Fn() -> Result<String, String> + Send + Sync + 'static) -> Self {
        Self {
            metrics: Arc::new(metrics),
            ready: Arc::new(|| Ok(())),
        }
    }

    /// `/readyz`: 200, or 503 with the reason.
    #[must_use]
    pub fn with_ready(
        mut self,
        ready: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.ready = Arc::new(ready);
        self
    }
}

/// Answers requests until `shutdown`.
pub async fn serve(listener: TcpListener, pages: Pages, shutdown: Shutdown) {
    let _ = (listener, pages, shutdown);
    todo!()
}
