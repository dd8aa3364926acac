use tokio::net::TcpStream;

use super::*;
use crate::listener::bind;
use crate::shutdown::{self, Trigger};

/// An endpoint whose metrics are as given, and which is not ready.
async fn endpoint(metrics: Result<&'static str, &'static str>) -> (std::net::SocketAddr, Trigger) {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (trigger, shutdown) = shutdown::channel();
    let pages = Pages::new(move || metrics.map(str::to_owned).map_err(str::to_owned))
        .with_ready(Readiness::new().when("sources", || Err("none".to_owned())));
    tokio::spawn(serve(listener, pages, shutdown));
    (address, trigger)
}

async fn ask(address: std::net::SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn metrics_are_plain_text_of_a_stated_length() {
    let (address, _trigger) = endpoint(Ok("up 1\n# EOF\n")).await;
    let answer = ask(address, b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(
        answer,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: 11\r\nConnection: close\r\n\r\nup 1\n# EOF\n"
    );
}

#[tokio::test]
async fn each_request_has_its_status() {
    let (address, _trigger) = endpoint(Err("state is locked")).await;
    let long = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &[b'x'; MAX_HEAD]].concat();
    for (request, status, body) in [
        (
            b"GET /healthz HTTP/1.0\r\n\r\n".as_slice(),
            "200 OK",
            "ok\n",
        ),
        (
            b"GET /readyz HTTP/1.1\r\n\r\n",
            "503 Service Unavailable",
            "sources: none\n",
        ),
        (
            b"GET /metrics HTTP/1.1\r\n\r\n",
            "500 Internal Server Error",
            "state is locked\n",
        ),
        (
            b"GET / HTTP/1.1\r\n\r\n",
            "404 Not Found",
            "see /metrics, /healthz, /readyz\n",
        ),
        (
            b"POST /metrics HTTP/1.1\r\n\r\n",
            "405 Method Not Allowed",
            "only GET\n",
        ),
        (
            b"HEAD /metrics HTTP/1.1\r\n\r\n",
            "405 Method Not Allowed",
            "only GET\n",
        ),
        (b"GET /metrics\r\n\r\n", "400 Bad Request", "not HTTP\n"),
        (b"GET / HTTP/2.0\r\n\r\n", "400 Bad Request", "not HTTP/1\n"),
        (b"\x16\x03\x01\r\n\r\n", "400 Bad Request", "not HTTP\n"),
        (&long, "431 Request Header Fields Too Large", "too long\n"),
    ] {
        let answer = ask(address, request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{answer}"
        );
        assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
    }
}

#[tokio::test]
async fn a_head_in_pieces_is_read_and_a_cut_one_gets_no_answer() {
    let (address, _trigger) = endpoint(Ok("")).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    for octet in b"GET /healthz HTTP/1.1\r\n\r\n" {
        stream.write_all(&[*octet]).await.unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_says_nothing_is_gone_after_a_second() {
    let (address, _trigger) = endpoint(Ok("")).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    let waited = began.elapsed().as_millis();
    assert!((990..1100).contains(&waited), "{waited}");
}

#[tokio::test]
async fn a_status_is_json_where_there_is_one() {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (_trigger, shutdown) = shutdown::channel();
    let pages = Pages::new(|| Ok(String::new())).with_status(|| Ok("{}\n".to_owned()));
    tokio::spawn(serve(listener, pages, shutdown));
    let answer = ask(address, b"GET /status HTTP/1.0\r\n\r\n").await;
    assert_eq!(
        answer,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\
         Connection: close\r\n\r\n{}\n"
    );
    let answer = ask(address, b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(
        answer.ends_with("see /metrics, /healthz, /readyz, /status\n"),
        "{answer}"
    );

    let (address, _trigger) = endpoint(Ok("")).await;
    let answer = ask(address, b"GET /status HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
}
