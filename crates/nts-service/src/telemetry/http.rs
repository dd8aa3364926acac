//! The HTTP endpoint for metrics and health: GET only, one answer per connection.
//!
//! It shares nothing with the NTS-KE port. Requests are bounded in size, time and number.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::ke_stream;
use crate::listener::{self, Connection, Gate, Limits, Stats};
use crate::quick_ack::QuickAckStream;
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::Registry;
use crate::telemetry::readiness::Readiness;

/// The longest head of a request, in octets.
const MAX_HEAD: usize = 2048;

/// Requests at the same time.
const SLOTS: usize = 100;

const LIMITS: Limits = Limits {
    first_byte: None,
    time_limit: Duration::from_secs(1),
    grace: Duration::ZERO,
    drain: Duration::from_millis(200),
};

type Render = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// What the endpoint shows.
#[derive(Clone)]
pub struct Pages {
    metrics: Render,
    ready: Readiness,
    status: Option<Render>,
}

impl Pages {
    /// `/metrics` as rendered by `metrics` (an error gives status 500), `/healthz` for as long as
    /// the process lives.
    pub fn new(metrics: impl Fn() -> Result<String, String> + Send + Sync + 'static) -> Self {
        Self {
            metrics: Arc::new(metrics),
            ready: Readiness::new(),
            status: None,
        }
    }

    /// `/status`: a JSON document for people and their tools (an error gives status 500).
    #[must_use]
    pub fn with_status(
        mut self,
        status: impl Fn() -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        self.status = Some(Arc::new(status));
        self
    }

    /// `/readyz`: 200, or 503 with one line for each condition that does not hold.
    #[must_use]
    pub fn with_ready(mut self, ready: Readiness) -> Self {
        self.ready = ready;
        self
    }
}

/// Answers requests until `shutdown`.
pub async fn serve(listener: TcpListener, pages: Pages, shutdown: Shutdown) {
    // The endpoint's own connections are nobody's business, so they are counted in vain.
    let stats = Stats::new(&Registry::new(), "http");
    let handler = move |connection| answer(connection, pages.clone());
    listener::serve(listener, Gate::new(SLOTS), LIMITS, shutdown, stats, handler).await;
}

/// The listener ends this when its time is over.
async fn answer(connection: Connection, pages: Pages) {
    let mut stream = connection.stream;
    if let Err(error) = exchange(&mut stream, &pages).await {
        tracing::debug!(%error, "a request for metrics failed");
    }
    ke_stream::close(stream).await;
}

async fn exchange(stream: &mut QuickAckStream, pages: &Pages) -> io::Result<()> {
    let mut head = [0; MAX_HEAD];
    let response = match read_head(stream, &mut head).await? {
        Head::Complete(head) => pages.respond(head),
        Head::TooLong => Response::new(431, "Request Header Fields Too Large", "too long\n"),
        Head::Cut => return Ok(()),
    };
    stream.write_all(response.to_string().as_bytes()).await
}

enum Head<'b> {
    Complete(&'b [u8]),
    TooLong,
    Cut,
}

/// Reads up to the empty line.
async fn read_head<'b>(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &'b mut [u8; MAX_HEAD],
) -> io::Result<Head<'b>> {
    let mut length = 0;
    loop {
        let count = stream.read(&mut buffer[length..]).await?;
        length += count;
        let head = &buffer[..length];
        if head.windows(4).any(|window| window == b"\r\n\r\n") {
            return Ok(Head::Complete(&buffer[..length]));
        }
        if length == MAX_HEAD {
            return Ok(Head::TooLong);
        }
        if count == 0 {
            return Ok(Head::Cut);
        }
    }
}

impl Pages {
    fn respond(&self, head: &[u8]) -> Response {
        let line = head
            .split(|octet| *octet == b'\r')
            .next()
            .unwrap_or_default();
        let mut words = line.split(|octet| *octet == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Response::new(400, "Bad Request", "not HTTP\n");
        };
        if !version.starts_with(b"HTTP/1.") {
            return Response::new(400, "Bad Request", "not HTTP/1\n");
        }
        if method != b"GET" {
            return Response::new(405, "Method Not Allowed", "only GET\n");
        }
        let path = target
            .split(|octet| *octet == b'?')
            .next()
            .unwrap_or_default();
        match path {
            b"/metrics" => Response::rendered(&self.metrics),
            b"/healthz" => Response::new(200, "OK", "ok\n"),
            b"/readyz" => match self.ready.check() {
                Ok(()) => Response::new(200, "OK", "ready\n"),
                Err(reason) => Response::new(503, "Service Unavailable", reason + "\n"),
            },
            path => match &self.status {
                Some(status) if path == b"/status" => Response::rendered(status).into_json(),
                Some(_) => Response::new(
                    404,
                    "Not Found",
                    "see /metrics, /healthz, /readyz, /status\n",
                ),
                None => Response::new(404, "Not Found", "see /metrics, /healthz, /readyz\n"),
            },
        }
    }
}

/// Text as Prometheus wants it, which all others take too.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

/// One answer, after which the connection is closed.
struct Response {
    status: u16,
    reason: &'static str,
    content_type: &'static str,
    body: String,
}

impl Response {
    fn new(status: u16, reason: &'static str, body: impl Into<String>) -> Self {
        Self {
            status,
            reason,
            content_type: TEXT,
            body: body.into(),
        }
    }

    /// Says that the body is JSON, unless it is the reason why there is none.
    fn into_json(mut self) -> Self {
        if self.status == 200 {
            self.content_type = JSON;
        }
        self
    }

    fn rendered(render: &Render) -> Self {
        match render() {
            Ok(text) => Self::new(200, "OK", text),
            Err(reason) => Self::new(500, "Internal Server Error", reason + "\n"),
        }
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP/1.1 {} {}\r\n", self.status, self.reason)?;
        if self.status == 405 {
            f.write_str("Allow: GET\r\n")?;
        }
        write!(
            f,
            "Content-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
            self.content_type,
            self.body.len(),
            self.body
        )
    }
}

#[cfg(test)]
mod tests;
