//! Asking the registry once: one GET, within limits of time and size.
//!
//! What comes back is octets; whether they are worth anything is not known here. Redirects are not
//! followed, and a token goes nowhere but to the host that is configured.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, ETAG, HOST, HeaderValue, IF_NONE_MATCH, USER_AGENT};
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use nts_service::config::{Address, Located, Problem, Problems, read_secret_file};
use nts_service::tls::{self, HandshakeError, TrustAnchors};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::MAX_LENGTH;

/// For the whole answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// For a connection to one of the host's addresses.
const CONNECT: Duration = Duration::from_secs(10);
/// The longest head of an answer, in octets.
const LONGEST_HEAD: usize = 64 << 10;

/// Where a registry publishes its list: `https://…`, or `http://…` on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    address: Address,
    is_https: bool,
    /// What is asked for: path and query.
    target: PathAndQuery,
    /// The address, as HTTP has it.
    host: HeaderValue,
}

impl Url {
    /// Whether it is `https`.
    pub(crate) fn is_https(&self) -> bool {
        self.is_https
    }

    fn port(&self) -> u16 {
        self.address.port_or(if self.is_https { 443 } else { 80 })
    }
}

/// Without a query, which may hold a secret.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.address, self.target.path())
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const RIGHT: &str = "write one like `https://registry.example.org/pool.signed`";
        let uri: Uri = text.parse().map_err(|_| format!("no URL; {RIGHT}"))?;
        let is_https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(format!("no URL of a list; {RIGHT}")),
        };
        let authority = uri.authority().map_or("", |it| it.as_str());
        if authority.contains('@') {
            return Err("name and password do not belong here; see `token-path`".to_owned());
        }
        let address: Address = authority.parse()?;
        if !is_https && !is_here(&address) {
            return Err(
                "lists are fetched over plain `http` from this machine only (127.0.0.1, [::1], \
                 localhost); write `https`"
                    .to_owned(),
            );
        }
        let target = uri.path_and_query().cloned();
        let host = HeaderValue::from_str(&address.to_string());
        Ok(Self {
            target: target.unwrap_or(PathAndQuery::from_static("/")),
            host: host.map_err(|_| format!("no URL; {RIGHT}"))?,
            address,
            is_https,
        })
    }
}

/// Whether it can only be this machine. `localhost` is looked up, and looked at once more.
fn is_here(address: &Address) -> bool {
    match address.host().ip() {
        Some(ip) => ip.is_loopback(),
        None => address.host().to_string() == "localhost",
    }
}

/// By which the registry knows who asks, as HTTP wants it (RFC 6750 §2.1). Debug does not show it; the
/// HTTP library's copies of it are not overwritten when they are freed.
#[derive(Debug)]
pub(crate) struct Token(HeaderValue);

impl Token {
    /// Reads it; `None` after a problem was reported.
    pub(crate) fn load(file: &Located<PathBuf>, problems: &Problems) -> Option<Self> {
        let octets = read_secret_file(file, problems)?;
        // An editor's line break at the end is no part of the token.
        let token = octets.trim_ascii();
        let visible = !token.is_empty() && token.iter().all(u8::is_ascii_graphic);
        let value = Zeroizing::new([b"Bearer ", token].concat());
        let value = HeaderValue::from_bytes(&value).ok();
        let Some(mut value) = value.filter(|_| visible) else {
            let message = format!(
                "what `{}` holds is no token; write ASCII letters, digits and signs on one line",
                file.display()
            );
            problems.push(Problem::error(file.place().clone(), message));
            return None;
        };
        value.set_sensitive(true);
        Some(Self(value))
    }
}

/// A registry that can be asked.
#[derive(Clone)]
pub(crate) struct Registry {
    /// Where it is.
    pub(crate) url: Url,
    /// How it proves that it is; `None` with `http`.
    tls: Option<Arc<ClientConfig>>,
}

/// What the registry says.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It still publishes what has this tag.
    Unchanged,
    /// It publishes this.
    List {
        octets: Vec<u8>,
        /// By which it can be asked whether that has changed.
        tag: Option<HeaderValue>,
    },
}

/// Why the registry says nothing that could be looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("its name leads to no address: {0}")]
    LookUp(io::Error),
    #[error("`http` is for this machine only, and the name leads to {0}")]
    Elsewhere(SocketAddr),
    #[error("no connection: {0}")]
    Connect(io::Error),
    #[error("{0}")]
    Tls(HandshakeError),
    #[error("no answer that could be read: {0}")]
    Http(hyper::Error),
    #[error("it answers {0}{hint}", hint = hint(*.0))]
    Status(StatusCode),
    #[error("its answer is longer than 64 MiB")]
    TooLong,
    #[error("its answer broke off: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    TimedOut,
}

fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; see `token-path`",
        StatusCode::NOT_FOUND => "; see `url`",
        StatusCode::NOT_MODIFIED => ", though it was not asked whether the list has changed",
        status if status.is_redirection() => "; redirects are not followed, correct `url`",
        _ => "",
    }
}

impl Registry {
    /// With these authorities, which a registry at `https` needs.
    pub(crate) fn new(url: Url, authorities: Option<&TrustAnchors>) -> Self {
        let tls = authorities.filter(|_| url.is_https);
        let tls = tls.map(|trust| {
            let mut tls = tls::client_config(trust, None);
            Arc::make_mut(&mut tls).alpn_protocols = vec![b"http/1.1".to_vec()];
            tls
        });
        Self { url, tls }
    }

    /// Asks once, for what does not have this tag.
    pub(crate) async fn get(
        &self,
        tag: Option<&HeaderValue>,
        token: Option<&Token>,
    ) -> Result<Answer, FetchError> {
        let answer = timeout(PATIENCE, self.ask(tag, token)).await;
        answer.unwrap_or(Err(FetchError::TimedOut))
    }

    async fn ask(
        &self,
        tag: Option<&HeaderValue>,
        token: Option<&Token>,
    ) -> Result<Answer, FetchError> {
        let request = self.request(tag, token);
        let stream = self.connect().await?;
        let Some(tls) = &self.tls else {
            return converse(stream, request).await;
        };
        let name = self.url.address.host().server_name().clone();
        let connecting = TlsConnector::from(Arc::clone(tls)).connect(name, stream);
        let stream = connecting
            .await
            .map_err(|error| FetchError::Tls(error.into()))?;
        converse(stream, request).await
    }

    async fn connect(&self) -> Result<TcpStream, FetchError> {
        let host = self.url.address.host().to_string();
        let addresses = lookup_host((host, self.url.port())).await;
        let mut last = FetchError::LookUp(io::ErrorKind::NotFound.into());
        for address in addresses.map_err(FetchError::LookUp)? {
            if self.tls.is_none() && !address.ip().is_loopback() {
                return Err(FetchError::Elsewhere(address));
            }
            let connecting = timeout(CONNECT, TcpStream::connect(address)).await;
            match connecting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = FetchError::Connect(error),
            }
        }
        Err(last)
    }

    fn request(&self, tag: Option<&HeaderValue>, token: Option<&Token>) -> Request<Empty<Bytes>> {
        const AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.url.target.clone().into();
        let headers = request.headers_mut();
        headers.insert(HOST, self.url.host.clone());
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(tag) = tag {
            headers.insert(IF_NONE_MATCH, tag.clone());
        }
        if let Some(Token(value)) = token {
            headers.insert(AUTHORIZATION, value.clone());
        }
        request
    }
}

async fn converse<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Answer, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(LONGEST_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(FetchError::Http)?;
    // Ends with this function at the latest.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let asked = request.headers().contains_key(IF_NONE_MATCH);
    let answer = sender
        .send_request(request)
        .await
        .map_err(FetchError::Http)?;
    match answer.status() {
        StatusCode::OK => list(answer).await,
        StatusCode::NOT_MODIFIED if asked => Ok(Answer::Unchanged),
        status => Err(FetchError::Status(status)),
    }
}

async fn list(answer: Response<Incoming>) -> Result<Answer, FetchError> {
    let tag = answer.headers().get(ETAG).cloned();
    let mut body = Limited::new(answer.into_body(), MAX_LENGTH);
    // Copied together: what came in pieces of one octet would take many times its length.
    let mut octets = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.is::<LengthLimitError>() {
            true => FetchError::TooLong,
            false => FetchError::Body(error),
        })?;
        if let Some(data) = frame.data_ref() {
            octets.extend_from_slice(data);
        }
    }
    Ok(Answer::List { octets, tag })
}

#[cfg(test)]
mod tests;
