//! A registry that answers well, and all that another one may do.

use std::io::Write as _;

use nts_service::config::Place;
use nts_service::tls::ClientCertificates;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::testing::Authority;

/// Reads the head of a request and answers with these octets; gives the head.
async fn converse_once(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: Vec<u8>) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(octet) => head.push(octet),
            Err(_) => break,
        }
    }
    // Whoever has read enough leaves.
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
    String::from_utf8(head).unwrap()
}

/// A server that answers one request so.
async fn server(answer: impl Into<Vec<u8>>) -> (Registry, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/list?key=secret", listener.local_addr().unwrap());
    let answer = answer.into();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        converse_once(stream, answer).await
    });
    (Registry::new(url.parse().unwrap(), None), serving)
}

async fn error(answer: impl Into<Vec<u8>>) -> String {
    let (registry, _serving) = server(answer).await;
    registry.get(None, None).await.unwrap_err().to_string()
}

fn token() -> Token {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "a-token-0123456789").unwrap();
    let path = Located::new(file.path().to_owned(), Place::file("pool.toml"));
    Token::load(&path, &Problems::new()).unwrap()
}

#[tokio::test]
async fn a_list_comes_with_its_tag_and_only_when_it_has_changed() {
    let answer = "HTTP/1.1 200 OK\r\nETag: \"abc\"\r\nContent-Length: 4\r\n\r\nlist";
    let (registry, serving) = server(answer).await;
    let Ok(Answer::List { octets, tag }) = registry.get(None, None).await else {
        panic!("no list");
    };
    assert_eq!(octets, b"list");
    let head = serving.await.unwrap();
    assert!(
        head.starts_with("GET /list?key=secret HTTP/1.1\r\nhost: 127.0.0.1:"),
        "{head}"
    );
    assert!(
        !head.contains("if-none-match") && !head.contains("authorization"),
        "{head}"
    );
    let unchanged = "HTTP/1.1 304 Not Modified\r\n\r\n";
    let (registry, serving) = server(unchanged).await;
    let token = token();
    let answer = registry.get(tag.as_ref(), Some(&token)).await;
    assert!(matches!(answer, Ok(Answer::Unchanged)), "{answer:?}");
    let head = serving.await.unwrap();
    assert!(head.contains("\r\nif-none-match: \"abc\"\r\n"), "{head}");
    assert!(
        head.contains("\r\nauthorization: Bearer a-token-0123456789\r\n"),
        "{head}"
    );
    // Nobody asked whether it had.
    assert_eq!(
        error(unchanged).await,
        "it answers 304 Not Modified, though it was not asked whether the list has changed"
    );
}

#[test]
fn every_url_makes_a_request() {
    for (text, target) in [
        ("https://a.test?key=1", "/?key=1"),
        ("https://a.test?", "/?"),
        ("https://a.test", "/"),
        ("https://a.test//x?y=/&z", "//x?y=/&z"),
        ("https://[2001:db8::1]:8443/x#y", "/x"),
    ] {
        let registry = Registry::new(text.parse().unwrap(), None);
        let request = registry.request(None, None);
        assert_eq!(request.uri().to_string(), target, "{text}");
        assert_eq!(request.method(), "GET");
        let host = registry.url.address.to_string();
        assert_eq!(request.headers()[HOST], host.as_str());
    }
}

#[tokio::test]
async fn a_query_may_follow_the_host_at_once() {
    let (registry, serving) = server("HTTP/1.1 200 OK\r\n\r\nlist").await;
    let url = format!("http://{}?key=1", registry.url.address);
    let registry = Registry::new(url.parse().unwrap(), None);
    assert!(registry.get(None, None).await.is_ok());
    let head = serving.await.unwrap();
    assert!(head.starts_with("GET /?key=1 HTTP/1.1\r\n"), "{head}");
}

#[tokio::test]
async fn other_answers_are_errors() {
    for (answer, expected) in [
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "it answers 404 Not Found; see `url`",
        ),
        (
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
            "it answers 401 Unauthorized; see `token-path`",
        ),
        (
            "HTTP/1.1 301 Moved Permanently\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
            "it answers 301 Moved Permanently; redirects are not followed, correct `url`",
        ),
        (
            "HTTP/1.1 500 Internal Server Error\r\n\r\n",
            "it answers 500 Internal Server Error",
        ),
        (
            "HTTP/1.1 204 No Content\r\n\r\n",
            "it answers 204 No Content",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nlist",
            "its answer broke off: ",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nlist",
            "its answer broke off: ",
        ),
        ("SSH-2.0-x\r\n\r\n", "no answer that could be read: "),
        ("", "no answer that could be read: "),
    ] {
        let error = error(answer).await;
        assert!(error.starts_with(expected), "{answer}: {error}");
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nX: {}\r\n\r\n",
        "x".repeat(4 * LONGEST_HEAD)
    );
    assert!(
        error(head)
            .await
            .starts_with("no answer that could be read: ")
    );
    let (registry, serving) = server("").await;
    serving.abort();
    let _ = serving.await;
    let refused = registry.get(None, None).await.unwrap_err();
    assert!(matches!(refused, FetchError::Connect(_)), "{refused}");
}

#[tokio::test]
async fn what_comes_in_pieces_is_put_together() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let pieces = "1\r\nx\r\n".repeat(10_000);
    let answer = registry_with(format!("{head}{pieces}0\r\n\r\n").as_bytes()).await;
    assert!(matches!(answer, Ok(Answer::List { octets, .. }) if octets == [b'x'; 10_000]));
}

#[tokio::test]
async fn no_answer_is_too_long() {
    let head = b"HTTP/1.1 200 OK\r\n\r\n";
    let fits = registry_with(&[&head[..], &vec![b'x'; MAX_LENGTH]].concat()).await;
    assert!(matches!(fits, Ok(Answer::List { octets, .. }) if octets.len() == MAX_LENGTH));
    let longer = registry_with(&[&head[..], &vec![b'x'; MAX_LENGTH + 1]].concat()).await;
    assert!(matches!(longer, Err(FetchError::TooLong)));
}

async fn registry_with(answer: &[u8]) -> Result<Answer, FetchError> {
    let (registry, _serving) = server(answer).await;
    registry.get(None, None).await
}

#[tokio::test(start_paused = true)]
async fn a_silent_registry_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let registry = Registry::new(url.parse().unwrap(), None);
    let error = registry.get(None, None).await.unwrap_err();
    assert!(
        matches!(error, FetchError::TimedOut | FetchError::Connect(_)),
        "{error}"
    );
}

#[tokio::test]
async fn https_is_for_whom_the_certificate_is_good() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for (trusted, good) in [(&authority, true), (&stranger, false)] {
        let mut tls =
            tls::server_config(&authority.identity("localhost"), ClientCertificates::Ignore);
        Arc::make_mut(&mut tls).alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = TlsAcceptor::from(tls).accept(stream).await.ok()?;
            Some(converse_once(stream, b"HTTP/1.1 200 OK\r\n\r\nlist".to_vec()).await)
        });
        let url: Url = format!("https://localhost:{port}/list").parse().unwrap();
        let registry = Registry::new(url, Some(&trusted.trust()));
        let answer = registry.get(None, Some(&token())).await;
        let seen = serving.await.unwrap();
        match good {
            true => {
                assert!(matches!(answer, Ok(Answer::List { octets, .. }) if octets == b"list"));
                assert!(seen.unwrap().contains("Bearer"));
            }
            false => {
                let error = answer.unwrap_err().to_string();
                assert!(error.contains("was signed with another key"), "{error}");
                assert_eq!(seen, None);
            }
        }
    }
}

#[test]
fn urls_are_those_of_lists() {
    let shown = |text: &str| text.parse().map(|url: Url| url.to_string());
    for (text, expected) in [
        ("https://a.test/x/y?key=1", "https://a.test/x/y"),
        ("https://a.test:8443", "https://a.test:8443/"),
        ("https://a.test?key=1", "https://a.test/"),
        ("https://a.test#x", "https://a.test/"),
        (
            "https://[2001:db8::1]:8443/x",
            "https://[2001:db8::1]:8443/x",
        ),
        ("http://127.0.0.7/x", "http://127.0.0.7/x"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("http://localhost:8000/x", "http://localhost:8000/x"),
    ] {
        assert_eq!(shown(text).as_deref(), Ok(expected));
    }
    for text in [
        "",
        "a.test",
        "/x",
        "https://",
        "https:///x",
        "http://a.test/",
        "http://192.0.2.1/",
        "http://localhost.a.test/",
        "file:///x",
        "https://a b/",
        "https://a:b@c.test/",
        "https://a.test:0/",
        "http://127.0.0.1@a.test/",
    ] {
        assert!(shown(text).is_err(), "{text}");
    }
    let port = |text: &str| text.parse::<Url>().unwrap().port();
    assert_eq!(port("https://a.test/"), 443);
    assert_eq!(port("http://localhost/"), 80);
}

#[test]
fn a_token_is_not_shown() {
    assert_eq!(format!("{:?}", token()), "Token(Sensitive)");
}
