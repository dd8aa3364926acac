//! Fetches the document from a running pool, over plain HTTP, which usually is loopback.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use nts_service::config::Address;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::document::Document;

/// Time for the whole answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer in octets.
const LONGEST: u64 = 8 << 20;
/// The port of a URL without one.
const HTTP_PORT: u16 = 80;

/// Where a pool shows its state: `http://HOST[:PORT]`, with any path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// The endpoint that listens at `address`; one that listens everywhere listens here too.
    pub(super) fn at(address: SocketAddr) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Self {
            host: ip.to_string(),
            port: address.port(),
        }
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let rest = url
            .strip_prefix("http://")
            .ok_or("write a URL like `http://127.0.0.1:9975`")?;
        let address: Address = rest.split('/').next().unwrap_or_default().parse()?;
        Ok(Self {
            host: address.host().to_string(),
            port: address.port_or(HTTP_PORT),
        })
    }
}

/// Why there is no document, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// No connection, or it failed.
    #[error(
        "{host}:{port} does not answer: {error}; is nts-pool-ke running, with \
             `metrics-exporter-listen` of [observability] at that address?"
    )]
    Io {
        /// The host asked.
        host: String,
        /// Its port.
        port: u16,
        /// What went wrong.
        error: io::Error,
    },
    /// Something else answered, or an older version.
    #[error(
        "{host}:{port} answers, but not with the state of a pool: is it the \
             `metrics-exporter-listen` of a nts-pool-ke of this version?"
    )]
    NotAPool {
        /// The host asked.
        host: String,
        /// Its port.
        port: u16,
    },
}

/// Asks once.
pub(super) async fn fetch(endpoint: &Endpoint) -> Result<Document, FetchError> {
    let Endpoint { host, port } = endpoint.clone();
    let answer = timeout(PATIENCE, ask(endpoint)).await;
    let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Err(FetchError::Io { host, port, error }),
    };
    let body = body(&answer);
    let document = body.and_then(|body| serde_json::from_slice(body).ok());
    document.ok_or(FetchError::NotAPool { host, port })
}

async fn ask(endpoint: &Endpoint) -> io::Result<Vec<u8>> {
    let Endpoint { host, port } = endpoint;
    let mut stream = TcpStream::connect((host.as_str(), *port)).await?;
    let request = "GET /status HTTP/1.0\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).await?;
    Ok(answer)
}

/// What stands after the head of an answer that says that all is well.
fn body(answer: &[u8]) -> Option<&[u8]> {
    const END: &[u8] = b"\r\n\r\n";
    let end = answer.windows(END.len()).position(|it| it == END)?;
    let (head, body) = answer.split_at(end);
    let mut words = head.split(|octet| *octet == b' ');
    let protocol = words.next()?;
    let good = protocol.starts_with(b"HTTP/1.") && words.next()? == b"200";
    good.then(|| &body[END.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_addresses() {
        let endpoint = |host: &str, port| {
            let host = host.to_owned();
            Ok(Endpoint { host, port })
        };
        for (url, expected) in [
            ("http://127.0.0.1:9975", endpoint("127.0.0.1", 9975)),
            ("http://127.0.0.1:9975/metrics", endpoint("127.0.0.1", 9975)),
            ("http://[::1]:9975/", endpoint("::1", 9975)),
            ("http://pool.test", endpoint("pool.test", 80)),
        ] {
            assert_eq!(url.parse(), expected, "{url}");
        }
        for url in ["127.0.0.1:9975", "https://a.test", "http://", "http://a b"] {
            assert!(url.parse::<Endpoint>().is_err(), "{url}");
        }
        let at = |text: &str| Ok(Endpoint::at(text.parse().unwrap()));
        assert_eq!(at("0.0.0.0:1"), endpoint("127.0.0.1", 1));
        assert_eq!(at("[::]:1"), endpoint("::1", 1));
        assert_eq!(at("192.0.2.1:1"), endpoint("192.0.2.1", 1));
    }

    #[test]
    fn only_good_answers_have_a_body() {
        let answer = b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n{}";
        assert_eq!(body(answer), Some(b"{}".as_slice()));
        for answer in [
            b"HTTP/1.1 404 Not Found\r\n\r\nx".as_slice(),
            b"HTTP/1.1 200 OK\r\n",
            b"SSH-2.0 200 x\r\n\r\n",
            b"",
        ] {
            assert_eq!(body(answer), None);
        }
    }
}
